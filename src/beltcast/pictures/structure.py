"""Structure of a model as a modeller would draw it: stocks, pipes and links.

The pipes are read from the equations: a plain variable that is added to or taken from the net flow
of a stock is a flow, and a flow that leaves one stock and enters another joins them.  A net flow
that is written as a formula is a pipe without a name.  All elements of a range are one node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from beltcast.engine.loops.graph import owners
from beltcast.engine.nodes import Apply, Load, Node, rows_read
from beltcast.model.model import Model


@dataclass(frozen=True, order=True)
class Pipe:
    """A flow from a stock, or from outside (None), to a stock or to the outside.

    ``name`` is the name of its variable, or 'change of S' if the equation of S has none.
    """

    name: str
    source: str | None
    sink: str | None


@dataclass(frozen=True)
class Structure:
    """The parts of a diagram.

    Attributes
    ----------
    stocks, flows, auxiliaries, inputs : tuple of str
        In the order of the model file; auxiliaries are those that change during a run.
    pipes : tuple of Pipe
    links : frozenset of (source, target)
        Target computed from source; stocks are reached by pipes only.
    """

    stocks: tuple[str, ...]
    flows: tuple[str, ...]
    auxiliaries: tuple[str, ...]
    inputs: tuple[str, ...]
    pipes: tuple[Pipe, ...]
    links: frozenset[tuple[str, str]]


def structure(model: Model) -> Structure:
    """Read the stocks, flows and links of a model.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.pictures.structure import structure
    >>> structure(load_model(shipped("models/sir/sir.mdl"))).pipes[0]
    Pipe(name='infection', source='Susceptible', sink='Infected')
    """
    owner = owners(model.program)
    kind = {name: v.kind for name, v in model.variables.items()}
    stocks = [name for name, k in kind.items() if k == "stock"]
    moves, links = _net_flows(model, owner, set(stocks))
    sources: dict[str, set[str]] = {}
    sinks: dict[str, set[str]] = {}
    for flow, stock, sign in moves:
        (sinks if sign > 0 else sources).setdefault(flow, set()).add(stock)
    flows = [*dict.fromkeys(flow for flow, _, _ in moves)]
    pipes = [pipe for flow in flows for pipe in _pipes(flow, sources, sinks)]
    changing: set[str] = set()
    for block in (*model.program.step, *model.program.hold):
        targets = {owner[row] for target in block.targets for row in target.tolist()}
        changing |= targets
        links |= {(owner[row], t) for row in block.reads() for t in targets}
    inputs = [name for name, k in kind.items() if k == "input" and name not in flows]
    auxiliaries = [
        n for n, k in kind.items() if k == "auxiliary" and n in changing and n not in flows
    ]
    drawn = {*stocks, *flows, *auxiliaries, *inputs}
    return Structure(
        tuple(stocks),
        tuple(flows),
        tuple(auxiliaries),
        tuple(inputs),
        tuple(sorted(pipes)),
        frozenset((s, t) for s, t in links if s in drawn and t in drawn - {*stocks} and s != t),
    )


def contracted(links: frozenset[tuple[str, str]], shown: set[str]) -> frozenset[tuple[str, str]]:
    """Return links among shown variables, replacing paths through hidden ones.

    Parameters
    ----------
    links : frozenset of (source, target)
    shown : set of str

    Returns
    -------
    frozenset of (source, target)
        One for each path over variables that are not shown.
    """
    after: dict[str, list[str]] = {}
    for source, target in sorted(links):
        after.setdefault(source, []).append(target)
    found = set()
    for start in shown:
        seen: set[str] = set()
        queue = deque(after.get(start, []))
        while queue:
            name = queue.popleft()
            if name in shown:
                found.add((start, name))
            elif name not in seen:
                seen.add(name)
                queue.extend(after.get(name, []))
    return frozenset((s, t) for s, t in found if s != t)


def _net_flows(
    model: Model, owner: Mapping[int, str], stocks: set[str]
) -> tuple[list[tuple[str, str, int]], set[tuple[str, str]]]:
    """Flow, stock and direction of each term of a net flow, and links into unnamed flows."""
    program = model.program
    stock_of = dict(zip(program.flows.tolist(), program.stocks.tolist(), strict=True))
    named = {row for name in stocks for row in model.rows(name).tolist()}
    moves: dict[tuple[str, str, int], None] = {}
    links: set[tuple[str, str]] = set()
    for block in program.rates:
        for target, expression in zip(block.targets, block.expressions, strict=True):
            if stock_of[int(target[0])] not in named:
                # A stock inside a delay: its inflows inform the variable of the delay.
                links |= {(owner[row], owner[int(target[0])]) for row in rows_read(expression)}
                continue
            stock = owner[stock_of[int(target[0])]]
            for sign, term in _terms(expression, 1):
                names = {owner[row] for row in rows_read(term)}
                plain = isinstance(term, Load) and not names & stocks
                if plain and names <= model.variables.keys():
                    moves.update(dict.fromkeys((n, stock, sign) for n in names))
                else:
                    moves[f"change of {stock}", stock, 1] = None
                    links |= {(name, f"change of {stock}") for name in names}
    return list(moves), links


def _terms(node: Node, sign: int) -> Iterator[tuple[int, Node]]:
    """Yield the terms of a sum, with the sign of each."""
    match node:
        case Apply(op="add", arguments=(a, b)):
            yield from _terms(a, sign)
            yield from _terms(b, sign)
        case Apply(op="sub", arguments=(a, b)):
            yield from _terms(a, sign)
            yield from _terms(b, -sign)
        case Apply(op="neg", arguments=(a,)):
            yield from _terms(a, -sign)
        case _:
            yield sign, node


def _pipes(
    flow: str, sources: Mapping[str, set[str]], sinks: Mapping[str, set[str]]
) -> Iterator[Pipe]:
    """Yield the pipes of a flow: pairs of source and sink, or the outside if there is none."""
    out, into = sorted(sources.get(flow, ())), sorted(sinks.get(flow, ()))
    for i in range(max(len(out), len(into))):
        yield Pipe(flow, out[i] if i < len(out) else None, into[i] if i < len(into) else None)
