"""The stock-flow diagram of a page, and the text on each variable that a reader opens."""

from __future__ import annotations

from typing import Any

from beltcast.model.model import Model
from beltcast.pictures.diagram import MOST_NAMES, diagram
from beltcast.pictures.structure import structure
from beltcast.schema import Label
from beltcast.study.study import Study

SHOWN_EQUATION = 600
"""Characters of an equation that are shown."""


def diagram_facts(study: Study) -> dict[str, Any]:
    """Return the drawings and the variables of a study's model, for the page's script.

    Returns
    -------
    dict
        ``svg`` and ``detailed``, one drawing a language; ``variables`` by name.
    """
    model = study.model
    labels = study.labels()
    found = structure(model)
    small = len(found.auxiliaries) <= MOST_NAMES
    causes: dict[str, set[str]] = {}
    uses: dict[str, set[str]] = {}
    for source, target in found.links:
        causes.setdefault(target, set()).add(source)
        uses.setdefault(source, set()).add(target)
    for pipe in found.pipes:
        for stock in (pipe.source, pipe.sink):
            if stock:
                causes.setdefault(stock, set()).add(pipe.name)
                uses.setdefault(pipe.name, set()).add(stock)
    drawn = [*found.stocks, *found.flows, *found.auxiliaries, *found.inputs]
    variables = {
        name: {
            "kind": model.variables[name].kind,
            "unit": model.variables[name].unit,
            "doc": model.variables[name].doc,
            "equation": equation_text(model, name),
            "label": _both(labels.get(name, Label(name))),
            "causes": sorted(causes.get(name, ())),
            "uses": sorted(uses.get(name, ())),
        }
        for name in drawn
        if name in model.variables
    }
    zh = {name: label.text("zh") for name, label in labels.items() if label.zh}

    def both(detail: Any) -> list[str]:
        english = diagram(model, detail=detail)
        return [english, diagram(model, detail=detail, names=zh) if zh.keys() & set(drawn) else ""]

    return {
        "svg": both("auto"),
        "detailed": ["", ""] if small else both("all"),
        "variables": variables,
    }


def equation_text(model: Model, name: str) -> str:
    """Return the equation of a variable as its Vensim file writes it; empty for other files."""
    path = model.path
    if path is None or path.suffix.lower() != ".mdl":
        return ""
    lines = path.read_bytes().decode(model.source.encoding, "replace").splitlines()
    first = model.variables[name].line - 1
    text: list[str] = []
    for line in lines[first:]:
        body, tilde, _ = line.partition("~")
        text.append(body.strip())
        if tilde:
            break
    return " ".join(" ".join(text).split())[:SHOWN_EQUATION]


def _both(label: Label) -> list[str]:
    return [label.text("en"), label.text("zh")]
