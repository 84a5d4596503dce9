"""Each bad input gets one sentence: what was given, where, what was expected, what to do."""

from __future__ import annotations

import csv
import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from beltcast.errors import BeltcastError, InputError, TableError, UnitError, did_you_mean
from beltcast.study.observations_file import COLUMNS, read_observations
from beltcast.study.places import read_places
from beltcast.study.priors_file import read_priors
from beltcast.study.scenarios import read_scenarios

from ..stand_in import StandIn

PLACES = {"China": ("Shenzhen", "Foshan", "Yiwu"), "Guangdong": ("Shenzhen", "Foshan")}


def refusal(read: Callable[[Path], object], path: Path, data: str | bytes) -> InputError:
    """What a reader says to a file; always on one line, and with the path in front."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return caught.value


def check(error: InputError, line: int | None, *words: str) -> None:
    assert error.line == line
    position = 0
    for word in words:
        position = error.sentence.find(word, position)
        assert position >= 0, f"{word!r} is not in {error.sentence!r}, in this order"


# --- observations ---------------------------------------------------------------------------

ROW = dict.fromkeys(COLUMNS, "") | {
    "place": "Shenzhen",
    "quantity": "output",
    "kind": "level",
    "start": "2023",
    "end": "2024",
    "value": "100",
    "unit": "bn CNY",
    "definition": "gacc",
    "vintage": "final",
    "grade": "A",
    "published": "2024.3",
    "source": "Customs",
}


def table(*changes: dict[str, str]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(ROW | change for change in changes)
    return file.getvalue()


def observations(path: Path) -> object:
    return read_observations(path, StandIn(), PLACES, usd_cny={2023: 7.0})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"place": "Shenzen"}, ["unknown place 'Shenzen'", "did you mean 'Shenzhen'?"]),
        ({"place": "Atlantis"}, ["unknown place 'Atlantis'", "expected one of", "'Guangdong'"]),
        ({"place": "Brand"}, ["'Brand' has no elements of 'Belt'", "'output'"]),
        ({"place": "Foshan", "quantity": "national trade"}, ["national", "'Foshan' is a part"]),
        ({"quantity": "outptu"}, ["unknown quantity", "'outptu'", "did you mean 'output'?"]),
        ({"quantity": "Belt Size"}, ["'Belt Size'", "kind 'constant'", "stock or an auxiliary"]),
        ({"quantity": "firms", "unit": "firm"}, ["'firms' has several dimensions", "Belt, Tier"]),
        ({"unit": "firm"}, ["'firm' does not convert", "bnCNY/Year", "give the number"]),
        ({"unit": "bn EUR"}, ["unknown unit 'bn EUR'", "expected one of"]),
        ({"unit": "stones"}, ["unknown unit 'stones'", "expected one of", "'bn CNY'"]),
        ({"unit": "bn USD", "start": "2022", "end": "2023"}, ["dollars", "2022", "usd_cny", "add"]),
        ({"kind": "growth"}, ["'bn CNY' does not convert to 'Dmnl'"]),
        ({"value": "-3"}, ["level is -3 bn CNY", "expected a number above 0"]),
        ({"value": "0"}, ["level is 0 bn CNY", "above 0"]),
        ({"value": "nan"}, ["value is 'nan'", "expected a number"]),
        ({"value": "inf"}, ["value is 'inf'", "expected a number"]),
        ({"value": "1,234"}, ["value is '1,234'", "like 1234.5"]),
        ({"value": "1e999"}, ["value is '1e999'", "expected a number"]),
        ({"value": ""}, ["value is empty", "fill it in"]),
        ({"source": " "}, ["source is empty", "fill it in"]),
        ({"end": "2022"}, ["ends at 2022, before it starts at 2023", "correct"]),
        ({"end": "2023"}, ["period is empty", "'output' is a flow"]),
        ({"end": "2023.5"}, ["whole years", "2023 to 2023.5", "part-year"]),
        ({"kind": "part-year"}, ["whole years", "call it level"]),
        ({"kind": "levle"}, ["unknown kind 'levle'", "did you mean 'level'?"]),
        ({"kind": "growth", "unit": "%", "value": "-100"}, ["growth is -100 %", "more than -100"]),
        ({"kind": "growth", "unit": "%", "end": "2025"}, ["overlap", "at most one year"]),
        ({"kind": "share", "unit": "%", "value": "120"}, ["share is 120 %", "up to 100 %"]),
        ({"quantity": "active sellers", "unit": "firm"}, ["at an instant", "start and end"]),
        ({"vintage": "Final"}, ["unknown vintage 'Final'", "did you mean 'final'?"]),
        ({"grade": "D"}, ["unknown grade 'D'", "expected one of 'A', 'B', 'C'"]),
        ({"definition": "City full"}, ["'City full' is not a slug", "'city-full'"]),
        ({"published": "2020"}, ["published 2020", "before the period begins"]),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_a_wrong_cell_of_an_observation_is_named(
    tmp_path: Path, change: dict[str, str], words: list[str]
) -> None:
    # The good row of another place stands first: the line must be that of the bad one.
    data = table({"place": "Yiwu", "definition": "other"}, change)
    check(refusal(observations, tmp_path / "o.csv", data), 3, *words)


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        ([{}, {}], 3, ["level of 'output'", "repeats the period of line 2", "keep one"]),
        ([{}, {"value": "5"}], 3, ["repeats the period of line 2"]),
        ([{}, {"place": "shenzhen", "end": "2024.0001"}], 3, ["'Shenzhen'", "repeats"]),
        (
            [{"kind": "growth", "unit": "%"}, {"place": "Yiwu"}, {"kind": "growth", "unit": "%"}],
            4,
            ["growth", "repeats the period of line 2"],
        ),
        ([{}, {"start": "2023.5", "end": "2024.5"}], 3, ["overlaps with the period of line 2"]),
    ],
)
def test_overlapping_definitions_are_named_with_both_lines(
    tmp_path: Path, rows: list[dict[str, str]], line: int, words: list[str]
) -> None:
    check(refusal(observations, tmp_path / "o.csv", table(*rows)), line, *words)


GOOD = table({"quote": "跨境电商出口增长"})


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        ("", None, ["empty", "restore"]),
        (" \n\n", None, ["empty"]),
        (",".join(COLUMNS) + "\n", None, ["no rows", "add one"]),
        (GOOD.replace("vintage,", ""), 1, ["missing column 'vintage'", "add it"]),
        (GOOD.replace("vintage", "vintag"), 1, ["missing column 'vintage'", "'vintag'"]),
        (GOOD.replace("note", "note,colour", 1), 1, ["unknown column 'colour'", "remove"]),
        (GOOD.replace("note", "note,note", 1), 1, ["column 'note' is there twice"]),
        (GOOD + "Yiwu,output,level,2023,20", 3, ["5 fields, expected 15", "cut off"]),
        (GOOD + 'Yiwu,output,level,"2023,20', 3, ["not CSV", "close its quotes", "restore"]),
        (GOOD.encode()[: GOOD.encode().index("长".encode()) + 2], 2, ["ends in the middle"]),
        (GOOD.replace("增长", "é ü").encode("latin-1", "replace"), 2, ["neither UTF-8 nor"]),
        ("place\xe9r\xe8s".encode("latin-1") + b"\n", 1, ["neither UTF-8 nor GB18030", "save"]),
    ],
)
def test_a_broken_table_is_refused_with_its_line(
    tmp_path: Path, data: str | bytes, line: int | None, words: list[str]
) -> None:
    check(refusal(observations, tmp_path / "o.csv", data), line, *words)


def test_every_truncation_of_a_table_is_refused_or_shorter(tmp_path: Path) -> None:
    data = table(
        {"quote": 'so "it" grew', "note": "x"}, {"place": "Yiwu", "quote": "增长"}
    ).encode()
    path = tmp_path / "o.csv"
    refused = 0
    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            rows = read_observations(path, StandIn(), PLACES).rows
        except TableError:
            refused += 1
        else:
            # A cut between rows, or within the free text at the end of one, cannot be seen.
            assert {row.value for row in rows} == {100.0}
            assert {row.source for row in rows} == {"Customs"}
    assert refused > 0.9 * len(data) - len("quote and note")


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        ("place\nx\n", 1, ["missing column 'belts'"]),
        (
            "place,belts\nX,Shenzhen;Foshn\n",
            2,
            ["unknown element 'Foshn'", "did you mean 'Foshan'?"],
        ),
        ("place,belts\nX,Foshan\nx,Yiwu\n", 3, ["'x' is given twice", "line 2"]),
        ("place,belts\nX,Foshan;foshan\n", 2, ["'foshan' is twice in 'X'"]),
        ("place,belts\nX,Foshan;Brand\n", 2, ["different subscript ranges"]),
        ("place,belts\nYiwu,Foshan\n", 2, ["can only mean itself"]),
        ("place,belts\nX,;\n", 2, ["'X' has no elements"]),
        ("place,belts\nX,\n", 2, ["belts is empty"]),
    ],
)
def test_a_wrong_place_is_named(tmp_path: Path, data: str, line: int, words: list[str]) -> None:
    check(
        refusal(lambda path: read_places(path, StandIn()), tmp_path / "p.csv", data), line, *words
    )


# --- priors ---------------------------------------------------------------------------------


def prior(header: str = "Imitation Rate", **changes: str | None) -> str:
    keys: dict[str, str | None] = {
        "distribution": '"lognormal"',
        "median": "0.4",
        "log_sd": "0.3",
        "bounds": "[0.05, 1.5]",
        "unit": '"1/Year"',
        "source": '"test"',
    }
    lines = [f"{key} = {value}" for key, value in (keys | changes).items() if value is not None]
    return "\n".join([f'["{header}"]', *lines, ""])


def priors(path: Path) -> object:
    return read_priors(path, StandIn())


ELEMENT = {"per": '"Belt"', "unit": '"Dmnl"', "bounds": None}


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (prior("Imitaton Rate"), 1, ["'Imitaton Rate' is not in", "did you mean 'Imitation Rate'"]),
        (prior("Exit Rate[Distribtor]"), 1, ["'Distribtor' is not an element of 'Tier'", "mean"]),
        (prior("Imitation Rate[Brand]"), 1, ["does not fit", "write 'Imitation Rate'"]),
        (prior("output"), 1, ["'output' is of kind 'auxiliary'", "needs a constant"]),
        (prior(unit='"1/Day"'), 6, ["'1/Day' here and '1/Year' in the model", "same"]),
        (
            prior(bounds="[1.5, 0.05]"),
            5,
            ["is [1.5, 0.05]", "lower one first"],
        ),
        (prior(bounds="[0.4, 0.4]"), 5, ["[0.4, 0.4]", "lower one first"]),
        (prior(bounds="[0.5, 1.5]"), 5, ["median 0.4", "outside its bounds [0.5, 1.5]"]),
        (prior(bounds="[-1, 1]"), 5, ["[-1, 1] leave the domain of a lognormal", "[0, inf]"]),
        (prior(bounds="[nan, 1]"), 5, ["bounds of 'Imitation Rate' is [nan, 1]", "two numbers"]),
        (prior(bounds="0.5"), 5, ["bounds of 'Imitation Rate' is 0.5", "expected [lower, upper]"]),
        (prior(log_sd="0"), 4, ["log_sd", "is 0", "above 0"]),
        (prior(log_sd="-0.3"), 4, ["log_sd", "is -0.3", "above 0"]),
        (prior(log_sd=None), 1, ["'Imitation Rate' has no log_sd", "add log_sd"]),
        (
            prior(log_sd="true"),
            4,
            ["log_sd of 'Imitation Rate' is True", "finite number"],
        ),
        (prior(median="inf"), 3, ["median of 'Imitation Rate' is inf", "finite"]),
        (prior(median="-1"), 3, ["median of 'Imitation Rate' is -1", "above 0"]),
        (prior(distribution='"lognormall"'), 2, ["'lognormall'", "did you mean 'lognormal'?"]),
        (
            prior(distribution='"gamma"'),
            3,
            ["unknown key 'median' of a gamma prior"],
        ),
        (
            prior(distribution=None),
            1,
            ["distribution of", "is missing", "one of 'lognormal'"],
        ),
        (prior(sd="1"), 8, ["unknown key 'sd' of a lognormal prior"]),
        (prior(medain="1"), 8, ["unknown key 'medain'", "did you mean 'median'?"]),
        (prior(per='"Belt"'), 8, ["per = 'Belt'", "no dimension", "remove per"]),
        (prior("Exit Rate", per='"Belt"'), 8, ["not a dimension of 'Exit Rate'", "'Tier'"]),
        (prior("Mix", **ELEMENT), 7, ["leaves 'Tier' open", "one table for each"]),
        (prior("Exit Rate", median=None), 1, ["several values in the model", "give a median"]),
        (
            prior("Belt Brand Factor", **ELEMENT, log_sd="{ Yiwu = 0.1, Fosan = 0.2 }"),
            4,
            ["'Fosan' is not an element", "did you mean 'Foshan'?"],
        ),
        (
            prior("Belt Brand Factor", **ELEMENT, log_sd="{ Yiwu = 0.1 }"),
            4,
            ["no log_sd for 'Shenzhen'", "above 0"],
        ),
        (prior() + prior(), 8, ["'Imitation Rate' is given twice", "keep one"]),
        (prior() + prior("imitation_rate"), 8, ["'Imitation Rate' is given twice", "line 1"]),
        (prior("Exit Rate") + prior("Exit Rate[Brand]"), 8, ["given twice, first in line 1"]),
        (prior() + 'median = "unclosed\n', 8, ["this is not TOML", "correct the line"]),
        (prior() + "[truncat", 8, ["this is not TOML", "restore"]),
        ("# nothing\n", None, ["only comments", "add"]),
        ("", None, ["empty"]),
        ("median = 1\n", 1, ["'median' is outside a prior", "header"]),
    ],
)
def test_a_wrong_prior_is_named(
    tmp_path: Path, data: str, line: int | None, words: list[str]
) -> None:
    check(refusal(priors, tmp_path / "p.toml", data), line, *words)


# --- scenarios ------------------------------------------------------------------------------


def scenarios(path: Path) -> object:
    return read_scenarios(path, StandIn())


BASE = '[baseline]\ntitle = "Baseline"\n'


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        ("", None, ["empty"]),
        ("# none\n", None, ["only comments"]),
        (
            BASE + 'constants = { "Exit Rat" = 1 }\n',
            3,
            ["scenario 'baseline': 'Exit Rat' is not in", "did you mean 'Exit Rate'?"],
        ),
        (BASE + '[baseline.constants]\n"Exit Rate" = { Brnd = 1 }\n', 4, ["'Brnd'", "'Brand'?"]),
        (BASE + '[baseline.constants]\n"output" = 1\n', 4, ["kind 'auxiliary'", "a constant"]),
        (
            BASE + '[baseline.constants]\n"Export Share" = "much"\n',
            4,
            ["'Export Share' in scenario 'baseline' is 'much'", "finite number"],
        ),
        (BASE + '[baseline.constants]\n"Export Share" = nan\n', 4, ["is nan", "finite number"]),
        (
            BASE + '[baseline.constants]\n"Export Share" = 1\nexport_share = 2\n',
            5,
            ["'Export Share' is given twice"],
        ),
        (BASE + "constants = 3\n", 3, ["constants of scenario 'baseline' is 3", "a table"]),
        (BASE + "constant = {}\n", 3, ["unknown key 'constant'", "did you mean 'constants'?"]),
        (BASE + 'inputs."Export Share" = { "2027" = 1 }\n', 3, ["kind 'constant'", "an input"]),
        (
            BASE + 'inputs."overseas online retail" = 7\n',
            3,
            ["'overseas online retail' in scenario 'baseline' is 7", "a table of times"],
        ),
        (
            BASE + 'inputs."overseas online retail" = { soon = 7 }\n',
            3,
            ["time 'soon'", "not a number", "2027"],
        ),
        (
            BASE + 'inputs."overseas online retail" = { "2027" = 7, "2027.0" = 8 }\n',
            3,
            ["given twice"],
        ),
        ("[baseline]\n", 1, ["title of scenario 'baseline' is missing", "add title"]),
        ('title = "x"\n', 1, ["'title' is outside a scenario"]),
        (
            BASE + '[a]\ntitle = "A"\nextends = "basline"\n',
            5,
            ["'a' extends the unknown scenario 'basline'", "did you mean 'baseline'?"],
        ),
        (BASE + 'extends = "baseline"\n', 3, ["circle, baseline -> baseline", "remove"]),
        (
            '[a]\ntitle = "A"\nextends = "b"\n[b]\ntitle = "B"\nextends = "a"\n',
            6,
            ["circle, a -> b -> a", "remove one extends"],
        ),
        (BASE + BASE, 3, ["'baseline' is given twice"]),
        (BASE + "[a", 3, ["this is not TOML"]),
    ],
)
def test_a_wrong_scenario_is_named(
    tmp_path: Path, data: str, line: int | None, words: list[str]
) -> None:
    check(refusal(scenarios, tmp_path / "s.toml", data), line, *words)


# --- all of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("read", [observations, priors, scenarios])
def test_a_missing_file_and_a_folder_are_named(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError, match=re.escape(f"{path}: cannot be read (")):
            read(path)


def test_an_error_survives_pickling() -> None:
    error = UnitError("it does not convert", "a.csv", 3)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a.csv:3: it does not convert"
    assert type(again) is UnitError
    assert (again.path, again.line) == (error.path, error.line)


def test_an_error_without_a_file_is_its_sentence() -> None:
    assert str(BeltcastError("no place is known")) == "no place is known"


def test_did_you_mean_is_silent_when_nothing_is_near_and_the_choice_is_long() -> None:
    assert did_you_mean("zzz", [f"name {i}" for i in range(20)]) == ""
    assert did_you_mean("belt_size", ["Belt Size", "Exit Rate"]) == "; did you mean 'Belt Size'?"
