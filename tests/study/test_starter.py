"""A folder made by `init` runs at once, and what a user spoils in it is told with file and line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast import cli, read_study
from beltcast.errors import InputError
from beltcast.inference.predicted_observations import observe
from beltcast.model.checks import check_model
from beltcast.study.faults import study_faults
from beltcast.study.starter import init
from beltcast.workflows.report import file_names

TEMPLATES = ("belt", "blank")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A new study of two belts, one with a Chinese name."""
    init(tmp_path / "mine", belts=["Foshan", "东莞"])
    return tmp_path / "mine"


def beltcast(*arguments: str, code: int = 0, input: str | None = None) -> str:
    """Run the command line; return what it prints."""
    ended = CliRunner().invoke(cli.app, list(arguments), input=input)
    assert ended.exit_code == code, (ended.output, ended.exception)
    return ended.output


# --- what is written --------------------------------------------------------------------------


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("belts", [["Foshan"], ["Foshan", "东莞", "Shunde 3C"]])
def test_every_template_is_a_study_without_a_fault(
    tmp_path: Path, template: str, belts: list[str]
) -> None:
    files = init(tmp_path / "mine", belts=belts, template=template)
    assert sorted(files) == sorted((tmp_path / "mine").iterdir())
    assert study_faults(tmp_path / "mine") == ()
    study = read_study(tmp_path / "mine")
    assert study.model.subscripts["Belt"] == tuple(belts)
    assert study.whole("output") == "All belts"
    assert len(study.scenarios) >= 2
    assert len(study.observations.examples()) == len(study.observations)
    checked = check_model(study.model)
    assert checked.units == ()
    assert checked.negative == ()
    assert not re.search(r"\$\w", "".join(p.read_text(encoding="utf-8") for p in files))


@pytest.mark.parametrize("template", TEMPLATES)
def test_example_observations_are_of_the_size_that_the_model_gives(
    tmp_path: Path, template: str
) -> None:
    # Not a fit, only an example that makes sense: within a factor of two.
    init(tmp_path / "mine", belts=["A", "B", "C"], template=template)
    study = read_study(tmp_path / "mine")
    values = [row.value for row in study.observations]
    ratio = observe(study.model, study.observations) / values
    assert np.all((ratio > 0.5) & (ratio < 2.0))


def test_the_years_are_those_that_were_asked_for(tmp_path: Path) -> None:
    init(tmp_path / "mine", belts=["Foshan"], start=2010, end=2016)
    study = read_study(tmp_path / "mine")
    grid = study.model.grid()
    assert (grid.times()[0], grid.times()[-1]) == (2010.0, 2017.0)
    rows = study.observations.table()
    assert rows["start"].min() >= 2010
    assert rows["end"].max() <= 2016
    assert np.isfinite(observe(study.model, study.observations)).all()


def test_the_drivers_of_the_belt_template_can_be_switched_off(mine: Path) -> None:
    model = read_study(mine).model
    on = model.simulate(outputs=["total output"])["total output"].values
    for switch in ("SW Government", "SW Market", "SW Platform"):
        off = model.simulate({switch: 0.0}, outputs=["total output"])["total output"].values
        assert off[0] == on[0]
        assert off[-1] < on[-1]


def test_tables_begin_with_a_mark_that_spreadsheets_take_for_utf_8(mine: Path) -> None:
    for path in mine.glob("*.csv"):
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")


# --- what is refused --------------------------------------------------------------------------


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    for name in ("thesis.txt", "summary.txt"):  # the second would pass for a folder of results
        folder = tmp_path / name.removesuffix(".txt")
        folder.mkdir()
        (folder / name).write_text("years of work", encoding="utf-8")
        with pytest.raises(InputError, match="exists and is not empty"):
            init(folder, belts=["Foshan"])
        assert os.listdir(folder) == [name]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"belts": []}, "name at least one"),
        ({"belts": ["A&B"]}, "'A&B' cannot be the name of a belt"),
        ({"belts": ["2018"]}, "'2018' cannot be the name of a belt"),
        ({"belts": [""]}, "cannot be the name of a belt"),
        ({"belts": ["East Side", "east_side"]}, "given twice"),
        ({"belts": ["All belts", "B"]}, "no study can be made with 'All belts', 'B'"),
        ({"belts": ["A"], "end": 2020}, "give an end of 2024 or later"),
        ({"belts": ["A"], "template": "bilt"}, "did you mean 'belt'"),
        ({"belts": ["A"], "title": 'the "belt"'}, "leave out quotes"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, asked: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        init(tmp_path / "mine", **asked)  # type: ignore[arg-type]  # wrong on purpose
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_folder_one_is_in_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is the folder you are in"):
        init(".", belts=["Foshan"])


# --- what a user spoils -----------------------------------------------------------------------

SPOILT = {
    "model": ("model.mdl", "Exit Rate = 0.12", "Exit Rate = 0.12 +", "cannot be read"),
    "model-name": ("model.mdl", "*Exit Rate", "*Exit Rat", "Exit Rat"),
    "study": ("study.toml", 'priors = "parameters.toml"', 'priors = "p.toml"', "'p.toml'"),
    "study-noise": ("study.toml", "grade = {", "grad = {", "'grade'"),
    "study-target": ("study.toml", 'target = "output"', 'target = "outputs"', "'output'"),
    "places": ("places.csv", "Foshan;", "Fushan;", "did you mean 'Foshan'"),
    "rows-place": ("observations.csv", "Foshan,output,growth", "Fosan,output,growth", "'Foshan'"),
    "rows-unit": ("observations.csv", "160,亿元", "160,亿欧", "unknown unit"),
    "rows-kind": ("observations.csv", "part-year", "partyear", "part-year"),
    "rows-number": ("observations.csv", ",13,", ',"13,0",', "number"),
    "rows-definition": ("observations.csv", "%,city", "%,citty", "definition 'citty'"),
    "priors-name": ("parameters.toml", '["Exit Rate"]', '["Exit Rat"]', "'Exit Rate'"),
    "priors-unit": ("parameters.toml", 'unit = "firm"', 'unit = "1/Year"', "unit"),
    "scenario-name": ("scenarios.toml", "Support Final", "Suport Final", "Support Final"),
    "scenario-toml": ("scenarios.toml", "[brand-push]", "[brand-push", "not TOML"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_a_spoilt_file_is_named_with_its_line_and_a_remedy(mine: Path, fault: str) -> None:
    file, old, new, says = SPOILT[fault]
    path = mine / file
    text = path.read_text(encoding="utf-8-sig")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    output = beltcast("check", str(mine), code=2)
    (line,) = output.splitlines()
    where = 1 + text[: text.index(old)].count("\n")
    found = re.match(rf"beltcast: {re.escape(str(path))}(?::(\d+))?: (.*)", line)
    assert found, line
    if fault != "study-noise":  # a missing key has no line
        # An equation begins a few lines above its own comment; everything else is exact.
        assert abs(int(found[1]) - where) <= (2 if file == "model.mdl" else 0), line
    assert says in found[2]


def test_the_first_fault_of_every_file_is_told_at_once(mine: Path) -> None:
    for file, old, new in [
        ("observations.csv", "part-year", "partyear"),
        ("parameters.toml", '["Exit Rate"]', '["Exit Rat"]'),
        ("scenarios.toml", "Support Final", "Suport Final"),
    ]:
        text = (mine / file).read_text(encoding="utf-8-sig")
        (mine / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    faults = study_faults(mine)
    assert [fault.path.name for fault in faults if fault.path] == [
        "observations.csv",
        "parameters.toml",
        "scenarios.toml",
    ]
    assert len(beltcast("check", str(mine), code=2).splitlines()) == 3


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    (fault,) = study_faults(tmp_path)
    assert "holds no study.toml" in str(fault)


# --- the whole path ---------------------------------------------------------------------------


# A machine without a Chinese font still makes the picture; the fonts are not what is tested.
@pytest.mark.filterwarnings("ignore:Glyph .* missing from font:UserWarning")
def test_from_init_to_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    beltcast("init", "mine", "--places", "Foshan，东莞", "--name", "Two belts")
    said = beltcast("check", "mine")
    assert "11 of 11 observations are examples" in said
    assert "no certain fault" in said
    said = beltcast("forecast", "mine", "--draws", "20", "--starts", "4")
    assert "Two belts" in said
    assert "11 of 11 observations are examples" in said
    with xr.open_dataset("runs/mine/forecast.nc") as result:
        assert result["place"].values.tolist() == ["All belts", "Foshan", "东莞"]
        assert result["scenario"].values[0] == "baseline"
        assert float(result["output_quantile"].min()) > 0


def test_in_a_terminal_init_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("beltcast.cli.models._is_terminal", lambda: True)
    beltcast("init", "mine", input="My study\n佛山, 东莞\n2016\n2030\nblank\n")
    study = read_study("mine")
    assert study.title == "My study"
    assert study.model.subscripts["Belt"] == ("佛山", "东莞")
    assert study.model.grid().times()[0] == 2016.0
    assert "Size" in study.model.variables


def test_a_new_study_answers_what_it_hangs_on_without_naming_a_target(mine: Path) -> None:
    beltcast("sensitivity", str(mine), "--method", "tornado", "--output", str(mine / "out"))
    # Of the sum over the places, which the template's table [forecast] names.
    assert "'total output'" in (mine / "out" / "summary.txt").read_text(encoding="utf-8")


def test_a_policy_without_a_flow_that_is_paid_is_refused_before_the_fit(mine: Path) -> None:
    ended = CliRunner().invoke(cli.app, ["policy", str(mine)])
    assert isinstance(ended.exception, InputError)
    words = str(ended.exception)
    assert "name one with --cost, or add it to the model, as in spending[Belt] = " in words
    assert 'spending = ["spending"] to the table [money] of the study' in words


def test_the_next_commands_can_be_typed_where_the_path_has_blanks(tmp_path: Path) -> None:
    output = beltcast("init", str(tmp_path / "my belt"), "--name", "X", "--places", "A")
    assert f"beltcast check '{tmp_path / 'my belt'}'" in output


def test_places_that_differ_by_signs_only_have_reports_of_their_own() -> None:
    assert file_names(["A B", "A-B", "C"]) == [
        ("A B", "a-b.html"),
        ("A-B", "a-b-2.html"),
        ("C", "c.html"),
    ]
