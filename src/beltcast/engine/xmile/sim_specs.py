"""The run that an XMILE file describes in ``<sim_specs>``: method, start, end and step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from beltcast.engine.syntax import (
    Call,
    Equation,
    Expr,
    Number,
    canonical,
)
from beltcast.engine.xmile.document import Element
from beltcast.engine.xmile.names import DeclaredVariable, Left, Names
from beltcast.engine.xmile.variables import parsed_side, without_left


def refuse_imports(root: Element) -> None:
    """Refuse data that a run would read from another file."""
    for data in root.all("data"):
        for imported in data.all("import"):
            if imported.attributes.get("enabled", "true").lower() != "false":
                raise imported.place.refusal(
                    "data imported from another file are not supported; write them into the model "
                    "as graphical functions of TIME"
                )


def run_method(specs: Element) -> Literal["euler", "rk2", "rk4"]:
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


def run_controls(
    specs: Element, equations: tuple[Equation, ...], names: Names
) -> Mapping[str, Equation]:
    """Start, end and step of the run; saved at every step, unless isee's attribute differs.

    Files made from Vensim models carry these as variables too: they must agree, and a
    SAVEPER among them, which XMILE does not have, is used.
    """
    unit = specs.attributes.get("time_units", "")
    step = specs.first("dt")
    texts = {
        "INITIAL TIME": _text(specs, "start"),
        "FINAL TIME": _text(specs, "stop"),
        "TIME STEP": "1" if step is None else step.text,
        "SAVEPER": _saveper(specs),
    }
    places = {"INITIAL TIME": "start", "FINAL TIME": "stop", "TIME STEP": "dt"}
    written = {canonical(e.name): e for e in equations}
    controls = {}
    for name, text in texts.items():
        element = specs.first(places.get(name, "")) or specs
        left = Left(DeclaredVariable(name), (), element.place)
        value = parsed_side(without_left(text, name), left, names)
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


def _saveper(specs: Element) -> str:
    """Stella keeps the interval of saving in an attribute of its own; never below a step."""
    try:
        interval = float(specs.attributes.get("isee:save_interval", "0"))
    except ValueError:
        interval = 0.0
    return f"MAX({interval!r}, TIME_STEP)" if 0 < interval < math.inf else "TIME_STEP"


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
