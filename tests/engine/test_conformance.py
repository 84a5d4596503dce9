"""The published outputs of SDXorg/test-models, where a checkout of it is named.

``BELTCAST_TEST_MODELS=/path/to/test-models pytest tests/engine/test_conformance.py``;
docs/conformance.md holds the table that `tests.conformance` prints, line by line.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from .. import conformance

ROOT = conformance.checkout()

needs_checkout = pytest.mark.skipif(
    ROOT is None,
    reason=f"{conformance.VARIABLE} does not name a checkout of SDXorg/test-models",
)


@needs_checkout
@pytest.mark.slow
@pytest.mark.parametrize(
    ("endings", "least"), [((".mdl",), 142), ((".xmile", ".stmx", ".xml"), 77)]
)
def test_published_outputs_are_met_or_the_model_refused(
    endings: tuple[str, ...], least: int
) -> None:
    assert ROOT is not None
    found = list(conformance.outcomes(ROOT, endings, ("numpy",)))
    kinds = Counter(o.kind for o in found)
    wrong = [o for o in found if o.kind in ("differs", "crash")]
    assert not wrong, "\n".join(f"{o.model}: {o.kind} {o.detail}" for o in wrong)
    assert sum(n for kind, n in kinds.items() if kind.startswith("ok")) >= least, kinds


def test_the_run_says_why_it_does_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(conformance.VARIABLE, raising=False)
    assert conformance.main([]) == 0
    assert "skipped: BELTCAST_TEST_MODELS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cell", "unit"), [("1.25", 0.01), ("3", 0.0), ("2.5e-05", 1e-6), ("1e3", 1e3), ("", 0.0)]
)
def test_the_unit_of_the_last_digit_is_read_off_the_text(cell: str, unit: float) -> None:
    assert conformance._unit(cell) == pytest.approx(unit)


def test_the_first_difference_in_time_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "wrong"
    folder.mkdir(parents=True)
    (folder / "m.mdl").write_text(
        "x = Time*2 ~~|\nINITIAL TIME = 0 ~~|\nFINAL TIME = 2 ~~|\nTIME STEP = 1 ~~|\n"
        "SAVEPER = 1 ~~|\n"
    )
    (folder / "output.tab").write_text("Time\tx\n0\t0\n1\t2\n2\t4.5\n")
    (outcome,) = conformance.outcomes(tmp_path, (".mdl",), ("numpy",))
    assert (outcome.kind, outcome.detail) == ("differs", "x at 2: 4, published 4.5")
