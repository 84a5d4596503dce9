"""The published outputs of SDEverywhere's models, where a checkout of it is named.

``BELTCAST_SDEVERYWHERE=/path/to/SDEverywhere pytest tests/engine/test_sdeverywhere.py``;
docs/conformance.md holds the table that `tests.sdeverywhere` prints.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from .. import sdeverywhere

ROOT = sdeverywhere.checkout()


@pytest.mark.skipif(
    ROOT is None, reason=f"{sdeverywhere.VARIABLE} does not name a checkout of SDEverywhere"
)
@pytest.mark.slow
def test_published_outputs_are_met_or_the_model_refused() -> None:
    assert ROOT is not None
    found = list(sdeverywhere.outcomes(ROOT))
    kinds = Counter(o.kind for o in found)
    wrong = [o for o in found if o.kind in ("differs", "crash")]
    assert not wrong, "\n".join(f"{o.model}: {o.kind} {o.detail}" for o in wrong)
    assert sum(n for kind, n in kinds.items() if kind.startswith("ok")) >= 50, kinds


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "wrong"
    folder.mkdir(parents=True)
    (folder / "wrong.mdl").write_text(
        "x = Time*2 ~~|\nINITIAL TIME = 0 ~~|\nFINAL TIME = 2 ~~|\nTIME STEP = 1 ~~|\n"
        "SAVEPER = 1 ~~|\n"
    )
    (folder / "wrong.dat").write_text("x\n0\t0\n1\t2\n2\t4.5\n")
    (outcome,) = sdeverywhere.outcomes(tmp_path)
    assert (outcome.kind, outcome.detail) == ("differs", "x at 2: 4, published 4.5")


def test_the_run_says_why_it_does_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(sdeverywhere.VARIABLE, raising=False)
    assert sdeverywhere.main([]) == 0
    assert "skipped: BELTCAST_SDEVERYWHERE" in capsys.readouterr().out
