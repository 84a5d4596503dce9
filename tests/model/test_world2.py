"""World2 of docs/gallery: the runs of another implementation come back, and the page's shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model, run_ensemble
from beltcast.scale.runplan import read_plan

FOLDER = Path(__file__).parents[2] / "docs" / "gallery" / "world2"

RUNS = {
    # pyworld2, commit 8e89322987c2c13271d139b0fbd3daccc6feb962, with its defaults; then with its
    # switches of 1970 as given. Of its results every fifth: year and value of the highest, and
    # the value of 2100.
    "standard run": (
        {},
        {
            "population": (2020, 5295786653.76, 3699743303.72),
            "capital": (2041, 8619339909.18, 6010240430.13),
            "pollution ratio": (2051, 5.71259749694, 2.58741372816),
            "quality of life": (1945, 1.06034989033, 0.549404647896),
        },
    ),
    "less usage of resources": (
        {"resource usage normal": 0.25},
        {
            "population": (2031, 5771254397.67, 2605804745.50),
            "capital": (2050, 12470200578.6, 9504270000.90),
            "pollution ratio": (2056, 43.6857937447, 13.0479072490),
            "quality of life": (2080, 11.5106980222, 3.26137422872),
        },
    ),
    "all seven constants changed": (
        {
            "birth rate normal": 0.041,
            "death rate normal": 0.027,
            "resource usage normal": 0.92,
            "investment normal": 0.054,
            "discard rate normal": 0.024,
            "food coefficient": 1.05,
            "pollution normal": 1.09,
        },
        {
            "population": (2016, 5627176649.28, 3238150646.65),
            "capital": (2038, 10707565286.4, 6768140709.64),
            "pollution ratio": (2049, 41.9270688248, 6.04583687583),
            "quality of life": (2070, 7.7953401346, 0.813822028594),
        },
    ),
}


@pytest.mark.parametrize("run", RUNS)
def test_the_turning_points_of_another_implementation_come_back(run: str) -> None:
    # Both take Euler steps of 0.2 years, so they differ by the order of multiplications alone
    # (1e-14 at most); the reference is printed to twelve digits.
    changes, expected = RUNS[run]
    constants = {f"{name} from 1970": value for name, value in changes.items()}
    result = load_model(FOLDER / "world2.mdl").simulate(constants, outputs=list(expected))
    for name, (year, highest, last) in expected.items():
        series = result[name]
        assert float(series.idxmax()) == year, name
        assert float(series.max()) == pytest.approx(highest, rel=1e-11), name
        assert float(series[-1]) == pytest.approx(last, rel=1e-11), name


def test_a_tenth_either_way_ends_one_world_in_seven_by_pollution() -> None:
    # The page has 14.7 % of 10,000 members; four standard errors of a share of 1,000 are 4.5 %.
    plan = read_plan(FOLDER / "plan.toml")
    assert plan.priors is not None
    draws = plan.priors.natural(plan.priors.draw(np.random.default_rng(2), 1000))
    runs = run_ensemble(
        plan.model, plan.scenarios, (plan.priors.labels, draws), outputs=["pollution ratio"]
    )
    highest = runs["pollution ratio"].max("time")
    assert float((highest > 20).mean()) == pytest.approx(0.147, abs=0.045)
