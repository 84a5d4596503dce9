"""Read an XMILE file to a `Source`.

XMILE 1.0 (OASIS, 2015) writes a model as XML.  Reading it takes four steps with a module each:
`xmile_document` (the XML, hardened), `xmile_modules` (modules and macros: which variables there
are, under which full names), `xmile_expression` (the text of an equation) and `xmile_names` (what
its names mean); `xmile_conveyors` finds the stocks that are conveyors.  This module owns the
variables themselves: a stock with its flows, a graphical function, an array given as one or element
by element.

What is not supported is refused by name and line before anything runs: queues and ovens, computed
subscripts, imported data, models in other files.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from beltcast.engine.filetext import read_bytes
from beltcast.engine.lower.limits import check_depth
from beltcast.engine.syntax import (
    CONTROLS,
    Call,
    Equation,
    Expr,
    Number,
    Ref,
    Source,
    canonical,
)
from beltcast.engine.vensim.macros import Macro, expand
from beltcast.engine.xmile.conveyors import Conveyor, find_conveyors
from beltcast.engine.xmile.dimensions import dimensions_of, read_dimensions
from beltcast.engine.xmile.document import Element, parse_document
from beltcast.engine.xmile.expression import parse_expression, plain_name, without_comments
from beltcast.engine.xmile.graphs import graph_of, number_attribute
from beltcast.engine.xmile.layout import group_docs_of, groups_of, views_of
from beltcast.engine.xmile.modules import Declared, DocumentParts, collect, refuse_inside
from beltcast.engine.xmile.names import DeclaredVariable, Heading, Left, Names, resolve
from beltcast.engine.xmile.non_negative import LimitedStock, Reservoir, limit_flows
from beltcast.errors import ModelFileError


def read_xmile(path: str | Path) -> Source:
    """Read an XMILE model.

    Parameters
    ----------
    path : str or Path
        An ``.xmile``, ``.stmx``, ``.itmx`` or ``.xml`` file.

    Raises
    ------
    ModelFileError
        The file is missing, broken, or not a model.
    UnsupportedConstruct
        It uses something that the engine does not support; the message names it and its line.
    """
    path = Path(path)
    content = read_bytes(path)
    root, encoding = parse_document(content, path)
    if root.tag != "xmile":
        raise ModelFileError(
            f"this is not a whole XMILE model: it begins with <{root.tag}> and not with <xmile>; "
            "give an XMILE file",
            path,
            root.place.line,
        )
    _refuse_imports(root)
    specs = root.first("sim_specs")
    if specs is None:
        raise ModelFileError(
            "the model has no <sim_specs>, so it does not say when it runs; add one", path
        )
    dimensions = read_dimensions(root)
    parts = collect(root, path)
    names = _names(parts, dimensions)
    macros = _macros(parts, names, path)
    method = _method(specs)
    conveyors = find_conveyors(parts, method)
    equations = tuple(
        equation
        for declared in parts.variables
        for equation in _equations(declared, names, parts.defaults, conveyors)
    )
    if not equations:
        raise ModelFileError("the model has no variables; give a model with equations", path)
    _check_complete(equations, names, path)
    equations = limit_flows(
        equations,
        _reservoirs(names, parts),
        names.dimensions,
        _limited_conveyors(names, conveyors),
    )
    equations = (*equations, *_graphs(names, parts))
    controls = _controls(specs, equations, names)
    return Source(
        path=path,
        text_sha256=hashlib.sha256(content).hexdigest(),
        encoding=encoding,
        equations=_as_the_vendor_rounds(
            expand(tuple(e for e in equations if canonical(e.name) not in CONTROLS), macros, path),
            root,
        ),
        subscripts=names.ranges,
        controls=controls,
        method=method,
        groups=groups_of(root),
        group_docs=group_docs_of(root),
        sketch=views_of(root, content.decode(encoding, errors="replace")),
    )


def _graphs(names: Names, parts: DocumentParts) -> Iterator[Equation]:
    """Lookups beside variables that have an equation and a function for each element."""
    for declared in parts.variables:
        name = names.graphs.get(canonical(declared.name))
        if name is not None:
            for piece in _pieces(declared, names.variables[canonical(declared.name)], names):
                if piece.graph is not None:
                    points = graph_of(piece.graph)
                    yield Equation(
                        name, piece.left.subscripts, (), points, line=piece.left.place.line
                    )


def _as_the_vendor_rounds(equations: tuple[Equation, ...], root: Element) -> tuple[Equation, ...]:
    """INT rounds down in XMILE, and towards zero in files that Vensim wrote (its INTEGER)."""
    header = root.first("header")
    vendor = None if header is None else header.first("vendor")
    if vendor is None or "ventana" not in vendor.text.lower():
        return equations
    return tuple(replace(e, expression=_towards_zero(e.expression)) for e in equations)


def _towards_zero(expression: Expr) -> Expr:
    if not isinstance(expression, Call):
        return expression
    name = "INTEGER" if expression.function == "XINT" else expression.function
    return Call(name, tuple(map(_towards_zero, expression.arguments)))


# --- the run ----------------------------------------------------------------------------------


def _refuse_imports(root: Element) -> None:
    for data in root.all("data"):
        for imported in data.all("import"):
            if imported.attributes.get("enabled", "true").lower() != "false":
                raise imported.place.refusal(
                    "data imported from another file are not supported; write them into the model "
                    "as graphical functions of TIME"
                )


def _method(specs: Element) -> Literal["euler", "rk2", "rk4"]:
    """Integration method of the file, the first known one; Euler if it states none."""
    asked = specs.attributes.get("method", "euler").strip().lower() or "euler"
    for method in (m.strip() for m in asked.split(",")):
        if method == "euler":
            return "euler"
        if method == "rk2":
            return "rk2"
        if method == "rk4":
            return "rk4"
    raise specs.place.refusal(
        f"the integration method '{asked}' is not supported; choose Euler, RK2 or RK4"
    )


def _controls(
    specs: Element, equations: tuple[Equation, ...], names: Names
) -> Mapping[str, Equation]:
    """Start, end and step of the run; saved at every step.

    Files made from Vensim models carry these as variables too: they must agree, and a
    SAVEPER among them, which XMILE does not have, is used.
    """
    unit = specs.attributes.get("time_units", "")
    step = specs.first("dt")
    texts = {
        "INITIAL TIME": _text(specs, "start"),
        "FINAL TIME": _text(specs, "stop"),
        "TIME STEP": "1" if step is None else step.text,
        "SAVEPER": "TIME_STEP",
    }
    places = {"INITIAL TIME": "start", "FINAL TIME": "stop", "TIME STEP": "dt"}
    written = {canonical(e.name): e for e in equations}
    controls = {}
    for name, text in texts.items():
        element = specs.first(places.get(name, "")) or specs
        left = Left(DeclaredVariable(name), (), element.place)
        value = _parsed(_without_left(text, name), left, names)
        reciprocal = step is not None and step.attributes.get("reciprocal", "").lower() == "true"
        if name == "TIME STEP" and reciprocal:
            value = Call("/", (Number(1.0), value))
        own = written.get(canonical(name))
        if own is not None and name == "SAVEPER":
            value = own.expression
        elif own is not None:
            _check_same(own, value, name, element)
        controls[canonical(name)] = Equation(
            name,
            (),
            (),
            value,
            unit=unit,
            doc="" if own is None else own.doc,
            line=element.place.line,
        )
    return controls


def _text(specs: Element, tag: str) -> str:
    child = specs.first(tag)
    if child is None:
        raise specs.place.error(f"<sim_specs> has no <{tag}>; add one")
    return child.text


def _check_same(own: Equation, value: Expr, name: str, place: Element) -> None:
    both = (own.expression, value)
    if all(isinstance(e, Number) for e in both) and own.expression != value:
        raise place.place.error(
            f"<{place.tag}> and the variable '{name}' of line {own.line} say different numbers; "
            "make them the same"
        )


def _check_complete(equations: tuple[Equation, ...], names: Names, path: Path) -> None:
    """Refuse an array with an element that no equation defines."""
    found: dict[str, list[Equation]] = {}
    for equation in equations:
        if equation.subscripts:
            found.setdefault(canonical(equation.name), []).append(equation)
    for name, own in found.items():
        dims = names.variables[name].dims
        if any(tuple(e.subscripts) == dims for e in own):
            continue
        axes = [names.elements(d) for d in dims]
        defined = set()
        for equation in own:
            pieces = [
                axis if canonical(s) == canonical(d) else (s,)
                for s, d, axis in zip(equation.subscripts, dims, axes, strict=True)
            ]
            defined |= {tuple(map(canonical, e)) for e in itertools.product(*pieces)}
        for element in itertools.product(*axes):
            if tuple(map(canonical, element)) not in defined:
                raise ModelFileError(
                    f"'{own[0].name}[{', '.join(element)}]' has no equation; give one for each "
                    "element of the array",
                    path,
                    own[0].line,
                )


# --- names ------------------------------------------------------------------------------------


def _names(parts: DocumentParts, dimensions: Mapping[str, tuple[str, ...]]) -> Names:
    """All names of a model; variables that are controls are not among them."""
    names = Names({}, {canonical(n): e for n, e in dimensions.items()}, {}, dict(dimensions), {})
    variables = {
        canonical(d.name): _variable(d, names)
        for d in parts.variables
        if canonical(d.name) not in CONTROLS
    }
    headings = {canonical(plain_name(m.required("name"))): _heading(m, names) for m in parts.macros}
    return replace(names, variables=variables, macros=headings)


def _heading(macro: Element, names: Names) -> Heading:
    """Name and parameters of a macro; a default may use the parameters."""
    name = plain_name(macro.required("name"))
    parameters = {canonical(plain_name(p.text)): p for p in macro.all("parm")}
    scope = replace(names, variables={p: DeclaredVariable(p) for p in parameters})
    defaults = {
        parameter: _parsed(
            element.attributes["default"], Left(DeclaredVariable(name), (), element.place), scope
        )
        for parameter, element in parameters.items()
        if "default" in element.attributes
    }
    return Heading(name, tuple(parameters), defaults)


def _variable(declared: Declared, names: Names) -> DeclaredVariable:
    element = declared.element
    if declared.source is not None:
        return DeclaredVariable(declared.name, dimensions_of(element, names))
    graphs = [
        graph
        for holder in (element, *element.all("element"))
        for graph in ([holder] if holder.tag == "gf" else holder.all("gf"))
    ]
    return DeclaredVariable(
        declared.name,
        dimensions_of(element, names),
        tuple(graph_of(g) for g in graphs),
        lookup=bool(graphs)
        and not any(_has_equation(h) for h in (element, *element.all("element"))),
    )


def _has_equation(element: Element) -> bool:
    return any(without_comments(e.text).strip() for e in element.all("eqn"))


def _macros(parts: DocumentParts, names: Names, path: Path) -> dict[str, Macro]:
    """Macros, with their result as an equation of their own name."""
    found = {}
    for macro in parts.macros:
        refuse_inside(macro, ("sim_specs", "module"), "inside a macro")
        heading = names.macros[canonical(plain_name(macro.required("name")))]
        own = [
            Declared(plain_name(v.required("name")), v)
            for group in macro.all("variables")
            for v in group.all("aux", "flow", "stock", "gf")
        ]
        inside = {canonical(d.name): _variable(d, names) for d in own}
        inside |= {p: DeclaredVariable(p) for p in heading.parameters}
        scope = replace(names, variables=inside)
        equations = [e for d in own for e in _equations(d, scope, parts.defaults, {})]
        result = macro.first("eqn")
        left = Left(DeclaredVariable(heading.name), (), macro.place)
        if canonical(heading.name) not in inside:
            if result is None:
                raise macro.place.error(
                    f"the macro '{heading.name}' has no <eqn>, so it has no result; add one"
                )
            expression = _parsed(result.text, left, scope, result)
            equations.append(Equation(heading.name, (), (), expression, line=macro.place.line))
        found[canonical(heading.name)] = Macro(heading.name, heading.parameters, tuple(equations))
    return found


# --- variables --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """One equation of a variable: all of it, or one element of an array."""

    left: Left
    equation: Element | None
    start: Element | None
    graph: Element | None


def _equations(
    declared: Declared,
    names: Names,
    non_negative: Mapping[str, bool],
    conveyors: Mapping[str, Conveyor],
) -> Iterator[Equation]:
    """The equations of one variable."""
    element = declared.element
    if canonical(declared.name) in CONTROLS:
        variable = DeclaredVariable(declared.name)
    else:
        variable = names.variables[canonical(declared.name)]
    limits = element.first("yscale" if element.tag == "gf" else "range")
    doc, unit = element.first("doc"), element.first("units")
    for piece in _pieces(declared, variable, names):
        yield Equation(
            name=declared.name,
            subscripts=piece.left.subscripts,
            except_=(),
            expression=_right(declared, piece, names, non_negative, conveyors),
            unit="" if unit is None else unit.text.strip(),
            doc="" if doc is None else " ".join(doc.text.split()),
            line=piece.left.place.line,
            limits=(None, None)
            if limits is None
            else (_limit(limits, "min"), _limit(limits, "max")),
        )


def _limit(limits: Element, attribute: str) -> float | None:
    return number_attribute(limits, attribute) if attribute in limits.attributes else None


def _pieces(declared: Declared, variable: DeclaredVariable, names: Names) -> Iterator[_Piece]:
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
    conveyors: Mapping[str, Conveyor],
) -> Expr:
    """The right-hand side of a piece."""
    scope = names.inside(declared.prefix)
    element, left = declared.element, piece.left
    if declared.source is not None:
        return resolve(Ref(declared.source), left, names.inside(declared.above))
    refuse_inside(element, ("queue", "oven", "overflow", "multiplier"), f"of '{declared.name}'")
    conveyor = conveyors.get(canonical(declared.name))
    if conveyor is not None:  # whatever equation the file gives its outflow
        return _conveyed(conveyor, canonical(declared.name), left, scope)
    refuse_inside(element, ("leak",), f"of '{declared.name}'")
    if all(declared is not c.stock for c in conveyors.values()):
        refuse_inside(element, ("conveyor",), f"of '{declared.name}'")
    if piece.equation is None:
        if piece.graph is not None and element.tag != "stock":
            return graph_of(piece.graph)
        raise left.place.error(f"'{declared.name}' has no equation; write one")
    text = _without_left(piece.equation.text, left.variable.name)
    value = _parsed(text, left, scope, piece.equation)
    if element.tag == "stock" and text != piece.equation.text:
        # Vensim's way to write a level that is no INTEG: 'x = DELAY_N(...)' as the equation of x.
        if list(element.all("inflow", "outflow")):
            raise left.place.error(
                f"'{declared.name}' has flows and 'name =' in its equation; give its initial value"
            )
        return value
    if piece.start is not None and element.tag != "stock":
        initial = _parsed(piece.start.text, left, scope, piece.start)
        value = Call("ACTIVE INITIAL", (value, initial))
    if piece.graph is not None and element.tag != "stock":
        value = Call("WITH LOOKUP", (graph_of(piece.graph), value))
    held = _is_non_negative(element, non_negative.get(element.tag, False))
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


def _reservoirs(names: Names, parts: DocumentParts) -> Iterator[Reservoir]:
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
        held = held and stock.first("conveyor") is None
        scope = names.inside(declared.prefix)
        users = set()
        for piece in _pieces(declared, names.variables[canonical(declared.name)], names):
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
    lasting = _parsed(conveyor.transit.text, left, names, conveyor.transit)
    held = stock.first("eqn")
    if held is None:
        raise stock.place.error(f"'{conveyor.stock.name}' has no equation; write one")
    initial = _parsed(held.text, left, names, held)
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
            else _parsed(leak.fraction.text, left, names, leak.fraction),
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
            Number(0.0) if arrest is None else _parsed(arrest.text, left, names, arrest),
            Number(float(conveyor.exponential)),
            *leaks,
        ),
    )


def _limited_conveyors(names: Names, conveyors: Mapping[str, Conveyor]) -> Iterator[LimitedStock]:
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
            return None if given is None else _parsed(given.text, left, scope, given)

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
            yield LimitedStock(left.ref, flows["inflow"], flows["outflow"], *limits)


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
    return _parsed(flow.text, left, names, flow)


def _without_left(text: str, name: str) -> str:
    """Blank out 'name =' before a right-hand side, which Vensim writes into some equations."""
    left, sign, right = text.partition("=")
    own = sign and canonical(left) == canonical(name)
    return re.sub(r"\S", " ", left) + " " + right if own else text


def _parsed(text: str, left: Left, names: Names, holder: Element | None = None) -> Expr:
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
