"""What was known of an input at a date, and how it goes on."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from beltcast import Study
from beltcast.engine.syntax import Data
from beltcast.errors import InputError
from beltcast.files.shipped import shipped
from beltcast.verification.origin_rules import (
    Carry,
    InputRule,
    OriginRules,
    Release,
    carried_on,
    known_series,
    read_origin_rules,
)

SERIES = Data(np.array([2013.0, 2018.5, 2019.5, 2020.5]), np.array([5.0, 10.0, 20.0, 40.0]))


def rules(tmp_path: Path, study: Study, text: str) -> OriginRules:
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return read_origin_rules(path, study.model, study.priors)


def test_an_observation_is_known_from_its_publication_on() -> None:
    rule = InputRule(delay=0.5, published={2019.5: 2021.0})
    # 2018.5 came out at 2019.0; 2019.5 late, after 2020.5 had been due at 2021.0.
    assert known_series(SERIES, rule, 2018.99)[0].tolist() == [2013.0]
    assert known_series(SERIES, rule, 2019.0)[0].tolist() == [2013.0, 2018.5]
    assert known_series(SERIES, rule, 2020.99)[0].tolist() == [2013.0, 2018.5]
    assert known_series(SERIES, rule, 2021.0)[0].tolist() == [2013.0, 2018.5, 2019.5, 2020.5]


def test_before_the_last_word_an_observation_has_the_value_of_its_release() -> None:
    rule = InputRule(
        published={2019.5: 2025.0},
        releases=(Release(2019.5, 2020.0, 17.0), Release(2019.5, 2021.0, 18.0)),
    )
    at = {date: known_series(SERIES, rule, date)[1] for date in (2019.9, 2020.0, 2022.0, 2025.0)}
    assert at[2019.9].tolist() == [5.0, 10.0]
    assert at[2020.0].tolist() == [5.0, 10.0, 17.0]
    assert at[2022.0].tolist() == [5.0, 10.0, 18.0, 40.0]
    assert at[2025.0].tolist() == [5.0, 10.0, 20.0, 40.0]


def test_the_last_release_by_then_counts_in_whatever_order_they_are_written() -> None:
    rule = InputRule(
        published={2019.5: 2021.5},
        releases=(
            Release(2019.5, 2021.0, 18.0),
            Release(2019.5, 2022.0, 19.0),  # a correction after the value of the file
            Release(2019.5, 2020.0, 17.0),
            Release(2020.5, 2019.9, 99.0),  # of another instant
        ),
    )
    wanted = {2020.9: 17.0, 2021.0: 18.0, 2021.49: 18.0, 2021.5: 20.0, 2021.9: 20.0, 2022.0: 19.0}
    for date, value in wanted.items():
        times, values = known_series(SERIES, rule, date)
        assert values[times.tolist().index(2019.5)] == value, date


def test_the_first_point_is_always_known_and_the_last_on_its_very_date() -> None:
    rule = InputRule(delay=0.5)
    assert known_series(SERIES, rule, 1900.0)[1].tolist() == [5.0]
    assert known_series(SERIES, rule, 2021.0)[1].tolist() == [5.0, 10.0, 20.0, 40.0]
    assert known_series(SERIES, rule, np.nextafter(2021.0, 0))[1].tolist() == [5.0, 10.0, 20.0]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("carry", ["growth", "share"])
def test_what_is_carried_on_is_that_of_the_formula(carry: Carry, seed: int) -> None:
    """w(t + k) = w(t) + g (f + ... + f^k), g over the window or the last two values, one by one."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 8))
    times = np.cumsum(rng.choice([0.5, 1.0, 2.0], n)) + 2010.0
    values = rng.uniform(5.0, 95.0, n)
    window, fade = float(rng.choice([0.5, 1.0, 2.0, 3.0])), float(rng.uniform(0.2, 1.0))
    rule = InputRule(carry=carry, window=window, fade=fade)
    end = float(times[-1] + rng.choice([0.0, 2.0, 3.25]))

    def working(x: float) -> float:
        return float(np.log(x)) if carry == "growth" else float(np.log(x / (100.0 - x)))

    later = [i for i in range(1, n) if times[i] >= times[-1] - window]
    base = min(min(later), n - 2)
    span = max(times[-1] - times[base], window)
    growth = (working(values[-1]) - working(values[base])) / span
    got_times, got = carried_on(times, values, end, rule)
    steps = int(np.ceil(end - times[-1]))
    np.testing.assert_allclose(got_times, [*times, *(times[-1] + k + 1 for k in range(steps))])
    np.testing.assert_array_equal(got[:n], values)
    for k in range(1, steps + 1):
        w = working(values[-1]) + growth * sum(fade**j for j in range(1, k + 1))
        want = np.exp(w) if carry == "growth" else 100.0 / (1.0 + np.exp(-w))
        assert got[n + k - 1] == pytest.approx(want, rel=1e-12)


def test_growth_fades_by_a_geometric_series() -> None:
    times, values = carried_on(
        SERIES.times, SERIES.values, 2040.0, InputRule(carry="growth", window=2.0, fade=0.5)
    )
    # From 10 to 40 in two years is log 2 a year; the sum of 1/2 + 1/4 + ... is 1.
    assert times[-1] == 2040.5
    assert np.log(values[4:7] / 40.0) == pytest.approx(np.log(2.0) * np.array([0.5, 0.75, 0.875]))
    assert values[-1] == pytest.approx(80.0, rel=1e-5)


def test_one_years_jump_counts_as_a_change_over_the_whole_window() -> None:
    past = np.array([2013.0, 2019.5, 2020.5]), np.array([1.0, 1.0, 8.0])
    _, values = carried_on(*past, 2021.0, InputRule(carry="growth", window=3.0, fade=1.0))
    # log 8 over three years is log 2 a year.
    assert values[3] == pytest.approx(16.0)


@given(
    st.lists(st.floats(0.1, 99.9), min_size=2, max_size=6),
    st.sampled_from(["share", "growth"]),
    st.floats(0.0, 1.0),
)
def test_shares_stay_shares_and_levels_stay_positive(
    levels: list[float], carry: str, fade: float
) -> None:
    times = np.arange(2013.0, 2013.0 + len(levels))
    rule = InputRule(carry=carry, fade=fade)  # type: ignore[arg-type]
    later, values = carried_on(times, np.array(levels), 2036.0, rule)
    assert (np.diff(later) > 0).all()
    assert (values > 0).all()
    assert carry == "growth" or (values <= 100.0).all()
    assert values[: len(levels)].tolist() == levels


@pytest.mark.parametrize(
    ("values", "rule", "frozen"),
    [
        ([5.0, 10.0, 20.0], InputRule(carry="hold"), False),
        ([5.0, 10.0, 20.0], InputRule(carry="growth"), True),
        ([5.0, 10.0], InputRule(carry="growth"), False),  # one observation has no growth
        ([0.0, 0.0, 20.0], InputRule(carry="share"), False),  # nothing has no logit
    ],
)
def test_what_has_no_growth_is_held(values: list[float], rule: InputRule, frozen: bool) -> None:
    times = np.array([2013.0, 2018.5, 2019.5])[: len(values)]
    assert carried_on(times, np.array(values), 2036.0, rule, frozen=frozen)[1].tolist() == values


def test_the_shipped_rules_speak_of_every_input(study: Study) -> None:
    path = shipped("models/belt/inputs-known.toml")
    shipped_rules = read_origin_rules(path, study.model, study.priors)
    assert set(shipped_rules.inputs) == set(study.model.inputs)
    drivers = {name for name, rule in shipped_rules.inputs.items() if rule.driver}
    # Demand, the rate of exchange, the cost of traffic and imports are not drivers.
    assert drivers == {
        "third party share of sales",
        "brand research share",
        "managed platform sales",
        "compliance requirements",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[input.x]\ndelay = 1", "unknown table 'input'; did you mean 'inputs'"),
        (
            '[inputs."brand researches share"]\ndelay = 1',
            "'brand researches share' is not a variable",
        ),
        ('[inputs."Belt Size"]\ndelay = 1', "expected the name of an input here"),
        ("[constants.output]\nafter = 1", "expected the name of a constant here"),
        (
            '[inputs."brand research share"]\ndelays = 1',
            "unknown key 'delays'.*did you mean 'delay'",
        ),
        (
            '[inputs."brand research share"]\ncarry = "up"',
            "carry of 'brand research share' is 'up'",
        ),
        ('[inputs."brand research share"]\ndelay = "a"', "delay of 'brand research share' is 'a'"),
        (
            '[inputs."brand research share"]\npublished = { "2016.5" = 2020 }',
            "names the time 2016.5, for which the input has no value",
        ),
        (
            '[inputs."brand research share"]\npublished = { "x" = 2020 }',
            "key 'x'; expected a time",
        ),
        ('[constants."Zone Year"]\nnote = "a"', "has 0 of follows, after and announced"),
        (
            '[constants."Last Demand Year"]\nfollows = "demand"',
            "follows 'demand', which is not an",
        ),
        ('[priors."Belt Sizes"]\nuntil = 2024', "'Belt Sizes' has no prior.*did you mean 'Belt"),
        ('[priors."Belt Size"]\nsd = 1', "until of 'Belt Size' is missing"),
        ('[priors]\n"Belt Size" = 3', "'Belt Size' is 3; expected a table"),
    ],
)
def test_a_wrong_rule_is_refused_in_one_sentence(
    tmp_path: Path, study: Study, text: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        rules(tmp_path, study, text)
    assert refused.value.path == tmp_path / "rules.toml"
    assert refused.value.line is not None


def test_an_input_without_a_rule_comes_out_after_half_a_year_and_is_held(
    study: Study, tmp_path: Path
) -> None:
    """And one whose rule says that it grows: over three years, each with 0.8 of that before."""
    for rule in (
        OriginRules().of_input("anything"),
        rules(tmp_path, study, '[inputs."brand research share"]\nnote = "x"').inputs[
            "brand research share"
        ],
    ):
        assert (rule.delay, rule.carry, rule.window, rule.fade) == (0.5, "hold", 3.0, 0.8)
        assert not rule.driver
        assert (rule.published, rule.releases) == ({}, ())
        assert rule.published_at(2019.25) == 2019.75


def test_a_value_at_the_start_of_the_window_counts_however_times_are_rounded() -> None:
    """2015.4 - 0.3 is more than 2015.1 in binary numbers."""
    times = np.array([2013.0, 2014.0, 2015.1, 2015.2, 2015.4])
    assert times[-1] - 0.3 > times[2]
    rule = InputRule(carry="growth", window=0.3, fade=1.0)
    _, values = carried_on(times, np.exp([0.0, 0.0, 1.0, 2.0, 4.0]), 2016.0, rule)
    assert np.log(values[-1]) == pytest.approx(4.0 + 3.0 / 0.3)
