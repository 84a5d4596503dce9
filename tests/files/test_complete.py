"""A folder of results appears complete or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from beltcast.errors import InputError
from beltcast.files.complete import complete_folder


def fill(path: Path, text: str) -> None:
    with complete_folder(path) as folder:
        (folder / "summary.txt").write_text(text, encoding="utf-8")


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "belt"
    with complete_folder(path) as folder:
        (folder / "summary.txt").write_text("done", encoding="utf-8")
        assert not path.exists()
    assert (path / "summary.txt").read_text(encoding="utf-8") == "done"
    assert os.listdir(path.parent) == ["belt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, SystemExit, InputError])
@pytest.mark.parametrize("before", [None, "old"])
def test_a_fault_leaves_things_as_they_were(
    tmp_path: Path, fault: type[BaseException], before: str | None
) -> None:
    path = tmp_path / "belt"
    if before:
        fill(path, before)

    def work() -> None:
        with complete_folder(path) as folder:
            (folder / "half.txt").write_text("half", encoding="utf-8")
            raise fault("stop")

    with pytest.raises(fault, match="stop"):
        work()
    if before:
        assert (path / "summary.txt").read_text(encoding="utf-8") == before
        assert os.listdir(path) == ["summary.txt"]
    assert os.listdir(tmp_path) == (["belt"] if before else [])


def test_results_are_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "belt"
    fill(path, "old")
    (path / "extra.txt").write_text("of the old run", encoding="utf-8")
    fill(path, "new")
    assert (path / "summary.txt").read_text(encoding="utf-8") == "new"
    assert os.listdir(path) == ["summary.txt"]
    assert os.listdir(tmp_path) == ["belt"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    path = tmp_path / "belt"
    path.mkdir()
    fill(path, "new")
    assert os.listdir(path) == ["summary.txt"]


def test_what_is_no_folder_of_results_is_never_touched(tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("years of work", encoding="utf-8")
    file = tmp_path / "notes"
    file.write_text("notes", encoding="utf-8")
    for path in (folder, file):
        with pytest.raises(InputError, match="is not a folder of results; choose another name"):
            fill(path, "new")
    assert (folder / "chapter.txt").read_text(encoding="utf-8") == "years of work"
    assert file.read_text(encoding="utf-8") == "notes"
    assert sorted(os.listdir(tmp_path)) == ["notes", "thesis"]


def test_work_that_somebody_put_there_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "belt"

    def work() -> None:
        with complete_folder(path):
            path.mkdir()
            (path / "mine.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(InputError, match="was created while this ran"):
        work()
    assert os.listdir(path) == ["mine.txt"]
    assert os.listdir(tmp_path) == ["belt"]


def test_the_old_results_come_back_when_the_new_cannot_be_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "belt"
    fill(path, "old")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if Path(target) == path and "-old" not in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError, match="no space left on device"):
        fill(path, "new")
    assert (path / "summary.txt").read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["belt"]


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written to"):
        fill(file / "belt", "new")
    assert file.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("others", [False, True])
def test_a_fault_leaves_no_empty_folders_above(tmp_path: Path, others: bool) -> None:
    """Those that were made for the result go, but not if something else came into them."""

    def work() -> None:
        with complete_folder(tmp_path / "runs" / "a" / "belt"):
            if others:
                (tmp_path / "runs" / "kept.txt").write_text("by another run", encoding="utf-8")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert os.listdir(tmp_path) == (["runs"] if others else [])
    assert not (tmp_path / "runs" / "a").exists()
