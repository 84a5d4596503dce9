"""`check` names every wrong row, and doubts numbers that look like slips of the pen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beltcast import make_likelihood, read_study
from beltcast.inference.audit.prior_predictive import prior_doubts, prior_predictive, prior_words
from beltcast.study.doubts import doubts
from beltcast.study.faults import study_faults
from beltcast.study.starter import init

HEAD = (
    "place,quantity,kind,start,end,value,unit,definition,vintage,grade,published,source,url,"
    "quote,note\n"
)


def row(start: float, end: float, value: float, unit: str = "bn CNY", kind: str = "level") -> str:
    return f"Foshan,output,{kind},{start},{end},{value},{unit},city,only,B,2025,S,,,\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Observations of a new study, to be written."""
    init(tmp_path / "mine", belts=["Foshan"])
    return tmp_path / "mine" / "observations.csv"


# The nearest four of them have the geometric mean 10 * 1.15**2.5 = 14.2.
GOOD = [row(y, y + 1, 10 * 1.15 ** (y - 2018)) for y in range(2018, 2023)]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("", ()),
        (row(2023, 2024, 20, "亿元"), ("line 7: 0.14 times its neighbours; is the unit 亿元?",)),
        (row(2023, 2024, 160), ("line 7: 11 times its neighbours; is the unit bn CNY?",)),
        (row(2022, 2023, 0.15, "%", "growth"), ("line 7: growth of 0.15 %",)),
        (row(2022, 2023, 15, "%", "growth"), ()),
        (row(2023, 2023.55, 11, kind="part-year"), ("line 7: the period ends at 2023.55",)),
        (row(2023, 2023.5, 11, kind="part-year"), ()),
    ],
)
def test_slips_of_unit_percent_and_period_are_doubted(
    table: Path, extra: str, said: tuple[str, ...]
) -> None:
    table.write_text(HEAD + "".join(GOOD) + extra, encoding="utf-8")
    found = doubts(read_study(table.parent).observations)
    assert len(found) == len(said)
    assert all(one.startswith(start) for one, start in zip(found, said, strict=True))


def of(place: str, *cells: object) -> str:
    return row(*cells).replace("Foshan,", f"{place},", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        # Two levels cannot say which of them is wrong; the growth between them says that one is.
        (
            [row(2022, 2023, 14), row(2023, 2024, 160), row(2023, 2024, 15, "%", "growth")],
            ("line 3: 9.9 times what the growth in line 4 makes of line 2",),
        ),
        ([row(2022, 2023, 14), row(2023, 2024, 16), row(2023, 2024, 15, "%", "growth")], ()),
        # A belt is no more than the sum over all belts in the same statistic.
        (
            [of("All belts", 2022, 2023, 14), row(2022, 2023, 16)],
            ("line 3: 1.1 times All belts (line 2), of which it is a part",),
        ),
        ([of("All belts", 2022, 2023, 16), row(2022, 2023, 14)], ()),
        # Rates alone: 15 % written as a share.
        (
            [row(2020 + k, 2021 + k, v, "%", "growth") for k, v in enumerate((12, 0.15, 18))],
            ("line 3: growth of 0.15 %, and the other rates of its series are about",),
        ),
    ],
)
def test_growth_rows_and_larger_places_are_neighbours_too(
    table: Path, rows: list[str], said: tuple[str, ...]
) -> None:
    init(table.parent.parent / "two", belts=["Foshan", "Dongguan"])
    table = table.parent.parent / "two" / "observations.csv"
    table.write_text(HEAD + "".join(rows), encoding="utf-8")
    found = doubts(read_study(table.parent).observations)
    assert len(found) == len(said), found
    assert all(one.startswith(start) for one, start in zip(found, said, strict=True))


def test_a_single_number_is_doubted_beside_what_the_priors_expect(table: Path) -> None:
    """One row: no neighbour can tell; the same study takes a tenth of it without a doubt."""
    for value, line in ((160.0, ["line 2"]), (16.0, [])):
        table.write_text(HEAD + row(2018, 2019, value), encoding="utf-8")
        study = read_study(table.parent)
        assert doubts(study.observations) == ()
        expected = prior_predictive(study, 400, rng=np.random.default_rng(1))
        assert [said[:6] for said in prior_doubts(expected)] == line


def test_the_prior_predictive_of_a_lognormal_level_is_its_own(make, small) -> None:
    """Log output = log Level + log Factor + error: quantiles of a normal, by its formula."""
    priors = make.priors("Factor", mu=0.0, sigma=0.4)
    table = make.table(make.row(value=10.0), make.row(value=10.0 * np.exp(0.5), start=2015.0))
    likelihood = make_likelihood(small, priors, table, make.noise())
    found = prior_predictive(likelihood, 20_000, rng=np.random.default_rng(2))
    sd = np.hypot(0.4, 0.1)  # prior and the error of grade A
    np.testing.assert_allclose(np.log(found["median"] / 10.0), 0.0, atol=0.015)
    np.testing.assert_allclose(np.log(found["p90"] / 10.0), 1.2816 * sd, atol=0.02)
    # Phi(0) and Phi(0.5 / 0.4123); four standard errors of a share of 20,000 draws.
    np.testing.assert_allclose(found["below"], [0.5, 0.8874], atol=0.015)
    assert "of 2 published numbers 1 lie in the middle half and 2 in the" in prior_words(found, 9)


def test_check_names_every_wrong_row(table: Path) -> None:
    wrong = [GOOD[0].replace("level", "levle"), GOOD[1].replace("bn CNY", "bn EUR"), GOOD[2]]
    table.write_text(HEAD + "".join(wrong) + row(2021, 2022, -1), encoding="utf-8")
    assert [fault.line for fault in study_faults(table.parent)] == [2, 3, 5]


def test_check_names_every_wrong_value_of_the_noise(table: Path) -> None:
    """A wrong value must not hide the next one, in the same table or in another."""
    path = table.parent / "study.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    start = lines.index("[noise]")
    body = [
        "[noise]",
        "year_shock = -0.1",
        'trend_by = "plaice"',
        'tails = "heavy"',
        "shared = 2",
        "sharde = 0.5",
        "[noise.grade]",
        "A = -1",
        'B = "x"',
        "C = 0.3",
        "[noise.vintage]",
        "final = 0.02",
        "revised = 0.03",
        "only = 0.05",
    ]
    rest = next(i for i in range(start, len(lines)) if lines[i].startswith("[definitions"))
    path.write_text("\n".join([*lines[:start], *body, *lines[rest:]]) + "\n", encoding="utf-8")
    wrong = [f.line - start for f in study_faults(table.parent) if f.line and f.line <= start + 14]
    # The last is the table that has no entry 'preliminary'.
    assert sorted(wrong) == [2, 3, 4, 5, 6, 8, 9, 11]


WRONG = {
    "parameters.toml": {'["Exit Rate"]': '["Exit Rat"]', '["Imitation Rate"]': '["Imit Rate"]'},
    "scenarios.toml": {"Support Final": "Suport Final", "Threshold Final": "Treshold Final"},
    "study.toml": {
        "offset_sd = 0.0": "ofset_sd = 0.0",
        '["active sellers"': '["activ seller"',
    },
}


def test_check_names_every_wrong_entry_of_every_file(table: Path) -> None:
    """Two faults in each file of a study and three in the observations: no more, no fewer."""
    folder = table.parent
    short = row(2018, 2019, 10) + "too,few\n" + row(2019, 2020, 11)
    table.write_text(
        HEAD + short + row(2019, 2020, 12) + row(2020, 2021, 13, "bn EUR"), encoding="utf-8"
    )
    with (folder / "places.csv").open("a", encoding="utf-8") as places:
        places.write("Delta,,,Fosham,\nDelta,,,,\n")
    for file, pairs in WRONG.items():
        text = (folder / file).read_text(encoding="utf-8")
        for good, bad in pairs.items():
            assert good in text, (file, good)
            text = text.replace(good, bad, 1)
        (folder / file).write_text(text, encoding="utf-8")
    checks = '[a]\nvariable = "nothing"\n[b]\nvariable = "output"\nat_last = 0\n'
    (folder / "checks.toml").write_text(checks, encoding="utf-8")
    found = [(fault.path.name, fault.line) for fault in study_faults(folder) if fault.path]
    assert sorted(name for name, _ in found) == sorted(
        ["observations.csv"] + 2 * ["observations.csv", "places.csv", *WRONG, "checks.toml"]
    )
    assert {line for name, line in found if name == "observations.csv"} == {3, 5, 6}


def growth(make, percent: float, end: float = 2023.0):  # type: ignore[no-untyped-def]
    return make.row("growth", end - 1, end, value=1 + percent / 100, unit="%")


def said(make, *rows) -> tuple[str, ...]:  # type: ignore[no-untyped-def]
    return doubts(make.table(*rows))


def test_a_growth_below_a_hundredth_is_doubted_beside_levels_that_grow(make) -> None:
    """Levels of 2019 and 2022, 10 and 15: 14.5 % a year; 0.15 is 15 % written as a share."""
    levels = [make.row(start=2018.0, value=10.0), make.row(start=2021.0, value=15.0)]
    around = 100 * (1.5 ** (1 / 3) - 1)
    (doubt,) = said(make, *levels, growth(make, 0.15, 2022.0))
    assert doubt.startswith("line 4: growth of 0.15 %")
    assert f"{around:.2g} %" in doubt
    # Up to a year after the later level, and not beyond it or before the first.
    assert said(make, *levels, growth(make, 0.15, 2023.0))
    assert not said(make, *levels, growth(make, 0.15, 2023.1))
    assert said(make, *levels, growth(make, 0.15, 2019.0))
    assert not said(make, *levels, growth(make, 0.15, 2018.9))
    # A hundredth itself, or no growth at all, is no share.
    assert said(make, *levels, growth(make, 0.99, 2022.0))
    assert not said(make, *levels, growth(make, 1.01, 2022.0))
    assert not said(make, *levels, growth(make, 0.0, 2022.0))
    assert said(make, *levels, growth(make, -0.15, 2022.0))


@pytest.mark.parametrize(("later", "doubted"), [(10.49, False), (10.51, True), (9.49, True)])
def test_levels_must_change_by_a_twentieth_for_a_doubt(make, later: float, doubted: bool) -> None:
    levels = [make.row(start=2020.0, value=10.0), make.row(start=2021.0, value=later)]
    assert bool(said(make, *levels, growth(make, 0.3, 2022.0))) == doubted


def test_growths_alone_doubt_one_that_is_twenty_times_smaller(make) -> None:
    """The middle of the others, 10 %, against 0.49 and 0.51 %; one other is not enough."""
    others = [growth(make, 4.0, 2019.0), growth(make, 10.0, 2020.0), growth(make, -30.0, 2021.0)]
    assert said(make, *others, growth(make, 0.49, 2023.0))
    assert not said(make, *others, growth(make, 0.51, 2023.0))
    assert not said(make, others[2], growth(make, 0.49, 2023.0))


@pytest.mark.parametrize(("value", "doubted"), [(20.3, False), (20.5, True)])
def test_a_part_may_exceed_its_whole_by_a_fiftieth(make, value: float, doubted: bool) -> None:
    whole = make.row(place="All", elements=("East", "West"), value=20.0)
    assert bool(said(make, whole, make.row(value=value))) == doubted


def test_a_level_is_compared_with_the_four_nearest_of_its_series(make) -> None:
    """Of 1, 1, 10, 10, 10, 10 the last four have the mean 10: 49 is within 5 times that."""
    early = [make.row(start=2010.0 + k, value=1.0) for k in range(2)]
    late = [make.row(start=2014.0 + k, value=10.0) for k in range(4)]
    assert not said(make, *late, make.row(start=2018.0, value=50.0))
    (doubt,) = said(make, *late, make.row(start=2018.0, value=50.1))
    assert doubt.startswith("line 6: 5 times its neighbours")
    # Six years apart, the first two do not count: with them 20 would be 4.3 times as much.
    assert not said(make, *early[:0], *late, make.row(start=2018.0, value=49.0))
    found = said(make, *early, *late, make.row(start=2018.0, value=49.0))
    assert not any(one.startswith("line 8") for one in found)


@pytest.mark.parametrize(("value", "doubted"), [(2.01, False), (1.99, True)])
def test_a_level_far_below_its_neighbours_is_doubted_too(make, value: float, doubted: bool) -> None:
    others = [make.row(start=2014.0 + k, value=10.0) for k in range(2)]
    assert bool(said(make, *others, make.row(start=2016.0, value=value))) == doubted


def test_two_neighbours_are_enough_and_half_of_them_must_agree(make) -> None:
    others = [make.row(start=2014.0, value=10.0), make.row(start=2015.0, value=10.0)]
    wrong = make.row(start=2016.0, value=100.0)
    assert not said(make, others[0], wrong)
    assert [one[:6] for one in said(make, *others, wrong)] == ["line 4"]
    # Of the four around it two are far away: no more than half.
    pairs = [make.row(start=2013.0 + k, value=v) for k, v in enumerate((1.0, 1.0, 1000.0, 1000.0))]
    found = said(make, *pairs, make.row(start=2017.0, value=900.0))
    assert not any(one.startswith("line 6") for one in found)


def test_levels_of_several_years_are_compared_by_the_year_and_stocks_with_stocks(make) -> None:
    """60 over three years are 20 a year; a stock of 1 beside flows of 10 is none of them."""
    flows = [make.row(start=2014.0 + k, value=10.0) for k in range(3)]
    assert not said(make, *flows, make.row(start=2017.0, end=2020.0, value=60.0))
    assert said(make, *flows, make.row(start=2017.0, end=2020.0, value=160.0))
    assert not said(make, *flows, make.row(start=2020.0, end=2020.0, value=1.0))


def test_the_growth_between_two_levels_is_that_of_the_second(make) -> None:
    """From 1 a growth of 500 % makes 6: 30.1 is five times that, 29.9 is not, nor 1.21."""
    growth_row = make.row("growth", 2015.0, value=6.0, unit="%")
    first = make.row(start=2014.0, value=1.0)
    for value, doubted in ((30.1, True), (29.9, False), (1.21, False), (1.19, True)):
        found = said(make, first, growth_row, make.row(start=2015.0, value=value))
        assert any("growth in line 3" in one for one in found) == doubted


def test_a_part_is_held_against_its_smallest_whole_or_the_largest_of_other_statistics(make) -> None:
    def whole(value: float, definition: str) -> Any:
        return make.row(place="All", elements=("East", "West"), value=value, definition=definition)

    part = make.row(value=30.0)
    # In its own statistic, two releases of the whole: the smaller one.
    both = [whole(20.0, "full"), whole(40.0, "full")]
    assert len(said(make, *both, part)) == 1
    # One other statistic may be narrower; of two the larger may be exceeded up to twice.
    assert not said(make, whole(10.0, "other"), part)
    two = [whole(1.0, "other"), whole(15.0, "third")]
    assert not said(make, *two, part)
    assert len(said(make, *two, make.row(value=30.1))) == 1
    # The same elements are no whole, and shares do not add up.
    assert not said(make, make.row(place="Same", value=1.0), part)
    assert not said(make, whole(20.0, "full"), make.row(value=30.0, unit="%"))


@pytest.mark.parametrize(
    ("start", "end", "near"),
    [
        (2023.0, 2023.55, "2023.5833"),
        (2023.2, 2023.75, "2023.1667"),
        (2023.0833, 2023.4167, ""),
        (2023.0, 2023.0 + 7.019 / 12, ""),  # half a day off a month
        (2023.0, 2023.0 + 7.021 / 12, "2023.5833"),
    ],
)
def test_a_part_year_begins_and_ends_with_a_month(
    make, start: float, end: float, near: str
) -> None:
    found = said(make, make.row("part-year", start, end, value=1.0))
    assert len(found) == bool(near)
    assert not near or near in found[0]
