"""Sliders for the constants of a model in a notebook, with a chart that follows them.

Each slider runs from zero to twice the constant's default, or within the limits in the model
file.  The widgets come from ipywidgets, an optional dependency.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from beltcast.display.lines import finish_axes, new_figure, plot_band
from beltcast.display.style import house_style
from beltcast.engine.syntax import split_label
from beltcast.errors import ModelError, UnknownName
from beltcast.files.extras import need
from beltcast.schema import TIME

MOST_SLIDERS = 6
"""Number of constants that get a slider by default."""


class Simulated(Protocol):
    """What the controls need of a model."""

    def __getitem__(self, name: str, /) -> Any:
        """One variable."""

    @property
    def constants(self) -> Any:
        """Table of constants."""

    @property
    def variables(self) -> Any:
        """Variables by name."""

    @property
    def time_unit(self) -> str:
        """Unit of time."""

    def simulate(self, constants: Any = ..., *, outputs: Any = ...) -> Any:
        """Run once."""


def make_controls(
    model: Simulated, outputs: str | Sequence[str] | None, constants: Sequence[str] | None
) -> Any:
    """Make sliders and a chart; see `beltcast.Model.interact`."""
    widgets = need("ipywidgets", "notebooks", to="Model.interact", otherwise="call simulate")
    names = _outputs(model, outputs)
    labels = list(constants) if constants is not None else _first_constants(model)
    sliders = {label: widgets.FloatSlider(**_slider(model, label)) for label in labels}
    picture = widgets.HTML()
    before = model.simulate(outputs=names)

    def redraw(_: object = None) -> None:
        now = model.simulate({label: s.value for label, s in sliders.items()}, outputs=names)
        picture.value = _svg(before, now, names, model.time_unit)

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    redraw()
    return widgets.HBox([widgets.VBox(list(sliders.values())), picture])


def _outputs(model: Simulated, outputs: str | Sequence[str] | None) -> list[str]:
    if outputs is None:
        scalars = [v.name for v in model.variables.values() if v.kind == "stock" and not v.dims]
        if not scalars:
            raise ModelError(
                "name the variables to draw: the model has no stock without subscripts"
            )
        return scalars[:4]
    names = [model[name].name for name in ([outputs] if isinstance(outputs, str) else outputs)]
    for name in names:
        if model[name].dims:
            raise ModelError(
                f"'{name}' has subscripts ({', '.join(model[name].dims)}), and a chart draws one "
                "line for each variable; name a variable without subscripts"
            )
    return names


def _first_constants(model: Simulated) -> list[str]:
    table = model.constants
    return list(table.index[table["value"] != 0.0][:MOST_SLIDERS])


def _slider(model: Simulated, label: str) -> dict[str, Any]:
    table = model.constants
    folded = {name.casefold().replace("_", " "): name for name in table.index}
    known = folded.get(label.casefold().replace("_", " "))
    if known is None:
        model[split_label(label)[0]]  # raises if there is no such variable
        raise UnknownName(f"'{label}' is not a constant; name one, with its element in brackets")
    default = float(table.loc[known, "value"])
    low, high = model[split_label(known)[0]].equations[0].limits[:2]
    ends = sorted((0.0, 2.0 * default)) if default else [0.0, 1.0]
    low, high = ends[0] if low is None else low, ends[1] if high is None else high
    return {
        "value": default,
        "min": min(low, default),
        "max": max(high, default),
        "step": (max(high, default) - min(low, default)) / 200 or 0.01,
        "description": known,
        "continuous_update": False,
        "style": {"description_width": "initial"},
    }


@house_style
def _svg(before: Any, now: Any, names: Sequence[str], time_unit: str) -> str:
    """Draw the default run in grey and the current one in colour, as SVG text."""
    import io

    figure = new_figure(6.0, 0.6 + 1.8 * len(names))
    for i, name in enumerate(names):
        ax = figure.add_subplot(len(names), 1, i + 1)
        for run, colour in ((before, "0.7"), (now, "#0072B2")):
            plot_band(ax, run[TIME].values, run[name].values[None], colour=colour)
        last = i == len(names) - 1
        unit = now[name].attrs.get("units", "")
        finish_axes(ax, title=name, x=time_unit if last else "", y=unit)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()
