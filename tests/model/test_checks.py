"""The check of a model: each finding is planted in a model where nothing else is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beltcast.cli import app
from beltcast.errors import SimulationError
from beltcast.model.checks import as_json, check_model, check_text
from beltcast.model.model import load_model

from ..model_texts import SIR, write_model
from ..small_models import small

UNITS = {"INITIAL TIME": "0 ~ Year", "FINAL TIME": "10 ~ Year", "TIME STEP": "0.125 ~ Year",
         "SAVEPER": "1 ~ Year"}  # fmt: skip
DECAY = {
    "Stock": "INTEG(-outflow, Initial Stock) ~ 万元",
    "outflow": "Stock/Lifetime ~ 万元/年",
    "Initial Stock": "100 ~ 万元",
    "Lifetime": "5 ~ 年",
}


def test_a_sound_model_has_no_fault(tmp_path: Path) -> None:
    checked = check_model(load_model(write_model(tmp_path, DECAY, UNITS)))
    assert checked.units == ()
    assert checked.negative == ()
    assert (checked.stocks, checked.extremes_tried) == (1, 6)
    (loop,) = checked.components[0].loops
    assert (loop.variables, loop.polarity) == (("Stock", "outflow"), "B")


def test_a_wrong_unit_is_named_with_its_part(tmp_path: Path) -> None:
    wrong = DECAY | {"outflow": "Stock*Lifetime ~ 万元/年"}
    (problem,) = check_model(load_model(write_model(tmp_path, wrong, UNITS))).units
    assert (problem.equation, problem.expression) == ("outflow", "Stock*Lifetime")


def test_the_step_error_of_decay_is_known(tmp_path: Path) -> None:
    """Euler's decay is 100 (1 - dt/L)^n; the largest of |coarse - fine| stands at a saved time."""
    checked = check_model(load_model(write_model(tmp_path, DECAY, UNITS)))
    coarse = [100 * (1 - 0.125 / 5) ** (8 * t) for t in range(11)]
    fine = [100 * (1 - 0.0625 / 5) ** (16 * t) for t in range(11)]
    expected = max(abs(a - b) for a, b in zip(coarse, fine, strict=True)) / 100
    assert checked.step_errors[0].error == pytest.approx(expected, rel=1e-9)


def test_a_step_that_the_model_computes_is_not_halved(tmp_path: Path) -> None:
    controls = UNITS | {"TIME STEP": "SAVEPER/8 ~ Year"}
    try:
        model = load_model(write_model(tmp_path, DECAY, controls))
        checked = check_model(model)
    except (SimulationError, RecursionError):
        pytest.skip("a computed TIME STEP is not supported")
    assert checked.step_errors == ()


def test_a_stock_that_goes_negative_is_named_with_its_time(tmp_path: Path) -> None:
    drained = {"Stock": "INTEG(-Drain, 2.5) ~ 件", "Drain": "1 ~ 件/年"}
    (fault,) = check_model(load_model(write_model(tmp_path, drained, UNITS))).negative
    assert (fault.variable, fault.time, fault.value) == ("Stock", 3.0, -0.5)


def test_a_constant_that_breaks_the_model_is_named_with_what_breaks_first(tmp_path: Path) -> None:
    """Lifetime = 0 divides by zero; a tenth of it, half a year, is still 4 steps: no fault."""
    checked = check_model(load_model(write_model(tmp_path, DECAY, UNITS)))
    (extreme,) = checked.extremes
    assert (extreme.constant, extreme.factor) == ("Lifetime", 0.0)
    (fault,) = extreme.faults
    assert (fault.variable, fault.kind, fault.time) == ("outflow", "not finite", 0.0)


def test_a_constant_that_makes_a_stock_negative_is_named(tmp_path: Path) -> None:
    """Ten times the drain takes 10 a year from a stock of 50: below zero after 5 years."""
    drained = {"Stock": "INTEG(-Drain, 50) ~ 件", "Drain": "1 ~ 件/年"}
    (extreme,) = check_model(load_model(write_model(tmp_path, drained, UNITS))).extremes
    assert (extreme.constant, extreme.factor) == ("Drain", 10.0)
    (fault,) = extreme.faults
    assert (fault.variable, fault.kind, fault.time) == ("Stock", "negative stock", 6.0)


def test_elements_are_moved_together_and_named_apart(tmp_path: Path) -> None:
    model = {
        "Belt:": "North, South",
        "Stock[Belt]": "INTEG(-Drain[Belt], 50) ~ 件",
        "Drain[Belt]": "0, 1 ~ 件/年",
    }
    checked = check_model(load_model(write_model(tmp_path, model, UNITS)))
    assert checked.extremes_tried == 3
    (extreme,) = checked.extremes
    assert [f.variable for f in extreme.faults] == ["Stock[South]"]


def test_a_model_that_does_not_run_says_why(tmp_path: Path) -> None:
    path = write_model(tmp_path, {"Stock": "INTEG(1/Zero, 0)", "Zero": "0"})
    with pytest.raises(SimulationError, match="'Stock' is inf"):
        check_model(load_model(path))


def test_the_command_prints_the_findings_and_ends_in_1_for_a_fault(tmp_path: Path) -> None:
    wrong = DECAY | {"outflow": "Stock*Lifetime ~ 万元/年"}
    path = write_model(tmp_path, wrong, UNITS)
    done = CliRunner().invoke(app, ["check", str(path)])
    assert done.exit_code == 1
    assert done.stdout.startswith(f"{path}:")
    assert "Stock*Lifetime" in done.stdout.splitlines()[0]


def test_json_says_the_same_as_the_text(tmp_path: Path) -> None:
    path = write_model(tmp_path, SIR)
    checked = check_model(load_model(path))
    done = CliRunner().invoke(app, ["check", str(path), "--json"])
    assert json.loads(done.stdout) == as_json(checked)
    assert json.loads(json.dumps(as_json(checked), allow_nan=False)) == as_json(checked)
    text = check_text(checked)
    for component in checked.components:
        for loop in component.loops:
            assert " -> ".join(loop.variables) in text


def test_a_text_says_how_many_lines_it_leaves_out(tmp_path: Path) -> None:
    stocks = {f"S{i:02d}": "INTEG(-1, 0)" for i in range(30)}
    text = check_text(check_model(load_model(write_model(tmp_path, stocks))), most=10)
    assert text.count("stock 'S") == 10
    assert "and 20 more" in text


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-8", "UTF-8"), ("gb18030", "GB18030"), ("latin-1", "Latin-1")]
)
def test_the_encoding_that_was_guessed_is_said(encoding: str, said: str, tmp_path: Path) -> None:
    path = write_model(tmp_path, DECAY, UNITS)
    name = "Bestände" if encoding == "latin-1" else "存量"
    text = path.read_text(encoding="utf-8").replace("Stock", name)
    if encoding == "latin-1":
        text = text.replace("万元", "Euro").replace("年", "Year")
    path.write_bytes(text.encode(encoding))
    assert f"read as {said}" in check_text(check_model(load_model(path)))


def test_a_check_says_how_far_it_is_and_ends_in_time(tmp_path: Path) -> None:
    """With no time at all the first runs are made, and the others counted."""
    constants = {f"k{i}": "1 ~ Dmnl" for i in range(40)}
    total = {"total": "+".join(constants) + " ~ Dmnl"}
    model = load_model(write_model(tmp_path, {**constants, **total}, UNITS))
    told: list[tuple[str, int, int]] = []
    checked = check_model(model, progress=lambda *said: told.append(said), seconds=0.0)
    assert (checked.extremes_tried, checked.extremes_all) == (120, 120)
    assert told[-1] == ("extreme constants", 120, 120)


def test_what_was_left_out_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beltcast.model.checks._CHUNK", 1)
    constants = {f"k{i}": "1 ~ Dmnl" for i in range(40)}
    total = {"total": "+".join(constants) + " ~ Dmnl"}
    model = load_model(write_model(tmp_path, {**constants, **total}, UNITS))
    checked = check_model(model, seconds=0.0)
    assert (checked.extremes_tried, checked.extremes_all) == (16, 120)
    assert "104 more were not made; allow them more time with --seconds" in check_text(checked)


def test_an_element_without_an_equation_is_named_by_check(tmp_path: Path) -> None:
    model = small(tmp_path, "R: a, b", "x[a] = Time")
    assert "'x[b]' has no equation; nothing reads it" in check_text(check_model(model))


def test_constants_of_nothing_are_not_made_extreme(tmp_path: Path) -> None:
    """Zero times ten is zero: there is no run to make."""
    still = {"Stock": "INTEG(inflow, Start) ~ 万元", "inflow": "None ~ 万元/年"}
    zeros = {"Start": "0 ~ 万元", "None": "0 ~ 万元/年"}
    checked = check_model(load_model(write_model(tmp_path, still | zeros, UNITS)))
    assert (checked.extremes_tried, checked.extremes_all) == (0, 0)
