"""Which faults the tests notice: a seeded sample of small faults, each against the tests it meets.

    python -m tests.mutation --mutants 200 --seed 1
    python -m tests.mutation --only src/beltcast/inference/psis.py --mutants 30

A mutant is one change of one module: an operator, a comparison, a constant, ``and`` for ``or``, a
statement left out, two arguments swapped.  Left out are texts (messages, labels, docstrings),
errors that are raised, and modules that print or draw.

Each runs in a copy of the tree, against the tests that come to its statement.  Which these are is
found by running every test file once with a call before each statement that will change; what runs
in a fixture counts for each test that asks for it.  Left out are tests that start processes and
browsers or run for minutes.  A mutant meets the nearest first (``tests/ROOM/test_MODULE.py``, then
files that import the module, then those of its room), of these the quickest, as many as fit into
``--seconds``, with ``pytest -x``.  It is killed when a test fails, its processor time ends or no
test can be imported; what survives, or is not run by any, is printed with its line.

``--near 2`` watches nothing and runs the 2 nearest files of each mutant as they are, which is
quicker and kills fewer: ``--again`` without it tries all tests on what survived.

``--results`` names a folder outside the checkout, to which verdicts are added as they come: the
same command goes on where it was stopped.  ``--again`` tries the survivors in that folder once
more, with the tests of today.  ``--watch 1/2`` only finds out which tests come where, for every
second file, so that two processes can share that work.

Libraries are loaded once: each mutant is a fork of this process, which has not loaded beltcast.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import hashlib
import importlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRINTING = re.compile(
    r"/(display|cli|pictures|reports)/|(page|pages|plot|plots|text|texts|words|writer|printer)\.py$"
    r"|_(page|plot|text|words)\.py$|/plots_|llvm_|wasm_|/__(init|main)__\.py$|/errors\.py$"
)
LIBRARIES = (
    *("numpy", "scipy.stats", "scipy.optimize", "pandas", "xarray", "netCDF4", "llvmlite.binding"),
    *("matplotlib.figure", "typer", "rich.console", "pint", "openpyxl"),
    *("playwright.sync_api", "arviz_stats", "pysd", "parsimonious", "jinja2"),
)
FAST = "not slow and not long"
"""Tests that mutants meet."""
NO_VERDICT = 9
"""Exit code of a fork in which pytest did not run."""
COSTLY = re.compile(
    r"/fuzz/|chinese|signals|killed|memory_limit|hostile|browser|firefox|store_faults|cluster"
    r"|doctests|notebooks|journey|architecture|packaging|docs|licences|versions|blas_kernels"
)
"""Test files that mutants do not meet: they start processes and browsers, or look at the tree."""


BINARY = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
}
COMPARED = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}


@dataclass(frozen=True)
class Mutant:
    """One change of a file: bytes from start to end become others."""

    file: str
    line: int
    start: int
    end: int
    text: str
    kind: str

    @property
    def area(self) -> str:
        """Room of the module."""
        parts = Path(self.file).parts[2:]
        return parts[0].removesuffix(".py")

    def column(self, content: bytes) -> int:
        """Bytes between the start of its line and its own."""
        return self.start - (content.rfind(b"\n", 0, self.start) + 1)

    def applied(self, content: bytes) -> bytes:
        return content[: self.start] + self.text.encode() + content[self.end :]

    def words(self, content: bytes) -> str:
        before = " ".join(content[self.start : self.end].decode().split())
        return f"{self.file}:{self.line}: {self.kind}: {before[:60]} -> {self.text[:60] or '(out)'}"


def mutants_of(file: Path) -> Iterator[Mutant]:
    """Every mutant of a file, in the order of its lines."""
    content = file.read_bytes()
    starts = [0]
    for line in content.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    name = file.relative_to(ROOT).as_posix()

    def span(node: ast.AST) -> tuple[int, int]:
        return (
            starts[node.lineno - 1] + node.col_offset,  # type: ignore[attr-defined]
            starts[node.end_lineno - 1] + node.end_col_offset,  # type: ignore[attr-defined]
        )

    def between(
        left: ast.AST, right: ast.AST, sign: str, other: str, kind: str
    ) -> Iterator[Mutant]:
        first, last = span(left)[1], span(right)[0]
        at = content[first:last].find(sign.encode())
        if at >= 0:
            begin = first + at
            line = content[:begin].count(b"\n") + 1
            yield Mutant(name, line, begin, begin + len(sign), other, kind)

    def visit(node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.keyword) and node.arg == "strict":
            return  # of zip: it only tells of arrays of unequal length, which no caller has
        if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
            texts = (node.left, node.right)
            if not any(isinstance(t, ast.JoinedStr) or _is_text(t) for t in texts):
                yield from between(node.left, node.right, *BINARY[type(node.op)], "operator")
        if isinstance(node, ast.Compare):
            left = node.left
            for op, right in zip(node.ops, node.comparators, strict=True):
                yield from between(left, right, *COMPARED[type(op)], "comparison")
                left = right
        if isinstance(node, ast.BoolOp):
            signs = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            yield from between(node.values[0], node.values[1], *signs, "boolean")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
            begin, end = span(node)
            inner = span(node.operand)
            kept = content[inner[0] : inner[1]].decode()
            yield Mutant(name, node.lineno, begin, end, f"({kept})", "sign")
        if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
            value = node.value
            other = repr(not value) if isinstance(value, bool) else repr(value + 1)
            yield Mutant(name, node.lineno, *span(node), other, "constant")
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await):
            yield Mutant(name, node.lineno, *span(node), "pass", "statement")
        if isinstance(node, ast.AugAssign):
            yield Mutant(name, node.lineno, *span(node), "pass", "statement")
        if isinstance(node, ast.Call) and len(node.args) >= 2:
            one, two = node.args[:2]
            plain = not any(isinstance(a, ast.Starred | ast.Constant) for a in (one, two))
            if plain and ast.dump(one) != ast.dump(two):
                (a, b), (c, d) = span(one), span(two)
                text = content[c:d] + content[b:c] + content[a:b]
                yield Mutant(name, node.lineno, a, d, text.decode(), "arguments")
        for field, below in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            for child in below if isinstance(below, list) else [below]:
                if isinstance(child, ast.AST):
                    yield from visit(child)

    yield from visit(ast.parse(content))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def sampled(number: int, seed: int, only: Sequence[str]) -> list[Mutant]:
    """Draw mutants, the same for the same source and seed."""
    files = [ROOT / name for name in only] or sorted(
        path
        for path in (ROOT / "src" / "beltcast").rglob("*.py")
        if not PRINTING.search(path.as_posix())
    )
    every = [mutant for file in files for mutant in mutants_of(file)]
    return random.Random(seed).sample(every, min(number, len(every)))


def test_files() -> list[str]:
    """All test files but those that start processes, browsers or long runs."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    names = (path.relative_to(ROOT).as_posix() for path in paths)
    return [name for name in names if not COSTLY.search(name)]


@functools.cache
def distance(file: str, test: str) -> tuple[bool, bool, bool, int, str]:
    """Order of test files for a module: of its name, importing it, of its room, of like name."""
    tokens, words = Path(file).stem.split("_"), Path(test).stem.split("_")[1:]
    *above, stem = Path(file).with_suffix("").parts[1:]
    like = sum(a[:5] == b[:5] for a in [*above[2:], *tokens] for b in words)
    package = re.escape(".".join(above))
    imports = re.compile(rf"{package}\.{stem}\b|from {package} import .*\b{stem}\b")
    unseen = not imports.search((ROOT / test).read_text("utf-8"))
    return tokens != words, unseen, Path(test).parent.name != Path(file).parts[2], -like, test


class Recorder:
    """Plugin of pytest: notes which test, or which fixture of a wider scope, comes to a mutant."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.asks: dict[str, list[str]] = {}
        self.hits: dict[int, set[str]] = {}
        self.doing = [""]

    def hit(self, number: int) -> None:
        self.hits.setdefault(number, set()).add(self.doing[-1])

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        self.doing.append("fixture " + fixturedef.argname)
        try:
            return (yield)
        finally:
            self.doing.pop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self.doing.append(item.nodeid)
        start = time.process_time()
        try:
            return (yield)
        finally:
            self.doing.pop()
            self.seconds[item.nodeid] = round(time.process_time() - start, 3)
            asked = getattr(item, "fixturenames", ())
            self.asks[item.nodeid] = [item.nodeid, *("fixture " + name for name in asked)]

    def found(self) -> dict[str, Any]:
        """Seconds of each test, and of each mutant the tests that come to it, in their order."""
        hits = {
            number: [test for test in self.seconds if not places.isdisjoint(self.asks[test])]
            for number, places in self.hits.items()
        }
        return {"seconds": self.seconds, "hits": hits}


def watched(content: bytes, places: Sequence[tuple[int, int]]) -> tuple[bytes, set[int]]:
    """Put a call before the statement of each place (number, line); numbers outside functions.

    What stands outside functions runs when a module is imported, before any test.
    """
    tree = ast.parse(content)
    calls: dict[int, list[int]] = {}
    outside = set()
    within = [
        statement
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for body in function.body
        for statement in ast.walk(body)
        if isinstance(statement, ast.stmt)
    ]
    for number, line in places:
        around = [s for s in within if s.lineno <= line <= (s.end_lineno or s.lineno)]
        if around:
            inner = max(around, key=lambda s: (s.lineno, -(s.end_lineno or 0)))
            calls.setdefault(id(inner), []).append(number)
        else:
            outside.add(number)
    for node in list(ast.walk(tree)):
        for name in ("body", "orelse", "finalbody"):
            below = getattr(node, name, None)
            if isinstance(below, list):
                after: list[ast.stmt] = []
                for statement in below:
                    for number in calls.get(id(statement), ()):
                        seen = "__import__('sys').modules.get('__mutants__')"
                        after += ast.parse(f"getattr({seen}, 'hit', int)({number})").body
                    after.append(statement)
                setattr(node, name, after)
    return ast.unparse(ast.fix_missing_locations(tree)).encode(), outside


class Tree:
    """A copy of the checkout in which pytest runs in a fork of this process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tree"
        self.said = folder / "said.txt"
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True).stdout
        for name in names.splitlines():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_file():
                shutil.copy2(ROOT / name, self.path / name)

    @contextlib.contextmanager
    def changed(self, contents: dict[str, bytes]) -> Iterator[None]:
        """Give files other contents for a while."""
        kept = {name: (self.path / name).read_bytes() for name in contents}
        for name, content in contents.items():
            (self.path / name).write_bytes(content)
        try:
            yield
        finally:
            for name, content in kept.items():
                (self.path / name).write_bytes(content)

    def run(self, tests: Sequence[str], seconds: int, notes: Path | None = None) -> int:
        """Exit code of pytest (-1 where its processor time ended); notes of what tests come to."""
        child = os.fork()
        if not child:
            self._in_fork(tests, seconds, notes)
        waited, status = 0, 0
        deadline = time.monotonic() + 40 * seconds
        while not waited:
            waited, status = os.waitpid(child, os.WNOHANG)
            if not waited and time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, 9)
            time.sleep(0.05)
        return max(os.waitstatus_to_exitcode(status), -1)

    def _in_fork(self, tests: Sequence[str], seconds: int, notes: Path | None) -> None:
        code = NO_VERDICT
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))
            said = os.open(self.said, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(said, stream)
            os.chdir(self.path)
            own = [str(self.path), str(self.path / "src")]
            sys.path[:] = [*own, *(p for p in sys.path if str(ROOT) not in p)]
            os.environ["PYTHONPATH"] = own[1]
            recorder = Recorder()
            options = ["-q", "-n", "0", "-p", "no:cacheprovider", "--no-header"]
            if notes:
                sys.modules["__mutants__"] = recorder  # type: ignore[assignment]
                code = int(pytest.main([*options, *tests], plugins=[recorder]))
                notes.write_text(json.dumps({"code": code, **recorder.found()}), "utf-8")
            else:
                code = int(pytest.main([*options, "-x", *tests]))
        except BaseException:  # whatever it is, it is told and the fork ends here
            traceback.print_exc()
        finally:  # a fork must not unwind into the caller's cleaning up
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)


class Notes:
    """Which tests of a file come to which mutant: found once for each file, when asked for."""

    def __init__(self, tree: Tree, folder: Path, mutants: Sequence[Mutant]) -> None:
        self.tree, self.folder = tree, folder
        self.contents: dict[str, bytes] = {}
        self.at_import: set[int] = set()
        places: dict[str, list[tuple[int, int]]] = {}
        for number, mutant in enumerate(mutants):
            places.setdefault(mutant.file, []).append((number, mutant.line))
        for file, of in places.items():
            self.contents[file], outside = watched((ROOT / file).read_bytes(), of)
            self.at_import |= outside
        self.made = hashlib.sha256(b"".join(self.contents.values()))

    @functools.cache  # noqa: B019 - lives as long as the program
    def of(self, test: str) -> dict[str, Any]:
        """Seconds of the tests of a file, and the tests that come to each mutant."""
        key = self.made.copy()
        key.update((ROOT / test).read_bytes())
        path = self.folder / f"{Path(test).stem}-{key.hexdigest()[:16]}.json"
        if not path.exists():
            with self.tree.changed(self.contents):
                self.tree.run([test, "-m", FAST], 1200, path)
            if not path.exists():
                print(self.tree.said.read_text("utf-8", "replace")[-2000:])
                return {"seconds": {}, "hits": {}}
        note: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if note["code"]:
            print(f"{test} ends with {note['code']} without any mutant")
        return note


def meeting(number: int, file: str, notes: Notes, seconds: float) -> Iterator[list[str]]:
    """Tests that come to a mutant and fit into a time, a dozen or more at once, nearest first.

    What runs when a module is imported is met by all tests of its room.
    """
    found: list[tuple[bool, float, str]] = []
    files = sorted(test_files(), key=functools.partial(distance, file))
    for test_file in files:
        note = notes.of(test_file)
        far, _, other, *_ = distance(file, test_file)
        outside = number in notes.at_import and not (far and other)
        for test in list(note["seconds"]) if outside else note["hits"].get(str(number), ()):
            found.append((far, note["seconds"][test], test))
        if len(found) >= 12 or test_file == files[-1]:
            chosen: list[str] = []
            for _, needed, test in sorted(found):
                if needed <= seconds:
                    seconds -= needed
                    chosen.append(test)
            if chosen:
                yield chosen
            found = []


def found_again(row: dict[str, Any]) -> Mutant | None:
    """Find a mutant of an earlier source in the source of today."""
    file = ROOT / row["file"]
    content = file.read_bytes() if file.exists() else b""
    lines = content.decode().splitlines()
    same = (
        [
            mutant
            for mutant in mutants_of(file)
            if mutant.kind == row["kind"]
            and mutant.text == row["text"]
            and lines[mutant.line - 1].strip() == row["source"]
            and mutant.column(content) == row["column"]
        ]
        if content
        else []
    )
    return min(same, key=lambda mutant: abs(mutant.line - row["line"]), default=None)


def told(mutant: Mutant, content: bytes, key: str, verdict: str) -> dict[str, Any]:
    """Put a verdict as a row of the results."""
    return {
        "key": key,
        "verdict": verdict,
        "area": mutant.area,
        "file": mutant.file,
        "line": mutant.line,
        "column": mutant.column(content),
        "kind": mutant.kind,
        "text": mutant.text,
        "source": content.decode().splitlines()[mutant.line - 1].strip(),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Mutants and killed by area."""
    lines = [f"{'area':16s} mutants killed"]
    areas = sorted({row["area"] for row in rows})
    for area in [*areas, "all"]:
        of = [row for row in rows if area in (row["area"], "all")]
        killed = sum(row["verdict"] == "killed" for row in of)
        lines.append(f"{area:16s} {len(of):7d} {killed:6d}")
    return "\n".join(lines)


def main() -> None:
    """Try mutants and print which survive."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=40, help="processor seconds of one mutant")
    parser.add_argument("--near", type=int, help="test files of one mutant, the nearest")
    parser.add_argument("--results", type=Path, help="folder of verdicts, outside the checkout")
    parser.add_argument("--again", action="store_true", help="try its survivors once more")
    parser.add_argument("--watch", help="only watch the tests, part K/N of their files")
    parser.add_argument(
        "--only", nargs="*", default=[], help="modules, from the top of the checkout"
    )
    asked = parser.parse_args()
    # The conftest makes a cache of compiled models for a session; a worker of pytest-xdist takes
    # the one that is there, as all mutants here do. Keys hold a hash of the engine's source.
    os.environ["PYTEST_XDIST_WORKER"] = "gw0"
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        folder = (asked.results or Path(scratch) / "results").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        results = folder / "verdicts.jsonl"
        lines = results.read_text("utf-8").splitlines() if results.exists() else []
        rows = {(row := json.loads(line))["key"]: row for line in lines}
        if asked.again:
            again = ((key, found_again(row)) for key, row in rows.items())
            drawn = {key: mutant for key, mutant in again if mutant}
        else:
            every = sampled(asked.mutants, asked.seed, asked.only)
            drawn = {mutant.words((ROOT / mutant.file).read_bytes()): mutant for mutant in every}
        tree = Tree(Path(scratch))
        os.environ["BELTCAST_CACHE"] = str(Path(scratch) / "cache")
        notes = Notes(tree, folder, list(drawn.values()))
        if asked.watch:
            part, parts = map(int, asked.watch.split("/"))
            for test in test_files()[part - 1 :: parts]:
                print(test, sum(notes.of(test)["seconds"].values()), flush=True)
            return
        for number, (key, mutant) in enumerate(drawn.items()):
            if key in rows and (not asked.again or rows[key]["verdict"] == "killed"):
                continue
            content = (ROOT / mutant.file).read_bytes()
            verdict = "not run"
            files = sorted(test_files(), key=functools.partial(distance, mutant.file))
            near = [[test] for test in files[: asked.near]]
            for tests in near if asked.near else meeting(number, mutant.file, notes, asked.seconds):
                with tree.changed({mutant.file: mutant.applied(content)}):
                    code = tree.run([*tests, "-m", FAST], 6 * asked.seconds)
                if code == 5:  # a file of slow tests alone
                    continue
                # Where nothing can be imported any more, pytest ends with 2, 3 or 4.
                if code not in (-1, 0, 1, 2, 3, 4):
                    raise SystemExit(tree.said.read_text("utf-8", "replace")[-2000:])
                verdict = "survived" if code == 0 else "killed"
                if code:
                    break
            row = told(mutant, content, key, verdict)
            rows[row["key"]] = row
            with results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            print(f"{number:4d} {verdict:9s} {mutant.words(content)}", flush=True)
        print(table(list(rows.values())))


if __name__ == "__main__":
    main()
