"""What is promised to someone who installs the package and has no checkout."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import beltcast
from beltcast.files.shipped import shipped

SHIPPED_KINDS = {".mdl", ".csv", ".toml", ".md"}
# Needed without being imported by us.
INDIRECT = {"netcdf4": "xarray writes forecast.nc with it"}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the tools at hand, so without a network."""
    out = tmp_path_factory.mktemp("wheel")
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(root)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_carries_the_model_and_its_data(root: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {
        f"beltcast/_shipped/{path.relative_to(root).as_posix()}"
        for folder in ("models", "calibration")
        for path in (root / folder).rglob("*")
        if path.suffix in SHIPPED_KINDS
    }
    assert "beltcast/_shipped/models/belt/belt.mdl" in wanted
    assert "beltcast/_shipped/calibration/data/observations.csv" in wanted
    assert wanted <= names
    assert "beltcast/py.typed" in names
    # PySD leaves Python beside the models it reads; none of it may travel.
    assert not [n for n in names if n.startswith("beltcast/_shipped/") and n.endswith(".py")]


def test_an_installed_package_finds_its_files(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    module = tmp_path / "beltcast" / "files" / "shipped.py"
    # Run the file itself: the question is where it looks, not whether the package imports.
    script = (
        f"import runpy; m = runpy.run_path({str(module)!r});"
        "print(m['shipped']('models/belt/belt.mdl').as_posix())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (tmp_path / "beltcast/_shipped/models/belt/belt.mdl").as_posix()


def test_a_checkout_finds_its_files(root: Path) -> None:
    assert shipped("models/belt/belt.mdl") == root / "models" / "belt" / "belt.mdl"


def test_a_file_that_does_not_ship_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"'models/belt/bolt\.mdl' is not among the files"):
        shipped("models/belt/bolt.mdl")


def test_the_wheel_has_the_version_of_the_package(wheel: Path) -> None:
    assert wheel.name.split("-")[1] == beltcast.__version__


def test_dependencies_are_those_that_are_imported(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    imported = set()
    for path in (root / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    used = {canonicalize_name(name) for name in imported - {"beltcast"} - sys.stdlib_module_names}
    assert declared - set(INDIRECT) == used


def test_every_dependency_has_a_tested_lower_bound(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for line in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        requirement = Requirement(line)
        if requirement.name != "beltcast":
            assert [s.operator for s in requirement.specifier] == [">="], line


def test_the_gate_runs_what_the_readme_says(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert "pip install -e . && beltcast forecast" in readme
    assert 'pip install -e ".[test]" && pytest' in readme
