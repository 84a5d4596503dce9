"""Reading and decoding of model files."""

from __future__ import annotations

import re
from pathlib import Path

from beltcast.engine.syntax import XMILE
from beltcast.errors import ModelFileError
from beltcast.files import door

LARGEST_FILE = 32 * 2**20
"""Largest model file in bytes."""


def read_bytes(path: Path) -> bytes:
    """Return the content of a model file.

    Raises
    ------
    ModelFileError
        Its name does not end like that of a model, or it cannot be read.
    """
    if path.suffix.lower() not in (".mdl", *XMILE):
        raise ModelFileError(
            f"a model file ends in .mdl or {', '.join(XMILE)}, and this one in "
            f"'{path.suffix or 'nothing'}'; give a Vensim text model",
            path,
        )
    return door.read_regular(path, ModelFileError, what="the model file", largest=LARGEST_FILE)


def decode(content: bytes) -> tuple[str, str]:
    """Return text and encoding: UTF-16 by its mark, UTF-8 if it is that, GB18030, then Latin-1.

    Latin-1 takes any byte, and most Latin-1 text is GB18030 as well ('é|' would become one
    character, and the model lose its '|').  Chinese text comes in pairs of high bytes, European
    text in single ones before ASCII.

    >>> decode("带".encode("gb18030"))
    ('带', 'gb18030')
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace"), "utf-16"
    pairs = re.findall(rb"[\x81-\xfe](.)", content, re.DOTALL)
    chinese = sum(second >= b"\x80" for second in pairs) * 2 >= len(pairs)
    for encoding in ("utf-8-sig", "gb18030") if chinese else ("utf-8-sig",):
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1"), "latin-1"


def line_of(text: str, pattern: str) -> int | None:
    """Return the line, from 1, on which a pattern is first found."""
    match = re.search(pattern, text, re.IGNORECASE)
    return text[: match.start()].count("\n") + 1 if match else None
