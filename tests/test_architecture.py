"""The shape of the package, read from its source without importing it."""

from __future__ import annotations

import ast
import functools
import graphlib
import subprocess
import sys
import types
from pathlib import Path

import pytest

import beltcast
from beltcast import cli

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "beltcast"

# The rooms, from the bottom up.  A module imports from its own room and from the rooms above it in
# this list.  CONTRIBUTING.md says what each room holds.
ROOMS = (
    "errors",
    "schema",
    "streams",
    "files",
    "display",
    "engine",
    "model",
    "study",
    "ensembles",
    "inference",
    "scale",
    "forecasting",
    "pictures",
    "verification",
    "drivers",
    "reports",
    "workflows",
    "app",
    "__init__",
    "cli",
    "__main__",
)
LEVEL = {name: level for level, name in enumerate(ROOMS)}


def level_of(name: str) -> int:
    """Level of the room that a module lies in."""
    return LEVEL[name.split(".")[0]]


def module_name(path: Path) -> str:
    """'engine.reader' for src/beltcast/engine/reader.py, '__init__' for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function, in full."""
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            # `from package import x` may name a module or something in the package.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                is_module = full.removeprefix("beltcast.") in MODULES
                names.add(full if is_module else node.module)
    return names


def own_imports(path: Path) -> set[str]:
    """The modules of beltcast that a file imports, named as in MODULES."""
    ours = {name for name in imported(path) if name.split(".")[0] == "beltcast"}
    return {name.removeprefix("beltcast").removeprefix(".") or "__init__" for name in ours}


def test_every_module_lies_in_a_room() -> None:
    assert {name.split(".")[0] for name in MODULES} == set(ROOMS)


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_downwards(name: str) -> None:
    level = level_of(name)
    upwards = {other for other in own_imports(MODULES[name]) if level_of(other) > level}
    assert not upwards, f"{name} imports {sorted(upwards)}, which lie above it"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: own_imports(path) - {name} for name, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError and names the circle


def test_the_engine_could_be_lifted_out() -> None:
    doors = {"files.door", "files.workbook"}  # how a file is opened
    for name, path in MODULES.items():
        if name.split(".")[0] == "engine":
            outside = {
                o
                for o in own_imports(path)
                if o.split(".")[0] not in {"engine", "errors"} and o not in doors
            }
            assert not outside, f"{name} imports {sorted(outside)}"


def test_only_the_reader_of_vensim_imports_pysd() -> None:
    users = {
        name
        for name, path in MODULES.items()
        if any(other.split(".")[0] == "pysd" for other in imported(path))
    }
    readers = {
        f"engine.vensim.{name}"
        for name in ("reader", "translator", "expressions", "plain_expressions", "pysd_model")
    }
    assert users <= readers


def test_text_is_data() -> None:
    """No string of a model or a table is ever executed."""
    for name, path in MODULES.items():
        calls = {
            node.func.id
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"eval", "exec", "compile", "__import__"}, name


def test_every_public_name_is_found_where_the_list_says() -> None:
    for name, home in beltcast._homes().items():
        value = getattr(beltcast, name)
        assert not isinstance(value, types.ModuleType), name
        assert name in public_definitions(MODULES[home.removeprefix("beltcast.")]), name
    assert dir(beltcast) == beltcast.__all__ == sorted([*beltcast._homes(), "__version__"])


NAMED_OTHERWISE = {"study": "write_study", "app": "page"}  # beltcast.study and .app are packages


def test_each_command_has_a_function_of_its_name() -> None:
    commands = (command.__name__ for panel in cli._PANELS.values() for command in panel)
    names = {name.removesuffix("_command") for name in commands} - {"trace"}
    functions = {NAMED_OTHERWISE.get(name, name) for name in names}
    assert functions <= set(dir(beltcast))
    assert all(callable(getattr(beltcast, name)) for name in functions)
    assert {"causes", "uses"} <= set(dir(beltcast.Model))  # what `beltcast trace` prints


def test_running_a_model_waits_for_no_tool_that_it_does_not_use() -> None:
    """Each of these takes longer to import than the belt model takes to read, compile and run."""
    code = (
        "import sys; from beltcast import load_model; import beltcast.engine.run.llvm_backend; "
        "print(*({'pysd', 'xarray', 'pandas', 'scipy', 'pint'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def public_definitions(path: Path) -> set[str]:
    """Public functions, classes and constants that a module defines at its top level."""
    found: set[str] = set()
    for node in parsed(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return {name for name in found if not name.startswith("_")}


def test_no_public_name_is_defined_in_two_modules() -> None:
    """Someone who searches for a name finds the one place where it is defined."""
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for name in public_definitions(path):
            homes.setdefault(name, []).append(module)
    twice = {name: modules for name, modules in homes.items() if len(modules) > 1}
    assert not twice
