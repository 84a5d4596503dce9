"""Which faults the tests notice: a seeded sample of small faults, each against the tests it meets.

    python -m tests.mutation --mutants 200 --seed 1
    python -m tests.mutation --only src/beltcast/inference/psis.py --mutants 30

A mutant is one change of one module: an operator, a comparison, a constant, ``and`` for ``or``, a
statement left out, two arguments swapped.  Left out are texts (messages, labels, docstrings),
errors that are raised, and modules that print or draw.  Each mutant runs in a copy of the tree,
against the test files that import its module, the one of its own name first (where none does,
those of the modules that import it), with ``pytest -x``.  A mutant is killed when a test fails or
its processor time ends; what survives is printed with its line.

Libraries are loaded once: each mutant is a fork of this process, which has not loaded beltcast.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
FILES = 3
"""Test files that a mutant meets, at most."""

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


def tests_of(file: str) -> list[str]:
    """Test files that import a module; the one of its own name first, then those of its room."""
    reached, modules = [file], [file]
    found: set[Path] = set()
    for _ in range(4):  # where no test imports it: by way of the modules that do
        found = {test for module in modules for test in _importing(module)}
        if found:
            break
        further = [other for module in modules for other in _importers(module)]
        modules = [other for other in dict.fromkeys(further) if other not in reached]
        reached += modules
    room, own = Path(file).parts[2], f"test_{Path(file).stem}.py"
    paths = sorted(found, key=lambda p: (p.name != own, p.parent.name != room, p.stat().st_size))
    return [path.relative_to(ROOT).as_posix() for path in paths[:FILES]]


@functools.cache
def _importing(file: str) -> tuple[Path, ...]:
    dotted = ".".join(Path(file).with_suffix("").parts[1:])
    public = re.findall(r"^(?:def|class) ([a-zA-Z]\w*)", (ROOT / file).read_text("utf-8"), re.M)
    short, asked = set(public) & _exported(), re.compile(rf"\b{re.escape(dotted)}\b")
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text("utf-8")
        top = re.search(r"from beltcast import (?:\(([^)]*)\)|([^\n]*))", text)
        named = set(re.findall(r"\w+", (top[1] or top[2]))) & short if top else set()
        if path.name == f"test_{Path(file).stem}.py" or asked.search(text) or named:
            found.append(path)
    return tuple(found)


@functools.cache
def _importers(file: str) -> tuple[str, ...]:
    dotted = ".".join(Path(file).with_suffix("").parts[1:])
    package, _, name = dotted.rpartition(".")
    asked = re.compile(
        rf"\bfrom {re.escape(dotted)} import|\bfrom {re.escape(package)} import[^\n]*\b{name}\b"
    )
    return tuple(
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "src").rglob("*.py"))
        if asked.search(path.read_text("utf-8"))
    )


@functools.cache
def _exported() -> set[str]:
    text = (ROOT / "src" / "beltcast" / "__init__.py").read_text("utf-8")
    return set(re.findall(r'"(\w+)"', text))


def tried(copy: Path, tests: Sequence[str], seconds: int) -> tuple[int, float]:
    """Run tests in a fork; exit code (-1 where the time ended) and processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if not child:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))
        said = os.open(copy.parent / "said.txt", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(said, stream)
        os.chdir(copy)
        sys.path[:] = [str(copy), str(copy / "src"), *(p for p in sys.path if "beltcast" not in p)]
        os.environ["PYTHONPATH"] = str(copy / "src")
        code = 4
        try:
            import pytest

            options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header"]
            code = int(pytest.main([*options, *tests]))
        except BaseException:  # whatever it is, it is told and the fork ends here
            traceback.print_exc()
        finally:  # a fork must not unwind into the caller's cleaning up
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    waited, status = 0, 0
    deadline = time.monotonic() + 40 * seconds
    while not waited:
        waited, status = os.waitpid(child, os.WNOHANG)
        if not waited and time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, 9)
        time.sleep(0.05)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    code = os.waitstatus_to_exitcode(status)
    return (code if code >= 0 else -1), used


def main() -> None:
    """Try mutants and print which survive."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=60, help="processor seconds of one mutant")
    parser.add_argument("--budget", type=float, default=3600, help="processor seconds in all")
    parser.add_argument(
        "--only", nargs="*", default=[], help="modules, from the top of the checkout"
    )
    asked = parser.parse_args()
    # The conftest makes a cache of compiled models for a session; a worker of pytest-xdist takes
    # the one that is there, as all mutants here do. Keys hold a hash of the engine's source.
    os.environ["PYTEST_XDIST_WORKER"] = "gw0"
    drawn = sampled(asked.mutants, asked.seed, asked.only)
    chosen = [(mutant, tests_of(mutant.file)) for mutant in drawn]
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    score: dict[str, list[int]] = {}
    spent, sound = 0.0, {}
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        os.environ["BELTCAST_CACHE"] = str(Path(scratch) / "cache")
        copy = Path(scratch) / "tree"
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
        ).stdout
        for name in listed.splitlines():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
        for number, (mutant, tests) in enumerate(chosen, start=1):
            if spent > asked.budget:
                print(f"the budget ends before mutant {number} of {len(chosen)}")
                break
            key = " ".join(tests)
            if tests and key not in sound:
                code, used = tried(copy, tests, 10 * asked.seconds)
                spent += used
                sound[key] = (code, used)
                if code:
                    print((copy.parent / "said.txt").read_text("utf-8", "replace")[-2000:])
            path = copy / mutant.file
            content = path.read_bytes()
            words = mutant.words(content)
            if not tests:
                verdict = "no test imports it"
            elif sound[key][0] != 0:
                verdict = f"not tried: its tests end with {sound[key][0]} without it"
            else:
                path.write_bytes(mutant.applied(content))
                limit = asked.seconds + int(3 * sound[key][1])
                code, used = tried(copy, tests, limit)
                path.write_bytes(content)
                spent += used
                verdict = "survived" if code == 0 else "killed"
            if not verdict.startswith("not tried"):
                counts = score.setdefault(mutant.area, [0, 0])
                counts[0] += 1
                counts[1] += verdict == "killed"
            print(f"{number:4d} {verdict:9s} {words}", flush=True)
    print(f"\n{'area':16s} mutants killed")
    for area in sorted(score):
        print(f"{area:16s} {score[area][0]:7d} {score[area][1]:6d}")
    every, killed = (sum(counts[i] for counts in score.values()) for i in (0, 1))
    print(f"{'all':16s} {every:7d} {killed:6d}, {spent:.0f} processor seconds")


if __name__ == "__main__":
    main()
