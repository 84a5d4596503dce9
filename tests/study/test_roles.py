"""Roles: every name a study gives a part is checked against the model, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from beltcast.errors import InputError
from beltcast.schema import Label
from beltcast.study.roles import Roles, Years
from beltcast.study.starter import init
from beltcast.study.study import Study, read_study


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    init(folder, belts=["East", "West"])
    return folder


def lines(folder: Path) -> list[str]:
    return (folder / "study.toml").read_text(encoding="utf-8").splitlines()


def test_the_roles_of_a_study_are_those_of_its_tables(mine: Path) -> None:
    roles = read_study(mine).roles
    assert [lever.key for lever in roles.levers][:1] == ["Support Final Multiplier"]
    support = roles.levers[0]
    assert (support.low, support.high, support.idle, support.unit) == (0.0, 2.0, 1.0, "Dmnl")
    assert support.one == Label("support as planned", "按计划支持")
    assert roles.switches == ("SW Government", "SW Market", "SW Platform")
    assert roles.driver("SW Market") == "Market"
    assert roles.companions == ("active sellers", "Brand Strength")
    assert roles.total == "total output"


def test_a_study_without_tables_has_no_roles(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    init(folder, belts=["East"], template="blank")
    path = folder / "study.toml"
    head, _, _ = path.read_text(encoding="utf-8").partition("# What the model's variables")
    path.write_text(head, encoding="utf-8")
    assert read_study(folder).roles == Roles()


def test_a_study_names_loops_by_their_variables(mine: Path) -> None:
    path = mine / "study.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + '\n[loops]\n"brand loop" = ["brand strength"]\n', encoding="utf-8")
    assert read_study(mine).roles.loops == {"brand loop": ("Brand Strength",)}
    path.write_text(text + '\n[loops]\n"brand loop" = ["brand strenth"]\n', encoding="utf-8")
    with pytest.raises(InputError, match="did you mean 'Brand Strength'"):
        read_study(mine)


FAULTS = {
    # old text -> new text, the sentence, the text of the line that is named
    "renamed-lever": (
        '[levers."Threshold Final Multiplier"]',
        '[levers."Threshold Multiplier"]',
        "'Threshold Multiplier' is not a variable of model; did you mean "
        "'Threshold Final Multiplier'",
    ),
    "renamed-switch": ('[drivers."SW Market"]', '[drivers."SW Markets"]', "did you mean"),
    "companion": ('["active sellers", "Brand', '["sellers", "Brand', "companions: 'sellers'"),
    "total": ('total = "total output"', 'total = "all output"', "total: 'all output'"),
    "a-flow-is-no-lever": (
        '[levers."Tilt Final Multiplier"]',
        '[levers."total output"]',
        "'total output' is of kind auxiliary over (); expected one constant",
    ),
    "an-element-is-missing": (
        '[levers."Tilt Final Multiplier"]',
        '[levers."Initial Sellers"]',
        "'Initial Sellers' is of kind constant over (Belt); expected one constant",
    ),
    "range": ("range = [0.0, 2.0]", "range = [1.5, 2.0]", "the model's own value, 1, between"),
    "no-range": ("range = [0.0, 2.0]", "", "expected [low, high]"),
    "unit": (
        "range = [0.0, 2.0]",
        'unit = "firm"\nrange = [0.0, 2.0]',
        "'Support Final Multiplier' has unit 'firm' here and 'Dmnl' in the model",
    ),
    "key": ("range = [0.0, 2.0]", "ranges = [0.0, 2.0]", "unknown key 'ranges' of [levers."),
    "driver": ('driver = "SW Market"', 'driver = "SW Markets"', "no driver 'SW Markets'"),
    "label": (
        'Multiplier"]\nlabel = { en = "Support", zh = "政策支持" }',
        'Multiplier"]\nlabel = { de = "Hilfe" }',
        "texts by language",
    ),
    "flow": ("# [money]", '[money]\nspending = ["support costs"]', "spending: 'support costs'"),
    "sizes": ("# [money]", '[money]\nsizes = "money.toml"', "the sizes file 'money.toml' is"),
    "compare": ("[forecast]", '[forecast]\ncompare = "storm"', "compare: there is no scenario"),
    "called": ("[labels]", '[labels]\nfog = "fog"', "'fog' is not a variable"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_a_name_that_the_model_does_not_have_is_refused_with_its_line(
    mine: Path, old: str, new: str, says: str
) -> None:
    path = mine / "study.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_study(mine)
    assert says in str(caught.value)
    assert caught.value.path == path
    assert caught.value.line is not None
    # The line is that of the fault, or the head of the table that lacks something.
    said = lines(mine)[caught.value.line - 1]
    changed = {line for line in new.splitlines() if line.strip()}
    assert any(said in line or line in said for line in changed) or not new, said


def test_a_label_is_a_text_or_a_text_in_each_language(mine: Path) -> None:
    path = mine / "study.toml"
    text = path.read_text(encoding="utf-8")
    both = '{ en = "bn CNY", zh = "10 亿元" }'
    assert f"bnCNY = {both}" in text
    path.write_text(text.replace(both, '"bn CNY"'), encoding="utf-8")
    labels = read_study(mine).labels()
    assert labels["output"] == Label("output", "产出")
    assert labels["bnCNY"].text("zh") == "bn CNY"
    assert labels["support-fades"].en == "Support fades out"
    assert labels["Government"].en == "Government"


def test_a_definition_is_called_by_its_title_in_the_language_of_the_labels(mine: Path) -> None:
    path = mine / "study.toml"
    text = path.read_text(encoding="utf-8")
    title = next(iter(read_study(mine).noise.definitions.values())).title
    (own,) = (line for line in text.splitlines() if line.startswith(f'"{title}" = '))
    text = text.replace(own, f'"{title}" = {{ zh = "某口径" }}')
    path.write_text(text, encoding="utf-8")
    assert read_study(mine).labels()[title] == Label(title, "某口径")


def test_only_what_a_fit_depends_on_changes_the_hash_of_the_noise(mine: Path) -> None:
    path = mine / "study.toml"
    text = path.read_text(encoding="utf-8")

    def hashes(changed: str) -> Study:
        path.write_text(changed, encoding="utf-8")
        return read_study(mine)

    before = hashes(text).hashes
    renamed = hashes(text.replace('en = "Support"', 'en = "Aid"')).hashes
    assert renamed["noise"] == before["noise"]
    assert renamed["study"] != before["study"]
    wider = hashes(text.replace("A = 0.02", "A = 0.03")).hashes
    assert wider["noise"] != before["noise"]


def test_years_are_those_of_the_study_else_of_the_run_and_the_observations(mine: Path) -> None:
    found = read_study(mine).years
    # The template runs from 2018 to 2035 and its last example row ends with 2024.
    assert found == Years((2024, 2030, 2035), 2030, (2018, 2023), (2024, 2035))
    path = mine / "study.toml"
    text = path.read_text(encoding="utf-8")
    own = "[years]\nshown = [2026, 2028]\nanswer = 2028\n"
    path.write_text(text + own, encoding="utf-8")
    found = read_study(mine).years
    assert found == Years((2026, 2028), 2028, (2018, 2023), (2024, 2035))
    path.write_text(f"{text}[years]\nshown = [2018, 2035]\n", encoding="utf-8")
    assert read_study(mine).years.shown == (2018, 2035)  # the ends of the run are in it
    beyond = ("shown = [2017]", "shown = [2036]", "answer = 2040", "past = [2017, 2020]")
    for wrong in (*beyond, "past = [2020]", "ahead = [2030, 2025]", "shown = []"):
        path.write_text(f"{text}[years]\n{wrong}\n", encoding="utf-8")
        what = "ascending years" if wrong.startswith(("past", "ahead")) else "a year"
        said = f"expected {what} from 2018 to 2035, which the model runs through"
        with pytest.raises(InputError, match=said):
            read_study(mine)
