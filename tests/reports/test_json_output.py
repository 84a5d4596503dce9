"""JSON for programs: each number stands under the labels that it has in the results."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from beltcast.reports.json_output import (
    comparison_facts,
    dataset_facts,
    forecast_facts,
    json_text,
    table_facts,
)

LABELS = {
    "year": [2025, 2030],
    "quantile": [0.05, 0.1, 0.5, 0.9],
    "place": ["East", "West", "All"],
    "scenario": ["baseline", "push"],
    "member": [0, 1],
}


def numbered(*dims: str, first: float = 0.0) -> xr.DataArray:
    """Another number in every cell."""
    shape = [len(LABELS[d]) for d in dims]
    return xr.DataArray(
        first + np.arange(np.prod(shape)).reshape(shape), {d: LABELS[d] for d in dims}, dims
    )


@pytest.fixture
def forecast() -> xr.Dataset:
    """With dimensions in an unusual order."""
    return xr.Dataset(
        {
            "published_quantile": numbered("quantile", "scenario", "year", "place"),
            "chance_of_more": numbered("year", "scenario", "place", first=100.0),
            "prior_chance_of_more": numbered("scenario", "place", "year", first=200.0),
            "sd_ratio": numbered("year", "place", first=300.0),
            "observation_count": numbered("place", first=7.0),
            "output": numbered("member", "place", "year"),
        },
        attrs={"target": "output", "unit": "bn", "whole": "All", "draws": 2},
    )


def plain(facts: dict) -> dict:
    return json.loads(json_text(facts))


def test_bands_and_chances_of_a_forecast_stand_under_their_labels(forecast: xr.Dataset) -> None:
    facts = plain(forecast_facts(forecast))
    assert [facts[key] for key in ("target", "unit", "whole", "draws")] == [
        "output",
        "bn",
        "All",
        2,
    ]
    assert facts["years"] == [2025, 2030]
    for scenario in LABELS["scenario"]:
        for place in LABELS["place"]:
            bands = facts["scenarios"][scenario][place]
            assert list(bands) == ["p10", "p50", "p90"]
            at = {"scenario": scenario, "place": place}
            for key, quantile in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
                given = forecast["published_quantile"].sel(at).sel(quantile=quantile)
                assert bands[key] == given.values.tolist()
            for name in ("chance_of_more", "prior_chance_of_more"):
                assert facts[name][scenario][place] == forecast[name].sel(at).values.tolist()
    for place, own in facts["places"].items():
        assert own["observations"] == int(forecast["observation_count"].sel(place=place))
        assert own["sd_ratio"] == forecast["sd_ratio"].sel(place=place).values.tolist()
    assert list(facts["places"]) == LABELS["place"]


def test_differences_and_chances_of_a_comparison_are_not_mixed_up() -> None:
    dims = ("year", "quantile", "scenario", "place")
    comparison = xr.Dataset(
        {
            "ratio_quantile": numbered(*dims),
            "difference_quantile": numbered(*dims, first=1000.0),
            "chance_of_more": numbered("scenario", "place", "year", first=2000.0),
            "chance_of_loss": numbered("scenario", "place", first=3000.0),
            "chance_of_recovery": numbered("scenario", "place", first=4000.0),
        }
    )
    facts = plain(comparison_facts(comparison))
    at = {"scenario": "push", "place": "West"}
    for key, name in (("ratio", "ratio_quantile"), ("difference", "difference_quantile")):
        for label, quantile in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
            given = comparison[name].sel(at).sel(quantile=quantile).values.tolist()
            assert facts[key]["push"]["West"][label] == given
    for name in ("chance_of_more", "chance_of_loss", "chance_of_recovery"):
        assert facts[name]["push"]["West"] == comparison[name].sel(at).values.tolist()
    assert facts["years"] == [2025, 2030]


def test_a_dataset_is_told_whole_but_for_single_draws(forecast: xr.Dataset) -> None:
    data = forecast.assign_coords(code=("place", ["E", "W", "A"])).assign(
        ranks=("set", [1, 2]), chains=("chain", [1, 2]), draws=("draw", [1, 2])
    )
    facts = plain(dataset_facts(data))
    single = {"output", "ranks", "chains", "draws", "member", "set", "chain", "draw"}
    assert single.isdisjoint(facts)
    assert facts["attributes"] == data.attrs
    assert "quantile" not in facts
    assert facts["code"] == {"East": "E", "West": "W", "All": "A"}
    assert (facts["year"], facts["place"]) == ([2025, 2030], LABELS["place"])
    assert facts["sd_ratio"]["West"] == [301.0, 304.0]


def test_rows_of_a_table_stand_under_unique_labels_or_in_a_list() -> None:
    table = pd.DataFrame({"k": [1, 2]}, index=["a", "b"])
    assert table_facts(table) == {"a": {"k": 1}, "b": {"k": 2}}
    assert table_facts(table.set_axis(["a", "a"])) == [{"k": 1}, {"k": 2}]
    assert table_facts(table.reset_index(drop=True)) == [{"k": 1}, {"k": 2}]
    both = table.set_axis(pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"]))
    assert table_facts(both) == [{"x": "a", "y": 1, "k": 1}, {"x": "b", "y": 2, "k": 2}]


def test_numbers_that_are_not_finite_are_null_at_any_depth() -> None:
    given = {
        1: (np.nan, np.float64(np.inf)),
        "a": {"b": np.array([[-np.inf, 2.5]])},
        "n": np.int64(3),
    }
    assert plain(given) == {"1": [None, None], "a": {"b": [[None, 2.5]]}, "n": 3}
    assert "é" in json_text({"x": "é"})
