"""Loop scores as text: the dominant loops at an instant, and the variables they run through."""

from __future__ import annotations

import xarray as xr
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from beltcast.drivers.loops.loop_scores import ARROW, participation, strongest
from beltcast.drivers.loops.named_loops import KnockOut
from beltcast.schema import MEMBER, TIME

LONG = 8
"""Number of variables above which a loop is described by its stocks only."""


def summarise_loops(scores: xr.Dataset, when: float, most: int = 8) -> RenderableType:
    """Lay out the strongest loops of an instant for a `rich` console, partition by partition.

    Parameters
    ----------
    scores : xarray.Dataset
        As `beltcast.loops` returns it.
    when : float  [time]
        The nearest scored instant is taken.
    most : int
        Loops of a partition to show; the share of the others is summed.
    """
    at = scores.sel({TIME: when}, method="nearest")
    own = at["relative_score"].mean(MEMBER) if MEMBER in at.dims else at["relative_score"]
    inside = f", {scores.attrs['within']}" if scores.attrs["within"] else ""
    title = f"Loops of {scores.attrs['model']}{inside} at {float(at[TIME]):g}"
    parts: list[RenderableType] = [Text(title, style="bold")]
    for i in range(scores.sizes["partition"]):
        names = strongest(scores.isel(loop=(scores["loop_partition"] == i).values), when)
        parts.append(Text(_heading(scores, i)))
        parts.append(_table(own, names, most) if names else Text("  nothing moves here"))
        if len(names) > most:
            parts.append(Text(_through(scores, i, when)))
    if len(parts) == 1:
        return Group(*parts, Text("No feedback loop."))
    return Group(*parts, Text("+ reinforces, - balances; the sizes in a group add up to 100 %"))


def without_words(cut: KnockOut, runs: xr.Dataset, when: float) -> Text:
    """Describe the effect of a loop: the variables on it with and without it at an instant.

    Parameters
    ----------
    cut : KnockOut
    runs : xarray.Dataset
        As `KnockOut.compare` returns them; elements are added up.
    when : float  [time]
        The nearest saved instant is taken.
    """
    at = runs.sel({TIME: when}, method="nearest")
    lines = [str(cut), f"at {float(at[TIME]):g}, with the loop and without it:"]
    for name in cut.loop:
        array = at[name]
        both = array.sum([d for d in array.dims if d != "run"])
        unit = f" {array.attrs.get('units', '')}".rstrip()
        one, other = (float(both.sel(run=run)) for run in ("whole", "without"))
        lines.append(f"  {name}: {one:.6g} and {other:.6g}{unit}")
    return Text("\n".join(lines))


def loop_words(loop: xr.DataArray) -> str:
    """Describe a loop by all its variables, or by the stocks of a long one."""
    path, stocks = str(loop["path"].item()), str(loop["stocks"].item())
    variables = len(path.split(ARROW))
    if variables <= LONG or not stocks:
        return path
    return f"{stocks} ({variables} variables)"


def _heading(scores: xr.Dataset, partition: int) -> str:
    """Say how many loops a partition has, and whether those are all."""
    loops = int((scores["loop_partition"] == partition).sum())
    variables = int(scores["variables"][partition])
    of = f"{variables} variable{'s' if variables > 1 else ''}"
    if scores["complete"][partition]:
        return f"{loops} loop{'s' if loops > 1 else ''} among {of}"
    return f"{loops} loops on strong paths (there are more) among {of}"


def _table(own: xr.DataArray, names: list[str], most: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    table.add_column("share", justify="right", overflow="fold")
    table.add_column("loop", overflow="fold")
    table.add_column("path", overflow="fold")
    for name in names[:most]:
        loop = own.sel(loop=name)
        table.add_row(f"{100 * float(loop):+.1f} %", name, loop_words(loop))
    rest = own.sel(loop=names[most:])
    if rest.size:
        up, down = float(rest.where(rest > 0).sum()), float(rest.where(rest < 0).sum())
        table.add_row("", "", f"{rest.size} weaker ones: {100 * up:+.1f} % and {100 * down:+.1f} %")
    return table


def _through(scores: xr.Dataset, partition: int, when: float, most: int = 6) -> str:
    """Say which stocks the loops of a partition run through."""
    group = scores.isel(loop=(scores["loop_partition"] == partition).values)
    shares = participation(group, "stocks").sel({TIME: when}, method="nearest")
    if MEMBER in shares.dims:
        shares = shares.mean(MEMBER)
    top = shares.sortby(shares, ascending=False)[:most]
    words = ", ".join(
        f"{name} {100 * float(share):.0f} %"
        for name, share in zip(top["variable"].values, top.values, strict=True)
    )
    return f"  share of the scores that runs through a stock: {words}"
