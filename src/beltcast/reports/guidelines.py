"""Items that a reader needs to rebuild a model, present or missing.

The items are the minimum that Rahmandad and Sterman require in the report of a model and its runs,
in our words, and those of their preferred items that can be read from a model file: units, a
definition and a source for each variable.  No program can judge whether a definition is good.

References
----------
Rahmandad, H. and Sterman, J. D. (2012): Reporting guidelines for simulation-based research in
social sciences. System Dynamics Review 28(4), 396-411.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from beltcast.display.facts import listed
from beltcast.engine.syntax import CONTROLS, Data, canonical, walk_expression
from beltcast.engine.syntax import Call as SyntaxCall
from beltcast.model.model import Model

_SOURCE = re.compile(
    r"\[[^\]]+\]|https?://|\bdoi\b|\((?:19|20)\d\d\)|\bsource\b|来源", re.IGNORECASE
)
"""Marks of a source in a comment: brackets, an address, a year of publication, the word."""


@dataclass(frozen=True)
class ReportItem:
    """One item of the guidelines.

    Attributes
    ----------
    level : 'minimum' or 'preferred'
    text : str
        What the guidelines require.
    missing : tuple of str
        Variables that lack it; empty if it is present.
    answer : str
        The model's answer.
    """

    level: Literal["minimum", "preferred"]
    text: str
    missing: tuple[str, ...]
    answer: str

    @property
    def there(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def report_items(model: Model) -> tuple[ReportItem, ...]:
    """Go through the guidelines."""
    names = [v for v in model.variables.values() if canonical(v.name) not in CONTROLS]
    constants = [v.name for v in names if v.kind == "constant"]
    stocks = [v.name for v in names if v.kind == "stock"]
    inputs = [v.name for v in names if v.kind == "input"]
    empty = tuple(
        e.name
        for e in model.source.equations
        if isinstance(e.expression, Data) and not len(e.expression.times)
    )
    random = _random(model)
    seeded = "noise seed" in model.program.slots
    controls = model.source.controls
    grid = f"{model['TIME STEP'].equation}; {model.source.method}"
    span = f"{model['INITIAL TIME'].equation}; {model['FINAL TIME'].equation}"
    without_unit = tuple(v.name for v in names if not v.unit and v.kind != "lookup")
    without_doc = tuple(v.name for v in names if not v.doc)
    unsourced = tuple(
        v.name
        for v in names
        if v.kind in ("constant", "input", "lookup") and not _SOURCE.search(v.doc)
    )
    return (
        ReportItem("minimum", "the equation of each variable", (), f"{len(names)} variables"),
        ReportItem("minimum", "the value of each parameter", (), f"{len(constants)} constants"),
        ReportItem("minimum", "the initial value of each stock", (), f"{len(stocks)} stocks"),
        ReportItem("minimum", "the points of each exogenous input", empty, f"{len(inputs)} inputs"),
        ReportItem("minimum", "time horizon", (), span),
        ReportItem("minimum", "time step and method of integration", (), grid),
        ReportItem(
            "minimum",
            "the seed of random numbers",
            () if seeded or not random else random,
            "NOISE SEED" if seeded else "no random numbers" if not random else "no NOISE SEED",
        ),
        ReportItem(
            "minimum",
            "the unit of time",
            () if controls["time step"].unit else ("TIME STEP",),
            controls["time step"].unit or "not given",
        ),
        ReportItem(
            "preferred",
            "a unit for each variable",
            without_unit,
            _share(len(names) - len(without_unit), len(names)),
        ),
        ReportItem(
            "preferred",
            "a definition of each variable (its comment)",
            without_doc,
            _share(len(names) - len(without_doc), len(names)),
        ),
        ReportItem(
            "preferred",
            "a source for each constant, input and lookup (named in its comment)",
            unsourced,
            listed(unsourced, 3) if unsourced else "all",
        ),
    )


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}"


def _random(model: Model) -> tuple[str, ...]:
    found: Sequence[str] = [
        e.name
        for e in model.source.equations
        for node in walk_expression(e.expression)
        if isinstance(node, SyntaxCall) and "RANDOM" in node.function
    ]
    return tuple(dict.fromkeys(found))
