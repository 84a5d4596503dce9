"""Costs and gains of scenarios, as text: amounts paid, amounts left, and judgement."""

from __future__ import annotations

import numpy as np
import xarray as xr
from rich.console import Group, RenderableType
from rich.text import Text

from beltcast.display.tables import console_table, titled
from beltcast.display.translations import counted_in
from beltcast.drivers.price.price import FLOW, PAID
from beltcast.ensembles.member_statistics import chance_text
from beltcast.ensembles.verdicts import DECIDED, FEWEST_DRAWS
from beltcast.schema import PLACE, QUANTILE, SCENARIO, Language, labels_of

BANDS = 3
"""Number of these flows with their bands; a page has no room for more."""

MOST = 4
"""Scenarios side by side in the table of places."""

NOTHING = 0.005
"""Median spending per unit of the target below which a scenario counts as not paying."""


def summarise_prices(prices: xr.Dataset, language: Language = "en") -> RenderableType:
    """Lay out, for a `rich` console, costs and gains of scenarios, and the price of output.

    Parameters
    ----------
    prices : xarray.Dataset
        As `beltcast.price` returns it.
    language : 'en' or 'zh'
        Whose units of money are used: 亿元 in Chinese.
    """
    prices = counted_prices(prices, language)
    return Group(
        _changes(prices),
        _whole(prices),
        _places(prices),
        Text("\n" + _judgement(prices)),
    )


def price_words(prices: xr.Dataset, scenario: str) -> tuple[str, str]:
    """Say what spending buys per unit of the target, for the whole, and how much.

    Returns
    -------
    what : str
        Such as 'gained costs' or 'lost saves', with the share of draws of that direction if it is
        below 90 %; 'unchanged', 'too few draws' or 'unknown'.
    band : str
        Median (80% band); '-' where there is no price.
    """
    draws = _draws(prices, scenario)
    if draws < FEWEST_DRAWS:
        return ("too few draws" if draws else "unknown"), "-"
    of_all = prices.sel({SCENARIO: scenario, PLACE: prices.attrs["whole"]})
    band, gains = of_all["price"].isel({PAID: 0}), float(of_all["direction"]) > 0
    middle = float(band.sel({QUANTILE: 0.5}))
    if not np.isfinite(middle):
        return "unchanged", "-"
    rises = (middle >= 0) == gains
    # Spending that falls by less than nothing rises; the levels of quantiles are symmetric.
    told = band if middle >= 0 else band.copy(data=-band.values[::-1])
    at = {FLOW: _target(prices), SCENARIO: scenario, PLACE: prices.attrs["whole"]}
    more = float(prices["chance_of_more"].sel(at))
    sure = more if gains else 1.0 - more
    held = "" if sure >= DECIDED else f" ({sure:.0%} of draws)"
    what = f"{'gained' if gains else 'lost'}{held} {'costs' if rises else 'saves'}"
    return what, _band(told, ".2f")


def _draws(prices: xr.Dataset, scenario: str) -> int:
    """Count the draws behind the price of the whole in a scenario."""
    at = {FLOW: _target(prices), SCENARIO: scenario, PLACE: prices.attrs["whole"]}
    return int(prices["chance_of_more_draws"].sel(at))


def paying(prices: xr.Dataset) -> list[str]:
    """Scenarios that raise the target of the whole and pay for it, in the order of the study."""
    at = prices.sel({PLACE: prices.attrs["whole"], QUANTILE: 0.5}).isel({PAID: 0})
    good = (at["direction"] > 0) & (at["price"] > NOTHING)
    return [
        name
        for name in _others(prices)
        if bool(good.sel({SCENARIO: name})) and _draws(prices, name) >= FEWEST_DRAWS
    ]


def _others(prices: xr.Dataset) -> list[str]:
    return [str(name) for name in prices[SCENARIO].values[1:]]


def _changes(prices: xr.Dataset) -> RenderableType:
    whole = str(prices.attrs["whole"])
    paid = [str(name) for name in prices[PAID].values]
    kept = [*paid[:1], *_left(prices)[:2]]
    kept += [name for name in paid if name not in kept]
    shown = [str(prices.attrs["target"]), *kept[:3]]
    units = {str(prices["unit"].sel({FLOW: name}).item()) for name in shown}
    title = (
        f"'{prices.attrs['baseline']}' (level) and the others against it, {whole}, totals of "
        f"{prices.attrs['first_year']} to {prices.attrs['last_year']}{_unit(units)}: median (80% "
        "band)"
    )
    table = console_table("scenario", *shown, padding=1)
    base = prices["level"].sel({PLACE: whole})
    table.add_row("(level)", *_amounts(base, shown))
    for name in _others(prices):
        at = prices["change"].sel({SCENARIO: name, PLACE: whole})
        table.add_row(name, *_amounts(at, shown))
    return Group(Text(title, style="bold"), table)


def _amounts(values: xr.DataArray, flows: list[str]) -> list[str]:
    """Bands of as many flows as fit on a page; medians of the rest."""
    bands = [_band(values.sel({FLOW: flow}), ",.0f") for flow in flows]
    return [*bands[:BANDS], *(band.partition(" ")[0] for band in bands[BANDS:])]


def _whole(prices: xr.Dataset) -> RenderableType:
    whole, paid, target = str(prices.attrs["whole"]), str(prices[PAID].values[0]), _target(prices)
    unit, of = _unit_of(prices, paid), _unit_of(prices, target)
    title = f"What each {of} of {target} means for {paid}, {whole}, {unit}: median (80% band)"
    left = _left(prices)[:1]
    rises = (f"draws in which {name} rises" for name in left)
    table = console_table("scenario", target, "", *rises, padding=1)
    for name in _others(prices):
        row = [name, *price_words(prices, name)]
        for flow in left:
            at = {FLOW: flow, SCENARIO: name, PLACE: whole}
            row.append(chance_text(prices, "chance_of_more", at))
        table.add_row(*row)
    return titled(title, table)


def _places(prices: xr.Dataset) -> RenderableType:
    names = paying(prices)[:MOST]
    if not names or prices.sizes[PLACE] < 2:
        return Text("")
    paid = str(prices[PAID].values[0])
    title = (
        f"By place: {paid}, {_unit_of(prices, paid)}, for each {price_unit(prices)} gained: median "
        "(80% band)"
    )
    table = console_table("place", *names, padding=1)
    for place in map(str, prices[PLACE].values):
        at = prices["price"].sel({PAID: paid, PLACE: place})
        table.add_row(place, *(_band(at.sel({SCENARIO: name}), ".2f") for name in names))
    return titled(title, table)


def _judgement(prices: xr.Dataset) -> str:
    judged = [name for name in str(prices.attrs["judged"]).split(", ") if name]
    drawn = {label.partition("[")[0] for label in str(prices.attrs["drawn"]).split(", ")}
    varied = ", ".join(name for name in judged if name in drawn)
    held = ", ".join(name for name in judged if name not in drawn)
    words = [
        "The amounts of money rest on judgement, not on data."
        if judged
        else "The model file marks no constant of the money flows as judgement."
    ]
    if varied:
        words.append(f"Drawn with the parameters, so the bands include it: {varied}.")
    if held:
        words.append(f"Held constant, so the bands exclude it: {held}.")
    return " ".join([*words, "Nothing is discounted."])


def _target(prices: xr.Dataset) -> str:
    return str(prices.attrs["target"])


def _left(prices: xr.Dataset) -> list[str]:
    """Flows that are left, the main one first."""
    return [name for name in str(prices.attrs["left"]).split(", ") if name]


def _unit_of(prices: xr.Dataset, flow: str) -> str:
    unit = str(prices["unit"].sel({FLOW: flow}).item())
    return counted_in(unit, "en", labels_of(prices.attrs))[1]


def counted_prices(prices: xr.Dataset, language: Language) -> xr.Dataset:
    """Return the amounts in the units that readers of a language count in: 亿元 in Chinese."""
    named = [counted_in(str(u), language, labels_of(prices.attrs)) for u in prices["unit"].values]
    factor = xr.DataArray([factor for factor, _ in named], coords={FLOW: prices[FLOW]})
    paid = factor.sel({FLOW: prices[PAID].values}).rename({FLOW: PAID})
    return prices.assign(
        level=prices["level"] * factor,
        change=prices["change"] * factor,
        price=prices["price"] * paid / float(factor.sel({FLOW: _target(prices)})),
    ).assign_coords(unit=(FLOW, [name for _, name in named]))


def price_unit(prices: xr.Dataset) -> str:
    """Return what is priced: a unit of the target."""
    return f"{_unit_of(prices, _target(prices))} of {_target(prices)}"


def _unit(units: set[str]) -> str:
    return f", {units.pop()}" if len(units) == 1 else ""


def _band(values: xr.DataArray, form: str) -> str:
    low, middle, high = (float(values.sel({QUANTILE: q})) + 0.0 for q in (0.1, 0.5, 0.9))
    if not np.isfinite(middle):
        return "-"
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"
