"""Draw a stock-flow diagram of any model as SVG.

Stocks are boxes, flows are pipes with a valve, a cloud is the outside of the model, auxiliaries and
inputs are names; an arrow points to the variable that is computed from its source.  The layout is
deterministic: stocks joined by pipes stand in one row, a variable stands under the row whose flows
it reaches first, and rows are packed into columns next to the rows they are linked with.  A model
with more than `MOST_NAMES` auxiliaries is drawn with stocks, flows and inputs only; an arrow then
stands for every path through the variables that are not drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from beltcast.engine.syntax import split_label
from beltcast.errors import UnknownName, did_you_mean
from beltcast.model.model import Model
from beltcast.pictures.diagram_svg import Drawing, Route, TextBox, as_svg
from beltcast.pictures.structure import Pipe, Structure, contracted, structure

MOST_NAMES = 40
"""Number of auxiliaries up to which all are drawn."""

STOCK_WIDTH, GAP, LANE, ROW = 140.0, 170.0, 36.0, 46.0
"""Width of a box, distance between boxes, distance between parallel pipes, height of a name row."""

NAME_WIDTH = 140.0


def diagram(
    model: Model,
    *,
    highlight: Sequence[str] | str = (),
    title: str = "",
    detail: Literal["auto", "all", "stocks"] = "auto",
    group: str = "",
    names: Mapping[str, str] | None = None,
) -> str:
    """Draw a model.

    Parameters
    ----------
    model : Model
    highlight : sequence of str, or a path
        Variables of a loop, each driving the next, or the ``path`` of a loop as `loops` returns
        it; its links are drawn in colour.
    title : str
        Printed above the drawing.
    detail : 'auto', 'all' or 'stocks'
        Whether auxiliaries are drawn; 'auto' draws them if there are few.
    group : str
        A stock: draw only the auxiliaries that are placed with it and with the stocks joined to it.
    names : mapping of str to str, optional
        The name of a variable in the drawing; its own name by default.

    Returns
    -------
    str
        An SVG file.

    Raises
    ------
    UnknownName
        A highlighted variable is not in the model.

    Examples
    --------
    >>> from beltcast import diagram, load_model
    >>> from beltcast.files.shipped import shipped
    >>> diagram(load_model(shipped("models/sir/sir.mdl")))[:4]
    '<svg'
    """
    found = structure(model)
    full = detail == "all" or (detail == "auto" and len(found.auxiliaries) <= MOST_NAMES)
    own = [block.names for block in _full_blocks(found) if group in block.stocks]
    auxiliaries = own[0] if own else found.auxiliaries if full and not group else ()
    drawn = [*auxiliaries, *found.inputs]
    shown = {*found.stocks, *found.flows, *drawn}
    links = contracted(found.links, shown)
    loop = _loop(model, highlight)
    # The names of one group stay where they are among all of them.
    blocks = _blocks(found, drawn, _every_link(found) if group else links)
    coloured = _way([n for n in loop if n in shown], found)
    packed = _packed(blocks, found, links)
    return as_svg(packed, links, frozenset(coloured), title or model.name, names)


def diagram_groups(model: Model) -> tuple[tuple[str, ...], ...]:
    """Stocks of each group that has auxiliaries, in the order of the model.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> diagram_groups(load_model(shipped("models/pipeline/pipeline.mdl")))
    (('Ordered',),)
    """
    found = structure(model)
    return tuple(b.stocks for b in _full_blocks(found) if b.stocks and b.names)


def _full_blocks(found: Structure) -> list[_Block]:
    return _blocks(found, found.auxiliaries, _every_link(found))


def _every_link(found: Structure) -> frozenset[tuple[str, str]]:
    everything = {*found.stocks, *found.flows, *found.auxiliaries, *found.inputs}
    return contracted(found.links, everything)


def _loop(model: Model, highlight: Sequence[str] | str) -> list[str]:
    steps = highlight.split(" -> ") if isinstance(highlight, str) else list(highlight)
    names = [split_label(step)[0].strip() for step in steps if step]
    for name in names:
        if name not in model.variables:
            raise UnknownName(
                f"'{name}' cannot be highlighted: it is not a variable of {model.name}"
                f"{did_you_mean(name, [*model.variables])}"
            )
    return names


def _way(loop: Sequence[str], found: Structure) -> set[tuple[str, str]]:
    """Links of a loop between shown variables; into a stock through its unnamed flow."""
    way = set()
    flows = set(found.flows)
    for source, target in zip(loop, (*loop[1:], *loop[:1]), strict=True):
        nameless = f"change of {target}"
        if target in found.stocks and source not in flows and nameless in flows:
            way |= {(source, nameless), (nameless, target)}
        else:
            way.add((source, target))
    return way


# --- blocks: a row of stocks and the names below it -------------------------------------------


@dataclass(frozen=True)
class _Block:
    stocks: tuple[str, ...]
    pipes: tuple[Pipe, ...]
    names: tuple[str, ...]

    @property
    def lanes(self) -> int:
        """Largest number of pipes between two neighbours."""
        sides: dict[tuple[str | None, str | None], int] = {}
        for pipe in self.pipes:
            ends = (pipe.source, pipe.sink)
            # mypy does not see that no end is None where they are compared.
            key = (min(ends), max(ends)) if None not in ends else ends  # type: ignore[type-var]
            sides[key] = sides.get(key, 0) + 1
        return max(sides.values(), default=1)

    @property
    def width(self) -> float:
        """Width  [px]."""
        stocks = len(self.stocks) * (STOCK_WIDTH + GAP) + GAP
        return max(stocks if self.stocks else 0.0, 3 * NAME_WIDTH)

    @property
    def height(self) -> float:
        """Height  [px]."""
        across = int(self.width // NAME_WIDTH)
        rows = -(-len(self.names) // across)
        return (90 + LANE * self.lanes if self.stocks else 20) + ROW * rows + 40


def _blocks(
    found: Structure, names: Sequence[str], links: frozenset[tuple[str, str]]
) -> list[_Block]:
    groups = _joined(found)
    home: dict[str, int] = {}
    for i, (stocks, pipes) in enumerate(groups):
        home.update(dict.fromkeys([*stocks, *(p.name for p in pipes)], i))
    placed = {name: _nearest(name, links, home) for name in names}
    blocks = [
        _Block(stocks, pipes, tuple(n for n in names if placed[n] == i))
        for i, (stocks, pipes) in enumerate(groups)
    ]
    alone = tuple(n for n in names if placed[n] is None)
    return [*blocks, *([_Block((), (), alone)] if alone else [])]


def _joined(found: Structure) -> list[tuple[tuple[str, ...], tuple[Pipe, ...]]]:
    """Stocks joined by pipes, upstream first, and their pipes."""
    group = {stock: {stock} for stock in found.stocks}
    for pipe in found.pipes:
        if pipe.source and pipe.sink:
            both = group[pipe.source] | group[pipe.sink]
            group.update(dict.fromkeys(both, both))
    result = []
    for stocks in {id(g): g for g in group.values()}.values():
        pipes = tuple(p for p in found.pipes if {p.source, p.sink} & stocks)
        arriving = {s: sum(p.sink == s and p.source is not None for p in pipes) for s in stocks}
        leaving = {s: sum(p.source == s and p.sink is not None for p in pipes) for s in stocks}
        place = found.stocks.index
        order = sorted(stocks, key=lambda s: (arriving[s] - leaving[s], place(s)))
        result.append((tuple(order), pipes))
    return result


def _nearest(name: str, links: Iterable[tuple[str, str]], home: Mapping[str, int]) -> int | None:
    """Block that a variable reaches first, or from which it is reached."""
    pairs = sorted(links)
    for forward in (True, False):
        after: dict[str, list[str]] = {}
        for source, target in pairs:
            after.setdefault(source if forward else target, []).append(
                target if forward else source
            )
        seen, queue = {name}, deque([name])
        while queue:
            here = queue.popleft()
            if here in home:
                return home[here]
            more = [n for n in after.get(here, []) if n not in seen]
            seen.update(more)
            queue.extend(more)
    return None


# --- positions --------------------------------------------------------------------------------


def _packed(
    blocks: Sequence[_Block], found: Structure, links: frozenset[tuple[str, str]]
) -> Drawing:
    """Put the blocks into columns, each into the shortest so far."""
    order = _neighbours(blocks, links)
    columns = 1 if len(blocks) <= 2 else 2 if len(blocks) <= 6 else 3
    bottoms = [50.0] * columns
    stacks: list[list[tuple[_Block, float]]] = [[] for _ in range(columns)]
    for block in order:
        column = bottoms.index(min(bottoms))
        stacks[column].append((block, bottoms[column]))
        bottoms[column] += block.height
    drawing, left = Drawing(inputs=frozenset(found.inputs)), 20.0
    for stack in stacks:
        for block, top in stack:
            drawing = _with_block(drawing, block, left, top)
        left += max((block.width for block, _ in stack), default=0.0) + 30
    return drawing.sized(left, max(bottoms) + 10)


def _neighbours(blocks: Sequence[_Block], links: frozenset[tuple[str, str]]) -> list[_Block]:
    """Order of blocks: the largest first, then the one with the most links to those placed."""
    rest = sorted(blocks, key=lambda b: (-len(b.stocks), -len(b.names)))
    order: list[_Block] = []
    standing: set[str] = set()
    while rest:
        members = [{*b.stocks, *b.names, *(p.name for p in b.pipes)} for b in rest]
        ties = [
            sum((s in own) != (t in own) and (s in standing or t in standing) for s, t in links)
            if standing
            else 0
            for own in members
        ]
        chosen = ties.index(max(ties))
        standing |= members[chosen]
        order.append(rest.pop(chosen))
    return order


def _with_block(drawing: Drawing, block: _Block, left: float, top: float) -> Drawing:
    y = top + 50 + LANE * block.lanes / 2
    tall = max(40.0, LANE * block.lanes)
    start = left + GAP
    at = {s: start + i * (STOCK_WIDTH + GAP) + STOCK_WIDTH / 2 for i, s in enumerate(block.stocks)}
    boxes = {s: TextBox(s, x, y, STOCK_WIDTH, tall) for s, x in at.items()}
    routes = _routes(block, at, y, tall)
    below = top + (90 + LANE * block.lanes if block.stocks else 20)
    across = int(block.width // NAME_WIDTH)
    names = {
        n: TextBox(
            n,
            left + NAME_WIDTH * (i % across + 0.5),
            # Every other name a little lower: arrows between neighbours stay visible.
            below + ROW * (i // across) + (10 if i % 2 else 0),
            NAME_WIDTH - 14,
            30,
        )
        for i, n in enumerate(block.names)
    }
    return drawing.joined(boxes, routes, names)


def _routes(
    block: _Block, at: Mapping[str, float], y: float, tall: float
) -> dict[str, list[Route]]:
    """Path of each pipe; pipes between the same two ends are drawn side by side."""
    sides: dict[tuple[str, str], list[Pipe]] = {}
    for pipe in block.pipes:
        ends = sorted({pipe.source or "", pipe.sink or ""})
        key = (ends[0], ends[-1])
        if "" in ends:
            key = ("in" if pipe.source is None else "out", ends[-1])
        sides.setdefault(key, []).append(pipe)
    half, order = STOCK_WIDTH / 2, list(at)
    routes: dict[str, list[Route]] = {}
    for pipes in sides.values():
        for k, pipe in enumerate(pipes):
            offset = y + (k - (len(pipes) - 1) / 2) * LANE
            points: tuple[tuple[float, float], ...]
            if pipe.source is None or pipe.sink is None:
                stock = pipe.sink or pipe.source
                assert stock is not None  # a pipe has at least one end
                entering = pipe.source is None
                x, side = at[stock], -1.0 if entering else 1.0
                if order.index(stock) == (0 if entering else len(order) - 1):
                    far, near = (x + side * (half + GAP - 25), offset), (x + side * half, offset)
                else:
                    x += side * (12 + 20 * k)
                    far, near = (x, y + side * (tall / 2 + 50)), (x, y + side * tall / 2)
                points = (far, near) if entering else (near, far)
            elif pipe.source == pipe.sink:
                x, up = at[pipe.source], y - tall / 2
                high = up - 30 - 16 * k
                points = ((x + 40, up), (x + 40, high), (x - 40, high), (x - 40, up))
            else:
                one, two = at[pipe.source], at[pipe.sink]
                ahead = 1.0 if two > one else -1.0
                if abs(order.index(pipe.source) - order.index(pipe.sink)) == 1:
                    points = ((one + ahead * half, offset), (two - ahead * half, offset))
                else:
                    high = y - tall / 2 - 30 - 16 * k
                    points = ((one, y - tall / 2), (one, high), (two, high), (two, y - tall / 2))
            routes.setdefault(pipe.name, []).append(
                Route(pipe.name, tuple(points), pipe.source, pipe.sink)
            )
    return routes
