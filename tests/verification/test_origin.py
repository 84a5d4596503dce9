"""A study as it was known, and what it is asked."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from beltcast import Study
from beltcast.errors import InputError
from beltcast.files.shipped import shipped
from beltcast.study.priors import Entry, make_priors
from beltcast.verification.baselines.history import History
from beltcast.verification.origin import (
    as_known,
    before,
    histories,
    later_rows,
    model_as_known,
    targets,
)
from beltcast.verification.origin_rules import (
    NEVER,
    DateRule,
    OriginRules,
    PriorRule,
    read_origin_rules,
)


@pytest.fixture(scope="module")
def rules(study: Study) -> OriginRules:
    path = shipped("models/belt/inputs-known.toml")
    return read_origin_rules(path, study.model, study.priors)


def test_only_rows_published_by_the_origin_are_known(study: Study, rules: OriginRules) -> None:
    known = as_known(study, 2022.5, rules)
    kept = {row.line for row in known.observations}
    assert kept == {row.line for row in study.observations if row.published <= 2022.5}


def test_a_study_finds_its_own_rules(study: Study, rules: OriginRules) -> None:
    own, given = as_known(study, 2021.5), as_known(study, 2021.5, rules)
    np.testing.assert_array_equal(own.priors.mu, given.priors.mu)
    name = "overseas online retail"
    then, same, now = (
        np.asarray(one.model.simulate(outputs=[name], save_at=[2025.5])[name])
        for one in (own, given, study)
    )
    np.testing.assert_array_equal(then, same)
    assert (then != now).any()


def test_a_date_before_every_publication_is_refused(study: Study) -> None:
    with pytest.raises(InputError, match="no observation was published by 2001"):
        as_known(study, 2001.0)


def test_the_past_of_the_model_is_left_and_its_future_is_not(
    study: Study, rules: OriginRules
) -> None:
    known = model_as_known(study.model, 2021.5, rules)
    names = ["approved zones", "overseas online retail"]
    when = [2018.0, 2025.5]
    then = known.simulate(outputs=names, save_at=when)
    now = study.model.simulate(outputs=names, save_at=when)
    for name in names:
        assert then[name][0] == now[name][0]
        assert then[name][1] != now[name][1]
    # 105 zones had been approved by the middle of 2021.
    assert then["approved zones"][1] == 105.0


def test_dates_are_those_of_the_origin(study: Study, rules: OriginRules) -> None:
    known = as_known(study, 2020.3, rules).model
    # Batch 5 came in April 2020, at 2020.32; batch 4 in December 2019.
    assert known.value("Zone Year[b5]") == NEVER
    assert known.value("Zone Year[b4]") == study.model.value("Zone Year[b4]")
    # Nor are the duties of 2025.
    assert known.value("Duty Start[United States]") == NEVER
    assert known.value("Last Demand Year") == 2019.5
    assert known.value("Demand Drift End") == 2021.0


def test_what_is_announced_is_known_on_its_very_date_and_not_before(study: Study) -> None:
    announced = OriginRules(constants={"Zone Year": DateRule("announced")})
    date = study.model.value("Zone Year[b5]")
    assert model_as_known(study.model, date, announced).value("Zone Year[b5]") == date
    before = model_as_known(study.model, np.nextafter(date, 0.0), announced)
    assert before.value("Zone Year[b5]") == NEVER


def test_a_prior_is_blinded_up_to_its_date_and_not_on_it(study: Study) -> None:
    name = "Social Midpoint"
    (own,) = [i for i, other in enumerate(study.priors.names) if other == name]
    rule = OriginRules(priors={name: PriorRule(until=2024.5, sd=9.0)})
    assert as_known(study, 2024.5, rule).priors.sigma[own] == study.priors.sigma[own]
    assert as_known(study, 2024.49, rule).priors.sigma[own] == 9.0
    # An sd is never smaller than the shipped one.
    narrow = OriginRules(priors={name: PriorRule(until=2024.5, sd=1e-9)})
    assert as_known(study, 2024.0, narrow).priors.sigma[own] == study.priors.sigma[own]


def test_frozen_drivers_stand_still_and_demand_does_not(study: Study, rules: OriginRules) -> None:
    names = ["brand research share", "overseas online retail"]
    when = [2022.5, 2026.5]
    runs = {
        frozen: model_as_known(study.model, 2022.5, rules, frozen=frozen).simulate(
            outputs=names, save_at=when
        )
        for frozen in (False, True)
    }
    for name in names[:1]:
        assert runs[True][name][1] == runs[True][name][0]
        assert runs[False][name][1] > runs[False][name][0]
    np.testing.assert_array_equal(runs[True][names[1]], runs[False][names[1]])


def test_priors_that_had_seen_later_observations_are_blinded_until_then(
    study: Study, rules: OriginRules
) -> None:
    early, late = (as_known(study, date, rules).priors for date in (2023.5, 2024.9))
    (seen,) = [i for i, name in enumerate(study.priors.names) if name == "Social Midpoint"]
    assert early.sigma[seen] == 2.5 > study.priors.sigma[seen]
    assert early.mu[seen] == study.priors.mu[seen]
    assert late.sigma[seen] == study.priors.sigma[seen]
    # A prior without a rule is the shipped one at any origin.
    free = [i for i, name in enumerate(study.priors.names) if name not in rules.priors]
    np.testing.assert_array_equal(early.mu[free], study.priors.mu[free])
    np.testing.assert_array_equal(early.sigma[free], study.priors.sigma[free])


def test_the_prior_of_a_pooled_constant_is_blinded_as_a_whole(study: Study) -> None:
    # Two elements around a common mean of 3, their own centres 0.5 to each side.
    sides = {"Foshan": -0.5, "Ningbo": 0.5}
    mean = Entry("Size", "Size", "pooled", "", "a test", "normal", 3.0, 0.3, -9.0, 9.0, part="mean")
    between = mean._replace(label="sd", family="lognormal", mu=-1.6, sigma=0.5, part="sd")
    members = [
        mean._replace(label=f"Size[{e}]", mu=0.0, sigma=1.0, part="member", offset=offset)
        for e, offset in sides.items()
    ]
    priors = make_priors([mean, between, *members])
    pooled = dataclasses.replace(study, priors=priors)
    rule = PriorRule(until=2024.0, centre=4.0, sd=1.0)
    known = as_known(pooled, 2022.5, OriginRules(priors={"Size": rule})).priors
    (pool,) = known.pools
    assert known.mu[pool.mean] == 4.0
    assert pool.offsets.tolist() == [0.0, 0.0]
    # The standard deviation is that of an element: of the mean and of what is between, which keep
    # their ratio.
    assert pool.prior_sd(known.mu, known.sigma) == pytest.approx(1.0)
    wider = known.sigma[pool.mean] / 0.3
    assert math.exp(known.mu[pool.sd] + 1.6) == pytest.approx(wider)
    # The unknowns of the pool that are standard normal stay so.
    assert known.mu[pool.members].tolist() == [0.0, 0.0]
    assert known.sigma[pool.members].tolist() == [1.0, 1.0]
    assert known.sigma[pool.sd] == 0.5
    # Never narrower than as shipped; and without a centre the elements keep theirs.
    narrow = PriorRule(until=2024.0, sd=0.01)
    same = as_known(pooled, 2022.5, OriginRules(priors={"Size": narrow})).priors
    np.testing.assert_array_equal(same.mu, priors.mu)
    np.testing.assert_array_equal(same.sigma, priors.sigma)
    assert same.pools[0].offsets.tolist() == [-0.5, 0.5]
    late = as_known(pooled, 2024.0, OriginRules(priors={"Size": rule})).priors
    np.testing.assert_array_equal(late.mu, priors.mu)
    assert late.pools[0].offsets.tolist() == [-0.5, 0.5]


def test_what_was_published_later_is_news_and_nothing_else_is(study: Study) -> None:
    news = later_rows(study, 2025.0)
    known = study.observations.published_by(2025.0)
    assert len(news) + len(known) == len(study.observations)
    assert min(row.published for row in news) > 2025.0
    with pytest.raises(InputError, match="no observation was published after 2030; give a "):
        later_rows(study, 2030.0)


def test_a_row_published_on_the_very_date_is_known_and_no_news(study: Study) -> None:
    """Counted as both it would be fitted and then be weighed in again."""
    dates = sorted(row.published for row in study.observations)
    date = dates[len(dates) // 2]
    on_it = {row.line for row in study.observations if row.published == date}
    known = {row.line for row in study.observations.published_by(date)}
    news = {row.line for row in later_rows(study, date)}
    assert on_it
    assert on_it <= known
    assert not known & news
    assert len(known) + len(news) == len(study.observations)


def test_a_year_is_not_known_to_be_a_shock_before_it_is_over(
    study: Study, rules: OriginRules
) -> None:
    assert set(study.noise.year_shocks) == {2020, 2021}
    assert study.noise.error_scale_factors
    assert not as_known(study, 2022.5, rules).noise.error_scale_factors
    for date, years in ((2020.5, set()), (2021.5, {2020}), (2022.5, {2020, 2021})):
        assert set(as_known(study, date, rules).noise.year_shocks) == years


def test_drifts_count_from_the_origin_and_never_from_a_later_date(
    study: Study, rules: OriginRules
) -> None:
    assert study.noise.reference == 2024.0
    assert as_known(study, 2022.5, rules).noise.reference == 2022.5
    assert as_known(study, 2024.5, rules).noise.reference == 2024.0
    free = dataclasses.replace(study, noise=dataclasses.replace(study.noise, reference=None))
    assert as_known(free, 2024.5, rules).noise.reference == 2024.5


def test_ex_post_leaves_the_inputs_and_nothing_else(study: Study, rules: OriginRules) -> None:
    known = as_known(study, 2022.5, rules, ex_post=True)
    assert known.model is study.model
    assert max(row.published for row in known.observations) <= 2022.5
    assert known.noise == as_known(study, 2022.5, rules).noise


def test_targets_are_later_totals_from_january_on_at_leads_of_one_to_four(study: Study) -> None:
    for date in (2020.5, 2022.25):
        cases = targets(study, date)
        assert cases
        for case in cases:
            assert case.row.published > date
            assert case.row.kind in ("level", "part-year")
            assert case.row.start == case.year
            assert 0.0 < case.row.end - case.row.start <= 1.0
            whole = case.row.end == case.year + 1
            assert whole == (case.row.kind == "level")
            assert case.lead == case.year - (math.floor(date) - 1)
            assert 1 <= case.lead <= 4


def test_the_truth_is_the_last_release(study: Study) -> None:
    values = {
        (case.row.quantity, case.year): (case.row.vintage, case.row.value)
        for case in targets(study, 2021.5)
        if case.row.definition == "gacc" and case.row.kind == "level"
    }
    # 2022 was printed three times: 1550, then 1530, then 1532.1.
    assert values["output", 2022] == ("final", 1532.1)
    assert values["national trade", 2024] == ("revised", 2710.0)


def test_a_case_is_asked_until_its_last_release_and_knows_its_first(
    study: Study,
) -> None:
    rows = [
        row
        for row in study.observations
        if (row.place, row.quantity, row.definition) == ("China", "output", "gacc")
        and (row.start, row.end, row.kind) == (2022.0, 2023.0, "level")
    ]
    prints = sorted(row.published for row in rows)
    assert len(prints) == 3

    def of_2022(date: float) -> list:
        return [
            case
            for case in targets(study, date, leads=range(-6, 5))
            if case.year == 2022
            and (case.row.place, case.row.quantity, case.row.definition)
            == ("China", "output", "gacc")
            and case.row.end - case.row.start == 1.0
        ]

    (case,) = of_2022(2021.5)
    assert case.printed == prints[0]
    assert case.row.published == prints[-1]
    # The truth is the last release: on the very day of it there is nothing left to forecast.
    assert of_2022(np.nextafter(prints[-1], 0.0))
    assert not of_2022(prints[-1])


def test_a_part_of_a_year_has_the_history_of_such_parts(study: Study) -> None:
    halves = {
        case.year: case
        for case in targets(study, 2024.0)
        if (case.row.place, case.row.quantity) == ("China", "national trade")
        and case.row.end - case.row.start == 0.5
    }
    # First halves of 2021 and 2023 were printed, growth leads to the one before, and 2019 and 2022
    # are first halves of years of which something else was printed.
    assert halves[2024].history.years.tolist() == [2019, 2020, 2021, 2022, 2023]
    assert halves[2024].history.values[2] == pytest.approx(886.7)


def test_a_history_ends_with_the_last_complete_year(study: Study) -> None:
    # A quarter of 2024 was published by then; a target of 2024 must not be in its own history.
    for case in targets(study, 2024.5):
        assert case.history is None or case.history.years[-1] <= 2023


def test_a_history_has_the_releases_of_its_time(study: Study) -> None:
    series = ("China", "national trade", "gacc")
    early, late = (
        histories(study.observations.published_by(date), study.noise)[series]
        for date in (2022.3, 2022.5)
    )
    # 2021 was 1980 in March 2022 and 1920 later that year; 2019 is 1690 over the printed 1.311.
    assert early.years.tolist() == late.years.tolist() == [2019, 2020, 2021]
    assert early.values == pytest.approx([1690 / 1.311, 1690, 1980])
    assert late.values == pytest.approx([1690 / 1.311, 1690, 1920])


def test_growth_leads_to_a_level_both_ways_and_adds_its_standard_deviation(
    make: SimpleNamespace,
) -> None:
    rows = make.table(
        make.row("level", 2016.0, value=100.0),
        make.row("growth", 2016.0, value=1.25),
        make.row("growth", 2017.0, value=1.5),
        make.row("growth", 2019.0, value=2.0),  # 2018 is not known: it leads nowhere
    )
    history = histories(rows, make.noise())["East", "output", "full"]
    assert history.years.tolist() == [2015, 2016, 2017]
    assert history.values == pytest.approx([80.0, 100.0, 150.0])
    # A level has 0.1, a growth rate sqrt(2) of that.
    assert history.sds == pytest.approx([0.1 * math.sqrt(3), 0.1, 0.1 * math.sqrt(3)])


def test_another_part_of_a_year_is_brought_to_the_part_asked_for_by_the_season(
    make: SimpleNamespace,
) -> None:
    rows = make.table(
        make.row("level", 2016.0, value=100.0),
        make.row("part-year", 2016.0, 2016.5, value=44.0),
        make.row("part-year", 2017.0, 2017.25, value=30.0),
        make.row("part-year", 2017.0, 2017.5, value=54.0),
    )
    noise = make.noise(season_mean=0.1, season_sd=0.05)
    series = "East", "output", "full"
    # With an amplitude of 0.1 the first half is 0.5 (1 - 0.05) = 0.475 of the year.
    year = histories(rows, noise)[series]
    assert year.values == pytest.approx([100.0, 54.0 / 0.475])
    assert year.sds == pytest.approx([0.1, math.hypot(0.1, 0.05 * 0.5 / 0.95)])
    half = histories(rows, noise, part=0.5)[series]
    assert half.values == pytest.approx([44.0, 54.0])
    assert half.sds == pytest.approx([0.1, 0.1])


def test_a_series_without_any_observation_is_marked(study: Study) -> None:
    cases = {
        (c.row.place, c.row.definition, c.year): c
        for c in targets(study, 2023.5)
        if c.row.kind == "level"
    }
    shenzhen = cases["Shenzhen", "city-full", 2023]
    # A lower bound had been printed, which is no level but says something of the offset.
    assert shenzhen.history is None
    assert not shenzhen.first
    assert cases["Suzhou", "city-full", 2024].first


def test_values_after_the_origin_move_nothing_that_is_known(study: Study) -> None:
    later = tuple(
        dataclasses.replace(row, value=7.0 * row.value) if row.published > 2022.5 else row
        for row in study.observations
    )
    other = dataclasses.replace(
        study, observations=dataclasses.replace(study.observations, rows=later)
    )
    for one, two in zip(targets(study, 2022.5), targets(other, 2022.5), strict=True):
        assert two.row.value == 7.0 * one.row.value
        assert (one.history is None) == (two.history is None)
        if one.history is not None and two.history is not None:
            np.testing.assert_array_equal(one.history.values, two.history.values)


def test_what_a_history_holds_before_a_year() -> None:
    history = History(np.array([2018, 2020, 2021]), np.array([5.0, 7.0, 8.0]), np.full(3, 0.1))
    kept = before(history, 2021)
    assert kept is not None
    np.testing.assert_array_equal(kept.years, [2018, 2020])
    np.testing.assert_array_equal(kept.values, [5.0, 7.0])
    assert before(history, 2018) is None
    assert before(None, 2021) is None


@pytest.mark.parametrize(
    ("family", "centre", "expected"),
    [
        ("lognormal", 4.0, math.log(4.0)),
        ("logitnormal", 0.25, -math.log(3.0)),
        ("normal", -1.5, -1.5),
        ("normal", 30.0, 9.0),  # within the bounds of the prior
        ("lognormal", None, None),
        ("lognormal", "common", None),
    ],
)
def test_a_centre_is_given_in_the_unit_of_the_parameter_and_stays_within_its_bounds(
    study: Study, family: str, centre: float | str | None, expected: float | None
) -> None:
    entries = [
        Entry(f"Size[{e}]", "Size", "pooled", "", "a test", family, mu, sd, -9.0, 9.0)  # type: ignore[arg-type]
        for e, mu, sd in (("a", -1.0, 0.3), ("b", -2.0, 0.9), ("c", -1.8, 0.5))
    ]
    entries.append(entries[0]._replace(label="Other", name="Other", mu=-3.0))
    one = dataclasses.replace(study, priors=make_priors(entries))
    rule = PriorRule(until=2024.0, centre=centre, sd=0.5)  # type: ignore[arg-type]
    known = as_known(one, 2022.5, OriginRules(priors={"Size": rule})).priors
    if expected is not None:
        wanted = [expected] * 3
    else:
        wanted = [-1.6] * 3 if centre == "common" else [-1.0, -2.0, -1.8]
    np.testing.assert_allclose(known.mu, [*wanted, -3.0], rtol=1e-12)
    np.testing.assert_array_equal(known.sigma, [0.5, 0.9, 0.5, 0.3])
    np.testing.assert_array_equal(one.priors.mu, [-1.0, -2.0, -1.8, -3.0])


def test_the_longest_part_stands_for_any_other_and_of_two_releases_the_later(
    make: SimpleNamespace,
) -> None:
    """To the first u of a year belongs u (1 + a (u - 1)) of it: 0.19375, 0.425 and 0.69375 here."""
    rows = make.table(
        make.row("part-year", 2016.0, 2016.25, value=30.0, published=2019.0),
        make.row("part-year", 2016.0, 2016.75, value=80.0, published=2018.0, vintage="only"),
        make.row("part-year", 2016.0, 2016.75, value=90.0, published=2018.0, vintage="revised"),
        make.row("part-year", 2016.0, 2016.75, value=70.0, published=2017.0),
        make.row("part-year", 2016.5, 2016.75, value=9.0),  # not from the start of the year
        make.row("level", 2017.0, 2019.0, value=9.0),  # of two years
    )
    noise = make.noise(season_mean=0.3, season_sd=0.05)
    # A year and its rounded end is one still.
    whole = histories(make.table(make.row("level", 2017.0, 2018.0009)), noise)
    assert whole["East", "output", "full"].years.tolist() == [2017]
    shares = {u: u * (1 + 0.3 * (u - 1)) for u in (0.25, 0.5, 0.75, 1.0)}
    for part, value in ((0.25, 30.0), (0.5, 90.0), (0.75, 90.0), (1.0, 90.0)):
        history = histories(rows, noise, part=part)["East", "output", "full"]
        assert history.years.tolist() == [2016]
        given = 0.25 if part == 0.25 else 0.75
        assert history.values == pytest.approx([value * shares[part] / shares[given]])
        # The log of the ratio of two shares has this slope in a.
        slope = (part - 1) / (1 + 0.3 * (part - 1)) - (given - 1) / (1 + 0.3 * (given - 1))
        assert history.sds == pytest.approx([math.hypot(0.1, 0.05 * slope)])


def test_factors_of_errors_are_kept_where_nothing_came_out_later(study: Study) -> None:
    last = max(row.published for row in study.observations)
    assert study.noise.error_scale_factors
    at_the_end = as_known(study, last).noise
    assert at_the_end.error_scale_factors == study.noise.error_scale_factors
    assert as_known(study, np.nextafter(last, 0.0)).noise.error_scale_factors == {}
