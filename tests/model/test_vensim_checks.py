"""Reality checks in a Vensim file, each against what its condition gives by hand.

The rules are those of Vensim's manual: "Test Inputs", "Constraints" and "Reality Check Functions".
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from beltcast.cli import app
from beltcast.model.vensim_checks import check_vensim_statements
from beltcast.workflows.check import CheckedModel

from ..small_models import small, text, write

STEP = {"TIME_STEP": "0.5"}


def implied(folder: Path, condition: str, consequence: str, *equations: str) -> list[str]:
    """What the findings of one check say."""
    check = f"the check :THE CONDITION: {condition} :IMPLIES: {consequence}"
    count, found = check_vensim_statements(small(folder, check, *equations, **STEP))
    assert count == 1
    return [finding.sentence for finding in found]


X = ("x = 10 + Time", "y = x")


@pytest.mark.parametrize(
    ("condition", "y"),
    [
        ("x = 3", "3"),
        ("x = x + 1", "11 + Time"),
        ("x < 12", "MIN(12, 10 + Time)"),
        ("x >= 12", "MAX(12, 10 + Time)"),
        ("x = RC STEP(x, 0.5)", "IF THEN ELSE(Time < 0.4, 10 + Time, 5.25)"),
        ("x = RC STEP(x, 0.5, 2)", "IF THEN ELSE(Time < 1.9, 10 + Time, 6)"),
        ("x = RC_STEP(x, Time, 2)", "IF THEN ELSE(Time < 1.9, 10 + Time, 12*Time)"),
        (
            "x = RC STEP(x, 0.5, 1, 2)",
            "IF THEN ELSE(Time > 0.9 :AND: Time < 2.9, 5.5, 10 + Time)",
        ),
        (
            "x = RC RAMP(x, 0, 2, 1)",
            "IF THEN ELSE(Time < 0.9, 10 + Time, 11*(1 - MIN(1, MAX(0, Time - 1)/2)))",
        ),
        (
            "x = RC GROW(x, 0.1, 1)",
            "IF THEN ELSE(Time < 0.9, 10 + Time, 11*EXP(0.1*(Time - 1)))",
        ),
        ("x = RC DECAY(x, 4, 1)", "IF THEN ELSE(Time < 0.9, 10 + Time, 11*EXP((1 - Time)/4))"),
    ],
)
def test_a_condition_is_forced(tmp_path: Path, condition: str, y: str) -> None:
    assert implied(tmp_path, condition, f"y = {y}", *X) == []
    (sentence,) = implied(tmp_path, condition, f"y = {y} + 0.01", *X)
    assert sentence.startswith("fails at time 0")


@pytest.mark.parametrize(
    ("condition", "consequence", "words"),
    [
        ("x = 1 :OR: x = 2", "y = 1 :OR: y = 2", ""),
        ("x = 1 :OR: x = 2", "y = 1", "where x = 2: fails at time 0: y is 2, which is not = 1, 1"),
        ("x = 1 :OR: x = 2", ":NOT: (y < 1 :OR: y > 2)", ""),
        (":NOT: (x < 20 :OR: x > 20)", "y >= 20 :AND: y <= 20", ""),
        ("(x = 1 :OR: x = 2) :AND: z = 3", "(w = 4 :OR: w = 5)", ""),
        (
            "(x = 1 :OR: x = 2) :AND: z = 3",
            "w = 4 :OR: w = 6",
            "where x = 2 :AND: z = 3: fails at time 0: "
            "w is 5, which is not = 4, 4; w is 5, which is not = 6, 6",
        ),
        ("x = 1", "(y + 1)*2 = (4)", ""),
    ],
)
def test_conditions_and_consequences_are_joined_by_logic(
    tmp_path: Path, condition: str, consequence: str, words: str
) -> None:
    """A condition of several cases is a check of each; every step of a consequence is judged."""
    found = implied(tmp_path, condition, consequence, *X, "z = 0", "w = x + z")
    assert found == ([words] if words else [])


def test_another_run_is_compared_with(tmp_path: Path) -> None:
    """The other run is 5 + Time; from time 1 on x is twice that, and before it 10 + Time."""
    (tmp_path / "other run.csv").write_text("time,x,y\n0,5,0\n10,15,0\n")
    condition = "x = RC COMPARE('other run', x, 2, 1)"
    y = "IF THEN ELSE(Time < 0.9, 10 + Time, 10 + 2*Time)"
    assert implied(tmp_path, condition, f"y = {y}", *X) == []
    assert implied(tmp_path, condition, "y <= RC COMPARE CHECK('other run', x, 1, 2, 1)", *X) == []
    (sentence,) = implied(tmp_path, condition, "y <= RC COMPARE CHECK('other run', x, 1, 1, 1)", *X)
    assert sentence.startswith("fails at time 2: y is 14, which is not <=")


def test_the_models_own_start_counts(tmp_path: Path) -> None:
    equations = (*X, "RC START TIME = 3")
    y = "IF THEN ELSE(Time < 2.9, 10 + Time, 6.5)"
    assert implied(tmp_path, "x = RC STEP(x, 0.5)", f"y = {y}", *equations) == []


STOCK = ("inflow = 10", "level = INTEG(inflow - level, 10)")


def test_grace_is_given(tmp_path: Path) -> None:
    """From time 1 on the level halves every step: 2.5 after one unit of time, 0.625 after two."""
    empties = "inflow = RC STEP(inflow, 0, 1)"
    assert implied(tmp_path, empties, "level <= RC STEP CHECK(2, level, 0.1, 1)", *STOCK) == []
    (sentence,) = implied(tmp_path, empties, "level <= RC STEP CHECK(1, level, 0.1, 1)", *STOCK)
    assert sentence == (
        "fails at time 2: level is 2.5, which is not <= RC STEP CHECK(1, level, 0.1, 1), 1"
    )


def test_a_stock_is_forced(tmp_path: Path) -> None:
    equations = (*STOCK, "seen = level")
    drained = "IF THEN ELSE(Time < 0.9, 10, 0)"
    assert implied(tmp_path, "level = RC STEP(level, 0, 1)", f"seen = {drained}", *equations) == []
    assert implied(tmp_path, "level = 3 :AND: inflow = 0", "seen = 3", *equations) == []


def test_each_element_is_a_check(tmp_path: Path) -> None:
    """As tests/reality_checks of SDXorg's test-models writes them, with one that fails."""
    model = small(
        tmp_path,
        "sectors: a, b",
        "productivity[sectors] = 2, 4",
        "workers[sectors] = 4, 5",
        "output[sectors] = workers[sectors]*productivity[sectors]",
        "productivity_to_zero[sectors]:TEST INPUT: "
        "productivity[sectors] = RC_STEP(productivity[sectors], 0)",
        "stops[sectors]:THE CONDITION: productivity_to_zero[sectors]:IMPLIES: "
        "output[sectors] <= RC_STEP_CHECK(0.5, output[sectors], 0.0001)",
        "one alone:THE CONDITION: workers[a] = 0:IMPLIES:output[a] = 0 :AND: output[b] = 20",
        "all[sectors]:THE CONDITION: workers[sectors] = 0:IMPLIES:output[a] = 0",
        **STEP,
    )
    count, found = check_vensim_statements(model)
    assert count == 5
    assert [(f.name, f.fails) for f in found] == [("all[b]", True)]
    assert found[0].sentence == "fails at time 0: output[a] is 8, which is not = 0, 0"


@pytest.mark.parametrize(
    ("condition", "consequence", "words"),
    [
        ("x = 1 :OR: :NOT: x = 2", "y > 0", "does not determine a value"),
        ("x = 1", "y > :CROSSING: 2", ":CROSSING: in a reality check"),
        ("nothing", "y > 0", "'nothing' is neither a comparison nor a test input"),
        ("nothing = 2", "y > 0", "'nothing' is neither a variable nor a test input"),
        ("x <> 2", "y > 0", "does not determine a value"),
        ("x = RC COMPARE('base', x, 2)", "y > 0", "there is no 'base.csv' beside the model"),
        ("x = RC STEP(x)", "y > 0", "wrong number of arguments"),
        ("x = RC STEP CHECK(1, x, 2)", "y > 0", "RC STEP CHECK stands only after :IMPLIES:"),
        ("x = y", "y > 0", "cannot be run"),
        ("level < 2", "y > 0", "'level' is a stock"),
        ("x = 1", "unknown > 0", "unknown"),
    ],
)
def test_what_cannot_be_run_is_said(
    tmp_path: Path, condition: str, consequence: str, words: str
) -> None:
    (sentence,) = implied(tmp_path, condition, consequence, *X, *STOCK)
    assert words in sentence
    assert "cannot be run" in sentence


def test_the_command_reports_them(tmp_path: Path) -> None:
    fails = "the check :THE CONDITION: x = 0 :IMPLIES: y = 1"
    path = write(tmp_path, text(fails, *X, **STEP))
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert f"{path}:2: 'the check' fails at time 0: y is 0, which is not = 1, 1" in result.output
    holds = write(tmp_path, text(fails.replace("= 1", "= 0"), *X, **STEP))
    result = CliRunner().invoke(app, ["check", str(holds)])
    assert "'the check'" not in result.output
    assert "Reality checks of the file: 1, of which 0 fail or cannot be run" in result.output


def test_a_check_that_fails_is_a_fault_and_one_that_cannot_be_judged_a_doubt() -> None:
    judged = [SimpleNamespace(fails=fails) for fails in (True, False, False)]
    nothing = SimpleNamespace(units=(), negative=(), extremes=())
    # Both counts read these fields and nothing else.
    found = CheckedModel(None, nothing, 3, tuple(judged))  # type: ignore[arg-type]
    assert (found.faults, found.doubts) == (1, 2)
