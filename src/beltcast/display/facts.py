"""Short text and a small HTML table that represent a value in a terminal or notebook.

A value gives its name and a few facts, each a label and a text.  `text_of` formats them as a block
for a terminal, `html_of` as a table for a notebook.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Facts = Sequence[tuple[str, str]]
"""Label and text of each fact, in the order of display."""


def text_of(title: str, facts: Facts) -> str:
    """Return a title and its facts as text, one fact per line.

    Examples
    --------
    >>> print(text_of("Model 'decay'", [("stocks", "1"), ("run", "0 to 10")]))
    Model 'decay'
      stocks  1
      run     0 to 10
    """
    width = max((len(label) for label, _ in facts), default=0)
    return "\n".join([title, *(f"  {label:{width}s}  {text}" for label, text in facts)])


def html_of(title: str, facts: Facts) -> str:
    """Return a title and its facts as an HTML table.

    Examples
    --------
    >>> html_of("a < b", [("unit", "m")])
    '<table><caption>a &lt; b</caption><tr><th>unit</th><td>m</td></tr></table>'
    """
    rows = "".join(
        f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in facts
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return the first few names, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    'a, b, and 1 more'
    """
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, and {len(names) - most} more"
