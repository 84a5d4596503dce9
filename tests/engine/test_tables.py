"""Tables beside a model (CSV, workbooks) and data variables, as the equations read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError, SimulationError

from .language_models import close, model_of, values, values_of, write


def test_subscripted_tables_come_from_a_csv_file(tmp_path: Path, backend: Backend) -> None:
    (tmp_path / "t.csv").write_text("t,A,B\n0,1,10\n2,3,\n4,5,50\n", encoding="utf-8")
    model = model_of(
        tmp_path,
        "d: GET DIRECT SUBSCRIPT('t.csv', ',', 'B1', 'C1', '') ~~|\n"
        "x[d] := GET DIRECT DATA('t.csv', ',', 'A', 'B2') ~~|\n"
        "h[d]:HOLD BACKWARD: := GET DIRECT DATA('t.csv', ',', 'A', 'B2') ~~|\n"
        "l[d]:LOOK FORWARD: := GET DIRECT DATA('t.csv', ',', 'A', 'B2') ~~|\n"
        "f[d] = GET DIRECT LOOKUPS('t.csv', ',', 'A', 'B2') ~~|\n"
        "y[d] = f[d](Time/2) ~~|\n"
        "c[d] = GET DIRECT CONSTANTS('t.csv', ',', 'B2') ~~|\n"
        "q[d] = x[d] + h[d] + l[d] + c[d] ~~|",
    )
    assert model.subscripts["d"] == ("A", "B")
    x, h, late, y, c = values_of(model, ["x", "h", "l", "y", "c"], backend)
    close(x, [[1, 10], [2, 20], [3, 30], [4, 40], [5, 50]])
    close(h, [[1, 10], [1, 10], [3, 10], [3, 10], [5, 50]])
    close(late, [[1, 10], [3, 50], [3, 50], [5, 50], [5, 50]])
    close(y, [[1, 10], [1.5, 15], [2, 20], [2.5, 25], [3, 30]])
    close(c[0], [1, 10])


def test_a_workbook_is_read_by_cell_and_by_name(tmp_path: Path, backend: Backend) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Data"
    for row in ([0, 1, 2, 3], [5, "n.a.", 7, 8]):
        sheet.append(row)
    for name, cells in (("when", "$A$1:$D$1"), ("what", "$A$2:$D$2")):
        defined = openpyxl.workbook.defined_name.DefinedName(name, attr_text=f"Data!{cells}")
        book.defined_names[name] = defined
    book.save(tmp_path / "t.xlsx")
    model = model_of(
        tmp_path,
        "x := GET XLS DATA('t.xlsx', 'data', '1', 'A2') ~~|\n"
        "y := GET XLS DATA('t.xlsx', 'data', 'when', 'what') ~~|\n"
        "k = GET XLS CONSTANTS('t.xlsx', 'data', 'C2') ~~|\nz = x + y + k ~~|",
        end=3,
    )
    close(values(model, "z", backend), [17, 19, 21, 23])


def test_raw_data_have_no_value_between_points(tmp_path: Path, backend: Backend) -> None:
    (tmp_path / "t.csv").write_text("0,1\n2,3\n", encoding="utf-8")
    model = model_of(
        tmp_path, "x:RAW: := GET DIRECT DATA('t.csv', ',', 'A', 'B1') ~~|\ny = x ~~|", end=2
    )
    close(values(model, "y", backend), [1, np.nan, 3])


def test_data_that_the_model_leaves_to_its_user_must_be_given(tmp_path: Path) -> None:
    model = model_of(tmp_path, "x:INTERPOLATE: ~~|\ny = x*2 ~~|")
    with pytest.raises(SimulationError, match="no numbers for the data variable 'x'"):
        model.simulate()
    run = model.simulate(inputs={"x": ([0.0, 4.0], [0.0, 8.0])})
    close(run["y"].to_numpy(), [0, 4, 8, 12, 16])


@pytest.mark.parametrize("file", ["../t.csv", "/etc/hostname"])
def test_a_table_elsewhere_is_refused(file: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"x = GET DIRECT CONSTANTS('{file}', ',', 'A1') ~~|")
    with pytest.raises(ModelFileError, match="outside its own folder"):
        load_model(path)
