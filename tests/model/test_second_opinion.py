"""PySD as exchange partner and second opinion."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from beltcast import load_model
from beltcast.errors import MissingExtra
from beltcast.model.second_opinion import second_opinion

from ..small_models import small, write
from ..xmile_texts import aux, xmile


def test_pysd_agrees_where_both_are_right(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "D: a, b",
        "k[D] = 1, 2 {each}",
        "x[D] = INTEG(-k[D]*x[D]/4, 10)",
        "y = SUM(x[D!])",
    )
    opinion = second_opinion(model)
    assert (opinion.variable, opinion.compared) == (None, 5)
    assert opinion.sentence() == "PySD agrees on 5 series"


def test_the_first_difference_is_named_by_variable_and_time(tmp_path: Path) -> None:
    """Vensim's manual takes a width of 0 for TIME STEP; PySD does not."""
    model = small(
        tmp_path, "late = STEP(1, 3)", "p = PULSE(2, 0)", "q = INTEG(p, 0)", TIME_STEP="1"
    )
    opinion = second_opinion(model)
    assert (opinion.variable, opinion.time, opinion.ours, opinion.theirs) == ("p", 2.0, 1.0, 0.0)
    assert opinion.sentence() == "PySD differs: 'p' at 2 is 1 here and 0 there"


def test_xmile_has_a_second_opinion_too(tmp_path: Path) -> None:
    path = write(tmp_path, xmile(aux("y", "TIME*2")), "m.xmile")
    assert second_opinion(load_model(path)).variable is None


def test_a_model_opens_in_pysd_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    model = small(tmp_path, "x = 2*Time {what PySD's grammar does not know}")
    other = model.to_pysd()
    assert other.run()["x"].iloc[-1] == pytest.approx(8.0)
    assert [p.name for p in tmp_path.iterdir()] == ["small.mdl"]


def test_what_pysd_cannot_open_is_said(tmp_path: Path) -> None:
    from beltcast.errors import UnsupportedConstruct

    model = small(tmp_path, "D: a, b", "v[D] = 1, 2", "x = VECTOR ELM MAP(v[a], 1) + Time")
    with pytest.raises(UnsupportedConstruct, match="PySD cannot"):
        second_opinion(model)


def test_simlin_is_a_second_opinion(tmp_path: Path) -> None:
    """It is asked by `beltcast check --against pysimlin`, where it is installed."""
    pytest.importorskip("simlin", reason="needs pysimlin: pip install pysimlin")
    model = small(tmp_path, "D: a, b", "k[D] = 1, 2", "x[D] = INTEG(-k[D]*x[D]/4, 10)")
    opinion = second_opinion(model, "pysimlin")
    assert (opinion.program, opinion.variable) == ("pysimlin", None)
    # Vensim's width of 0 is one step; Simlin has no pulse then.
    other = small(tmp_path, "p = PULSE(2, 0)", TIME_STEP="1")
    assert second_opinion(other, "pysimlin").variable == "p"


def test_without_simlin_its_install_line_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "simlin", None)
    with pytest.raises(MissingExtra, match=r"--against pysimlin needs simlin.*\[simlin\]"):
        second_opinion(small(tmp_path, "x = Time"), "pysimlin")
