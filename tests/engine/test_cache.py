"""The cache: what it gives back is what was put in, or nothing; and it is the user's alone."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beltcast.engine import cache as cache_module
from beltcast.engine import parse_cache as parsed
from beltcast.engine import program_cache, syntax
from beltcast.engine.cache import Cache, key_of, open_cache
from beltcast.engine.lower.lowering import lower
from beltcast.engine.nodes import all_nodes
from beltcast.engine.parse_cache import dump_source, load_source, read_parsed
from beltcast.engine.program import Program
from beltcast.engine.program_cache import dump_program, load_program
from beltcast.engine.run import llvm_compile
from beltcast.engine.run.llvm_backend import LlvmKernel
from beltcast.engine.vensim import reader
from beltcast.engine.vensim.reader import read_source
from beltcast.errors import ModelFileError, UnsupportedConstruct
from beltcast.model.model import load_model

from ..model_texts import write_model

KEY = key_of(["a key"])
posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes are of POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "cache"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def store(folder: Path) -> Cache:
    return Cache(folder)


# --- entries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(256)) * 1000])
def test_an_entry_comes_back_as_it_was_put(store: Cache, payload: bytes) -> None:
    assert store.get(KEY) is None
    store.put(KEY, payload)
    assert store.get(KEY) == payload
    assert [item.name for item in store.folder.iterdir()] == [KEY]  # no temporary file is left


def damaged(content: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "header cut": content[:40],
        "payload cut": content[:-1],
        "a bit flipped in the payload": content[:-1] + bytes([content[-1] ^ 1]),
        "a bit flipped in the hash": content.replace(content[100:101], b"!", 1),
        "grown": content + b"x",
        "rubbish": os.urandom(300),
    }


@pytest.mark.parametrize("case", damaged(b"x" * 200))
def test_a_damaged_entry_is_noticed_and_removed(store: Cache, case: str) -> None:
    store.put(KEY, b"machine code")
    path = store.folder / KEY
    path.write_bytes(damaged(path.read_bytes())[case])
    assert store.get(KEY) is None
    assert not path.exists()


def test_an_entry_under_another_key_is_foreign(store: Cache) -> None:
    other = key_of(["another key"])
    store.put(other, b"code of another model")
    (store.folder / other).rename(store.folder / KEY)
    assert store.get(KEY) is None


def test_the_least_recently_used_go_first(folder: Path) -> None:
    header = cache_module._HEADER
    store = Cache(folder, limit=3 * (header + 100))
    keys = [key_of([str(i)]) for i in range(4)]
    for age, key in zip((40, 30, 20), keys[:3], strict=True):
        store.put(key, b"x" * 100)
        os.utime(folder / key, (1e9 - age, 1e9 - age))
    assert store.get(keys[0]) is not None  # the oldest is used, so the second is the oldest now
    store.put(keys[3], b"x" * 100)
    assert {item.name for item in folder.iterdir()} == {keys[0], keys[2], keys[3]}


def test_a_disk_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    store = Cache(tmp_path / "removed meanwhile")
    store.put(KEY, b"payload")
    assert store.get(KEY) is None


# A script and not a function: a child process cannot import a test module by name.
WRITE_AND_READ = """
import sys
from pathlib import Path
from beltcast.engine.cache import Cache
folder, key, seed = sys.argv[1:]
store, wrong = Cache(Path(folder)), 0
for _ in range(100):
    store.put(key, bytes([int(seed)]) * 50_000)
    got = store.get(key)
    wrong += got is not None and got not in (b"\\x01" * 50_000, b"\\x02" * 50_000)
sys.exit(wrong)
"""


def test_two_processes_may_write_at_once(folder: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE_AND_READ, str(folder), KEY, str(seed)])
        for seed in (1, 2)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert Cache(folder).get(KEY) is not None
    assert [item.name for item in folder.iterdir()] == [KEY]


# --- the folder -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"BELTCAST_CACHE": "{}/own"}, "{}/own"),
        ({"XDG_CACHE_HOME": "{}/xdg"}, "{}/xdg/beltcast"),
        ({"BELTCAST_CACHE": "{}/own", "XDG_CACHE_HOME": "{}/xdg"}, "{}/own"),
        ({"BELTCAST_CACHE": "", "XDG_CACHE_HOME": "{}/xdg"}, None),
    ],
)
def test_the_environment_names_the_folder(
    environment: dict[str, str], expected: str | None, tmp_path: Path
) -> None:
    found = open_cache({name: value.format(tmp_path) for name, value in environment.items()})
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.folder == Path(expected.format(tmp_path)).resolve()


@posix
def test_a_new_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    made = open_cache({"BELTCAST_CACHE": str(tmp_path / "new")})
    assert made is not None
    assert made.folder.stat().st_mode & 0o777 == 0o700


@posix
@pytest.mark.parametrize("mode", [0o722, 0o770, 0o702])
def test_a_folder_that_others_can_write_is_refused_with_one_warning(
    mode: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = tmp_path / f"shared{mode:o}"
    shared.mkdir()
    shared.chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert open_cache({"BELTCAST_CACHE": str(shared)}) is None
        assert open_cache({"BELTCAST_CACHE": str(shared)}) is None
    (record,) = caplog.records
    assert "others may write" in record.getMessage()


@posix
def test_a_folder_inside_one_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert open_cache({"BELTCAST_CACHE": str(tmp_path / "open" / "mine")}) is None


@posix
def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert open_cache({"BELTCAST_CACHE": str(tmp_path / "theirs")}) is None


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert open_cache({"BELTCAST_CACHE": str(tmp_path / "file")}) is None


# --- machine code -----------------------------------------------------------------------------


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    """The belt model in a folder of its own."""
    place = tmp_path / "belt"
    shutil.copytree(root / "models" / "belt", place)
    return place / "belt.mdl"


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("BELTCAST_CACHE", str(folder))
    store = open_cache()
    assert store is not None
    return store


def forbid(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(owner, name, fail)


def test_kept_machine_code_gives_the_same_bits_and_is_not_compiled_again(
    copied: Path, opened: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_model(copied).simulate()
    forbid(monkeypatch, llvm_compile, "machine_code")
    forbid(monkeypatch, reader, "translate_vensim")
    forbid(monkeypatch, program_cache, "lower")
    second = load_model(copied).simulate()
    assert first.identical(second)
    monkeypatch.undo()
    monkeypatch.setenv("BELTCAST_CACHE", "")
    assert first.identical(load_model(copied).simulate())


def test_rubbish_in_every_entry_changes_nothing(copied: Path, opened: Cache) -> None:
    first = load_model(copied).simulate(outputs=["output"])
    for entry in opened.folder.iterdir():
        entry.write_bytes(b"\x7fELF" + os.urandom(1000))
    assert first.identical(load_model(copied).simulate(outputs=["output"]))


def test_another_processor_asks_for_other_code(
    root: Path, store: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "define void @nothing() { ret void }"
    here = llvm_compile.code_key(text)
    monkeypatch.setattr(llvm_compile.llvm, "get_host_cpu_name", lambda: "another")
    assert llvm_compile.code_key(text) != here


# --- parses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["belt/belt.mdl", "decay/decay.mdl"])
def test_a_kept_parse_is_the_parse(root: Path, name: str) -> None:
    source = read_source(root / "models" / name)
    assert dataclasses.replace(load_source(dump_source(source)), path=source.path) == source


def test_every_kind_of_node_and_every_number_survives() -> None:
    """Also those that JSON has no word for: NaN, infinities, the sign of zero, the last bit."""
    numbers = (0.1, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf"))
    expressions: tuple[syntax.Expr, ...] = (
        *(syntax.Number(x) for x in numbers),
        syntax.Array(np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 1 / 3]])),
        syntax.Ref("名字", ("Belt!", "x")),
        syntax.Call("+", (syntax.Number(1.0), syntax.Call("EXP", (syntax.Ref("a"),)))),
        syntax.Table((0.0, 1.0), (2.0, 3.0), "hold"),
        syntax.Data(np.array([1.0, 2.0]), np.array([[1.0], [2.0]]), "raw"),
    )
    equations = tuple(
        syntax.Equation(f"x{i}", ("Belt",), (("A", "B"),), e, "u", "d", i, (None, 1.0))
        for i, e in enumerate(expressions)
    )
    source = syntax.Source(
        None, "00", "utf-8", equations, {"Belt": ("A", "B")}, {"Belt": ("C",)}, {"t": equations[0]}
    )
    back = load_source(dump_source(source))
    assert back == source
    signs = [np.signbit(e.expression.value) for e in back.equations[: len(numbers)]]  # type: ignore[union-attr]
    assert signs == [np.signbit(x) for x in numbers]
    (nan,) = load_source(
        dump_source(dataclasses.replace(source, equations=(nan_equation(),)))
    ).equations
    assert np.isnan(nan.expression.value)  # type: ignore[union-attr]


def nan_equation() -> syntax.Equation:
    return syntax.Equation("x", (), (), syntax.Number(float("nan")))


@pytest.mark.parametrize("change", ["model", "table"])
def test_a_change_of_the_model_or_of_its_table_is_seen(
    change: str, copied: Path, opened: Cache
) -> None:
    before = load_model(copied)
    if change == "model":
        text = copied.read_text(encoding="utf-8")
        copied.write_text(text.replace("Scenario Start = 2026", "Scenario Start = 2027"), "utf-8")
        assert before.value("Scenario Start") == 2026
        assert load_model(copied).value("Scenario Start") == 2027
        return
    table = copied.parent / "inputs.csv"
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    fields = lines[1].split(",")
    lines[1] = ",".join([fields[0], *("123.5" for _ in fields[1:])])
    table.write_text("\n".join(lines), encoding="utf-8")
    after = load_model(copied)
    assert any(123.5 in data.values for data in after.program.inputs.values())
    assert not any(123.5 in data.values for data in before.program.inputs.values())


def test_a_moved_model_is_the_same_model_with_its_new_path(
    copied: Path, opened: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_model(copied)
    moved = shutil.move(copied.parent, tmp_path / "elsewhere")
    forbid(monkeypatch, reader, "translate_vensim")
    path = Path(moved) / "belt.mdl"
    assert load_model(path).path == path


def test_a_missing_table_is_refused_although_the_parse_was_kept(
    copied: Path, opened: Cache
) -> None:
    load_model(copied)
    (copied.parent / "inputs.csv").unlink()
    with pytest.raises(ModelFileError, match=r"inputs\.csv"):
        load_model(copied)


def test_what_is_refused_is_not_kept(store: Cache, tmp_path: Path) -> None:
    path = tmp_path / "bad.mdl"
    path.write_text("x = (1 +\n ~ ~ |\n")
    for _ in range(2):
        with pytest.raises(ModelFileError):
            read_parsed(path, store)
    assert list(store.folder.iterdir()) == []


def test_a_reference_that_cannot_be_followed_is_never_kept(tmp_path: Path) -> None:
    """A name that only the translator understands: its bytes are not in the key, so no key."""
    path = tmp_path / "m.mdl"
    path.write_text("x = GET XLS DATA( '?file', 'sheet', 'A', 'B2')\n ~ ~ |\n")
    assert parsed._key(path) is None
    path.write_text("x = GET DIRECT DATA(name of the file, ',', 'A', 'B2')\n ~ ~ |\n")
    assert parsed._key(path) is None
    path.write_text("x = GET DIRECT DATA('t.csv', ',', 'A', 'B2')\n ~ ~ |\n")
    assert parsed._key(path) is None  # no such table
    (tmp_path / "t.csv").write_text("1,2")
    assert parsed._key(path) is not None


def test_a_kept_parse_makes_nothing_but_syntax() -> None:
    for hostile in (b'{"Path":["x"]}', b'{"os.system":["x"]}', b"[]", b"{}", b"1", b"\xff"):
        with pytest.raises((ValueError, KeyError, TypeError)):
            load_source(hostile)


# --- programs ---------------------------------------------------------------------------------

EVERYTHING = {
    "k": "2",
    "missing": ":NA:",
    "x": "INTEG(DELAY FIXED(k, k, 1) - x/k, STEP(1, 0))",
    "sampled": "SAMPLE IF TRUE(x > 1, x, 0)",
    "late": "DELAY N(x, k, 1, 3)",
    "active": "ACTIVE INITIAL(x + 1, 7)",
    "curve": "WITH LOOKUP(x, ((-2,0), (-1,1), (0,0.5), (1,2), (2,3)))",
    "R:": "A, B",
    "each[R]": "4, 5",
    "matrix[A,R]": "2, 1",
    "matrix[B,R]": "1, 3",
    "inverse[R,S]": "INVERT MATRIX(matrix[R,S], 2)",
    "S:": "A, B",
    "total": "SUM(each[R!]*each[R!]) + sampled + late + active + curve + inverse[A,B]",
    "held": "INITIAL(total) + IF THEN ELSE(missing = :NA:, 1, 0)",
}
"""Every stage of a program and every kind of node."""


def test_a_kept_program_is_the_program(root: Path, tmp_path: Path) -> None:
    """Its own text holds all of it, so equal texts are equal programs; and it runs to the bit."""
    for path in (root / "models" / "belt" / "belt.mdl", write_model(tmp_path, EVERYTHING)):
        made = load_model(path)
        assert all(getattr(made.program, s) for s in ("setup", "initial", "step", "rates"))
        kept = load_program(dump_program(made.program))
        assert dump_program(kept) == dump_program(made.program)
        again = dataclasses.replace(made, program=kept, _kernels={})
        assert again.simulate(backend="numpy").identical(made.simulate(backend="numpy"))
    kinds = {type(n).__name__ for stage in kept.stages for b in stage for e in b.expressions
             for n in all_nodes(e)}  # fmt: skip
    assert kinds == {"Const", "Load", "Clock", "Apply", "LookupAt", "Foreign"}
    assert all(len(getattr(kept, s)) for s in ("pasts", "hold", "after", "settle"))


def test_what_is_used_twice_is_computed_once_in_a_kept_program_too(tmp_path: Path) -> None:
    made = load_model(write_model(tmp_path, {"x": "1", "y": "MODULO(x + 1, 3)*2"})).program

    def count(program: Program) -> int:
        return len({id(n) for b in program.setup for e in b.expressions for n in all_nodes(e)})

    assert count(load_program(dump_program(made))) == count(made)


def test_a_program_kept_for_euler_is_not_used_for_runge_kutta(
    tmp_path: Path, opened: Cache
) -> None:
    """SHIFT IF TRUE needs Euler's method, which the reader of a kept program could not check."""
    text = {
        "R:": "A, B",
        "x[A]": "INTEG(SHIFT IF TRUE(x[A], 1, 2, 1, 0), 1)",
        "x[B]": "INTEG(0, 1)",
    }
    path = write_model(tmp_path, text)
    load_model(path, method="euler")
    load_model(path, method="euler")
    with pytest.raises(UnsupportedConstruct):
        load_model(path, method="rk4")


def test_a_kept_program_makes_nothing_but_a_program() -> None:
    whole = dump_program(lower(syntax.Source(None, "00", "utf-8", (nan_equation(),))))
    assert load_program(whole).n_rows > 0
    for hostile in (b"", b"{}", b"[]", b"1\n", b"\xff", whole[:-1], whole.replace(b"\n", b"", 1)):
        with pytest.raises((ValueError, KeyError, TypeError, IndexError)):
            load_program(hostile)
    with pytest.raises(ValueError, match="no node"):
        load_program(whole.replace(b'"nodes":[', b'"nodes":[["os.system","x"]', 1))


def test_a_kernel_without_a_cache_leaves_the_disk_alone(root: Path, opened: Cache) -> None:
    LlvmKernel(lower(read_source(root / "models" / "decay" / "decay.mdl")))
    assert list(opened.folder.iterdir()) == []
