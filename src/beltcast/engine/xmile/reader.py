"""Read an XMILE file to a `Source`.

XMILE 1.0 (OASIS, 2015) writes a model as XML.  Reading it takes four steps with a module each:
`document` (the XML, hardened), `modules` (modules and macros: the variables and their full names),
`expression` (the text of an equation) and `names` (the meaning of its names); `conveyors` finds the
stocks that are conveyors, `queues` those that are queues.  This module owns the variables
themselves: a stock with its flows, a graphical function, an array given as one or element by
element.

What is not supported is refused by name and line before anything runs: ovens, computed
subscripts, imported data, models in other files.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from beltcast.engine.filetext import read_bytes
from beltcast.engine.syntax import (
    CONTROLS,
    Call,
    Equation,
    Expr,
    Source,
    canonical,
)
from beltcast.engine.vensim.macros import Macro, expand
from beltcast.engine.xmile.conveyors import find_conveyors
from beltcast.engine.xmile.dimensions import dimensions_of, read_dimensions
from beltcast.engine.xmile.document import Element, parse_document
from beltcast.engine.xmile.expression import plain_name, without_comments
from beltcast.engine.xmile.graphs import graph_of
from beltcast.engine.xmile.layout import group_docs_of, groups_of, views_of
from beltcast.engine.xmile.modules import Declared, DocumentParts, collect, refuse_inside
from beltcast.engine.xmile.names import DeclaredVariable, Heading, Left, Names
from beltcast.engine.xmile.non_negative import limit_flows
from beltcast.engine.xmile.queues import find_queues
from beltcast.engine.xmile.sim_specs import refuse_imports, run_controls, run_method
from beltcast.engine.xmile.variables import (
    Driven,
    limited_conveyors,
    parsed_side,
    pieces_of,
    reservoirs_of,
    variable_equations,
)
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
    refuse_imports(root)
    specs = root.first("sim_specs")
    if specs is None:
        raise ModelFileError(
            "the model has no <sim_specs>, so it does not say when it runs; add one", path
        )
    dimensions = read_dimensions(root)
    parts = collect(root, path)
    names = _names(parts, dimensions)
    macros = _macros(parts, names)
    method = run_method(specs)
    conveyors = find_conveyors(parts, method)
    driven = Driven(conveyors, find_queues(parts, conveyors, method))
    equations = tuple(
        equation
        for declared in parts.variables
        for equation in variable_equations(declared, names, parts.defaults, driven)
    )
    if not equations:
        raise ModelFileError("the model has no variables; give a model with equations", path)
    _check_complete(equations, names, path)
    equations = limit_flows(
        equations,
        reservoirs_of(names, parts),
        names.dimensions,
        limited_conveyors(names, conveyors),
        {name: tuple(way.name for way in queue.ways) for name, queue in driven.queues.items()},
    )
    equations = (*equations, *_graphs(names, parts))
    controls = run_controls(specs, equations, names)
    return Source(
        path=path,
        text_sha256=hashlib.sha256(content).hexdigest(),
        encoding=encoding,
        equations=tuple(
            map(
                _quoted,
                _as_the_vendor_rounds(
                    expand(
                        tuple(e for e in equations if canonical(e.name) not in CONTROLS),
                        macros,
                        path,
                    ),
                    root,
                ),
            )
        ),
        subscripts=names.ranges,
        controls=controls,
        method=method,
        groups=groups_of(root),
        group_docs=group_docs_of(root),
        sketch=views_of(root, content.decode(encoding, errors="replace")),
    )


def _quoted(equation: Equation) -> Equation:
    """A bracket in a name stands in quotes, as in Vensim: it does not begin subscripts."""
    return replace(equation, name=f'"{equation.name}"') if "[" in equation.name else equation


def _graphs(names: Names, parts: DocumentParts) -> Iterator[Equation]:
    """Lookups beside variables that have an equation and a function for each element."""
    for declared in parts.variables:
        name = names.graphs.get(canonical(declared.name))
        if name is not None:
            for piece in pieces_of(declared, names.variables[canonical(declared.name)], names):
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
        parameter: parsed_side(
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


def _macros(parts: DocumentParts, names: Names) -> dict[str, Macro]:
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
        equations = [
            e for d in own for e in variable_equations(d, scope, parts.defaults, Driven({}, {}))
        ]
        result = macro.first("eqn")
        left = Left(DeclaredVariable(heading.name), (), macro.place)
        if canonical(heading.name) not in inside:
            if result is None:
                raise macro.place.error(
                    f"the macro '{heading.name}' has no <eqn>, so it has no result; add one"
                )
            expression = parsed_side(result.text, left, scope, result)
            equations.append(Equation(heading.name, (), (), expression, line=macro.place.line))
        found[canonical(heading.name)] = Macro(heading.name, heading.parameters, tuple(equations))
    return found
