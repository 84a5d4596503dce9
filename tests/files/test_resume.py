"""Pieces of long work: computed once, whole or not there, and of this work alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beltcast.errors import InputError, RunStopped
from beltcast.files import resume
from beltcast.files.resume import IDENTITY, Pieces, keep_pieces, unfinished

WORK = {"study": "abc", "seed": "1"}


def counted(calls: list[str], name: str) -> dict[str, Any]:
    """A piece with numbers that a text file would round, text, and a single number."""
    calls.append(name)
    rng = np.random.default_rng(len(name))
    return {"theta": rng.standard_normal((2, 3)), "labels": np.array(["中", "b"]), "cost": 1 / 3}


def work(pieces: Pieces, calls: list[str]) -> list[bytes]:
    found = [pieces.take(name, lambda name=name: counted(calls, name)) for name in ("a", "bb")]
    return [array.tobytes() for piece in found for array in piece.values()]


def test_what_was_kept_is_not_computed_again_and_has_the_same_bits(tmp_path: Path) -> None:
    calls: list[str] = []
    first = work(keep_pieces(tmp_path / "work", WORK, resume=False), calls)
    again = work(keep_pieces(tmp_path / "work", WORK, resume=True), calls)
    assert calls == ["a", "bb"]
    assert again == first == work(Pieces(), [])


def test_a_piece_that_was_under_way_leaves_nothing(tmp_path: Path) -> None:
    pieces = keep_pieces(tmp_path / "work", WORK, resume=False)

    def stopped() -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pieces.take("a", stopped)
    assert os.listdir(tmp_path) == []
    with pytest.raises(InputError, match="no unfinished run"):
        keep_pieces(tmp_path / "work", WORK, resume=True)


@pytest.mark.parametrize("fault", ["cut", "flipped", "emptied"])
def test_a_damaged_piece_is_computed_again(fault: str, tmp_path: Path) -> None:
    calls: list[str] = []
    first = work(keep_pieces(tmp_path / "work", WORK, resume=False), calls)
    path = tmp_path / "work" / "a.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1  # in the first array, which the archive has a checksum of
    path.write_bytes({"cut": content[:-30], "flipped": content, "emptied": b""}[fault])
    assert work(keep_pieces(tmp_path / "work", WORK, resume=True), calls) == first
    assert calls == ["a", "bb", "a"]


def test_pieces_of_other_work_are_refused_with_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(keep_pieces(tmp_path / "work", WORK, resume=False), [])
    with pytest.raises(InputError, match=r"belongs to another run \(seed was 1 and is 2\)"):
        keep_pieces(tmp_path / "work", {**WORK, "seed": "2"}, resume=True)
    with pytest.raises(InputError, match=r"\(draws was nothing and is 7\)"):
        keep_pieces(tmp_path / "work", {**WORK, "draws": "7"}, resume=True)
    monkeypatch.setattr(resume, "of_the_package", lambda: {"beltcast": "edited"})
    with pytest.raises(InputError, match=r"\(beltcast was .* and is edited; numpy was"):
        keep_pieces(tmp_path / "work", WORK, resume=True)


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no unfinished run in .*; start again without --resume"):
        keep_pieces(tmp_path / "work", WORK, resume=True)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / IDENTITY).write_text("[")
    with pytest.raises(InputError, match="study was nothing and is abc; seed was nothing"):
        keep_pieces(tmp_path / "work", WORK, resume=True)


def test_beginning_anew_forgets_old_pieces_and_touches_no_folder_of_others(tmp_path: Path) -> None:
    calls: list[str] = []
    work(keep_pieces(tmp_path / "work", WORK, resume=False), calls)
    work(keep_pieces(tmp_path / "work", WORK, resume=False), calls)
    assert calls == ["a", "bb"] * 2
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.npz").write_text("years of work")
    with pytest.raises(InputError, match="is not the folder of an unfinished run"):
        keep_pieces(theirs, WORK, resume=False)
    assert os.listdir(theirs) == ["thesis.npz"]
    with pytest.raises(InputError, match="is not the folder of an unfinished run"):
        keep_pieces(theirs / "thesis.npz", WORK, resume=False)


def test_parts_of_the_work_have_names_of_their_own_and_discard_leaves_nothing(
    tmp_path: Path,
) -> None:
    pieces = keep_pieces(unfinished(tmp_path / "belt"), WORK, resume=False)
    pieces.of("2022.5").of("sd").take("1", lambda: {"x": 1.0})
    assert pieces.of("2023.5").of("sd").take("1", lambda: {"x": 2.0})["x"] == 2.0
    assert sorted(os.listdir(tmp_path / "belt.unfinished")) == [
        "2022.5 sd 1.npz", "2023.5 sd 1.npz", IDENTITY,
    ]  # fmt: skip
    assert json.loads((tmp_path / "belt.unfinished" / IDENTITY).read_text())["seed"] == "1"
    pieces.discard()
    assert os.listdir(tmp_path) == []


def test_a_disk_that_takes_no_more_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = keep_pieces(tmp_path / "work", WORK, resume=False)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunStopped, match=r"no space left on device.*rerun with --resume"):
        pieces.take("a", lambda: {"x": 1.0})
    assert os.listdir(tmp_path / "work") == []
