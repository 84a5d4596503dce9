"""Equations of the variables of an XMILE file: one element, one or more equations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from beltcast.engine.language.queues import EVERYTHING, FIRST, FITTING
from beltcast.engine.lower.limits import check_depth
from beltcast.engine.syntax import (
    CONTROLS,
    Call,
    Equation,
    Expr,
    Number,
    Ref,
    canonical,
)
from beltcast.engine.xmile.conveyors import Conveyor
from beltcast.engine.xmile.document import Element
from beltcast.engine.xmile.expression import parse_expression, plain_name, without_comments
from beltcast.engine.xmile.graphs import OPEN_END, graph_of, number_attribute
from beltcast.engine.xmile.modules import Declared, DocumentParts, refuse_inside
from beltcast.engine.xmile.names import DeclaredVariable, Left, Names, resolve
from beltcast.engine.xmile.non_negative import LimitedStock, Reservoir
from beltcast.engine.xmile.queues import Queue
from beltcast.errors import ModelFileError

NO_LIMIT = 1e300
"""Room of what takes everything: a flow that no model has."""


@dataclass(frozen=True)
class Driven:
    """What drives flows, by the canonical names of the flows.

    Attributes
    ----------
    conveyors, queues : mapping
    """

    conveyors: Mapping[str, Conveyor]
    queues: Mapping[str, Queue]


@dataclass(frozen=True)
class _Piece:
    """One equation of a variable: all of it, or one element of an array."""

    left: Left
    equation: Element | None
    start: Element | None
    graph: Element | None


def variable_equations(
    declared: Declared,
    names: Names,
    non_negative: Mapping[str, bool],
    driven: Driven,
) -> Iterator[Equation]:
    """The equations of one variable."""
    element = declared.element
    if canonical(declared.name) in CONTROLS:
        variable = DeclaredVariable(declared.name)
    else:
        variable = names.variables[canonical(declared.name)]
    limits = element.first("yscale" if element.tag == "gf" else "range")
    doc, unit = element.first("doc"), element.first("units")
    for piece in pieces_of(declared, variable, names):
        yield Equation(
            name=declared.name,
            subscripts=piece.left.subscripts,
            except_=(),
            expression=_right(declared, piece, names, non_negative, driven),
            unit="" if unit is None else unit.text.strip(),
            doc="" if doc is None else " ".join(doc.text.split()),
            line=piece.left.place.line,
            limits=(None, None)
            if limits is None
            else (_limit(limits, "min"), _limit(limits, "max")),
        )


def _limit(limits: Element, attribute: str) -> float | None:
    if attribute not in limits.attributes:
        return None
    value = number_attribute(limits, attribute)
    return None if abs(value) == OPEN_END else value


def pieces_of(declared: Declared, variable: DeclaredVariable, names: Names) -> Iterator[_Piece]:
    """Yield the parts of a variable that have an equation of their own, one a subscript."""
    element = declared.element
    shared = [e for e in element.all("eqn") if without_comments(e.text).strip()]
    first = shared[0] if shared else None
    start, graph = element.first("init_eqn"), element.first("gf")
    if element.tag == "gf":
        graph = element
    single = list(element.all("element"))
    if single and declared.source is None:
        for one in single:
            subscripts = tuple(plain_name(s) for s in one.required("subscript").split(","))
            if len(subscripts) != len(variable.dims):
                raise one.place.error(
                    f"'{declared.name}' has {len(variable.dims)} dimensions, and this element "
                    f"names {len(subscripts)}"
                )
            yield _Piece(
                Left(variable, subscripts, one.place),
                one.first("eqn") or first,
                one.first("init_eqn") or start,
                one.first("gf") or graph,
            )
    elif len(shared) > 1 and len(variable.dims) == 1:
        # As the public converter of Vensim models writes an array: an equation for each element.
        elements = names.dimensions[canonical(variable.dims[0])]
        if len(shared) != len(elements):
            raise element.place.error(
                f"'{declared.name}' has {len(shared)} equations for {len(elements)} elements; "
                "give one for each"
            )
        for name, equation in zip(elements, shared, strict=True):
            yield _Piece(Left(variable, (name,), equation.place), equation, start, graph)
    else:
        yield _Piece(Left(variable, variable.dims, element.place), first, start, graph)


def _right(
    declared: Declared,
    piece: _Piece,
    names: Names,
    non_negative: Mapping[str, bool],
    driven: Driven,
) -> Expr:
    """The right-hand side of a piece."""
    scope = names.inside(declared.prefix)
    element, left = declared.element, piece.left
    if declared.source is not None:
        return resolve(Ref(declared.source), left, names.inside(declared.above))
    refuse_inside(element, ("oven", "multiplier"), f"of '{declared.name}'")
    conveyor = driven.conveyors.get(canonical(declared.name))
    queue = driven.queues.get(canonical(declared.name))
    if conveyor is not None:  # whatever equation the file gives its outflow
        return _conveyed(conveyor, canonical(declared.name), left, scope)
    if queue is not None:
        return _queued(queue, canonical(declared.name), left, scope)
    refuse_inside(element, ("leak", "overflow"), f"of '{declared.name}'")
    if all(declared is not c.stock for c in driven.conveyors.values()):
        refuse_inside(element, ("conveyor",), f"of '{declared.name}'")
    if all(declared is not q.stock for q in driven.queues.values()):
        refuse_inside(element, ("queue",), f"of '{declared.name}'")
    if piece.equation is None:
        if piece.graph is not None and element.tag != "stock":
            return graph_of(piece.graph)
        raise left.place.error(f"'{declared.name}' has no equation; write one")
    text = without_left(piece.equation.text, left.variable.name)
    value = parsed_side(text, left, scope, piece.equation)
    if element.tag == "stock" and text != piece.equation.text:
        # Vensim's way to write a level that is no INTEG: 'x = DELAY_N(...)' as the equation of x.
        if list(element.all("inflow", "outflow")):
            raise left.place.error(
                f"'{declared.name}' has flows and 'name =' in its equation; give its initial value"
            )
        return value
    if piece.start is not None and element.tag != "stock":
        initial = parsed_side(piece.start.text, left, scope, piece.start)
        value = Call("ACTIVE INITIAL", (value, initial))
    if piece.graph is not None and element.tag != "stock":
        value = Call("WITH LOOKUP", (graph_of(piece.graph), value))
    held = _is_non_negative(element, non_negative.get(element.tag, False))
    held = held and element.first("queue") is None
    if element.tag == "flow" and held:
        return Call("MAX", (value, Number(0.0)))
    if element.tag == "stock":
        net = _net_flow(element, left, scope)
        outflows = [_flow(flow, left, scope) for flow in element.all("outflow")] if held else []
        if any(isinstance(flow, Call) and flow.function == "SUM" for flow in outflows):
            raise left.place.refusal(
                f"the stock '{declared.name}' that cannot be negative, with an outflow for each "
                "element of a dimension that the stock has not, is not supported: it is not said "
                "which element goes short; limit the flow and leave out <non_negative/>"
            )
        return Call("NON NEGATIVE INTEG" if held else "INTEG", (net, value))
    return value


def _is_non_negative(element: Element, default: bool) -> bool:
    mark = element.first("non_negative")
    return default if mark is None else "false" not in mark.text.lower()


def reservoirs_of(names: Names, parts: DocumentParts) -> Iterator[Reservoir]:
    """Stocks that cannot be negative, piece by piece, with the flows that are theirs alone."""
    held_flows = {
        canonical(d.name): _is_non_negative(d.element, parts.defaults.get("flow", False))
        for d in parts.variables
        if d.element.tag == "flow"
    }
    found: list[tuple[bool, Left, Mapping[str, tuple[Ref, ...]]]] = []
    uses: Counter[tuple[str, str]] = Counter()
    for declared in parts.variables:
        stock = declared.element
        if stock.tag != "stock" or declared.source is not None:
            continue
        held = _is_non_negative(stock, parts.defaults.get("stock", False))
        held = held and stock.first("conveyor") is None and stock.first("queue") is None
        scope = names.inside(declared.prefix)
        users = set()
        for piece in pieces_of(declared, names.variables[canonical(declared.name)], names):
            flows = {}
            for way in ("inflow", "outflow"):
                given = (_flow(f, piece.left, scope) for f in stock.all(way))
                flows[way] = tuple(
                    f for f in given if isinstance(f, Ref) and canonical(f.name) in held_flows
                )
                users |= {(way, canonical(f.name)) for f in flows[way]}
            found.append((held, piece.left, flows))
        uses.update(users)
    for held, left, ways in found:
        if held:
            own = {
                way: tuple(f for f in given if uses[way, canonical(f.name)] == 1)
                for way, given in ways.items()
            }
            two_way = frozenset(n for f in own["inflow"] if not held_flows[n := canonical(f.name)])
            yield Reservoir(left.ref, ways["inflow"], own["outflow"], two_way)


def _conveyed(conveyor: Conveyor, flow_name: str, left: Left, names: Names) -> Expr:
    """A flow that a conveyor drives."""
    stock = conveyor.stock.element
    inflow: Expr = Number(0.0)
    for flow in stock.all("inflow"):
        inflow = Call("+", (inflow, _flow(flow, left, names)))
    lasting = parsed_side(conveyor.transit.text, left, names, conveyor.transit)
    held = stock.first("eqn")
    if held is None:
        raise stock.place.error(f"'{conveyor.stock.name}' has no equation; write one")
    initial = parsed_side(held.text, left, names, held)
    if conveyor.discrete:
        initial = Call("XDISCRETE", (initial,))
    if conveyor.plain:
        return Call("XCONVEYOR", (inflow, lasting, Call("/", (initial, lasting))))
    arrest = conveyor.given("arrest")
    ports = (conveyor.outflow, *(leak.name for leak in conveyor.leaks))
    leaks = (
        expression
        for leak in conveyor.leaks
        for expression in (
            Number(0.0)
            if leak.fraction is None
            else parsed_side(leak.fraction.text, left, names, leak.fraction),
            Number(leak.start),
            Number(leak.end),
        )
    )
    return Call(
        "XBELT",
        (
            Number(float(ports.index(flow_name))),
            Ref(conveyor.stock.name),
            inflow,
            lasting,
            initial,
            Number(0.0) if arrest is None else parsed_side(arrest.text, left, names, arrest),
            Number(float(conveyor.exponential)),
            *leaks,
        ),
    )


def _queued(queue: Queue, flow_name: str, left: Left, names: Names) -> Expr:
    """A flow that a queue drives."""
    stock = queue.stock.element
    held = stock.first("eqn")
    if held is None:
        raise stock.place.error(f"'{queue.stock.name}' has no equation; write one")
    inflows = [_flow(flow, left, names) for flow in stock.all("inflow")]
    ways: list[Expr] = []
    for way in queue.ways:
        if names.variables[way.name].dims != left.variable.dims:
            raise stock.place.refusal(
                f"<queue> of '{queue.stock.name}' with an outflow of other dimensions is not "
                "supported; give both the same"
            )
        belt = way.conveyor
        first = belt is not None and belt.marked("one_at_a_time", otherwise=True)
        takes = EVERYTHING if belt is None else FIRST if first else FITTING
        whole = belt is not None and belt.marked("batch_integrity", otherwise=False)
        kinds = (float(takes), float(whole), float(way.overflow), NO_LIMIT)
        ways.extend(map(Number, kinds))
    port = [way.name for way in queue.ways].index(flow_name)
    return Call(
        "XQUEUE",
        (
            Number(float(port)),
            Ref(queue.stock.name),
            parsed_side(held.text, left, names, held),
            Number(float(len(inflows))),
            *inflows,
            *ways,
        ),
    )


def limited_conveyors(names: Names, conveyors: Mapping[str, Conveyor]) -> Iterator[LimitedStock]:
    """Conveyors that do not take their whole inflow."""
    for conveyor in {id(c): c for c in conveyors.values()}.values():
        declared = conveyor.stock
        scope = names.inside(declared.prefix)
        variable = names.variables[canonical(declared.name)]
        left = Left(variable, variable.dims, declared.element.place)

        def option(
            tag: str, conveyor: Conveyor = conveyor, left: Left = left, scope: Names = scope
        ) -> Expr | None:
            given = conveyor.given(tag)
            return None if given is None else parsed_side(given.text, left, scope, given)

        flows = {
            way: tuple(
                flow
                for element in declared.element.all(way)
                if isinstance(flow := _flow(element, left, scope), Ref)
            )
            for way in ("inflow", "outflow")
        }
        limits = option("capacity"), option("in_limit"), option("arrest")
        if any(limit is not None for limit in limits):
            yield LimitedStock(
                left.ref, flows["inflow"], flows["outflow"], *limits, conveyor.discrete
            )


def _net_flow(stock: Element, left: Left, names: Names) -> Expr:
    """Inflow minus outflow."""
    net: Expr | None = None
    for flow in (*stock.all("inflow"), *stock.all("outflow")):
        own = _flow(flow, left, names)
        if net is None:
            net = own if flow.tag == "inflow" else Call("negative", (own,))
        else:
            net = Call("+" if flow.tag == "inflow" else "-", (net, own))
    return Number(0.0) if net is None else net


def _flow(flow: Element, left: Left, names: Names) -> Expr:
    """A flow is named, not computed: its name may hold any character without quotes."""
    if canonical(names.prefix + plain_name(flow.text)) in names.variables:
        name = '"' + plain_name(flow.text).replace("\\", "\\\\").replace('"', '\\"') + '"'
        dims = names.variables[canonical(names.prefix + plain_name(flow.text))].dims
        if set(dims) > set(left.variable.dims):
            # All of it is the stock's: what leaves one stock enters the other.
            own = tuple(d if d in left.variable.dims else "*" for d in dims)
            return resolve(Call("SUM", (Ref(name, own),)), left, names)
        return resolve(Ref(name), left, names)
    return parsed_side(flow.text, left, names, flow)


def without_left(text: str, name: str) -> str:
    """Blank out 'name =' before a right-hand side, which Vensim writes into some equations."""
    left, sign, right = text.partition("=")
    own = sign and canonical(left) == canonical(name)
    return re.sub(r"\S", " ", left) + " " + right if own else text


def parsed_side(text: str, left: Left, names: Names, holder: Element | None = None) -> Expr:
    """An equation's text, parsed and resolved."""
    place = left.place if holder is None else holder.text_place
    name = left.variable.name

    def fail(sentence: str, at: int) -> ModelFileError:
        before = text[:at]
        column = at - (before.rfind("\n") + 1) + 1
        return ModelFileError(
            f"in the equation of '{name}', character {column}: {sentence}",
            place.path,
            place.line + before.count("\n"),
        )

    if text.strip().startswith("???"):
        raise place.refusal(
            f"the equation of '{name}' is '???', which Vensim writes into XMILE where it cannot "
            "translate itself; use the .mdl file"
        )
    tree = parse_expression(text, fail)
    check_depth(tree, name, place.path, place.line)
    return resolve(tree, left, names)
