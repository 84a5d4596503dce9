"""Score the loops of a model, name them as its study does, and cut one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from rich.console import Group, RenderableType

from beltcast.display.lines import save_chart
from beltcast.drivers.loops.loop_scores import loops, strongest
from beltcast.drivers.loops.named_loops import KnockOut, knock_out, name_loops
from beltcast.drivers.loops.page import summarise_loops, without_words
from beltcast.drivers.loops.plot import loops_over_time
from beltcast.model.model import Model
from beltcast.pictures.diagram import diagram


@dataclass(frozen=True, eq=False)
class ScoredLoops:
    """Loops of a model over a run.

    Attributes
    ----------
    model : Model
    scores : xarray.Dataset
        As `beltcast.loops` returns it, with the names of the study.
    cut : KnockOut or None
        The model without one loop.
    both : xarray.Dataset or None
        Runs with that loop and without it.
    """

    model: Model
    scores: xr.Dataset
    cut: KnockOut | None
    both: xr.Dataset | None

    def at(self, time: float | None) -> float:
        """Return a time, or the last one."""
        return float(self.scores["time"][-1]) if time is None else time

    def page(self, time: float | None = None, most: int = 8) -> RenderableType:
        """Return the strongest loops at a time, for a `rich` console."""
        page = summarise_loops(self.scores, self.at(time), most)
        if self.cut is None or self.both is None:
            return page
        return Group(page, without_words(self.cut, self.both, self.at(time)))

    def save(self, folder: Path, time: float | None = None) -> None:
        """Write the chart, and the diagram with the strongest loop at a time in colour."""
        if self.scores.sizes["loop"]:
            save_chart(loops_over_time(self.scores), folder / "loops.png")
        of_first = (self.scores["loop_partition"] == 0).values
        leading = strongest(self.scores.isel(loop=of_first), self.at(time))[:1]
        path, title = "", self.model.name
        if leading:
            path = str(self.scores["path"].sel(loop=leading[0]).item())
            title = f"{self.model.name}: {leading[0]} leads at {self.at(time):g}"
        drawn = diagram(self.model, highlight=path, title=title)
        (folder / "diagram.svg").write_text(drawn, encoding="utf-8")


def score_loops(
    model: Model,
    names: Mapping[str, Sequence[str]] | None = None,
    *,
    within: Mapping[str, str] | None = None,
    without: str | None = None,
) -> ScoredLoops:
    """Score the loops of a model.

    Parameters
    ----------
    model : Model
    names : mapping, optional
        Variables of each loop that the study names.
    within : mapping of str to str, optional
        Only this element of each range.
    without : str, optional
        Loop to cut: its name, or its variables separated by commas.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.workflows.loops import score_loops
    >>> found = score_loops(read_study().model, within={"Belt": "Shenzhen"})
    >>> found.scores.sizes["loop"] > 0
    True
    """
    names = names or {}
    cut = knock_out(model, names.get(without, without.split(","))) if without else None
    scores = name_loops(loops(model, within=dict(within or {})), names, model)
    return ScoredLoops(model, scores, cut, None if cut is None else cut.compare(model))
