"""Tables of a page for a `rich` console."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def console_table(*headings: str, padding: int = 2, text: Collection[str] = ()) -> Table:
    """Return a table without rules, whose long cells wrap.

    The first column and those named in ``text`` are left-aligned, all others are numbers.
    """
    table = Table(box=None, padding=(0, padding, 0, 0))
    for number, name in enumerate(headings):
        left = number == 0 or name in text
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    return table


def page_table(title: str) -> Table:
    """Return a table without rules under a title of its own, for columns of any kind."""
    return Table(title=f"\n{title}", title_justify="left", title_style="", box=None)


def titled(title: str, table: Table) -> RenderableType:
    """Put a title above a table; the table's own title would wrap at its width."""
    return Group(Text(f"\n{title}", style="bold"), table)
