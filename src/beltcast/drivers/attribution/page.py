"""Summary of an attribution, as a page of text.

Each contribution stands beside that under the priors alone, and one sentence tells whether the data
or the structure of the model determine that the drivers complement each other.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from rich.console import Group, RenderableType
from rich.text import Text

from beltcast.display.tables import console_table, titled
from beltcast.display.translations import called, counted_in, word
from beltcast.drivers.attribution.attribute import COALITION, DRIVER, sign_source
from beltcast.drivers.attribution.evidence import driver_evidence, evidence_page
from beltcast.ensembles.member_statistics import at_year
from beltcast.ensembles.verdicts import FEWEST_DRAWS, negligible, share_error, with_error
from beltcast.inference.calibrate import estimate_verdict
from beltcast.schema import MEMBER, PLACE, QUANTILE, Language, labels_of

MOVED = 1.0
"""Shift of a median, in prior standard deviations, from which the observations have moved it."""


def summarise_attribution(
    attribution: xr.Dataset, *, year: int | None = None, language: Language = "en"
) -> RenderableType:
    """Return the summary of an attribution with a prior beside it, for a `rich` console.

    The year is by default that of the attribution's attributes; in Chinese, money is in 亿元.
    """
    year, labels = _year(attribution, year), labels_of(attribution.attrs)
    unit = str(attribution["without_level"].attrs.get("units", ""))
    money = counted_in(unit, language, labels)
    whole = called(str(attribution.attrs["whole"]), language, labels)
    return Group(
        Text(f"{attribution.attrs['title']}: contributions of the drivers", style="bold"),
        _whole(attribution, year),
        *_evidence(attribution, year),
        _growth(attribution, year, *money),
        _places(attribution, year, *money),
        Text("\n" + complement_words(attribution, year=year, language=language, title=whole)),
    )


def complement_words(
    attribution: xr.Dataset,
    *,
    place: str | None = None,
    year: int | None = None,
    language: Language = "en",
    title: str | None = None,
) -> str:
    """Say whether the drivers complement each other, and what determines that.

    The sign is judged by `beltcast.drivers.attribution.attribute.sign_source`, the size by the
    posterior-to-prior ratio of standard deviations (`beltcast.inference.calibrate`).  ``title`` is
    what to call the place.
    """
    place = place or str(attribution.attrs["whole"])
    year = _year(attribution, year)
    at = at_year(attribution, year).sel({PLACE: place})
    after = float(at["synergy_log_chance"])
    before = float(at["prior_synergy_log_chance"])
    ratio = float(at["synergy_log_sd_ratio"])
    middle = float(at["synergy_log_quantile"].sel({QUANTILE: 0.5}))
    known, of_prior = attribution_draws(at)
    fewer = min(known, of_prior)
    source = sign_source(after, before, fewer, size=float(abs(at["synergy_log_quantile"]).max()))
    sign = before if source in ("built in", "left open", "reversed") else after
    sentences = [
        word(
            "complement",
            language,
            place=title or place,
            year=year,
            middle=middle,
            after=with_error(after, known),
            before=with_error(before, of_prior),
        ),
        word(
            f"synergy {source}",
            language,
            relation=word("complements" if sign >= 0.5 else "substitutes", language),
            draws=fewer,
            fewest=FEWEST_DRAWS,
        ),
    ]
    if not np.isfinite(middle):
        return sentences[1]
    if np.isfinite(ratio) and source not in ("too few draws", "no effect"):
        size = word(estimate_verdict(ratio), language)
        sentences.append(word("synergy size", language, verdict=size, ratio=ratio))
    return ("" if language == "zh" else " ").join(sentences)


def attribution_draws(at: xr.Dataset) -> tuple[int, int]:
    """Count the draws of the posterior and of the prior behind the chances of an attribution.

    Parameters
    ----------
    at : xarray.Dataset
        An attribution at one place and year.
    """
    known = int(at["synergy_log"].notnull().sum())
    return known, int(at.attrs.get("prior_draws", known))


def _whole(attribution: xr.Dataset, year: int) -> RenderableType:
    whole, what = attribution.attrs["whole"], _target(attribution)
    title = (
        f"{whole} in {year}, in logs of {what}: median (80% band) beside that of the priors;\n"
        "shift: of the median, in prior standard deviations; ratio: posterior to prior standard "
        "deviation;\nP>0: probability of a positive value, posterior and prior (standard error at "
        f"most {float(share_error(0.5, attribution.sizes[MEMBER])):.2f})"
    )
    headings = ("", "Shapley value", "prior alone", "shift", "ratio", "P>0", "prior")
    table = console_table(*headings, padding=1)
    at = at_year(attribution, year).sel({PLACE: whole})
    rows = [(str(d), "shapley", {DRIVER: d}) for d in at[DRIVER].values]
    rows += [("all together", "gain", {}), ("synergy", "synergy", {})]
    together = at[COALITION].values if COALITION in at.coords else ()
    rows += [(str(c), "dividend", {COALITION: c}) for c in together]
    for name, kind, key in rows:
        table.add_row(
            name,
            _band(at[f"{kind}_log_quantile"].sel(key)),
            _band(at[f"prior_{kind}_log_quantile"].sel(key)),
            _number(_shift(at.sel(key), kind), "+.1f"),
            *(
                _number(float(at[name].sel(key)), ".2f")
                for name in (
                    f"{kind}_log_sd_ratio",
                    f"{kind}_log_chance",
                    f"prior_{kind}_log_chance",
                )
            ),
            style="bold" if kind == "gain" else "",
        )
    return titled(title, table)


def _evidence(attribution: xr.Dataset, year: int) -> list[RenderableType]:
    """Prior, data and evidence, if the study has contrasts."""
    if "data_shapley_log_quantile" not in attribution:
        return []
    table = driver_evidence(attribution, year=year)
    return [evidence_page(table, str(attribution.attrs["whole"]), year)]


def _growth(attribution: xr.Dataset, year: int, factor: float, unit: str) -> RenderableType:
    since = attribution.attrs["since"]
    whole = attribution.attrs["whole"]
    title = (
        f"{whole}: {_target(attribution)} in {year}, and its growth since {since}: Shapley values, "
        "median (80% band)"
    )
    table = console_table("", f"{year}, {unit}", "growth, log", f"growth, {unit}")
    at = at_year(attribution, year).sel({PLACE: whole})
    for driver in at[DRIVER].values:
        own = at.sel({DRIVER: driver})
        table.add_row(
            str(driver),
            _band(factor * own["shapley_level_quantile"], "{:,.0f}"),
            _band(own["growth_log_quantile"]),
            _band(factor * own["growth_level_quantile"], "{:,.0f}"),
        )
    return titled(title, table)


def _places(attribution: xr.Dataset, year: int, factor: float, unit: str) -> RenderableType:
    title = (
        f"By place in {year}: Shapley values in logs, median (80% band), and the mean joint gain "
        f"in\n{unit} a year. * mostly prior: neither narrower than the prior nor moved from it"
    )
    at = at_year(attribution, year)
    drivers = [str(d) for d in at[DRIVER].values]
    table = console_table("place", *drivers, "gain")
    for place in map(str, at[PLACE].values):
        own = at.sel({PLACE: place})
        table.add_row(
            place,
            *(
                _band(own["shapley_log_quantile"].sel({DRIVER: d}))
                + ("*" if _is_prior(own.sel({DRIVER: d}), "shapley") else " ")
                for d in drivers
            ),
            f"{factor * float(own['shapley_level'].mean(MEMBER).sum(DRIVER)):+,.0f}",
            style="bold" if place == attribution.attrs["whole"] else "",
        )
    return titled(title, table)


def _year(attribution: xr.Dataset, year: int | None) -> int:
    return int(attribution.attrs["year"]) if year is None else year


def _target(attribution: xr.Dataset) -> str:
    return called(str(attribution.attrs["target"]), "en", labels_of(attribution.attrs))


def _shift(at: xr.Dataset, kind: str) -> float:
    """Shift of a median by the observations, in prior standard deviations (80% band over 2.56)."""
    after, before = at[f"{kind}_log_quantile"], at[f"prior_{kind}_log_quantile"]
    low, middle, high = (float(before.sel({QUANTILE: q})) for q in (0.1, 0.5, 0.9))
    if bool(negligible(high - low, 1.0)):  # a prior without width is not a scale
        return math.nan
    return (float(after.sel({QUANTILE: 0.5})) - middle) / ((high - low) / 2.563)


def _is_prior(at: xr.Dataset, kind: str) -> bool:
    """Whether the observations neither narrowed nor moved the prior."""
    ratio = float(at[f"{kind}_log_sd_ratio"])
    wide = estimate_verdict(ratio, min(attribution_draws(at))) == "mostly prior"
    return wide and abs(_shift(at, kind)) < MOVED


def _number(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else "-"


def _band(values: xr.DataArray, form: str = "{:.2f}") -> str:
    low, middle, high = (form.format(float(values.sel({QUANTILE: q}))) for q in (0.1, 0.5, 0.9))
    return f"{middle} ({low}{' to ' if low.startswith('-') else '–'}{high})"
