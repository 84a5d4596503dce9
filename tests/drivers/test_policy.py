"""Robust policy: problems whose optimum is known, and criteria that a hand can compute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beltcast import Scenario, load_model
from beltcast.drivers.discovery.discover import box_words
from beltcast.drivers.policy.policy import (
    PolicyQuestion,
    compare_policies,
    criterion_of,
    design,
    levers_of,
    signposts,
)
from beltcast.drivers.policy.search import climb, found_by, mean_totals, search_policy
from beltcast.errors import InputError
from beltcast.files.resume import NOT_KEPT, Pieces, keep_pieces
from beltcast.model.model import Model
from beltcast.study.roles import Lever, Roles
from beltcast.study.study import read_study

from ..model_texts import write_model


@pytest.fixture
def question(tmp_path: Path) -> PolicyQuestion:
    """Gain a year W1 sqrt(x1) + W2 sqrt(x2) at the cost x1 + x2: two years of it are counted."""
    model = load_model(
        write_model(
            tmp_path,
            {
                "x1": "0",
                "x2": "0",
                "W1": "1",
                "W2": "1",
                "gain": "W1*SQRT(x1) + W2*SQRT(x2) ~ CNY/Year",
                "cost": "x1 + x2 ~ CNY/Year",
                "Total": "INTEG(gain, 0)",
            },
            {"FINAL TIME": "2", "TIME STEP": "0.5"},
        )
    )
    return PolicyQuestion(
        model,
        (Lever("x1", 0.0, 10.0, idle=0.0), Lever("x2", 0.0, 10.0, idle=0.0)),
        {"base": Scenario("base", "Base")},
        (("W1", "W2"), np.array([[3.0, 1.0], [1.0, 1.0]])),
        gain="gain",
        cost="cost",
        years=(0, 1),
        budget=10.0,
    )


def test_the_search_finds_the_known_optimum(question: PolicyQuestion) -> None:
    """Lagrange: maximise 2 w1 + 1 w2 roots at x1 + x2 = 5 a year: x ~ w squared, so 4 and 1."""
    best = search_policy(question, "mean", rng=np.random.default_rng(1), generations=20)
    np.testing.assert_allclose(best, [4.0, 1.0], atol=1e-3)
    found = compare_policies(question, best[None, :])
    # Two years of 2 x 2 + 1 x 1.
    assert float(found["mean"][0]) == pytest.approx(10.0, abs=1e-3)
    assert float(found["mean_cost"][0]) == pytest.approx(10.0, rel=1e-3)


def test_exact_derivatives_climb_to_the_known_optimum_from_afar(question: PolicyQuestion) -> None:
    # The start spends all on the wrong lever; at 0 a root has no slope, so it is not begun there.
    np.testing.assert_allclose(climb(question, np.array([0.5, 4.5])), [4.0, 1.0], atol=1e-3)
    best = compare_policies(question, climb(question, np.array([0.5, 4.5]))[None, :])
    assert float(best["mean_cost"][0]) <= question.budget


def test_slopes_of_the_mean_totals_are_those_of_calculus(question: PolicyQuestion) -> None:
    """Two years of 2 sqrt(x1) + sqrt(x2), the weights' means, and of x1 + x2."""
    found = mean_totals(question, np.array([4.0, 1.0]))
    np.testing.assert_allclose(found, [[10.0, 1.0, 1.0], [10.0, 2.0, 2.0]], rtol=1e-12)


def test_a_climb_minds_each_future(question: PolicyQuestion) -> None:
    """W1 is 2 on the mean in one future and 0 in the other: 1 and 1, so both levers are equal."""
    poor = Scenario("poor", "Poor", constants={"W1": 0.0})
    both = replace(question, futures={**question.futures, "poor": poor})
    np.testing.assert_allclose(climb(both, np.array([4.0, 0.5])), [2.5, 2.5], atol=1e-3)


def test_the_search_for_least_regret_finds_the_known_optimum(question: PolicyQuestion) -> None:
    """Regrets 14 - 6 a - 2 b and 7 - 2 a - 2 b, with a, b the roots, are equal at a = 7/4.

    Both pull away from there, towards 4 and towards 2.5, so that the larger of them is least there.
    """
    best = search_policy(
        question,
        "regret",
        rng=np.random.default_rng(1),
        generations=100,
        reference=np.array([[14.0, 7.0]]),
    )
    np.testing.assert_allclose(best, [49 / 16, 31 / 16], atol=0.05)


def test_the_search_does_not_hang_on_the_unit_of_the_gain(question: PolicyQuestion) -> None:
    # In units a billion times smaller all losses would be -1 but for rounding, and the search over
    # after a generation.  With money enough both levers go to their ends.
    draws = (question.draws[0], 1e9 * question.draws[1])
    rich = replace(question, draws=draws, budget=100.0)
    best = search_policy(rich, "mean", rng=np.random.default_rng(1), generations=150)
    np.testing.assert_allclose(best, [10.0, 10.0], atol=0.05)


@pytest.mark.parametrize("years", [(1, 0), (-3, 0), (0, 2), (5, 9)])
def test_years_that_are_not_run_are_refused(
    question: PolicyQuestion, years: tuple[int, int]
) -> None:
    with pytest.raises(InputError, match="choose a first and a last year within 0 to 1"):
        compare_policies(replace(question, years=years), np.array([[1.0, 1.0]]))


def test_the_criteria_are_what_a_hand_computes(question: PolicyQuestion) -> None:
    found = compare_policies(
        replace(question, goal=7.0), np.array([[4.0, 1.0], [1.0, 4.0], [0.0, 0.0], [9.0, 9.0]])
    )
    # Case 1 weighs (3, 1), case 2 (1, 1); two years.
    np.testing.assert_allclose(
        found["gain"].values[:, 0], [[14, 6], [10, 6], [0, 0], [24, 12]], rtol=1e-12
    )
    np.testing.assert_allclose(found["mean"], [10, 8, 0, 18])
    np.testing.assert_allclose(found["satisficing"], [0.5, 0.5, 0, 1])
    np.testing.assert_allclose(found["percentile"], [6.8, 6.4, 0, 13.2])
    assert found["affordable"].values.tolist() == [1, 1, 1, 0]
    # The best affordable gain is 14 and 6; the fourth is beyond the budget and no measure.
    np.testing.assert_allclose(found["regret"], [0, 4, 14, np.nan])
    # The second costs as much as the first and brings less; doing nothing is cheapest.
    assert found["pareto"].values.tolist() == [1, 0, 1, 0]
    two = compare_policies(
        replace(question, goal=7.0),
        np.array([[4.0, 1.0], [1.0, 4.0], [0.0, 0.0], [9.0, 9.0]]),
        pareto=("mean", "satisficing"),
    )
    # In these two alone the first is best in both.
    assert two["pareto"].values.tolist() == [1, 0, 0, 0]


def test_futures_are_cases_too(question: PolicyQuestion) -> None:
    poor = Scenario("poor", "Poor", constants={"W1": 0.0})
    both = replace(question, futures={**question.futures, "poor": poor})
    found = compare_policies(both, np.array([[4.0, 1.0]]))
    np.testing.assert_allclose(found["gain"].values[0], [[14, 6], [2, 2]])
    assert float(found["mean"][0]) == 6.0


def test_signposts_name_the_input_that_decides(question: PolicyQuestion) -> None:
    rng = np.random.default_rng(3)
    draws = rng.uniform(0.0, 2.0, (400, 2))
    # The gain is 4 W1 + 2 W2 with W2 held: below the goal where W1 < 1.
    draws[:, 1] = 1.0
    asked = replace(question, draws=(("W1", "W2"), draws), goal=6.0)
    found = compare_policies(asked, np.array([[4.0, 1.0]]))
    box = signposts(asked, found, 0, density=1.0)
    assert [w.partition("<")[0].strip() for w in box_words(box)] == ["W1"]
    assert float(box["high"].sel(parameter="W1")) == pytest.approx(1.0, abs=0.05)
    assert float(box["coverage"]) > 0.9


def test_what_cannot_be_asked_is_refused(question: PolicyQuestion) -> None:
    with pytest.raises(InputError, match="expected one row a policy and 2 columns"):
        compare_policies(question, np.zeros((1, 3)))
    with pytest.raises(InputError, match="no policy meets the budget of 1; the cheapest costs 4"):
        compare_policies(replace(question, budget=1.0), np.array([[1.0, 1.0]]))
    with pytest.raises(InputError, match="name two or more of mean"):
        compare_policies(question, np.array([[1.0, 1.0]]), pareto=("mean",))
    taken = Scenario("taken", "Taken", constants={"x1": 1.0})
    with pytest.raises(InputError, match="'taken' sets 'x1', which is a lever"):
        compare_policies(replace(question, futures={"taken": taken}), np.array([[1.0, 1.0]]))


def test_a_design_holds_doing_nothing_and_each_lever_at_its_ends() -> None:
    study = read_study()
    names = "Support Final Multiplier=1:2", "tilt_final_multiplier=0.5:1.5"
    levers = levers_of(study, names)
    assert levers[1].name == "Tilt Final Multiplier"
    assert [lever.idle for lever in levers] == [1.0, 1.0]
    policies = design(levers, 4, rng=np.random.default_rng(1))
    # a at its low end is doing nothing, told once.
    assert policies[:4].tolist() == [[1, 1], [2, 1], [1, 0.5], [1, 1.5]]
    assert len(policies) == 4 + 4
    assert ((policies >= [1, 0.5]) & (policies <= [2, 1.5])).all()
    with pytest.raises(InputError, match="power of two"):
        design(levers, 5, rng=np.random.default_rng(1))
    with pytest.raises(InputError, match="'a=2:1' is not Constant=low:high") as refused:
        levers_of(study, ["a=2:1"])
    # What it gives as an example can be a lever.
    example = str(refused.value).rpartition("'")[0].rpartition("'")[2].partition("=")[0]
    assert study.model.variables[example].kind == "constant"
    with pytest.raises(InputError, match="lever: 'Tilt' is not a variable"):
        levers_of(study, ["Tilt=1:2"])


def test_a_lever_idles_at_the_model_s_own_value_and_policies_set_what_the_study_lets_them() -> None:
    study = read_study()
    (held,) = levers_of(study, ["Tilt Final Multiplier=1.2:2"])
    assert held.idle == 1.2, "the model's own value, 1, is outside the range"
    assert [lever.name for lever in levers_of(study)] == [
        lever.name for lever in study.roles.levers if lever.policy
    ]
    with pytest.raises(InputError, match=r"names no levers.*add a table \[levers"):
        levers_of(replace(study, roles=Roles()))


def test_a_search_that_is_stopped_goes_on_to_the_same_bits(
    question: PolicyQuestion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = design(question.levers, 4, rng=np.random.default_rng(2))

    def search(pieces: Pieces) -> np.ndarray:
        rng = np.random.default_rng(1)
        return found_by(question, tried, ["mean", "regret"], rng=rng, generations=5, pieces=pieces)

    whole = search(NOT_KEPT)
    batch, calls = Model.batch, 0

    def stopping(self: Model, *args: Any, **kwargs: Any) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt
        return batch(self, *args, **kwargs)

    monkeypatch.setattr(Model, "batch", stopping)
    with pytest.raises(KeyboardInterrupt):
        search(keep_pieces(tmp_path / "work", {"seed": "1"}, resume=False))
    kept = {path.name for path in (tmp_path / "work").glob("*.npz")}
    assert any(name.startswith("search 0 step") for name in kept)
    np.testing.assert_array_equal(
        search(keep_pieces(tmp_path / "work", {"seed": "1"}, resume=True)), whole
    )


def test_a_goal_that_is_met_exactly_is_met() -> None:
    """Of four cases two reach 5 and one of these no more; the other policy reaches it in all."""
    gain = np.array([[[1.0, 5.0], [4.0, 9.0]], [[5.0, 5.0], [5.0, 5.0]]])
    best = gain.max(axis=0)
    np.testing.assert_array_equal(criterion_of(gain, "satisficing", 5.0, best), [0.5, 1.0])
    np.testing.assert_array_equal(criterion_of(gain, "regret", 5.0, best), [4.0, 4.0])
    np.testing.assert_array_equal(criterion_of(gain, "mean", 5.0, best), [4.75, 5.0])
    # The tenth percentile lies at 0.3 of the way from the lowest of four to the next.
    np.testing.assert_allclose(
        criterion_of(gain, "percentile", 5.0, best), [1.0 + 0.3 * 3.0, 5.0], rtol=1e-14
    )
