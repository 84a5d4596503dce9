"""What a forecast says, in a page of text.

The numbers that matter, each with its band, the prior beside the posterior and the words
"mostly prior" where the figures were silent.  Everything here is read off the results.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from beltcast.display.numbers import digits
from beltcast.inference.audit.identify import Profile, Spectrum
from beltcast.inference.audit.shrinkage import shrinkage, shrinkage_words
from beltcast.inference.calibrate import Calibration, estimate_verdict
from beltcast.schema import PLACE, QUANTILE, SCENARIO, YEAR
from beltcast.study.observations import Observations

PAGE_WIDTH = 112


def summarise(forecast: xr.Dataset, calibration: Calibration) -> RenderableType:
    """Return the summary of a forecast, for a `rich` console."""
    return Group(
        Text(str(forecast.attrs["title"]), style="bold"),
        _what_it_rests_on(forecast, calibration),
        _places(forecast),
        _scenarios(forecast),
        _estimates(calibration, [str(place) for place in forecast[PLACE].values]),
    )


def identification(
    calibration: Calibration,
    known: Spectrum,
    pairs: pd.DataFrame,
    pull: pd.Series,
    left_out: pd.DataFrame,
    found: Sequence[Profile],
    answer: str,
) -> RenderableType:
    """Return what the figures can tell and what not, for a `rich` console."""
    share = known.share()
    n = len(share)
    unknown = int((share < 0.05).sum())
    lines = [
        f"The figures inform {known.informed} of {n} directions; the other {n - known.informed} "
        f"are prior. {unknown} parameters lie by less than 5 % in any informed direction.",
        "",
        "What they fix, best known first (parts in prior spreads; for logs: a product of powers):",
        *(
            f"  {k + 1}. ({known.eigenvalues[k]:,.3g}) {known.words(k)}"
            for k in range(min(known.informed, 6))
        ),
        "",
        "Known only together:" if len(pairs) else "No two parameters are strongly confounded.",
        *(
            f"  {row.one} and {row.other}: correlation {row.correlation:+.2f}"
            for row in pairs.head(8).itertuples()
        ),
        "",
        f"How {answer} moves if one prior is trusted twice as much (posterior sd):",
        *(f"  {label}: {value:+.2f}" for label, value in pull.head(6).items()),
        "",
        f"How {answer} moves without the rows of one definition (per cent):",
        *(
            f"  {name} ({int(row['rows'])} rows): {100 * row['answer 0']:+.1f}"
            for name, row in left_out.iterrows()
        ),
        *([] if len(left_out) else ["  all rows are of one definition"]),
        "",
        "Profiles of the best known shared parameters, 95 % interval without their own prior:",
        *(_interval(one) for one in found),
    ]
    return Text("\n".join(lines))


def answers_identified(
    narrowed: pd.DataFrame, moved: pd.DataFrame, by_source: pd.DataFrame, answer: str
) -> RenderableType:
    """Return what became of the answers that are shown, for a `rich` console.

    Parameters
    ----------
    narrowed : pandas.DataFrame
        As `beltcast.inference.audit.contraction.contraction` returns it, for the rows to print.
    moved : pandas.DataFrame
        As `beltcast.inference.audit.power_scaling.power_scaling` returns it, for the same answers.
    by_source : pandas.DataFrame
        As `beltcast.inference.audit.identify.leave_out` returns it.
    answer : str
        Name of the answer that the sources move.
    """
    worst = by_source.reindex(by_source["answer 0"].abs().sort_values(ascending=False).index)
    table = moved.reset_index()
    told = table[table["diagnosis"] != ""].sort_values("sensitivity", ascending=False)
    poor = told["diagnosis"] == "weights too poor"
    lines = [
        "",
        "What is shown, narrowed by the figures (1: known exactly, 0: as believed before;",
        f"± {narrowed['contraction_error'].max():.2f} at most, from the number of draws):",
        *(f"  {name}: {value:.2f}" for name, value in narrowed["contraction"].items()),
        "",
        "Which prior moves which answer (sensitivity; shift in posterior sd per doubling):",
        *(
            f"  {row.answer}, by '{row.part}': {row.sensitivity:.2f}, {row.shift:+.2f}, "
            f"{row.diagnosis}"
            for row in told[~poor].head(12).itertuples()
        ),
        *(["  none of those told above"] if not (~poor).any() else []),
        *(
            f"  by '{name}': the weights are too poor to tell (Pareto k {k:.2f}); more draws"
            for name, k in told[poor].groupby("part")["pareto_k"].first().items()
        ),
    ]
    if len(worst):
        lines += [
            "",
            f"How {answer} moves without the rows of one source (per cent), the largest first:",
            *(
                f"  {name} ({int(row['rows'])} rows): {100 * row['answer 0']:+.1f}"
                for name, row in worst.head(6).iterrows()
            ),
        ]
    return Text("\n".join(lines))


def _interval(profile: Profile) -> str:
    low, high = profile.interval()
    left = "open below" if low == -np.inf else f"{low:.3g}"
    right = "open above" if high == np.inf else f"{high:.3g}"
    doubts = [] if profile.converged else ["a refit did not converge"]
    if profile.at_bounds:
        doubts.append(f"depends on the bound of {', '.join(profile.at_bounds)}")
    doubt = f" ({'; '.join(doubts)})" if doubts else ""
    return f"  {profile.label}: {left} to {right} [{profile.unit}]{doubt}"


def example_words(observations: Observations) -> str:
    """Say how many figures are a template's inventions; nothing if none is."""
    count = len(observations.examples())
    if not count:
        return ""
    return (
        f"{count} of {len(observations)} figures are examples of a template (their source begins "
        "with EXAMPLE): what follows from them is about nothing real. Replace them."
    )


def titled(title: str, table: Table) -> RenderableType:
    """Put a title above a table; the table's own would be folded to its width."""
    return Group(Text(f"\n{title}", style="bold"), table)


def as_text(renderable: RenderableType, width: int = PAGE_WIDTH) -> str:
    """Return a renderable as plain text."""
    stream = io.StringIO()
    Console(file=stream, width=width, no_color=True, highlight=False).print(renderable)
    return stream.getvalue()


def _what_it_rests_on(forecast: xr.Dataset, calibration: Calibration) -> Text:
    likelihood = calibration.likelihood
    ratios = calibration.table()["spread_ratio"].to_numpy()
    words = [estimate_verdict(r) for r in ratios]
    n = len(ratios)
    reached = f"{calibration.agreeing} of {len(calibration.refined)}"
    lines = [
        f"Rests on {len(likelihood.observations)} published figures and {n} priors. "
        f"{len(calibration.start_costs)} starts; {reached} refined ones reached one optimum.",
        f"{words.count('mostly prior')} of {n} parameters are mostly prior, "
        f"{words.count('data and prior')} data and prior, "
        f"{words.count('mostly data')} mostly data. "
        f"{forecast.attrs['draws']} draws, acceptance {forecast.attrs['acceptance']:.2f}, "
        f"correlation with their Laplace starts {forecast.attrs['start_correlation']:.2f}.",
    ]
    if calibration.agreeing == 1 and len(calibration.refined) > 1:
        lines.append("Warning: a single start reached the best optimum; use more with --starts.")
    failed = int(forecast["failed"].sum())
    if failed:
        lines.append(f"Warning: {failed} runs left the finite numbers and are left out.")
    if invented := example_words(likelihood.observations):
        lines.append(f"Warning: {invented}")
    if calibration.at_bound:
        lines.append(f"Warning: at the bound of their prior: {', '.join(calibration.at_bound)}.")
    return Text("\n".join(lines))


def _places(forecast: xr.Dataset) -> RenderableType:
    first = str(forecast[SCENARIO].values[0])
    table = Table(box=None, padding=(0, 2, 0, 0))
    title = (
        f"{forecast.attrs['target']}, {forecast.attrs['unit']} a year, scenario '{first}': "
        "median (80% band);\nratio: width of the band to that of the prior alone, in logs"
    )
    years = shown_years(forecast)
    for name in ("place", "figures", *map(str, years), "ratio"):
        table.add_column(name, justify="left" if name == "place" else "right", no_wrap=True)
    fan = forecast["published_quantile"].sel({SCENARIO: first})
    for place in map(str, forecast[PLACE].values):
        own = fan.sel({PLACE: place})
        figures = int(forecast["figures"].sel({PLACE: place}))
        ratio = float(forecast["spread_ratio"].sel({PLACE: place, YEAR: years[-1]}))
        table.add_row(
            place,
            str(figures),
            *(_amounts(own.sel({YEAR: year})) for year in years),
            f"{ratio:.2f}" + (" mostly prior" if estimate_verdict(ratio) == "mostly prior" else ""),
            style="bold" if place == forecast.attrs["whole"] else "",
        )
    return titled(title, table)


def _scenarios(forecast: xr.Dataset) -> RenderableType:
    years = shown_years(forecast)[1:] or shown_years(forecast)
    table = Table(box=None, padding=(0, 2, 0, 0))
    title = (
        f"Scenarios: {forecast.attrs['whole']} against the first, draw by draw: median (80% band), "
        f"and the\nchance of more in {years[-1]} beside the chance that the priors alone give"
    )
    for name in ("scenario", *map(str, years), "chance of more", "prior chance"):
        table.add_column(name, justify="left" if name == "scenario" else "right", no_wrap=True)
    whole = forecast.attrs["whole"]
    change = forecast["change_quantile"].sel({PLACE: whole})
    at = {PLACE: whole, YEAR: years[-1]}
    for name in map(str, forecast[SCENARIO].values[1:]):
        table.add_row(
            name,
            *(
                _band(100.0 * (change.sel({SCENARIO: name, YEAR: y}) - 1.0), "{:+.1f}") + " %"
                for y in years
            ),
            *(
                f"{100 * float(forecast[chance].sel(at).sel({SCENARIO: name})):.0f} %"
                for chance in ("chance_of_more", "prior_chance_of_more")
            ),
        )
    return titled(title, table)


def shared_parameters(table: pd.DataFrame, places: Sequence[str]) -> pd.DataFrame:
    """Return the estimates of parameters that places share.

    Parameters
    ----------
    table : pandas.DataFrame
        As `Calibration.table` gives it, or any other one with parameters as its index.
    places : sequence of str
        Places of the study; ``Name[Place]`` belongs to one of them.
    """
    elements = table.index.astype(str).str.partition("[").get_level_values(2).str.rstrip("]")
    return table[~elements.isin(list(places))]


def _estimates(calibration: Calibration, places: Sequence[str]) -> RenderableType:
    table_of_all = shared_parameters(calibration.table(), places)
    chosen = table_of_all.sort_values("spread_ratio").head(12)
    table = Table(box=None, padding=(0, 2, 0, 0))
    title = (
        "What the figures narrowed most, of parameters that places share: prior median and "
        "optimum,\neach with its 80% band (the latter by Laplace's approximation); all are in "
        "calibration.csv"
    )
    for name in ("parameter", "prior", "posterior", "ratio", ""):
        table.add_column(
            name, justify="left" if name in ("parameter", "") else "right", no_wrap=True
        )
    for label, row in chosen.iterrows():
        table.add_row(
            str(label),
            _three(row["prior_p10"], row["prior_median"], row["prior_p90"]),
            _three(row["p10"], row["median"], row["p90"]),
            f"{row['spread_ratio']:.2f}",
            str(row["verdict"]),
        )
    return titled(title, table)


def shown_years(forecast: xr.Dataset) -> list[int]:
    """Return the years of tables: those of the study, or the last of a shorter run."""
    years = [int(y) for y in forecast[YEAR].values]
    wanted = np.atleast_1d(forecast.attrs.get("shown_years", [])).tolist()
    return [y for y in wanted if y in years] or years[-1:]


def _amounts(values: xr.DataArray) -> str:
    """Median and 80 % band, written as on the page and in the report."""
    low, middle, high = (float(values.sel({QUANTILE: q})) for q in (0.1, 0.5, 0.9))
    joint = " to " if low < 0 else "–"
    return f"{digits(middle)} ({digits(low)}{joint}{digits(high)})"


def _band(values: xr.DataArray, form: str) -> str:
    low, middle, high = (float(values.sel({QUANTILE: q})) for q in (0.1, 0.5, 0.9))
    joint = " to " if low < 0 else "–"
    return f"{form.format(middle)} ({form.format(low)}{joint}{form.format(high)})"


def _three(low: float, middle: float, high: float) -> str:
    joint = " to " if low < 0 else "–"
    return f"{_short(middle)} ({_short(low)}{joint}{_short(high)})"


def _short(value: float) -> str:
    if abs(value) < 1e-12:  # the tail of a subtraction
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2g}"


def fit_summary(fit: Calibration) -> str:
    """Lay out a calibration as text: cost, agreement of starts, and each estimate."""
    table = fit.table()
    words = table["verdict"].value_counts()
    lines = [
        f"cost {fit.cost:.2f}; " + ", ".join(f"{count} {word}" for word, count in words.items()),
        fit.search_words(),
    ]
    others = fit.clusters().iloc[1:]
    if len(others):
        rises = ", ".join(f"{c:.2f}" for c in others["cost"] - fit.cost)
        lines.append(f"{len(others)} other optima, higher in cost by {rises}: see optima.csv")
    if fit.at_bound:
        lines.append("at a bound of its prior: " + ", ".join(fit.at_bound))
    lines += ["", f"{'parameter':34s} {'prior':>28s} {'posterior':>28s}  ratio"]
    for label, row in table.iterrows():
        prior = f"{row.prior_median:.3g} ({row.prior_p10:.3g} to {row.prior_p90:.3g})"
        after = f"{row['median']:.3g} ({row.p10:.3g} to {row.p90:.3g})"
        says = f"{row.spread_ratio:.2f} {row.verdict}"
        lines.append(f"{label!s:34s} {prior:>28s} {after:>28s}  {says}")
    borrowed = shrinkage_words(shrinkage(fit))
    return "\n".join([*lines, "", borrowed] if borrowed else lines)
