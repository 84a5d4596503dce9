"""Results replace results only, and what a killed run left is gone after the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from beltcast.errors import InputError
from beltcast.files.complete import complete_file, complete_folder
from beltcast.files.netcdf import write_netcdf
from beltcast.inference.sampling.chain_files import save_unfinished
from beltcast.inference.sampling.sampler import Unfinished

posix = pytest.mark.skipif(os.name != "posix", reason="devices, links and locks of POSIX")

WORKS = """
import sys, time
from beltcast.files.complete import complete_folder
with complete_folder(sys.argv[1]) as work:
    (work / "summary.txt").write_text("half")
    print("works", flush=True)
    time.sleep(60)
"""


def write(path: Path, text: str) -> None:
    with complete_file(path) as part:
        part.write_text(text, encoding="utf-8")


def fill(path: Path, text: str = "new") -> None:
    with complete_folder(path) as folder:
        (folder / "summary.txt").write_text(text, encoding="utf-8")


def at_work(path: Path) -> subprocess.Popen[str]:
    run = subprocess.Popen([sys.executable, "-c", WORKS, str(path)], stdout=-1, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "works\n"
    return run


def end(run: subprocess.Popen[str], number: int) -> None:
    run.send_signal(number)
    run.communicate()


@posix
@pytest.mark.parametrize("kind", ["device", "pipe", "link to a device"])
def test_a_device_or_a_pipe_is_never_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "null"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    target = path if kind != "device" else Path("/dev/null")
    before = os.stat(target)
    with pytest.raises(InputError, match="is a device or a pipe"):
        write(target, "x")
    after = os.stat(target)
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


@posix
def test_links_are_kept_and_what_they_point_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for name in ("file.csv", "folder"):
        (tmp_path / name).symlink_to(tmp_path / "disk" / name)
    for text in ("old", "new"):
        write(tmp_path / "file.csv", text)
        fill(tmp_path / "folder", text)
    assert (tmp_path / "file.csv").is_symlink()
    assert (tmp_path / "folder").is_symlink()
    assert (tmp_path / "disk" / "file.csv").read_text(encoding="utf-8") == "new"
    assert (tmp_path / "disk" / "folder" / "summary.txt").read_text(encoding="utf-8") == "new"
    assert sorted(os.listdir(tmp_path / "disk")) == ["file.csv", "folder"]


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"),
                                     RuntimeError("NetCDF: HDF error")])  # fmt: skip
def test_a_full_disk_and_the_netcdf_library_are_answered_in_a_sentence(
    tmp_path: Path, problem: Exception
) -> None:
    def work(folder: bool) -> None:
        with complete_folder(tmp_path / "belt") if folder else complete_file(tmp_path / "a.nc"):
            raise problem

    for folder in (True, False):
        with pytest.raises(InputError, match=r"cannot be written \((no space|NetCDF: HDF)"):
            work(folder)
    assert os.listdir(tmp_path) == []


def test_an_error_of_the_work_itself_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), complete_folder(tmp_path / "belt"):
        (tmp_path / "nowhere").read_bytes()
    with pytest.raises(RuntimeError, match="of the work"), complete_folder(tmp_path / "belt"):
        raise RuntimeError("of the work")


@posix
def test_a_second_run_to_one_name_is_refused_while_the_first_works(tmp_path: Path) -> None:
    path = tmp_path / "belt"
    run = at_work(path)
    try:
        with pytest.raises(InputError, match="another run is using"):
            fill(path)
        fill(tmp_path / "belt2")  # another name is free
    finally:
        end(run, signal.SIGKILL)
    fill(path)
    assert (path / "summary.txt").read_text(encoding="utf-8") == "new"


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path, number: int) -> None:
    path = tmp_path / "belt"
    fill(path, "old")
    run = at_work(path)
    end(run, number)
    assert (path / "summary.txt").read_text(encoding="utf-8") == "old"
    assert len(os.listdir(tmp_path)) == 2
    fill(path)
    assert os.listdir(tmp_path) == ["belt"]
    assert (path / "summary.txt").read_text(encoding="utf-8") == "new"


def test_results_of_a_run_killed_between_two_renames_are_put_back(tmp_path: Path) -> None:
    path = tmp_path / "belt"
    fill(path, "old")
    path.rename(tmp_path / ".belt-abcdefgh-old")
    (tmp_path / ".belt-abcdefgh").mkdir()
    with pytest.raises(ValueError, match="stop"), complete_folder(path):
        raise ValueError("stop")
    assert (path / "summary.txt").read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["belt"]


@posix
def test_parts_of_dead_processes_are_removed_and_of_live_ones_kept(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for part in (f".{dead.pid}-1-a.csv", f".{os.getppid()}-1-a.csv", f".{dead.pid}-1-b.csv"):
        (tmp_path / part).write_text("half", encoding="utf-8")
    write(tmp_path / "a.csv", "whole")
    assert sorted(os.listdir(tmp_path)) == sorted(
        [f".{os.getppid()}-1-a.csv", f".{dead.pid}-1-b.csv", "a.csv"]
    )


@pytest.mark.parametrize("name", ["state.npz", "file.nc"])
def test_a_file_written_many_times_removes_what_a_killed_run_left_of_it(
    tmp_path: Path, name: str
) -> None:
    # The state of `sample` and the sets of `sbc`: found by 20 kills of `sample`.
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".{dead.pid}-1-{name}").touch()
    if name == "state.npz":
        save_unfinished(Unfinished("key", 0, None, (), (), 0), tmp_path / name)
    else:
        write_netcdf(tmp_path / name, {"/": xr.Dataset({"x": 1.0})})
    assert [path.name for path in tmp_path.iterdir()] == [name]


def command(*words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "beltcast", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_standard_output_ends_in_one_line() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "beltcast", "--help"], stdout=full, stderr=-1, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "beltcast: standard output cannot be written (no space left on device)\n"


@posix
def test_an_interruption_while_modules_are_loaded_ends_with_130() -> None:
    code = (
        "import os, signal, sys, types\n"
        "import beltcast.__main__ as m\n"
        "class Finder:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "m.launch()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "beltcast: interrupted\n")


@posix
def test_chinese_paths_work_where_the_locale_is_ascii(tmp_path: Path) -> None:
    model = tmp_path / "模型.mdl"
    equations = ("x = 1", "INITIAL TIME = 0", "FINAL TIME = 2", "TIME STEP = 1", "SAVEPER = 1")
    model.write_text("{UTF-8}\n" + "".join(f"{one} ~~|\n" for one in equations), encoding="utf-8")
    output = tmp_path / "结果.nc"
    run = command("run", str(model), "--output", str(output),
                  LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")  # fmt: skip
    assert run.communicate()[1] == ""
    assert run.returncode == 0
    assert output.is_file()
