"""Comparison of policies, as text."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import xarray as xr
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from beltcast.display.translations import counted_in
from beltcast.drivers.discovery.discover import box_words
from beltcast.drivers.policy.policy import PolicyQuestion, signposts
from beltcast.ensembles.verdicts import FEWEST_DRAWS, chance_words, negligible
from beltcast.errors import InputError
from beltcast.schema import MEMBER, Label, Language

_NO_LABELS: Mapping[str, Label] = MappingProxyType({})

BEST = {
    "mean": "best mean",
    "percentile": "best in bad cases",
    "satisficing": "reaches the goal most often",
    "regret": "least regret",
}


def summarise_policies(
    question: PolicyQuestion,
    compared: xr.Dataset,
    most: int = 12,
    *,
    language: Language = "en",
    labels: Mapping[str, Label] = _NO_LABELS,
) -> RenderableType:
    """Lay out the undominated policies for a `rich` console, and signposts of the least regret.

    Parameters
    ----------
    question : Question
    compared : xarray.Dataset
        As `beltcast.drivers.policy.policy.compare_policies` returns it for that question.
    most : int
        Policies to show.
    language : 'en' or 'zh'
        Whose units of money are used: 亿元 in Chinese.
    labels : mapping of str to Label
        What the study calls units.
    """
    first, last = question.years
    factor, unit = counted_in(str(compared["gain"].attrs["units"]), language, labels)
    able = compared["affordable"].values.astype(bool)
    kept = compared["pareto"].values.astype(bool)
    title = (
        f"Policies from {first} to {last}: gain of {question.gain} and cost ({question.cost}) "
        f"against doing nothing, totals of the years, {unit}"
    )
    counts = (
        f"{len(able)} policies, {able.sum()} within the budget of {factor * question.budget:,g}, "
        f"{kept.sum()} undominated; {compared.sizes['scenario']} futures x "
        f"{compared.sizes['member']} draws; goal {factor * question.goal:,g}"
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    names = [_short(lever.name, language, labels) for lever in question.levers]
    for name in [*names, "cost", "mean", "10 %", "goal", "regret", ""]:
        table.add_column(name, justify="left" if not name else "right")
    draws = compared.sizes[MEMBER]
    best = {name: _best(compared, name, able) for name in BEST}
    sole = [name for name in BEST if draws >= FEWEST_DRAWS and _is_sole(compared, name, able)]
    told = {i: ", ".join(BEST[name] for name in sole if best[name] == i) for i in best.values()}
    shown = sorted(
        np.flatnonzero(kept), key=lambda i: (i not in best.values(), -compared["mean"].values[i])
    )
    for i in shown[:most]:
        own = compared.isel(policy=int(i))
        table.add_row(
            *(f"{float(v):.2f}" for v in own["setting"].values),
            *(f"{factor * float(own[n]):,.0f}" for n in ("mean_cost", "mean", "percentile")),
            chance_words(float(own["satisficing"]), draws),
            f"{factor * float(own['regret']):,.0f}",
            told.get(int(i), ""),
        )
    few = f"{draws} draws are too few to call a policy the best (at least {FEWEST_DRAWS})."
    return Group(
        Text(title, style="bold"),
        Text(counts),
        *([Text(few)] if draws < FEWEST_DRAWS else []),
        table,
        Text(_signposts(question, compared, best["regret"])),
    )


def _short(label: str, language: Language, labels: Mapping[str, Label]) -> str:
    if language == "zh" and label in labels:
        return labels[label].text("zh")
    return label.removesuffix(" Multiplier").removesuffix(" Final")


def _best(compared: xr.Dataset, name: str, able: np.ndarray) -> int:
    """Position of the best affordable policy; of several, the one with the highest mean."""
    values = np.where(able, compared[name].values, np.nan) * (-1.0 if name == "regret" else 1.0)
    equal = values >= np.nanmax(values) - 1e-12
    return int(np.argmax(np.where(equal, compared["mean"].values, -np.inf)))


def _is_sole(compared: xr.Dataset, name: str, able: np.ndarray) -> bool:
    """Whether one affordable policy alone is best, and no other as good but for rounding."""
    values = compared[name].values[able]
    best = values.min() if name == "regret" else values.max()
    return int(negligible(values - best, np.abs(values).max()).sum()) == 1


def _signposts(question: PolicyQuestion, compared: xr.Dataset, policy: int) -> str:
    """Say where the policy of least regret misses its goal."""
    try:
        box = signposts(question, compared, policy)
    except InputError:
        share = float(compared["satisficing"][policy])
        how = "all" if share == 1.0 else "none" if share == 0.0 else "too few"
        return f"No signposts: the policy of least regret reaches the goal in {how} of the cases."
    words = ", ".join(box_words(box)) or "no input in particular"
    return (
        f"Signposts: the policy of least regret misses the goal where {words} "
        f"(coverage {100 * float(box['coverage']):.0f} %, density "
        f"{100 * float(box['density']):.0f} %)"
    )
