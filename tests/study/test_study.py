"""A study: one file that names all the others."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from beltcast import Study, read_study
from beltcast.errors import BeltcastError, InputError


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "calibration" / "belt.toml").read_text(encoding="utf-8")


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A copy of the study and everything that it names."""
    for folder in ("models/belt", "calibration"):
        shutil.copytree(root / folder, tmp_path / folder)
    return tmp_path / "calibration" / "belt.toml"


def test_the_shipped_study_is_read_whole(study: Study) -> None:
    belts = study.model.subscripts["Belt"]
    assert study.places["China"] == belts
    assert {"Shenzhen", "Foshan"} <= set(belts)
    assert {*belts, "China"} <= {*study.titles}
    assert len(study.observations) > 100
    assert next(iter(study.scenarios)) == "baseline"


def test_every_published_observation_has_its_source(study: Study) -> None:
    for row in study.observations:
        assert row.source, row
        # What is quoted second-hand has no address, and its source says so.
        assert row.url.startswith("http") or "not named" in row.source, row
        assert row.quote, row


def test_every_definition_in_use_is_described_and_every_described_one_is_used(
    study: Study,
) -> None:
    assert {row.definition for row in study.observations} == set(study.noise.definitions)


def test_hashes_are_those_of_the_files(study: Study, root: Path) -> None:
    files = {
        "study": "calibration/belt.toml",
        "model": "models/belt/belt.mdl",
        "observations": "calibration/data/observations.csv",
        "places": "calibration/data/places.csv",
        "priors": "models/belt/parameters.toml",
        "scenarios": "models/belt/scenarios.toml",
    }
    for name, file in files.items():
        assert study.hashes[name] == hashlib.sha256((root / file).read_bytes()).hexdigest()


def test_a_study_is_found_in_any_folder_with_its_files(checkout: Path, study: Study) -> None:
    other = read_study(checkout)
    assert other.hashes == study.hashes
    assert other.observations.path.is_relative_to(checkout.parent)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[study]", "[studie]", r"\[study\] is missing"),
        ('priors = "models/belt/parameters.toml"', "", "study.priors is missing"),
        ("models/belt/parameters.toml", "models/belt/parameter.toml", "correct the path"),
        ("2013 = 6.1932", "2013 = -6.1932", "expected yuan for one dollar, a number above 0"),
        ("2013 = 6.1932", "2013 = nan", "expected yuan for one dollar, a number above 0"),
        ("2013 = 6.1932", "2013 = true", "expected yuan for one dollar, a number above 0"),
        ("2013 = 6.1932", "thirteen = 6.1932", "key 'thirteen'; expected a year"),
        ("[usd_cny]", "[usd]", "usd_cny"),
    ],
)
def test_a_fault_in_the_study_is_said_in_one_sentence_with_its_file(
    checkout: Path, text: str, old: str, new: str, says: str
) -> None:
    assert old in text
    checkout.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BeltcastError, match=says) as caught:
        read_study(checkout)
    assert "\n" not in str(caught.value)
    assert caught.value.path is not None
    assert str(caught.value).startswith(str(checkout.parent))


def test_a_table_of_rates_that_is_no_table_is_refused(checkout: Path, text: str) -> None:
    head, _, _ = text.partition("[usd_cny]")
    checkout.write_text("usd_cny = 7\n" + head, encoding="utf-8")
    with pytest.raises(InputError, match="usd_cny is 7; expected a table"):
        read_study(checkout)


def test_a_definition_without_its_table_is_refused_with_the_row(checkout: Path, text: str) -> None:
    checkout.write_text(text.replace("[definitions.sellers]", "[definitions.seller]"), "utf-8")
    with pytest.raises(BeltcastError) as caught:
        read_study(checkout)
    table = checkout.parent / "data" / "observations.csv"
    line = next(
        i for i, row in enumerate(table.read_text("utf-8").splitlines(), 1) if ",sellers," in row
    )
    assert str(caught.value).startswith(f"{table}:{line}: ")
    assert "did you mean 'seller'" in str(caught.value)


def test_a_study_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_study(tmp_path / "none.toml")


def test_the_national_study_is_the_belt_study_with_the_nation_s_observations(
    root: Path, study: Study
) -> None:
    nation = read_study(root / "calibration" / "national.toml")
    assert {row.place for row in nation.observations} == {"China"}
    assert len(nation.observations) == sum(row.place == "China" for row in study.observations)
    assert nation.noise == study.noise
    assert nation.priors.labels == study.priors.labels
    same = ("model", "observations", "places", "priors", "scenarios", "inputs")
    assert all(nation.hashes[name] == study.hashes[name] for name in same)
    assert nation.hashes["study"] != study.hashes["study"]


def test_a_change_of_the_study_it_begins_with_is_a_change_of_the_study(checkout: Path) -> None:
    path = checkout.with_name("national.toml")
    before = read_study(path).hashes["study"]
    checkout.write_text(checkout.read_text(encoding="utf-8") + "# more\n", encoding="utf-8")
    assert read_study(path).hashes["study"] != before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('["China"]', '["Chine"]', "did you mean 'China'"),
        ('["China"]', '"China"', "a list of places"),
        ('["China"]', "[]", "a list of places"),
        ('"belt.toml"', "3", "the file of a study"),
        ('"belt.toml"', '"national.toml"', "is itself an extension of another one"),
        ('"belt.toml"', '"none.toml"', "is not in the folder of this file"),
    ],
)
def test_a_wrong_beginning_is_refused(checkout: Path, old: str, new: str, says: str) -> None:
    path = checkout.with_name("national.toml")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_study(path)
