"""Text at the door: bytes to characters, and keys to line numbers.

Every reader of a CSV or TOML file begins here, so that a missing file, a wrong encoding and a
file cut off in the middle of a character are refused in the same words everywhere.

Encoding: UTF-8, with or without a byte order mark. Chinese offices and spreadsheets still save
GB18030 (GBK); such a file is read as it was meant, and says so in its ``encoding``. Bytes of any
other encoding would also decode as GB18030, into rare characters, so the guess is believed only
where nearly all of them are in the everyday set, GB 2312.

Lines: Python's TOML parser returns values without their places. ``Toml.line`` finds the line of a
key again by reading the headers and keys of the text in order.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beltcast.errors import InputError, quoted

__all__ = ["Text", "Toml", "read_text", "read_toml"]

# An everyday Chinese text is all in GB 2312; a Latin-1 text read as GB18030 hardly ever is.
_EVERYDAY_SHARE = 0.9

_KEY = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_KEY_PATH = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER_LINE = re.compile(rf"\s*\[\s*({_KEY_PATH})\s*\]")
_KEY_LINE = re.compile(rf"\s*({_KEY_PATH})\s*=")
_PLACE = re.compile(r"\s*\(at line (\d+), column \d+\)$")
_TWICE = re.compile(r"Cannot declare \((.*)\) twice$")


@dataclass(frozen=True)
class Text:
    """The characters of a file, with where they came from.

    ``encoding`` is ``utf-8`` or ``gb18030``; ``sha256`` is that of the bytes.
    """

    path: Path
    text: str
    encoding: str
    sha256: str


@dataclass(frozen=True)
class Toml:
    """A parsed TOML file that still knows its lines."""

    path: Path
    sha256: str
    tables: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]

    def line(self, *keys: str) -> int | None:
        """Line of a key path, or of the nearest table around it; None if there is neither."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return self.lines[keys[:length]]
        return None


def read_text(path: str | Path, error: type[InputError]) -> Text:
    """Read a whole text file.

    Parameters
    ----------
    path : str or Path
    error : type
        The error of the reader that asks.

    Returns
    -------
    Text

    Raises
    ------
    InputError
        As ``error``: there is no such file, it is empty, cut off, or in another encoding.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as failure:
        reason = (failure.strerror or type(failure).__name__).lower()
        raise error(f"cannot be read ({reason}); give the path of a readable file", path) from None
    text, encoding = _decode(data, path, error)
    if not text.strip():
        raise error("the file is empty; restore it or give another path", path)
    return Text(path, text, encoding, hashlib.sha256(data).hexdigest())


def _decode(data: bytes, path: Path, error: type[InputError]) -> tuple[str, str]:
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError as failure:
        line = data[: failure.start].count(b"\n") + 1
        if failure.reason == "unexpected end of data":
            sentence = "the file ends in the middle of a character; restore the complete file"
            raise error(sentence, path, line) from None
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    if _everyday(text) < _EVERYDAY_SHARE:
        raise error("the text is neither UTF-8 nor GB18030; save the file as UTF-8", path, line)
    return text, "gb18030"


def _everyday(text: str) -> float:
    """Share of the characters beyond ASCII that are in GB 2312; 0 if there are none."""
    beyond = [character for character in text if not character.isascii()]
    inside = sum(1 for character in beyond if character.encode("gb2312", errors="ignore"))
    return inside / len(beyond) if beyond else 0.0


def read_toml(path: str | Path, error: type[InputError]) -> Toml:
    """Read a TOML file of tables.

    Parameters
    ----------
    path : str or Path
    error : type
        The error of the reader that asks.

    Returns
    -------
    Toml

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
    """Find a file that a TOML file names, beside it or in the folder above.

    Parameters
    ----------
    toml : Toml
    *keys : str
        Path of the key that names the file, from the top.

    Raises
    ------
    InputError
        With file and line: there is no such file.
    """
    given: Any = toml.tables
    for key in keys:
        given = given[key]
    for folder in (toml.path.parent, toml.path.parent.parent):
        if isinstance(given, str) and (folder / given).exists():
            return folder / given
    raise InputError(
        f"the {keys[-1]} file {quoted(given)} is neither beside this file nor in the folder above; "
        "correct the path",
        toml.path,
        toml.line(*keys),
    )


def _toml_sentence(failure: str, text: str) -> tuple[str, int]:
    place = _PLACE.search(failure)
    reason = _PLACE.sub("", failure).removesuffix(" (at end of document)")
    # "at end of document" is how the parser says that something was left open.
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


def slug(label: str) -> str:
    """Turn a label into a part of a file name."""
    return "".join(c if c.isalnum() else "-" for c in label.lower()).strip("-")
