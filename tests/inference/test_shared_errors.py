"""The covariance of every pair of rows, pair by pair, from what the documentation says they share.

The package adds loadings of common errors; here each pair is asked what its two rows have in
common, by formula and without any loading.
"""

from __future__ import annotations

import math
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from beltcast import Model, make_likelihood
from beltcast.study.noise import Definition, Discrepancy
from beltcast.study.observations import Observation

DEFINITIONS = {
    "full": Definition("Full", 0.0, 0.0, 0.0),
    "wide": Definition("Wide", 0.5, 0.1, 0.05),
    "other": Definition("Other", 0.3, 0.2, 0.0),
    "alone": Definition("Alone", 0.2, 0.3, 0.02),  # of one place
}
PLAIN: dict[str, Any] = {
    "vintage": {"final": 0.0, "revised": 0.02, "preliminary": 0.06, "only": 0.03},
    "grade": {"A": 0.1, "B": 0.17, "C": 0.4},
    "definitions": DEFINITIONS,
    "year_shock": 0.05,
    "year_shocks": {2015: 0.11},
    "shared": 0.0,
    "autocorrelation": 0.0,
    "revisions": False,
    "offset_common": 0.0,
    "trend_common": 0.0,
    "trend_own": 1.0,
    "trend_fades": math.inf,
    "reference": None,
    "discrepancy": None,
}
BEGINS = 2013.0
"""Where the model starts, and its discrepancy is 0."""


def some_rows(make: SimpleNamespace, seed: int) -> list[Observation]:
    """Two rows or more of many a year, place and definition."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(22):
        definition = str(rng.choice(list(DEFINITIONS)))
        place = "East" if definition == "alone" else str(rng.choice(["East", "West"]))
        kind = str(rng.choice(["level", "level", "growth", "part-year"]))
        start = float(rng.integers(2014, 2018))
        end = start + 1.0
        if kind == "part-year":
            start, end = start + float(rng.choice([0.0, 0.25])), start + float(rng.choice([0.5, 1]))
            kind = "part-year" if (start % 1, end % 1) != (0.0, 0.0) else "level"
        rows.append(
            make.row(
                kind,
                start,
                end,
                place=place,
                elements=(place,),
                definition=definition,
                vintage=str(rng.choice(list(PLAIN["vintage"]))),
                grade=str(rng.choice(["A", "B"])),
                value=1.1 if kind == "growth" else 10.0,
            )
        )
    return rows


def drift(t: float, s: float, fades: float) -> float:
    """Covariance of a drift at two times from the reference: its rates fade, or never do."""

    def variance(u: float) -> float:
        u = abs(u)
        if math.isinf(fades):
            return u * u
        return fades**2 * (2.0 * u / fades + 2.0 * math.exp(-u / fades) - 2.0)

    return 0.5 * (variance(t) + variance(s) - variance(t - s))


def signed(row: Observation, value: float) -> dict[float, float]:
    """What a row compares: a rate has its year less the one before."""
    return {value: 1.0, value - 1.0: -1.0} if row.kind == "growth" else {value: 1.0}


def covariance(rows: list[Observation], i: int, j: int, noise: dict[str, Any]) -> float:
    a, b = rows[i], rows[j]

    def single(row: Observation) -> float:
        """Standard deviation of the error of one year."""
        vintage = 0.0 if noise["revisions"] else noise["vintage"][row.vintage]
        return math.hypot(noise["grade"][row.grade], vintage, DEFINITIONS[row.definition].noise)

    def years(row: Observation) -> float:
        return 2.0 if row.kind == "growth" else 1.0

    year = {0: math.floor(a.start), 1: math.floor(b.start)}
    same_place, same_definition = a.place == b.place, a.definition == b.definition
    same_release = same_place and same_definition and a.vintage == b.vintage
    series = same_place and same_definition and (noise["revisions"] or a.vintage == b.vintage)
    shared, rho = noise["shared"], noise["autocorrelation"]
    total = 0.0
    if i == j:
        total += (1.0 - shared if rho else 1.0) * years(a) * single(a) ** 2
    if rho and series:
        for (p, x), (q, y) in product(signed(a, year[0]).items(), signed(b, year[1]).items()):
            total += shared * single(a) * single(b) * x * y * rho ** abs(p - q)
    if not rho and series and year[0] == year[1] and i != j:
        total += shared * single(a) * single(b)
    if noise["revisions"] and same_release and year[0] == year[1]:
        total += noise["vintage"][a.vintage] ** 2
    if same_definition and "growth" not in (a.kind, b.kind):
        common = noise["offset_common"]
        size = DEFINITIONS[a.definition].offset_sd ** 2
        total += size * (common + (1.0 - common) * same_place)
    reference = noise["reference"]
    if reference is None:
        reference = max(row.end for row in rows)
    drifts = sum(
        x * y * drift(p - reference, q - reference, noise["trend_fades"])
        for (p, x), (q, y) in product(
            signed(a, 0.5 * (a.start + a.end)).items(), signed(b, 0.5 * (b.start + b.end)).items()
        )
    )
    drifts *= DEFINITIONS[a.definition].trend_sd * DEFINITIONS[b.definition].trend_sd
    one_place = len({row.place for row in rows if row.definition == a.definition}) == 1
    own = 1.0 if one_place else noise["trend_own"]
    kept = noise["trend_common"]
    total += drifts * (
        kept
        + (1.0 - kept) * same_definition * ((1.0 - own) + own * same_place)
    )  # fmt: skip
    if (lasting := noise["discrepancy"]) is not None:
        fades = math.inf if lasting.damping == 1.0 else -1.0 / math.log(lasting.damping)
        parts = [(lasting.level_common, lasting.growth_common)]
        parts += [(lasting.level_own, lasting.growth_own)] * same_place
        dates = (signed(row, 0.5 * (row.start + row.end) - BEGINS).items() for row in (a, b))
        for ((p, x), (q, y)), (level, growth) in product(product(*dates), parts):
            walk = 0.5 * (abs(p) + abs(q) - abs(p - q))
            total += x * y * (level**2 * walk + growth**2 * drift(p, q, fades))
    for (p, x), (q, y) in product(signed(a, year[0]).items(), signed(b, year[1]).items()):
        total += x * y * (p == q) * noise["year_shocks"].get(int(p), noise["year_shock"]) ** 2
    return total


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shared": 0.6},
        {"shared": 0.6, "revisions": True},
        {"shared": 0.7, "autocorrelation": 0.6},
        {"shared": 0.7, "autocorrelation": 0.6, "revisions": True},
        {"offset_common": 0.3, "trend_common": 0.4, "trend_own": 0.3},
        {"trend_fades": 3.0, "trend_common": 0.25, "trend_own": 0.4, "reference": 2016.25},
        {"trend_fades": 0.7, "trend_own": 0.4, "reference": 2030.0},
        {"discrepancy": Discrepancy(0.05, 0.08, 0.04, 0.06, 0.7)},
        {"discrepancy": Discrepancy(0.05, 0.08, 0.04, 0.06, 1.0), "shared": 0.5},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
def test_two_rows_have_the_covariance_of_all_that_they_share(
    small: Model, make: SimpleNamespace, options: dict[str, Any], seed: int
) -> None:
    rows, noise = some_rows(make, seed), {**PLAIN, **options}
    priors = make.priors("Factor", mu=0.0, sigma=0.3)
    one = make_likelihood(small, priors, make.table(*rows), make.noise(**noise))
    found = one.loadings @ one.loadings.T + np.diag(one.sds**2)
    count = len(rows)
    expected = [[covariance(rows, i, j, noise) for j in range(count)] for i in range(count)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_an_error_that_no_two_rows_share_is_no_unknown(small: Model, make: SimpleNamespace) -> None:
    """Of 2014 there are two rows, of 2015 and 2016 one each, and of West another."""
    rows = [
        make.row(start=2014.0),
        make.row("growth", start=2014.0, value=1.1),
        make.row(start=2015.0, vintage="preliminary"),
        make.row(start=2016.0, vintage="revised"),
        make.row(start=2014.0, place="West", elements=("West",)),
    ]
    vintage = {"final": 0.0, "revised": 0.02, "preliminary": 0.06, "only": 0.03}
    priors = make.priors("Factor", mu=0.0, sigma=0.3)
    noise = make.noise(shared=0.6, revisions=True, vintage=vintage, seasonal=False)
    one = make_likelihood(small, priors, make.table(*rows), noise)
    assert one.nuisances == ("error of East, full, 2014",)
    np.testing.assert_allclose(one.sds[2:], np.hypot(0.1, [0.06, 0.02, 0.0]), rtol=1e-12)


def test_a_second_quantity_of_a_statistic_has_an_offset_of_its_own_besides(
    small: Model, make: SimpleNamespace
) -> None:
    """The first quantity of each place sets what the others differ from."""
    fields = {"definition": "wide", "vintage": "final"}
    rows = [
        make.row(start=2014.0, **fields),
        make.row(start=2015.0, quantity="firms", unit="firm", **fields),
        make.row(start=2016.0, quantity="firms", unit="firm", **fields),
        make.row(start=2016.0, **fields),
        make.row(start=2016.0, quantity="firms", place="West", elements=("West",), **fields),
        make.row(start=2016.0, quantity="firms", definition="full"),
    ]
    definitions = {**DEFINITIONS, "wide": Definition("Wide", 0.5, 0.0, 0.0)}
    noise = make.noise(definitions=definitions, quantity_sd=0.25, seasonal=False)
    priors = make.priors("Factor", mu=0.0, sigma=0.3)
    one = make_likelihood(small, priors, make.table(*rows), noise)
    columns = dict(zip(one.nuisances, one.loadings.T.tolist(), strict=True))
    assert columns == {
        "firms within East, wide": [0, 0.25, 0.25, 0, 0, 0],
        "offset of East, wide": [0.5, 0.5, 0.5, 0.5, 0, 0],
        "offset of West, wide": [0, 0, 0, 0, 0.5, 0],
    }


def columns_of(
    small: Model, make: SimpleNamespace, rows: list[Observation], **noise: Any
) -> dict[str, list[float]]:
    given = {**PLAIN, "year_shock": 0.0, "year_shocks": {}, "seasonal": False, **noise}
    priors = make.priors("Factor", mu=0.0, sigma=0.3)
    one = make_likelihood(small, priors, make.table(*rows), make.noise(**given))
    return dict(zip(one.nuisances, one.loadings.T.tolist(), strict=True))


def test_a_definition_of_one_place_has_one_drift_and_others_have_two_parts(
    small: Model, make: SimpleNamespace
) -> None:
    definitions = {
        "alone": Definition("Alone", 0.0, 0.3, 0.0),
        "wide": Definition("Wide", 0.0, 0.1, 0.0),
    }
    rows = [
        make.row(start=2014.0, definition="alone"),
        make.row(start=2014.0, definition="wide"),
        make.row(start=2014.0, definition="wide", place="West", elements=("West",)),
    ]
    found = columns_of(small, make, rows, definitions=definitions, trend_own=0.4, reference=2016.5)
    assert sorted(found) == [
        "trend of East, alone", "trend of East, wide", "trend of West, wide", "trend of wide",
    ]  # fmt: skip
    np.testing.assert_allclose(found["trend of East, alone"], [-0.6, 0, 0])
    np.testing.assert_allclose(found["trend of wide"], [0, *[-0.2 * math.sqrt(0.6)] * 2])


@pytest.mark.parametrize(("detail", "parts"), [(1e-9, 3), (0.03, 2), (0.5, 1)])
def test_small_components_of_a_fading_drift_are_left_out(
    small: Model, make: SimpleNamespace, detail: float, parts: int
) -> None:
    """Below a part of the variance of the largest, as NumPy's eigenvalues have it."""
    definitions = {"wide": Definition("Wide", 0.0, 0.1, 0.0)}
    rows = [make.row(start=start, definition="wide") for start in (2014.0, 2016.0, 2022.0)]
    lags = [row.start + 0.5 - 2018.0 for row in rows]
    sizes = np.linalg.eigvalsh([[drift(s, t, 2.0) for s in lags] for t in lags])[::-1]
    assert (sizes > detail * sizes[0]).sum() == parts
    found = columns_of(
        small, make, rows, definitions=definitions, trend_fades=2.0, trend_detail=detail,
        reference=2018.0,
    )  # fmt: skip
    assert sorted(found) == [f"trend of East, wide, {k + 1}" for k in range(parts)]
    kept = np.array([np.square(column).sum() for column in found.values()])
    np.testing.assert_allclose(kept, 0.01 * sizes[:parts], rtol=1e-6)


def test_a_share_feels_no_shock_and_growth_over_two_years_those_at_its_ends(
    small: Model, make: SimpleNamespace
) -> None:
    """(2014 + 2015) / 2 less (2013 + 2014) / 2: of 2014 nothing is left."""
    rows = [
        make.row("share", 2014.0, value=0.3),
        make.row("growth", 2014.0, 2016.0, value=1.2),
        make.row(start=2015.0),
    ]
    found = columns_of(small, make, rows, year_shock=0.2, year_shocks={2015: 0.4})
    for year, expected in ((2013, [0, -0.1, 0]), (2014, [0, 0, 0]), (2015, [0, 0.2, 0.4])):
        np.testing.assert_allclose(found[f"shock of {year}"], expected, atol=1e-15)
