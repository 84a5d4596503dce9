"""Every cell of the tables that comparisons and attributions print, computed again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import xarray as xr

from beltcast.drivers.attribution.page import summarise_attribution
from beltcast.drivers.compare import compare_runs, comparison_table, difference_table
from beltcast.drivers.price.page import BANDS, summarise_prices
from beltcast.ensembles.verdicts import positive_share
from beltcast.forecasting.summary import as_text

YEARS = np.arange(2024, 2036)
SCENARIOS = ("first", "up", "down", "same")
PLACES = ("all", "Henan", "Foshan")
DRAWS = 150


def chance(share: float, draws: float) -> str:
    """A percentage with the standard error of Agresti and Coull, of one digit."""
    if math.isnan(share):
        return "no change"
    p = (share * draws + 2) / (draws + 4)
    error = 100 * math.sqrt(p * (1 - p) / (draws + 4))
    decimals = max(0, -math.floor(math.log10(error)))
    return f"{100 * share:.{decimals}f} ± {error:.{decimals}f} %"


def cells(text: str, names: Sequence[str]) -> dict[str, str]:
    """Rows of a printed table by their first cell, blanks made one."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        for name in names:
            if line.startswith(name + " ") and name not in found:
                found[name] = " ".join(line.removeprefix(name).split())
    return found


# --- scenarios against the first --------------------------------------------------------------


@pytest.fixture(scope="module")
def output() -> xr.DataArray:
    """Paths that fall short of the first for a while, or for good, or never; two draws failed."""
    rng = np.random.default_rng(31)
    shape = (len(SCENARIOS), DRAWS, len(PLACES), len(YEARS))
    walk = rng.normal(0.0, 0.15, shape).cumsum(axis=-1)
    values = 100.0 * np.exp(walk)
    values[3] = values[0]
    values[1] *= 1.3
    values[:, 7] = np.nan
    values[2, 9, 1] = np.nan
    coords = {"scenario": list(SCENARIOS), "place": list(PLACES), "year": YEARS}
    return xr.DataArray(values, coords, ("scenario", "member", "place", "year"))


def lost_and_back(ratio: np.ndarray, loss: float) -> tuple[float, float]:
    """First year of a shortfall of at least the loss, and years until the first without it."""
    short = [bool(r <= 1.0 - loss) for r in ratio]
    if not any(short):
        return math.nan, math.nan
    first = short.index(True)
    after = [k for k in range(first, len(short)) if not short[k]]
    return float(YEARS[first]), float(YEARS[after[0]] - YEARS[first]) if after else math.nan


@pytest.mark.parametrize("place", PLACES)
def test_every_cell_of_the_table_of_losses(output: xr.DataArray, place: str) -> None:
    compared = compare_runs(output, loss=0.2)
    table = cells(as_text(comparison_table(compared, place), 160), SCENARIOS[1:])
    p = PLACES.index(place)
    for s, name in enumerate(SCENARIOS[1:], start=1):
        ratio = output.values[s, :, p] / output.values[0, :, p]
        known = [m for m in range(DRAWS) if np.isfinite(ratio[m]).all()]
        dates = [lost_and_back(ratio[m], 0.2) for m in known]
        years = [year for year, _ in dates if not math.isnan(year)]
        back = [after for year, after in dates if not math.isnan(after)]
        at = {"scenario": name, "place": place}
        kept = compared["loss_year"].sel(at).values[known]
        np.testing.assert_array_equal(kept, [year for year, _ in dates])
        kept = compared["recovery_time"].sel(at).values[known]
        np.testing.assert_array_equal(kept, [after for _, after in dates])
        words = chance(len(years) / len(known), len(known))
        if not years:
            assert table[name] == f"{words} none"
            continue
        low, middle, high = (round(float(q)) for q in np.quantile(years, (0.1, 0.5, 0.9)))
        told = chance(len(back) / len(years), len(years)) if len(years) >= 100 else "too few draws"
        assert table[name] == f"{words} {middle} ({low}–{high}) {told}"


@pytest.mark.parametrize("place", PLACES)
def test_every_cell_of_the_table_of_differences(output: xr.DataArray, place: str) -> None:
    table = cells(as_text(difference_table(compare_runs(output), place), 160), SCENARIOS[1:])
    p = PLACES.index(place)
    for s, name in enumerate(SCENARIOS[1:], start=1):
        want = []
        for year in (2025, 2030, 2035):
            y = int(year - YEARS[0])
            ratio = output.values[s, :, p, y] / output.values[0, :, p, y]
            ends = np.quantile(ratio[np.isfinite(ratio)], (0.1, 0.5, 0.9))
            low, middle, high = (100 * (q - 1) + 0.0 for q in ends)
            want.append(f"{middle:+.1f} ({low:+.1f} to {high:+.1f}) %")
        more = output.values[s, :, p, -1] - output.values[0, :, p, -1]
        known = int(np.isfinite(more).sum())
        want.append(chance(float(positive_share(more, 0.0)), known))
        assert table[name] == " ".join(want)


# --- contributions of the drivers ---------------------------------------------------------------


@pytest.fixture(scope="module")
def shares() -> xr.Dataset:
    """An attribution of two drivers, every number drawn."""
    rng = np.random.default_rng(33)
    coords = {
        "driver": ["Market", "State"],
        "coalition": ["Market + State"],
        "place": list(PLACES),
        "year": [2023, 2024, 2025],
        "quantile": [0.1, 0.5, 0.9],
    }
    sizes = {**{name: len(values) for name, values in coords.items()}, "member": DRAWS}
    own = {
        "shapley": ("driver", "place", "year"),
        "growth": ("driver", "place", "year"),
        "dividend": ("coalition", "place", "year"),
        "gain": ("place", "year"),
        "synergy": ("place", "year"),
    }
    made = {}
    for name, dims in own.items():
        for scale, size in (("log", 1.0), ("level", 3000.0)):
            for mark in ("", "prior_"):
                numbers = np.sort(rng.normal(0, size, [*(sizes[d] for d in dims), 3]), axis=-1)
                made[f"{mark}{name}_{scale}_quantile"] = ((*dims, "quantile"), numbers)
                share = rng.uniform(0, 1, [sizes[d] for d in dims])
                made[f"{mark}{name}_{scale}_chance"] = (dims, share)
            ratio = rng.uniform(0.3, 1.2, [sizes[d] for d in dims])
            made[f"{name}_{scale}_sd_ratio"] = (dims, ratio)
    drawn = [DRAWS, 2, len(PLACES), 3]
    made["shapley_level"] = (("member", "driver", "place", "year"), rng.normal(50, 900, drawn))
    made["synergy_log"] = (("member", "place", "year"), rng.normal(0, 1, [DRAWS, len(PLACES), 3]))
    made["without_level"] = (("place",), np.zeros(len(PLACES)), {"units": "bnCNY"})
    attributes = {"whole": "all", "year": 2024, "prior_draws": 120, "title": "T", "since": 2023}
    return xr.Dataset(made, coords, {**attributes, "target": "output"})


def band(values: np.ndarray, form: str = "{:.2f}") -> str:
    low, middle, high = (form.format(float(v)) for v in values)
    return f"{middle} ({low}{' to ' if low.startswith('-') else '–'}{high})"


def shift(after: np.ndarray, before: np.ndarray) -> float:
    """Of the median, in prior sds: an 80 % band of a normal is 2.563 of them wide."""
    return float((after[1] - before[1]) / ((before[2] - before[0]) / 2.563))


def test_every_cell_of_the_page_of_an_attribution(shares: xr.Dataset) -> None:
    text = as_text(summarise_attribution(shares), 200)
    first, second, third = text.split("\n\n")[1:4]
    at = shares.sel(place="all", year=2024)
    rows = [("Market", "shapley", {"driver": "Market"}), ("State", "shapley", {"driver": "State"})]
    rows += [("all together", "gain", {}), ("synergy", "synergy", {})]
    rows += [("Market + State", "dividend", {"coalition": "Market + State"})]
    printed = [" ".join(line.split()) for line in first.splitlines()]
    for name, kind, key in rows:
        own, before = (at[f"{m}{kind}_log_quantile"].sel(key).values for m in ("", "prior_"))
        numbers = [
            at[f"{kind}_log_sd_ratio"].sel(key).item(),
            at[f"{kind}_log_chance"].sel(key).item(),
            at[f"prior_{kind}_log_chance"].sel(key).item(),
        ]
        want = [name, band(own), band(before), f"{shift(own, before):+.1f}"]
        assert " ".join([*want, *(f"{x:.2f}" for x in numbers)]) in printed
    printed = [" ".join(line.split()) for line in second.splitlines()]
    for driver in ("Market", "State"):
        own = at.sel(driver=driver)
        want = [
            driver,
            band(own["shapley_level_quantile"].values, "{:,.0f}"),
            band(own["growth_log_quantile"].values),
            band(own["growth_level_quantile"].values, "{:,.0f}"),
        ]
        assert " ".join(want) in printed
    printed = [" ".join(line.split()) for line in third.splitlines()]
    for place in PLACES:
        want = [place]
        for driver in ("Market", "State"):
            own = shares.sel(place=place, year=2024, driver=driver)
            after, before = (own[f"{m}shapley_log_quantile"].values for m in ("", "prior_"))
            prior = own["shapley_log_sd_ratio"].item() > 0.7 and abs(shift(after, before)) < 1.0
            want.append(band(after) + "*" * prior)
        mean = shares["shapley_level"].sel(place=place, year=2024).mean("member").sum().item()
        assert " ".join([*want, f"{mean:+,.0f}"]) in printed


# --- what output costs ---------------------------------------------------------------------------

FLOWS = ("output", "spending", "profit", "tax")


@pytest.fixture(scope="module")
def prices() -> xr.Dataset:
    """Prices of one paid flow in four scenarios, every number drawn."""
    rng = np.random.default_rng(35)
    coords = {
        "flow": list(FLOWS),
        "paid": ["spending"],
        "scenario": list(SCENARIOS),
        "place": list(PLACES),
        "quantile": [0.1, 0.5, 0.9],
    }
    sizes = {name: len(values) for name, values in coords.items()}

    def drawn(dims: Sequence[str], low: float, high: float) -> tuple[Sequence[str], np.ndarray]:
        return dims, rng.uniform(low, high, [sizes[d] for d in dims])

    def bands(dims: Sequence[str], low: float, high: float) -> tuple[Sequence[str], np.ndarray]:
        dims = (*dims, "quantile")
        return dims, np.sort(drawn(dims, low, high)[1], axis=-1)

    counts = rng.integers(120, 300, [sizes[d] for d in ("flow", "scenario", "place")])
    made = {
        "level": bands(("flow", "place"), 1e3, 9e4),
        "change": bands(("flow", "scenario", "place"), -900, 2000),
        "price": bands(("paid", "scenario", "place"), 0.1, 4.0),
        "chance_of_more": drawn(("flow", "scenario", "place"), 0.0, 1.0),
        "chance_of_more_draws": (("flow", "scenario", "place"), counts),
        "direction": (("scenario", "place"), np.ones((len(SCENARIOS), len(PLACES)))),
    }
    found = xr.Dataset(made, {**coords, "unit": ("flow", ["bnCNY"] * len(FLOWS))})
    found["direction"].loc[{"scenario": "down"}] = -1.0
    attributes = {"whole": "all", "target": "output", "left": "profit, tax", "baseline": "first"}
    more = {"first_year": 2026, "last_year": 2035, "judged": "A, B", "drawn": "A[x]"}
    return found.assign_attrs(**attributes, **more)


def amounts(values: np.ndarray, form: str) -> str:
    low, middle, high = (f"{float(v):{form}}" for v in values)
    return f"{middle} ({low} to {high})"


def test_every_cell_of_the_page_of_prices(prices: xr.Dataset) -> None:
    text = as_text(summarise_prices(prices), 240)
    printed = [" ".join(line.split()) for line in text.splitlines()]
    shown = ("output", "spending", "profit", "tax")
    rows = [("(level)", prices["level"].sel(place="all"))]
    rows += [(n, prices["change"].sel(place="all", scenario=n)) for n in SCENARIOS[1:]]
    for name, values in rows:
        cells_ = [amounts(values.sel(flow=flow).values, ",.0f") for flow in shown]
        # A page has room for the bands of the first flows, and for medians of the others.
        want = [*cells_[:BANDS], *(cell.partition(" ")[0] for cell in cells_[BANDS:])]
        assert " ".join([name, *want]) in printed
    for name in SCENARIOS[1:]:
        at = {"scenario": name, "place": "all"}
        price = prices["price"].sel(paid="spending", **at).values
        more = prices["chance_of_more"].sel(flow="output", **at).item()
        gains = name != "down"
        sure = more if gains else 1.0 - more
        what = "gained" if gains else "lost"
        what += "" if sure >= 0.9 else f" ({sure:.0%} of draws)"
        what += " costs" if gains else " saves"
        left = chance(
            prices["chance_of_more"].sel(flow="profit", **at).item(),
            prices["chance_of_more_draws"].sel(flow="profit", **at).item(),
        )
        assert f"{name} {what} {amounts(price, '.2f')} {left}" in printed
    paying = [name for name in SCENARIOS[1:] if name != "down"]
    for place in PLACES:
        own = [
            amounts(prices["price"].sel(paid="spending", scenario=n, place=place).values, ".2f")
            for n in paying
        ]
        assert " ".join([place, *own]) in printed
    assert "so the bands include it: A." in text
    assert "so the bands exclude it: B." in text


def test_chinese_amounts_are_ten_times_those_in_bn_cny_and_prices_are_the_same(
    prices: xr.Dataset,
) -> None:
    """10 亿元 are 1 bn CNY; a price is yuan for yuan."""
    text = as_text(summarise_prices(prices, "zh"), 240)
    printed = [" ".join(line.split()) for line in text.splitlines()]
    base = prices["level"].sel(place="all")
    cells_ = [amounts(10 * base.sel(flow=f).values, ",.0f") for f in ("output", "spending")]
    assert any(line.startswith(f"(level) {' '.join(cells_)}") for line in printed)
    price = prices["price"].sel(paid="spending", scenario="down", place="all").values
    assert any(amounts(price, ".2f") in line for line in printed)
    assert "亿元" in text
    assert "bn" not in text


def test_chinese_contributions_are_in_yi(shares: xr.Dataset) -> None:
    third = as_text(summarise_attribution(shares, language="zh"), 200).split("\n\n")[3]
    printed = [" ".join(line.split()) for line in third.splitlines()]
    gain = float(shares["shapley_level"].sel(year=2024, place="all").mean("member").sum("driver"))
    assert any(line.endswith(f" {10 * gain:+,.0f}") for line in printed)
