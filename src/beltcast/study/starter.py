"""New study folders: the shipped templates, filled in with a user's places and years.

A template under ``models/templates`` is a folder of files with words after a dollar sign
(`string.Template`).  A line with ``$place`` is written once for each belt; all other words stand
for one text.  The result is read as a study before it appears under its name, so that
``beltcast forecast FOLDER`` runs at once.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from beltcast.engine.syntax import canonical
from beltcast.errors import BeltcastError, InputError, did_you_mean, quoted
from beltcast.files.complete import complete_folder
from beltcast.files.shipped import shipped
from beltcast.study.starter_workbook import TABLES, workbook_of
from beltcast.study.study import read_study

Template = Literal["belt", "blank"]

EXAMPLE_YEARS = 6
"""Years from the start that the example rows of the templates cover."""

_COMMON = "common"
_BELT_NAME = re.compile(r"[^\W_](?:[\w ]*\w)?")
_HALF_YEAR = 9
"""Example of a half year's total, in bn CNY, for one belt."""


def init(
    folder: str | Path,
    *,
    belts: Sequence[str],
    title: str | None = None,
    start: int = 2018,
    end: int = 2035,
    template: str = "belt",
    workbook: bool = False,
) -> tuple[Path, ...]:
    """Write a study that runs as it stands, with example observations marked as such.

    Parameters
    ----------
    folder : str or Path
        Must not exist yet, or be empty.
    belts : sequence of str
        Letters of any script, digits and spaces; they become elements of the model's range.
    title : str, optional
        The name of the folder by default.
    start, end : int  [Year]
        First and last whole year of a run; at least `EXAMPLE_YEARS` apart.
    template : str
        ``belt``: three drivers, sellers, brands and output; ``blank``: one stock and one flow.
    workbook : bool
        Put observations, places, priors and scenarios into one workbook, named as the folder.

    Returns
    -------
    tuple of Path
        The files, in the order of their names.

    Raises
    ------
    InputError
        The folder is not empty, a name cannot be used in a model, the years are too few, or the
        template is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from beltcast import read_study
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     files = init(Path(scratch) / "mine", belts=["Foshan", "东莞"])
    ...     read_study(Path(scratch) / "mine").model.subscripts["Belt"]
    ('Foshan', '东莞')
    """
    folder = Path(folder)
    check_folder(folder)
    names = _belt_names(belts)
    words = _words(names, check_title(title or folder.resolve().name), start, end)
    texts = {name: _filled(text, words, names) for name, text in _template_texts(template).items()}
    book = f"{folder.resolve().name}.xlsx"
    content = workbook_of(texts, names) if workbook else b""
    if workbook:
        texts = _without_tables(texts, book)
    _prove(texts, names, {book: content} if workbook else {})
    with complete_folder(folder) as work:
        _write(texts, work)
        if workbook:
            (work / book).write_bytes(content)
    return tuple(folder / name for name in sorted([*texts, *([book] if workbook else [])]))


def _without_tables(texts: Mapping[str, str], book: str) -> dict[str, str]:
    """Drop the files that are sheets of the workbook, and name the workbook instead."""
    kept = {name: text for name, text in texts.items() if name not in TABLES.values()}
    for sheet, file in TABLES.items():
        kept["study.toml"] = kept["study.toml"].replace(
            f'{sheet} = "{file}"', f'{sheet} = "{book}"', 1
        )
        kept["README.md"] = kept["README.md"].replace(f"`{file}`", f"`{book}`, sheet `{sheet}`")
    return kept


# --- checks of the arguments ------------------------------------------------------------------


def check_folder(folder: Path) -> None:
    """Refuse the current folder, and one that has something in it."""
    if folder.resolve() == Path.cwd():
        raise InputError(
            f"'{folder}' is the folder you are in; give the name of a new one, such as mybelt"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"'{folder}' exists and is not empty; give the name of a new folder")


def _belt_names(belts: Sequence[str]) -> tuple[str, ...]:
    names = tuple(" ".join(belt.split()) for belt in belts)
    for name in names:
        if not _BELT_NAME.fullmatch(name) or name.isdecimal():
            raise InputError(
                f"{quoted(name)} cannot be the name of a belt in a model; use letters of any "
                "script, digits and spaces, and separate belts by commas"
            )
    spelt = [canonical(name) for name in names]
    for name in names:
        if spelt.count(canonical(name)) > 1:
            raise InputError(f"the belt {quoted(name)} is given twice; keep one of them")
    if not names:
        raise InputError("there is no belt; name at least one")
    return names


def check_title(title: str) -> str:
    """Return a title that a TOML file and a model file can hold."""
    if not title.isprintable() or '"' in title or "\\" in title:
        raise InputError(
            f"{quoted(title)} cannot be a title; leave out quotes, backslashes and line ends"
        )
    return title


def _words(belts: Sequence[str], title: str, start: int, end: int) -> dict[str, str]:
    """Return the values of the templates' words, except `$place`, which each line fills in."""
    if end < start + EXAMPLE_YEARS:
        raise InputError(
            f"{start} to {end} is too short; a study of the templates runs over at least "
            f"{EXAMPLE_YEARS + 1} years, so give an end of {start + EXAMPLE_YEARS} or later"
        )
    return {
        "title": title,
        "belts": ", ".join(belts),
        "belts_semicolon": ";".join(belts),
        "start": str(start),
        "end": str(end),
        "final": str(end + 1),
        "support": str(start + 1),
        "scenario": str(min(start + 8, end)),
        "ramped": str(min(start + 9, end)),
        "reference": str(start + EXAMPLE_YEARS),
        "half": str(_HALF_YEAR * len(belts)),
        **{f"y{k}": str(start + k) for k in range(EXAMPLE_YEARS + 1)},
    }


# --- templates --------------------------------------------------------------------------------


def _template_texts(template: str) -> dict[str, str]:
    """File name -> text; a file of this template continues the one that all templates share."""
    known = get_args(Template)
    if template not in known:
        sentence = f"there is no template {quoted(template)}"
        raise InputError(sentence + did_you_mean(template, known))
    top = shipped("models/templates")
    texts: dict[str, str] = {}
    for part in (_COMMON, template):
        for path in (top / part).iterdir():
            texts[path.name] = texts.get(path.name, "") + path.read_text(encoding="utf-8")
    return dict(sorted(texts.items()))


def _filled(text: str, words: Mapping[str, str], belts: Sequence[str]) -> str:
    lines = []
    for line in text.splitlines():
        each = [{"place": belt} for belt in belts] if "$place" in line else [{}]
        lines += [string.Template(line).substitute(words, **own) for own in each]
    return "\n".join(lines) + "\n"


def _prove(texts: Mapping[str, str], belts: Sequence[str], books: Mapping[str, bytes]) -> None:
    """Read the study from a temporary folder: a name may still clash with one of the model's."""
    with TemporaryDirectory() as scratch:
        _write(texts, Path(scratch))
        for name, content in books.items():
            (Path(scratch) / name).write_bytes(content)
        try:
            read_study(scratch)
        except BeltcastError as problem:
            raise InputError(
                f"no study can be made with {', '.join(map(quoted, belts))}: {problem.sentence}"
            ) from None


def _write(texts: Mapping[str, str], folder: Path) -> None:
    for name, text in texts.items():
        # Spreadsheets read a table as UTF-8 only if it begins with a byte order mark.
        encoding = "utf-8-sig" if name.endswith(".csv") else "utf-8"
        (folder / name).write_text(text, encoding=encoding)
