"""Parts of a Vensim file besides its equations: groups, and sketches with settings.

A run needs none of them, but a model that is written back keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from beltcast.engine.syntax import canonical

SKETCH = re.compile(r"\\{2,3}---///")
"""Start of the sketches, which come after all equations."""

_GROUP = re.compile(r"\*{8,}\s*\.?(.*?)\s*\*{8,}\s*~", re.DOTALL)


def read_groups(text: str) -> Mapping[str, str]:
    r"""Group of each variable, by canonical name, in the order of the file.

    Parameters
    ----------
    text : str
        Of the whole file.

    Examples
    --------
    >>> stars = "*" * 20
    >>> dict(read_groups(f"{stars}\n  .People\n{stars}~\n | births = 2 ~ ~ |"))
    {'births': 'People'}
    """
    groups: dict[str, str] = {}
    current = ""
    for statement in SKETCH.split(text, maxsplit=1)[0].split("|"):
        header = _GROUP.search(statement)
        if header is not None:
            current = " ".join(header.group(1).split())
            continue
        name = statement_name(statement)
        if current and name:
            groups.setdefault(name, current)
    return groups


def read_group_docs(text: str) -> Mapping[str, str]:
    """Comment of each group that has one, by the name of the group; `text` as in `read_groups`."""
    found = {}
    for statement in SKETCH.split(text, maxsplit=1)[0].split("|"):
        header = _GROUP.search(statement)
        if header is not None:
            comment = " ".join(statement[header.end() :].split())
            if comment:
                found[" ".join(header.group(1).split())] = comment
    return found


def read_sketch(text: str) -> str:
    """Return sketches and settings as they are in the file; empty if there are none."""
    begun = SKETCH.search(text)
    return text[begun.start() :] if begun else ""


def statement_name(statement: str) -> str:
    """Canonical name of the variable of a statement; empty for one without a name."""
    body = statement.lstrip("\r\n\t *")
    body = body.removeprefix("{UTF-8}").lstrip()
    match = re.match(r'("(?:[^"\\]|\\.)*"|[^=\[(:~<]+)', body)
    return canonical(match.group(1)) if match else ""
