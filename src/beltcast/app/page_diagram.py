"""The stock-flow diagram of a page, and the text on each variable that a reader opens."""

from __future__ import annotations

from typing import Any

from beltcast.model.model import Model
from beltcast.pictures.diagram import MOST_NAMES, diagram, diagram_groups
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
        ``svg`` and ``detailed``, one drawing a language; ``groups``, the same with the auxiliaries
        of one group, each with its ``label``; ``variables`` by name.
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

    def both(detail: Any, group: str = "") -> list[str]:
        english = diagram(model, detail=detail, group=group)
        if not zh.keys() & set(drawn):
            return [english, ""]
        return [english, diagram(model, detail=detail, group=group, names=zh)]

    def named(stocks: tuple[str, ...]) -> list[str]:
        known = [labels.get(name, Label(name)) for name in stocks]
        return [", ".join(x.text("en") for x in known), "、".join(x.text("zh") for x in known)]

    return {
        "svg": both("auto"),
        "detailed": ["", ""] if small else both("all"),
        "groups": []
        if small
        else [
            {"label": named(stocks), "svg": both("stocks", stocks[0])}
            for stocks in diagram_groups(model)
        ],
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
