"""The documentation of a model as one page of HTML that needs no network.

Every variable has an entry with its equation as mathematics, its unit, comment and numbers, and
links to its causes and uses.  Before them stand the facts of the model and the items of the
reporting guidelines; after them the feedback loops and the checks.  (Martinez-Moyano, System
Dynamics Review 28, 2012, made such pages with SDM-Doc.)
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from html import escape

import numpy as np

from beltcast.display.facts import html_of
from beltcast.display.lines import finish_axes, new_axes, plot_points
from beltcast.display.style import house_style
from beltcast.engine.loops.graph import Component
from beltcast.engine.syntax import CONTROLS, canonical
from beltcast.errors import SimulationError
from beltcast.model.checks import Checked, check_model, check_text
from beltcast.model.mathml import equation_math
from beltcast.model.model import Model
from beltcast.model.shown import ShownVariable
from beltcast.model.trace import Neighbours, causes_and_uses, polarities
from beltcast.reports.guidelines import report_items

_CSS = """
body { font-family: system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
       line-height: 1.45; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; }
p.under { color: #555; margin-top: .2rem; } li { margin: .2rem 0; }
table { border-collapse: collapse; font-size: .85rem; margin: .8rem 0; width: 100%; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .2rem .7rem .2rem 0;
         border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
math { font-size: 1.05rem; } section.v { border-top: 1px solid #ddd; padding: .6rem 0; }
section.v h3 { margin: 0; font-size: 1rem; } section.v p { margin: .2rem 0; font-size: .85rem; }
section.v pre { font-size: .75rem; white-space: pre-wrap; margin: .2rem 0; }
.kind { color: #555; font-weight: 400; } .yes { color: #00664b; } .no { color: #a33c00; }
math a { color: inherit; text-decoration-color: #bbb; }
table.items td:nth-child(-n+2) { white-space: nowrap; overflow-wrap: normal; }
section.v svg { max-width: 22rem; height: auto; } div.math { overflow-x: auto; padding: .3rem 0; }
"""


def document(model: Model, *, checks: bool = True) -> str:
    """Write the documentation of a model.

    Parameters
    ----------
    model : Model
    checks : bool
        Run `beltcast check` for the page: units, time step, negative stocks, extreme constants.
        A large model may take minutes.

    Returns
    -------
    str
        A self-contained page of HTML.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.reports.model_page import document
    >>> page = document(load_model(shipped("models/decay/decay.mdl")))
    >>> page.count("<math>")
    8
    """
    writer = _Page(model)
    checked, problem = None, ""
    if checks:
        try:
            checked = check_model(model)
        except SimulationError as error:
            problem = f"The model does not run with its own constants: {error}"
    title = f"Model {model.name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='under'>{escape(model.source.text_sha256[:16])}</p>",
        writer.facts(),
        writer.guidelines(),
        *writer.groups(),
        writer.loops(checked),
        _checks(checked, problem),
    ]
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_CSS}</style></head>\n<body>"
        + "\n".join(part for part in parts if part)
        + "</body></html>\n"
    )


class _Page:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.places = {
            canonical(name): f"v{number}" for number, name in enumerate(model.variables, 1)
        }
        self.structure: Neighbours = causes_and_uses(model)
        try:
            states, times = model.states()
        except SimulationError:
            self.signs = {}
        else:
            self.signs = polarities(model, states, times, list(model.variables))

    def address(self, name: str) -> str:
        place = self.places.get(canonical(name))
        return f"#{place}" if place else ""

    def link(self, name: str) -> str:
        where = self.address(name)
        text = escape(self.model.find(name).name if where else name)
        return f"<a href='{where}'>{text}</a>" if where else text

    def facts(self) -> str:
        rows = [(label, text) for label, text in self.model._facts() if label != "file"]
        if self.model.path is not None:
            rows.insert(0, ("file", self.model.path.name))
        return html_of("The model", rows)

    def guidelines(self) -> str:
        rows = []
        for item in report_items(self.model):
            mark = "✓" if item.there else "missing"
            colour = "yes" if item.there else "no"
            names = ", ".join(self.link(name) for name in item.missing[:12])
            more = f" and {len(item.missing) - 12} more" if len(item.missing) > 12 else ""
            rows.append(
                f"<tr><td class='{colour}'>{mark}</td><td>{item.level}</td>"
                f"<td>{escape(item.text)}</td><td>{escape(item.answer)}"
                f"{': ' if names else ''}{names}{more}</td></tr>"
            )
        return (
            "<h2>Reporting guidelines</h2><table class='items'>"
            f"{''.join(rows)}</table><p class='under'>After Rahmandad and Sterman, Reporting "
            "guidelines for simulation-based research in social sciences, System Dynamics Review "
            "28 (2012), in our words.</p>"
        )

    def groups(self) -> Iterator[str]:
        groups = {canonical(name): group for name, group in self.model.source.groups.items()}
        names = [n for n in self.model.variables if canonical(n) not in CONTROLS]
        control = [n for n in self.model.variables if canonical(n) in CONTROLS]
        by_group: dict[str, list[str]] = {}
        for name in names:
            by_group.setdefault(groups.get(canonical(name), ""), []).append(name)
        contents = ", ".join(
            f"<a href='#g{i}'>{escape(group or 'Variables')}</a>"
            for i, group in enumerate(by_group)
        )
        yield f"<h2>Contents</h2><p>{contents}, <a href='#control'>Control</a>, "
        yield "<a href='#loops'>Feedback loops</a>, <a href='#checks'>Checks</a></p>"
        for i, (group, own) in enumerate(by_group.items()):
            yield f"<h2 id='g{i}'>{escape(group or 'Variables')}</h2>"
            about = self.model.source.group_docs.get(group, "")
            yield f"<p>{escape(about)}</p>" if about else ""
            yield from (self.variable(self.model[name]) for name in own)
        yield "<h2 id='control'>Control</h2>"
        yield from (self.variable(self.model[name]) for name in control)

    def variable(self, entry: ShownVariable) -> str:
        name = canonical(entry.name)
        unit = f" [{escape(entry.unit)}]" if entry.unit else ""
        lines = [
            f"<section class='v' id='{self.places[name]}'><h3>{escape(entry.name)}{unit} "
            f"<span class='kind'>{entry.kind}</span></h3>"
        ]
        for equation in entry.equations[:8]:
            lines.append(f"<div class='math'>{equation_math(equation, self.address)}</div>")
        if len(entry.equations) > 8:
            lines.append(f"<p>and {len(entry.equations) - 8} more equations</p>")
        lines.append(
            f"<details><summary>text</summary><pre>{escape(entry.equation)}</pre></details>"
        )
        if entry.kind == "constant" and entry.dims:
            values = np.asarray(entry.value).reshape(-1)
            shown = ", ".join(f"{v:g}" for v in values[:40])
            more = ", ..." if len(values) > 40 else ""
            lines.append(f"<p>Value over {escape(', '.join(entry.dims))}: {shown}{more}</p>")
        if entry.doc:
            lines.append(f"<p>{escape(entry.doc)}</p>")
        if entry.tables:
            lines.append(_curve(entry))
        for title, neighbours, forward in (
            ("Causes", self.structure.causes.get(name, {}), True),
            ("Uses", self.structure.uses.get(name, {}), False),
        ):
            links = [
                self._neighbour(name, other, at_start, forward)
                for other, at_start in neighbours.items()
                if forward or other not in CONTROLS
            ]
            if links:
                lines.append(f"<p>{title}: {', '.join(links)}</p>")
        return "".join([*lines, "</section>"])

    def _neighbour(self, name: str, other: str, at_start: bool, forward: bool) -> str:
        pair = (other, name) if forward else (name, other)
        sign = "" if at_start else self.signs.get(pair, "")
        after = " (initial value)" if at_start else ""
        return f"{sign.replace('-', '−')} {self.link(other)}{after}".strip()

    def loops(self, checked: Checked | None) -> str:
        head = "<h2 id='loops'>Feedback loops</h2>"
        if checked is None:
            return head + "<p>Not listed: the checks were left out or did not run.</p>"
        if not checked.components:
            return head + "<p>The model has no feedback loop.</p>"
        return head + "".join(self._component(c) for c in checked.components)

    def _component(self, component: Component, most: int = 60) -> str:
        of = f"among {len(component.variables)} variables"
        kind = "loops" if component.complete else "independent loops; there are more"
        items = "".join(
            f"<li>{loop.polarity}: {' → '.join(map(self.link, loop.variables))}</li>"
            for loop in component.loops[:most]
        )
        rest = len(component.loops) - most
        more = f"<p>and {rest} more</p>" if rest > 0 else ""
        return f"<p>{len(component.loops)} {kind} {of}</p><ol>{items}</ol>{more}"


def _checks(checked: Checked | None, problem: str) -> str:
    head = "<h2 id='checks'>Checks</h2>"
    if problem:
        return f"{head}<p class='no'>{escape(problem)}</p>"
    if checked is None:
        return f"{head}<p>Left out.</p>"
    text = check_text(checked, checked.model).split("\nfeedback among")[0]
    return f"{head}<pre>{escape(text)}</pre>"


@house_style
def _curve(entry: ShownVariable) -> str:
    """The graphical functions of a variable, as embedded SVG."""
    ax = new_axes(4.0, 2.2)
    for i, (label, points) in enumerate(entry.tables[:8]):
        shown = label if len(entry.tables) > 1 else "_nolegend_"
        plot_points(ax, points.x, points.y, color=f"C{i}", label=shown)
    finish_axes(ax, x="input", y=entry.unit)
    stream = io.StringIO()
    figure = ax.figure
    figure.savefig(stream, format="svg")  # type: ignore[union-attr]  # axes of a figure of ours
    return stream.getvalue().partition("<svg")[1] + stream.getvalue().partition("<svg")[2]
