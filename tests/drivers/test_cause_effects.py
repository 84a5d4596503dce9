"""Which cause moved a variable between two scenarios: by arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast.drivers.cause_effects import compare_causes

from ..small_models import small


def test_effects_are_those_of_one_cause_alone_and_the_rest_is_together(tmp_path: Path) -> None:
    """y = a*b from 2*3 to 5*7: a alone adds 9, b alone 8, both 29, so 12 are of both."""
    model = small(tmp_path, "a = 2", "b = 3", "y = a*b + Time - Time")
    found = compare_causes(model, "y", None, {"a": 5.0, "b": 7.0}, times=[0.0, 1.0])
    assert found["effect"].sel(cause="a").values.tolist() == [9.0, 9.0]
    assert found["effect"].sel(cause="b").values.tolist() == [8.0, 8.0]
    assert found["difference"].values.tolist() == [29.0, 29.0]
    assert found["together"].values.tolist() == [12.0, 12.0]
    assert found["largest"].values.tolist() == ["a", "a"]


def test_each_member_has_its_own_largest_cause(tmp_path: Path) -> None:
    """y = a*w + b: a moves by 1, b by 2, so a wins in the member whose weight is 3."""
    model = small(tmp_path, "a = 0", "b = 0", "w = 1", "y = a*w + b + 0*Time")
    draws = (["w"], np.array([[1.0], [3.0]]))
    found = compare_causes(model, "y", None, {"a": 1.0, "b": 2.0}, draws=draws, times=[4.0])
    assert found["largest"].values.ravel().tolist() == ["b", "a"]
    assert found["effect"].sel(cause="a").values.ravel().tolist() == [1.0, 3.0]


def test_the_net_flow_of_a_stock_is_split_by_element(tmp_path: Path) -> None:
    model = small(
        tmp_path, "Belt: North, South", "r[Belt] = 1, 2", "S[Belt] = INTEG(r[Belt] - 1, 0)"
    )
    found = compare_causes(model, "S", None, {"r[South]": 5.0}, times=[0.0])
    assert found["effect"].sel(cause="r").values.ravel().tolist() == [0.0, 3.0]
    assert found["largest"].values.ravel().tolist() == ["", "r"]


def test_nothing_differs_between_a_scenario_and_itself(tmp_path: Path) -> None:
    model = small(tmp_path, "a = 2", "y = a*Time")
    found = compare_causes(model, "y", None, {"a": 2.0})
    assert float(abs(found["effect"]).max()) == pytest.approx(0.0, abs=0)
