"""What is too large is refused before memory is taken: every reader within 600 MB of address space.

One process loads the package and then limits its own address space (``ulimit -v``) to what it has
and 600 MB more. Each file would take gigabytes; each ends in one sentence, and none in MemoryError.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast.files.shipped import shipped

from .test_door import BOOK_PARTS, SHEET, WORKBOOK

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_AS")

READ = """
import json, os, resource, sys
from pathlib import Path
import netCDF4, openpyxl, scipy.stats
from beltcast.errors import BeltcastError, InputError, TableError
from beltcast.files.text import read_text
from beltcast.files.toml import read_toml
from beltcast.files.workbook import sheet_text
from beltcast.inference.saved import load_calibration
from beltcast.model.model import load_model
from beltcast.reports.export import read_results
from beltcast.scale.runplan import read_plan
from beltcast.study.data_table import read_data_table
from beltcast.study.study import read_study

load_model(sys.argv[2]).simulate()  # what a first run takes, with its compiler
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 600 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
READERS = {
    "book": lambda path: sheet_text(path / "S", TableError),
    "netcdf": read_results,
    "toml": lambda path: read_toml(path, InputError),
    "text": lambda path: read_text(path, TableError),
    "table": read_data_table,
    "study": read_study,
    "plan": read_plan,
    "model": lambda path: load_model(path).simulate(),
}
told = {}
for name, reader in json.loads(sys.argv[1]):
    try:
        READERS[reader](Path(name))
        told[name] = "read"
    except BeltcastError as problem:
        told[name] = str(problem)
    except MemoryError:
        told[name] = "MemoryError"
print(json.dumps(told))
"""


def hostile(folder: Path) -> list[tuple[str, str]]:
    """Files that would take gigabytes, and who reads them."""
    bomb = folder / "bomb.xlsx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**BOOK_PARTS, "xl/workbook.xml": WORKBOOK}.items():
            archive.writestr(name, text)
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write(SHEET[: SHEET.index("{}")].encode())
            for _ in range(300):
                sheet.write(b"<row/>" * 170_000)
    wide = folder / "wide.nc"
    zeros = xr.DataArray(np.zeros((1, 1)), dims=("place", "year"))
    xr.Dataset({"x": zeros}).to_netcdf(wide, engine="netcdf4")
    import netCDF4

    with netCDF4.Dataset(wide, "a") as data:  # 80 GB that nobody has written
        data.createDimension("n", 10**10)
        data.createVariable("y", "f8", ("n",), chunksizes=(10**6,), compression="zlib")
    for name in ("hole.toml", "hole.csv", "hole.mdl", "hole.nc"):
        with (folder / name).open("wb") as file:
            file.truncate(2**40)
    sir = shipped("models/sir/sir.mdl").read_text(encoding="utf-8")
    long = folder / "long.mdl"
    long.write_text(sir.replace("FINAL TIME  = 60", "FINAL TIME = 1e9"), encoding="utf-8")
    if "1e9" not in long.read_text(encoding="utf-8"):
        start = sir.index("FINAL TIME")
        end = sir.index("\n", start)
        long.write_text(sir[:start] + "FINAL TIME = 1e9" + sir[end:], encoding="utf-8")
    os.mkfifo(folder / "pipe")
    here = str(folder)
    return [
        (str(bomb), "book"),
        (str(wide), "netcdf"),
        (f"{here}/hole.nc", "netcdf"),
        (f"{here}/hole.toml", "toml"),
        (f"{here}/hole.toml", "study"),
        (f"{here}/hole.toml", "plan"),
        (f"{here}/hole.csv", "table"),
        (f"{here}/hole.mdl", "model"),
        (str(long), "model"),
        ("/dev/zero", "text"),
        ("/dev/zero", "netcdf"),
        ("/dev/zero", "model"),
        (f"{here}/pipe", "text"),
        (f"{here}/pipe", "toml"),
    ]


@pytest.mark.slow
def test_every_reader_refuses_what_is_too_large_within_600_mb(tmp_path: Path) -> None:
    cases = hostile(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(cases), str(shipped("models/sir/sir.mdl"))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told) == len({name for name, _ in cases})
    for name, sentence in told.items():
        assert sentence not in ("read", "MemoryError"), (name, sentence)
        assert "\n" not in sentence, (name, sentence)
