"""Tables of a page for a `rich` console."""

from __future__ import annotations

from collections.abc import Collection

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
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
    """Return a table without rules under its own title, for columns of any kind."""
    return Table(title=f"\n{title}", title_justify="left", title_style="", box=None)


_WORD = 10
"""Columns that a cell that may fold needs."""


def narrowed(page: RenderableType, width: int) -> RenderableType:
    r"""Replace tables that a narrow terminal would cut by lists, with an entry for each row.

    Parameters
    ----------
    page : rich.console.RenderableType
    width : int
        Columns of the terminal.

    Examples
    --------
    >>> table = page_table("Gains")
    >>> for name in ("against", "gain"):
    ...     table.add_column(name, no_wrap=True)
    >>> table.add_row("drift", "-38% to 12%")
    >>> narrow = narrowed(table, 16)
    >>> [part if isinstance(part, str) else str(part) for part in narrow.renderables][:2]
    ['\nGains', 'against drift']
    """
    match page:
        case Group():
            return Group(*(narrowed(part, width) for part in page.renderables))
        case Table() if _least_width(page) > width:
            return _listed(page)
    return page


def _least_width(table: Table) -> int:
    """Columns that a table needs so that no cell is cut or broken into single letters."""
    total = 0
    for column in table.columns:
        lines = [line for cell in (column.header, *column._cells) for line in str(cell).split("\n")]
        longest = max(map(cell_len, lines), default=0)
        total += longest if column.no_wrap else min(longest, _WORD)
    return total + len(table.columns) * sum(table.padding[1::2])


def _listed(table: Table) -> RenderableType:
    """Write each row as its first cell, with the others below it, each after its heading."""
    heads = [str(column.header) for column in table.columns]
    parts: list[RenderableType] = [str(table.title)] if table.title else []
    for first, *cells in zip(*(column._cells for column in table.columns), strict=True):
        told = (
            f"{head} {cell}".strip() for head, cell in zip(heads[1:], cells, strict=True) if cell
        )
        name = f"{heads[0]} {first}".strip()
        parts += [Text(name), Padding(Text("; ".join(told)), (0, 0, 0, 2), expand=False)]
    return Group(*parts)


def titled(title: str, table: Table) -> RenderableType:
    """Put a title above a table; the table's own title would wrap at the table's width."""
    return Group(Text(f"\n{title}", style="bold"), table)
