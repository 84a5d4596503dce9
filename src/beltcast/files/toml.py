"""Reader of TOML files: keys, types, ranges and units, each error with file and line.

`read_toml` parses a file; `Toml.line` finds the line of a key, which Python's parser does not
keep, by reading the headers and keys of the text in order.  `TomlTable` is a table of the file that
knows its position, so that a caller only states what it expects of a value.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from beltcast.errors import InputError, did_you_mean, quoted
from beltcast.files.text import read_text

_KEY = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_KEY_PATH = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER_LINE = re.compile(rf"\s*\[\s*({_KEY_PATH})\s*\]")
_KEY_LINE = re.compile(rf"\s*({_KEY_PATH})\s*=")
_PLACE = re.compile(r"\s*\(at line (\d+), column \d+\)$")
_TWICE = re.compile(r"Cannot declare \((.*)\) twice$")

READ = "BELTCAST_READ"
"""Environment variable: folders that studies may name files in, beside their own."""

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

REQUIRED: Final[Any] = object()
"""In place of a default: the key must be given."""


@dataclass(frozen=True)
class Toml:
    """A parsed TOML file with its line numbers."""

    path: Path
    sha256: str
    tables: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]
    columns: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    """Of tables that come from a sheet: letters of the column of a key."""

    def column(self, *keys: str) -> str | None:
        """Column of a key path of a sheet; None if it is not known."""
        return self.columns.get(keys)

    def line(self, *keys: str) -> int | None:
        """Line of a key path, or of the nearest table around it; None if there is neither."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return self.lines[keys[:length]]
        return None


def read_toml(path: str | Path, error: type[InputError]) -> Toml:
    """Read a TOML file of tables.

    Parameters
    ----------
    path : str or Path
    error : type
        Error class of the calling reader.

    Raises
    ------
    InputError
        As ``error``: as in `read_text`, or the text is not TOML, gives a table twice, or has no
        table at all.
    """
    source = read_text(path, error)
    try:
        tables = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as failure:
        sentence, line = _toml_sentence(str(failure), source.text)
        raise error(sentence, source.path, line) from None
    if not tables:
        raise error("the file has only comments; add at least one table", source.path)
    return Toml(source.path, source.sha256, tables, _lines(source.text))


def find_file(toml: Toml, *keys: str) -> Path:
    """Find a file that a TOML file names, in its folder or below.

    A study may come from somebody else and must not read other parts of the disk. The user may
    allow more: the environment variable ``BELTCAST_READ`` lists further folders. A study in a
    folder ``calibration`` beside ``models``, as the shipped one is, names files in either from the
    folder above.

    Parameters
    ----------
    toml : Toml
    *keys : str
        Path of the key that names the file, from the top.

    Raises
    ------
    InputError
        With file and line: the file does not exist, or is outside these folders.
    """
    given: Any = toml.tables
    for key in keys:
        given = given[key]
    folder = toml.path.parent
    roots = [folder, *(Path(one) for one in os.environ.get(READ, "").split(os.pathsep) if one)]
    places = list(roots)
    if folder.resolve().name == "calibration" and (folder.parent / "models").is_dir():
        places.insert(1, folder.parent)
        roots.append(folder.parent / "models")
    outside = False
    for place in places:
        if not isinstance(given, str) or not _exists(place / given):
            continue
        found = (place / given).resolve()
        if any(found.is_relative_to(root.resolve()) for root in roots):
            return place / given
        outside = True
    sentence = f"the {keys[-1]} file {quoted(given)} is not in the folder of this file; "
    if outside:
        sentence = (
            f"the {keys[-1]} file {quoted(given)} lies outside the folder of this file; copy it "
            f"there, or allow its folder with the environment variable {READ}"
        )
    else:
        sentence += "correct the path"
    raise InputError(sentence, toml.path, toml.line(*keys))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or has a null character
        return False


@dataclass(frozen=True)
class TomlTable:
    """A table of a TOML file that knows its position.

    Parameters
    ----------
    file : Toml
    keys : tuple of str
        Its path in the file.
    values : mapping
        As the parser returned them.
    raises : type
        Error of the reader.
    called : str
        Pattern of a value in errors, ``{}`` standing for its key: ``{} of 'Exit Rate'``.
    """

    file: Toml
    keys: tuple[str, ...]
    values: Mapping[str, Any]
    raises: type[InputError] = InputError
    called: str = "{}"

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def fail(self, sentence: str, *keys: str) -> InputError:
        """Return an error with the file and the line of a key."""
        where = (*self.keys, *keys)
        return self.raises(
            sentence, self.file.path, self.file.line(*where), self.file.column(*where)
        )

    def refusal(self, key: str, expected: str) -> InputError:
        """Return the error of a value that is not as expected, or is missing."""
        name = self.called.replace("{}", key)
        if key not in self.values:
            return self.fail(f"{name} is missing; add {key} = {expected}", key)
        return self.fail(f"{name} is {quoted(self.values[key])}; expected {expected}", key)

    def only(
        self, known: Collection[str], what: str = "", *, renamed: Mapping[str, str] = _NOTHING
    ) -> TomlTable:
        """Refuse keys that are not known; return the table itself.

        Parameters
        ----------
        known : collection of str
        what : str
            Owner of the keys, for the error; the header by default.
        renamed : mapping of str to str
            Names of keys in earlier versions, and what they are called now.
        """
        for key in self.values:
            if key in renamed:
                raise self.fail(f"the key {key} is called {renamed[key]} now; rename it", key)
            if key not in known:
                of = what or f"[{'.'.join(self.keys)}]"
                raise self.fail(f"unknown key {quoted(key)} of {of}{did_you_mean(key, known)}", key)
        return self

    def table(self, key: str, *, called: str | None = None, optional: bool = False) -> TomlTable:
        """Return a table inside this one; an empty one if it is optional and missing."""
        name = self.called.replace("{}", f"{key}.{{}}") if called is None else called
        given = self.values.get(key, {} if optional else REQUIRED)
        if given is REQUIRED:
            raise self.fail(f"the table [{'.'.join((*self.keys, key))}] is missing; add it")
        if not isinstance(given, dict):
            raise self.refusal(key, "a table of names and values")
        return TomlTable(self.file, (*self.keys, key), given, self.raises, name)

    def tables(self, key: str) -> list[TomlTable]:
        """Return an array of tables; an empty one if it is missing."""
        given = self.values.get(key, [])
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise self.refusal(key, "a list of tables")
        name = self.called.replace("{}", f"{{}} in {key}")
        return [TomlTable(self.file, (*self.keys, key), one, self.raises, name) for one in given]

    def number(
        self,
        key: str,
        default: float = REQUIRED,
        *,
        least: float = -math.inf,
        above: float = -math.inf,
        most: float = math.inf,
        below: float = math.inf,
        finite: bool = True,
        expected: str = "",
    ) -> float:
        """Return a number in a range.

        Parameters
        ----------
        key : str
        default : float
            Returned if the key is missing.
        least, above, most, below : float
            Ends of the range, with and without the end itself.
        finite : bool
            Refuse infinity; NaN is always refused.
        expected : str
            What is expected, for the error; the range by default.
        """
        if key not in self.values and default is not REQUIRED:
            return default
        value: Any = self.values.get(key)
        good = (
            _is_number(value) and least <= value <= most and (above < value or above == -math.inf)
        )
        good = good and (value < below or below == math.inf)
        if not good or (finite and math.isinf(value)):
            raise self.refusal(key, expected or _range(least, above, most, below, finite))
        return float(value)

    def integer(self, key: str, default: int = REQUIRED, *, least: int) -> int:
        """Return a whole number of at least so much."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.refusal(key, f"a whole number of at least {least}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.refusal(key, "true or false")
        return value

    def text(
        self, key: str, default: str = REQUIRED, *, expected: str = "a text", empty: bool = False
    ) -> str:
        """Return a text; an empty one is refused unless `empty`."""
        if key not in self.values and default is not REQUIRED:
            return default
        value = self.values.get(key)
        if not isinstance(value, str) or not (empty or value.strip()):
            raise self.refusal(key, expected)
        return value

    def choice(self, key: str, known: Collection[str], default: str = REQUIRED) -> str:
        """Return one of the known words."""
        value = self.values.get(key, default)
        if value is REQUIRED:
            raise self.refusal(key, f"one of {', '.join(map(quoted, known))}")
        if not isinstance(value, str) or value not in known:
            name = self.called.replace("{}", key)
            raise self.fail(f"{name} is {quoted(value)}{did_you_mean(str(value), known)}", key)
        return value

    def texts(
        self, key: str, default: Sequence[str] = REQUIRED, *, expected: str = "a list of names"
    ) -> list[str]:
        """Return a list of texts."""
        value = self.values.get(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise self.refusal(key, f'{expected}, {key} = ["...", "..."]')
        return list(value)

    def pair(
        self, key: str, default: tuple[float, float] = REQUIRED, *, finite: bool = False
    ) -> tuple[float, float]:
        """Return ``[lower, upper]``, two numbers in their order."""
        if key not in self.values and default is not REQUIRED:
            return default
        value = self.values.get(key)
        if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
            raise self.refusal(key, "[lower, upper], two numbers")
        lower, upper = map(float, value)
        if not lower < upper:
            raise self.refusal(key, "[lower, upper], the lower one first")
        if finite and not (math.isfinite(lower) and math.isfinite(upper)):
            raise self.refusal(key, "[lower, upper], two finite numbers")
        return lower, upper

    def unit(self, key: str, own: str, same: Callable[[str, str], bool], of: str) -> None:
        """Refuse a unit that is not that of the model.

        Parameters
        ----------
        key : str
        own : str
            Unit in the model.
        same : callable
            Whether two units are the same.
        of : str
            Variable that has the unit.
        """
        given = self.text(key)
        if not same(given, own):
            raise self.fail(
                f"{quoted(of)} has unit {quoted(given)} here and {quoted(own)} in the model; make "
                "them the same",
                key,
            )


def read_table(toml: Toml, key: str, *, called: str | None = None) -> TomlTable:
    """Return a table of a file, by its name.

    Raises
    ------
    InputError
        With the file: the table does not exist.
    """
    return TomlTable(toml, (), toml.tables).table(key, called=called)


def _is_number(value: Any) -> bool:
    """Whether a value is a number in TOML, which excludes NaN and truth values."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _range(least: float, above: float, most: float, below: float, finite: bool) -> str:
    lower = f"of at least {least:g}" if least > -math.inf else f"above {above:g}"
    upper = f"at most {most:g}" if most < math.inf else f"below {below:g}"
    words = [
        *([lower] if max(least, above) > -math.inf else []),
        *([upper] if min(most, below) < math.inf else []),
    ]
    if not words:
        return "a finite number" if finite else "a number"
    return f"a number {' and '.join(words)}"


def _toml_sentence(failure: str, text: str) -> tuple[str, int]:
    place = _PLACE.search(failure)
    reason = _PLACE.sub("", failure).removesuffix(" (at end of document)")
    # "at end of document" is how the parser reports an unclosed construct.
    line = int(place[1]) if place else max(1, text.rstrip("\n").count("\n") + 1)
    if twice := _TWICE.match(reason):
        name = twice[1].rstrip(",")
        return f"the table {name} is given twice; keep one of them", line
    reason = reason[:1].lower() + reason[1:]
    return f"this is not TOML: {reason}; correct the line or restore the complete file", line


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """First line of every table and key, by its path from the top."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    inside = False  # a multi-line string, whose text may look like keys
    for number, line in enumerate(text.splitlines(), start=1):
        if not inside:
            if header := _HEADER_LINE.match(line):
                table = _path(header[1])
                lines.setdefault(table, number)
            elif key := _KEY_LINE.match(line):
                lines.setdefault(table + _path(key[1]), number)
        if (line.count('"""') + line.count("'''")) % 2:
            inside = not inside
    return lines


def _path(key: str) -> tuple[str, ...]:
    """Split a dotted TOML key, quotes and escapes included, by letting TOML itself read it."""
    try:
        level: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return (key,)
    path: list[str] = []
    while isinstance(level, dict):
        name, level = next(iter(level.items()))
        path.append(name)
    return tuple(path)
