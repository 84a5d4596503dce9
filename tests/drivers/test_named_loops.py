"""Loops by their variables, and the run without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import loops
from beltcast.drivers.loops.named_loops import find_loop, knock_out, name_loops
from beltcast.drivers.loops.page import summarise_loops
from beltcast.errors import InputError, UnknownName
from beltcast.forecasting.summary import as_text
from beltcast.model.model import Model
from beltcast.workflows.loops import ScoredLoops

from ..small_models import small


@pytest.fixture
def rabbits(tmp_path: Path) -> Model:
    """A stock with a reinforcing and a balancing loop."""
    return small(
        tmp_path,
        "rabbits = INTEG(births - deaths, 100)",
        "births = rabbits*0.5",
        "deaths = rabbits*0.25",
    )


def test_a_loop_is_found_by_some_of_its_variables(rabbits: Model) -> None:
    assert find_loop(rabbits, ["births"]) == ("births", "rabbits")
    assert find_loop(rabbits, ["RABBITS", "deaths"]) == ("deaths", "rabbits")


def test_too_few_variables_and_none_are_refused(rabbits: Model) -> None:
    with pytest.raises(InputError, match="2 loops run through rabbits, such as births"):
        find_loop(rabbits, ["rabbits"])
    with pytest.raises(InputError, match="no loop runs through births, deaths"):
        find_loop(rabbits, ["births", "deaths"])
    with pytest.raises(UnknownName, match="did you mean 'births'"):
        find_loop(rabbits, ["birth"])


def test_without_births_the_stock_declines_with_its_first_births(rabbits: Model) -> None:
    """Births stay 50: dN/dt = 50 - N/4 from 100, which Euler follows to 200 - 100 (1 - dt/4)^n."""
    without = knock_out(rabbits, ["births"])
    assert without.link == ("rabbits", "births")
    assert without.also_cut == ()
    run = without.model.simulate(outputs="rabbits")["rabbits"].values
    n = np.arange(len(run))
    np.testing.assert_allclose(run, 200 - 100 * (1 - 0.125 / 4) ** n, rtol=1e-12)


def test_a_loop_that_is_cut_later_runs_until_then(rabbits: Model) -> None:
    whole = rabbits.simulate(outputs=["rabbits", "births"])
    cut = knock_out(rabbits, ["births"], since=2.0).model.simulate(outputs=["rabbits", "births"])
    before = whole["time"] <= 2.0
    np.testing.assert_array_equal(whole["rabbits"][before].values, cut["rabbits"][before].values)
    after = cut["births"].sel(time=slice(2.0, None)).values
    assert set(after.tolist()) == {whole["births"].sel(time=2.0).item()}


def test_the_link_that_the_fewest_loops_share_is_cut(tmp_path: Path) -> None:
    """Both loops run S -> a; only one runs a -> b and b -> S by in."""
    model = small(tmp_path, "S = INTEG(b - c, 1)", "a = S*2", "b = a/4", "c = a/8")
    without = knock_out(model, ["b"])
    assert without.link == ("a", "b")
    assert without.also_cut == ()
    forced = knock_out(model, ["b"], link=("S", "a"))
    assert forced.also_cut == (("S", "a", "c"),)
    assert "1 other loop pass" in str(forced)
    with pytest.raises(InputError, match="that does not end in a stock"):
        knock_out(model, ["b"], link=("b", "S"))


def test_a_loop_of_an_array_is_cut_for_all_elements(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "Belt: North, South",
        "S[Belt] = INTEG(g[Belt], 1)",
        "g[Belt] = S[Belt]*rate[Belt]",
        "rate[Belt] = 1, 2",
    )
    run = knock_out(model, ["g"]).model.simulate(outputs="S", save_at=[4.0])
    assert run["S"].values.tolist() == [[5.0, 9.0]]


def test_loops_get_names_and_the_others_keep_their_numbers(rabbits: Model) -> None:
    scores = loops(rabbits)
    assert set(scores["loop"].values) == {"R1", "B1"}
    named = name_loops(scores, {"breeding": ["births"]}, rabbits)
    assert set(named["loop"].values) == {"breeding", "B1"}
    share = named["relative_score"].sel(loop="breeding")
    np.testing.assert_array_equal(share, scores["relative_score"].sel(loop="R1"))
    with pytest.raises(InputError, match="'a' and 'b' name the same loop"):
        name_loops(scores, {"a": ["births"], "b": ["births", "rabbits"]}, rabbits)


def test_the_page_of_loops_is_of_the_time_asked_for_or_the_last(rabbits: Model) -> None:
    scored = ScoredLoops(rabbits, loops(rabbits), None, None)
    last = float(scored.scores["time"][-1])
    assert scored.at(None) == last
    assert scored.at(0.0) == 0.0
    for time in (None, 0.0):
        shown = as_text(summarise_loops(scored.scores, scored.at(time), 8))
        assert as_text(scored.page(time)) == shown


def test_the_link_that_is_cut_is_the_one_that_is_named(tmp_path: Path) -> None:
    """Two stocks that feed each other: the loop has two links that end in no stock."""
    both = small(
        tmp_path, "a = INTEG(gain, 1)", "b = INTEG(lost, 2)", "gain = b*0.5", "lost = a*0.25"
    )
    for link in (("b", "gain"), ("a", "lost")):
        assert knock_out(both, ["gain", "lost"], link=link).link == link
    with pytest.raises(InputError, match="name a link of it that does not end in a stock"):
        knock_out(both, ["gain", "lost"], link=("gain", "a"))
