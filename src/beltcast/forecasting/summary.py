"""Summaries of a forecast, a calibration and an identification, as pages of text.

Each number stands with its band and beside its prior; "mostly prior" marks those that the
observations hardly narrowed.  Nothing is computed here: everything is read from the results.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from beltcast.display.numbers import digits, filled, rounded
from beltcast.display.tables import console_table, titled
from beltcast.display.translations import called, element_called, table_unit, word
from beltcast.ensembles.member_statistics import chance_text
from beltcast.inference.audit.identify import Spectrum
from beltcast.inference.audit.profiles import Profile
from beltcast.inference.audit.shrinkage import shrinkage, shrinkage_words
from beltcast.inference.calibrate import Calibration, estimate_verdict
from beltcast.inference.sampling.diagnostics import ENOUGH_DRAWS
from beltcast.schema import PLACE, QUANTILE, SCENARIO, YEAR, Label, Language, labels_of
from beltcast.study.observations import Observations

PAGE_WIDTH = 112

_LEVELS = (0.1, 0.5, 0.9)  # a median with its 80 % band


def summarise(
    forecast: xr.Dataset, calibration: Calibration, language: Language = "en"
) -> RenderableType:
    """Return the summary of a forecast, for a `rich` console."""
    labels = _names(forecast, language)
    title = str(forecast.attrs["title"])
    compared = [_scenarios(forecast, language)] if forecast.sizes[SCENARIO] > 1 else []
    return Group(
        Text(called(title, language, labels), style="bold"),
        _basis(forecast, calibration, language),
        _places(forecast, language),
        *compared,
        _estimates(calibration, [str(place) for place in forecast[PLACE].values], language, labels),
    )


def identification(
    known: Spectrum,
    pairs: pd.DataFrame,
    pull: pd.Series,
    left_out: pd.DataFrame,
    found: Sequence[Profile],
    answer: str,
) -> RenderableType:
    """Return what the observations determine and what they do not, for a `rich` console."""
    share = known.share()
    n = len(share)
    unknown = int((share < 0.05).sum())
    lines = [
        f"The observations inform {known.informed} of {n} directions; the other "
        f"{n - known.informed} rest on the priors. {unknown} parameters have less than 5 % of "
        "their variance in informed directions.",
        "",
        "Informed directions, the best known first (components in prior standard deviations; for "
        "logs:",
        "a product of powers):",
        *(
            f"  {k + 1}. ({known.eigenvalues[k]:,.3g}) {known.words(k)}"
            for k in range(min(known.informed, 6))
        ),
        "",
        "Determined only jointly:" if len(pairs) else "No two parameters are strongly confounded.",
        *(
            f"  {row.one} and {row.other}: correlation {row.correlation:+.2f}"
            for row in pairs.head(8).itertuples()
        ),
        "",
        f"Shift of {answer} if one prior counts twice (posterior sd):",
        *(f"  {label}: {value:+.2f}" for label, value in pull.head(6).items()),
        "",
        f"Change of {answer} without the rows of one definition (per cent):",
        *(
            f"  {name} ({int(row['rows'])} rows): {100 * row['answer 0']:+.1f}"
            for name, row in left_out.iterrows()
        ),
        *([] if len(left_out) else ["  all rows are of one definition"]),
        "",
        "Profile likelihoods of the best known shared parameters, 95 % interval without their own "
        "prior:",
        *(_interval(one) for one in found),
    ]
    return Text("\n".join(lines))


def answers_identified(
    narrowed: pd.DataFrame, moved: pd.DataFrame, by_source: pd.DataFrame, answer: str
) -> RenderableType:
    """Return how the observations narrow the answers shown, for a `rich` console.

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
        "Contraction of the answers by the observations (1: known exactly, 0: as under the prior;",
        f"± {narrowed['contraction_error'].max():.2f} at most, from the number of draws):",
        *(f"  {name}: {value:.2f}" for name, value in narrowed["contraction"].items()),
        "",
        "Priors that move an answer (sensitivity; shift in posterior sd per doubled weight):",
        *(
            f"  {row.answer}, by '{row.part}': {row.sensitivity:.2f}, {row.shift:+.2f}, "
            f"{row.diagnosis}"
            for row in told[~poor].head(12).itertuples()
        ),
        *(["  none"] if not (~poor).any() else []),
        *(
            f"  by '{name}': the weights are too poor (Pareto k {k:.2f}); use more draws"
            for name, k in told[poor].groupby("part")["pareto_k"].first().items()
        ),
    ]
    if len(worst):
        lines += [
            "",
            f"Change of {answer} without the rows of one source (per cent), the largest first:",
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


def example_words(observations: Observations, language: Language = "en") -> str:
    """Say how many observations are examples of a template; nothing if none is."""
    count = len(observations.examples())
    return word("examples", language, count=count, all=len(observations)) if count else ""


def as_text(renderable: RenderableType, width: int = PAGE_WIDTH) -> str:
    """Return a renderable as plain text."""
    stream = io.StringIO()
    Console(file=stream, width=width, no_color=True, highlight=False).print(renderable)
    return stream.getvalue()


def _basis(forecast: xr.Dataset, calibration: Calibration, language: Language) -> Text:
    """Say what the forecast is based on, with warnings."""
    likelihood = calibration.likelihood
    words = [estimate_verdict(r) for r in calibration.table()["sd_ratio"].to_numpy()]

    def say(key: str, **parts: object) -> str:
        return word(key, language, **parts)

    lines = [
        say(
            "based on",
            rows=len(likelihood.observations),
            priors=len(words),
            starts=len(calibration.start_costs),
            agreeing=calibration.agreeing,
            refined=len(calibration.refined),
        ),
        say(
            "verdicts",
            prior=words.count("mostly prior"),
            both=words.count("data and prior"),
            data=words.count("mostly data"),
            all=len(words),
            draws=forecast.attrs["draws"],
            acceptance=forecast.attrs["acceptance"],
            correlation=forecast.attrs["start_correlation"],
        ),
    ]
    if "effective_draws" in forecast.attrs:
        lines.append(
            say(
                "warn effective" if forecast.attrs["effective_few"] else "effective",
                least=forecast.attrs["effective_draws"],
                which=_which(str(forecast.attrs["effective_least"]), _names(forecast, language)),
                few=forecast.attrs["effective_few"],
                all=forecast.attrs["effective_of"],
                enough=ENOUGH_DRAWS,
            )
        )
    if calibration.agreeing == 1 and len(calibration.refined) > 1:
        lines.append(say("warn single start"))
    if failed := int(forecast["failed"].sum()):
        lines.append(say("warn failed", failed=failed))
    if invented := example_words(likelihood.observations, language):
        lines.append(say("warning", what=invented))
    if calibration.at_bound:
        labels = _names(forecast, language)
        names = (element_called(name, language, labels) for name in calibration.at_bound)
        lines.append(say("warn bound", names=say(", ").join(names)))
    return Text("\n".join(lines))


def _which(least: str, labels: Mapping[str, Label]) -> str:
    """Name of a place or scenario and a year, in the language of the page."""
    name, _, year = least.rpartition(" ")
    return f"{labels[name].zh or name} {year}" if name in labels else least


def _names(forecast: xr.Dataset, language: Language) -> Mapping[str, Label]:
    """What the study calls things; an English page has the names that commands take."""
    return labels_of(forecast.attrs) if language == "zh" else {}


def _table(first: str, names: Sequence[str], language: Language) -> Table:
    return console_table(*(word(name, language) for name in (first, *names)))


def _places(forecast: xr.Dataset, language: Language) -> RenderableType:
    labels = _names(forecast, language)
    years = shown_years(forecast)
    table = _table("place_head", ("obs.", *map(str, years), "ratio"), language)
    first = str(forecast[SCENARIO].values[0])
    unit = str(forecast.attrs["unit"])
    factor, each_year = table_unit(unit, language, labels_of(forecast.attrs))
    fan = factor * forecast["published_quantile"].sel({SCENARIO: first})
    for place in map(str, forecast[PLACE].values):
        own = fan.sel({PLACE: place})
        ratio = float(forecast["sd_ratio"].sel({PLACE: place, YEAR: years[-1]}))
        words = estimate_verdict(ratio, draws_behind(forecast))
        verdict = {"mostly prior": "mostly prior, short", "too few draws": words}.get(words, "")
        table.add_row(
            called(place, language, labels).partition("（")[0],
            str(int(forecast["observation_count"].sel({PLACE: place}))),
            *(_amounts(own.sel({YEAR: year}), language) for year in years),
            f"{ratio:.2f} {word(verdict, language)}".strip(),
            style="bold" if place == forecast.attrs["whole"] else "",
        )
    title = word(
        "places",
        language,
        what=called(str(forecast.attrs["target"]), language, labels),
        unit=each_year,
        scenario=called(first, language, labels),
    )
    return titled(title, table)


def _scenarios(forecast: xr.Dataset, language: Language) -> RenderableType:
    labels = _names(forecast, language)
    years = shown_years(forecast)[1:] or shown_years(forecast)
    table = _table("scenario_head", (*map(str, years), "more", "more_prior"), language)
    whole = str(forecast.attrs["whole"])
    change = forecast["change_quantile"].sel({PLACE: whole})
    at = {PLACE: whole, YEAR: years[-1]}
    for name in map(str, forecast[SCENARIO].values[1:]):
        table.add_row(
            called(name, language, labels),
            *(
                _band(100.0 * (change.sel({SCENARIO: name, YEAR: y}) - 1.0), language) + " %"
                for y in years
            ),
            *(
                word(chance_text(forecast, chance, {**at, SCENARIO: name}), language)
                for chance in ("chance_of_more", "prior_chance_of_more")
            ),
        )
    title = word("scenarios", language, whole=called(whole, language, labels), year=years[-1])
    return titled(title, table)


def draws_behind(forecast: xr.Dataset) -> int:
    """Number of draws behind comparisons of posterior and prior: the smaller of the two."""
    counts = ("chance_of_more_draws", "prior_chance_of_more_draws")
    return min(int(forecast[name].max()) for name in counts)


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


def _estimates(
    calibration: Calibration,
    places: Sequence[str],
    language: Language,
    labels: Mapping[str, Label],
) -> RenderableType:
    table_of_all = shared_parameters(calibration.table(), places)
    chosen = table_of_all.sort_values("sd_ratio").head(12)
    table = _table("parameter", ("prior_short", "posterior", "ratio"), language)
    table.add_column("", overflow="fold")
    for label, row in chosen.iterrows():
        table.add_row(
            element_called(str(label), language, labels),
            _joined(
                row["prior_p10"], row["prior_median"], row["prior_p90"], _two_figures, language
            ),
            _joined(row["p10"], row["median"], row["p90"], _two_figures, language),
            f"{row['sd_ratio']:.2f}",
            word(str(row["verdict"]), language),
        )
    return titled(word("narrowed most", language), table)


def shown_years(forecast: xr.Dataset) -> list[int]:
    """Return the years of tables: those of the study, or the last of a shorter run."""
    years = [int(y) for y in forecast[YEAR].values]
    wanted = np.atleast_1d(forecast.attrs.get("shown_years", [])).tolist()
    return [y for y in wanted if y in years] or years[-1:]


def _amounts(values: xr.DataArray, language: Language) -> str:
    """Median and 80 % band, written as on the page and in the report."""
    low, middle, high = (float(values.sel({QUANTILE: q})) for q in _LEVELS)
    return _joined(low, middle, high, digits, language)


def _band(values: xr.DataArray, language: Language) -> str:
    low, middle, high = (float(values.sel({QUANTILE: q})) for q in _LEVELS)
    return _joined(low, middle, high, "{:+.1f}".format, language)


def _joined(
    low: float, middle: float, high: float, form: Callable[[float], str], language: Language
) -> str:
    joint = "–" if low >= 0 else " 至 " if language == "zh" else " to "
    middle = _unmoved(low, middle, high)
    return f"{form(middle)} ({form(low)}{joint}{form(high)})"


def three_words(low: float, middle: float, high: float, language: Language) -> str:
    """Say a median with its band, each with three figures.

    >>> three_words(-0.256, 7.94e-06, 0.256, "en")
    '0 (-0.256 to 0.256)'
    """
    own = {"low": low, "middle": _unmoved(low, middle, high), "high": high}
    return word("to", language, **{name: rounded(value) for name, value in own.items()})


def _unmoved(low: float, middle: float, high: float) -> float:
    """Return a median that the bounds of a prior move by next to nothing as 0."""
    return 0.0 if abs(middle) < 1e-3 * (high - low) else middle


def _two_figures(value: float) -> str:
    return rounded(value, 2)


def fit_summary(
    fit: Calibration,
    language: Language = "en",
    labels: Mapping[str, Label] | None = None,
    table: pd.DataFrame | None = None,
) -> str:
    """Lay out a calibration as text: cost, agreement of starts, and each estimate.

    Parameters
    ----------
    fit : Calibration
    language : {'en', 'zh'}
    labels : mapping of str to Label, optional
        What the study calls its parameters, as `Study.labels` returns it.
    table : pandas.DataFrame, optional
        The estimates, where they are not those of `Calibration.table`.
    """
    known = labels or {}
    table = fit.table() if table is None else table
    counts = (
        f"{count} {word(str(verdict), language)}"
        for verdict, count in table["verdict"].value_counts().items()
    )
    comma = word(", ", language)
    lines = [
        word("; ", language).join((word("cost", language, cost=fit.cost), comma.join(counts))),
        fit.search_words(language),
    ]
    others = fit.clusters().iloc[1:]
    if len(others):
        rises = comma.join(f"{c:.2f}" for c in others["cost"] - fit.cost)
        lines.append(word("other optima", language, count=len(others), rises=rises))
    if fit.at_bound:
        names = comma.join(element_called(name, language, known) for name in fit.at_bound)
        lines.append(word("at bound", language, names=names))
    heads = [word(key, language) for key in ("parameter", "prior_short", "posterior", "ratio")]
    lines += [
        "",
        f"{filled(heads[0], 34)} {filled(heads[1], -28)} {filled(heads[2], -28)}  {heads[3]}",
    ]
    for label, row in table.iterrows():
        prior = three_words(row.prior_p10, row.prior_median, row.prior_p90, language)
        known_after = np.isfinite(row["median"])
        after = three_words(row.p10, row["median"], row.p90, language) if known_after else "–"
        name = filled(element_called(str(label), language, known), 34)
        says = word(str(row.verdict), language)
        if np.isfinite(row.sd_ratio):
            says = f"{row.sd_ratio:.2f} {says}"
        lines.append(f"{name} {filled(prior, -28)} {filled(after, -28)}  {says}")
    borrowed = shrinkage_words(shrinkage(fit), language, known)
    return "\n".join([*lines, "", borrowed] if borrowed else lines)
