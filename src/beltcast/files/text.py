"""Decoding of text files.

Every reader of a CSV or TOML file starts here, so that a missing file, a wrong encoding and a
file truncated within a character are refused in the same words everywhere.

Encoding: UTF-8, with or without a byte order mark; UTF-16 with one, which spreadsheets call Unicode
text. Chinese offices and spreadsheets still save
GB18030 (GBK); such a file is decoded accordingly, and its ``encoding`` says so. Bytes of any
other encoding would also decode as GB18030, into rare characters, so the guess is accepted only
if nearly all of them are in the everyday set, GB 2312.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from beltcast.errors import BOOKS, InputError
from beltcast.files.door import read_regular
from beltcast.files.workbook import sheet_text

# Everyday Chinese text is all in GB 2312; Latin-1 text read as GB18030 hardly ever is.
_EVERYDAY_SHARE = 0.9


@dataclass(frozen=True)
class Text:
    """The characters of a file, with their origin.

    ``encoding`` is ``utf-8``, ``utf-16`` or ``gb18030``; ``sha256`` is that of the bytes, and of a
    sheet that of its text.
    """

    path: Path
    text: str
    encoding: str
    sha256: str


def read_text(path: str | Path, error: type[InputError]) -> Text:
    """Read a whole text file, or a sheet of a workbook as CSV.

    Parameters
    ----------
    path : str or Path
        ``mine.xlsx/places`` is the sheet ``places`` of ``mine.xlsx``.
    error : type
        Error class of the calling reader.

    Raises
    ------
    InputError
        As ``error``: as in `read_regular`, or the file is empty, truncated, or in another encoding.
    """
    path = Path(path)
    if path.parent.suffix.lower() in BOOKS:
        sheet = sheet_text(path, error)
        return Text(path, sheet, "utf-8", hashlib.sha256(sheet.encode()).hexdigest())
    data = read_regular(path, error)
    text, encoding = _decode(data, path, error)
    if not text.strip():
        raise error("the file is empty; restore it or give another path", path)
    return Text(path, text, encoding, hashlib.sha256(data).hexdigest())


def file_sha256(path: str | Path, error: type[InputError]) -> str:
    """Hash of a file's bytes, of any kind of file.

    Raises
    ------
    InputError
        As ``error``: as in `read_regular`.
    """
    return hashlib.sha256(read_regular(path, error)).hexdigest()


def tables_sha256(paths: Iterable[Path], error: type[InputError]) -> str:
    """Hash of the names and bytes of several files, in their order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + read_regular(path, error))
    return digest.hexdigest()


def _decode(data: bytes, path: Path, error: type[InputError]) -> tuple[str, str]:
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            return data.decode("utf-16"), "utf-16"
        except UnicodeDecodeError:
            sentence = "the text begins as UTF-16 and is cut off; restore the complete file"
            raise error(sentence, path) from None
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


def slug(label: str) -> str:
    """Convert a label to a part of a file name."""
    return "".join(c if c.isalnum() else "-" for c in label.lower()).strip("-")
