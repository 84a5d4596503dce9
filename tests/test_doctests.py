"""Every example in a docstring runs and prints what stands under it."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

import beltcast

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "beltcast"


def examples() -> Iterator[doctest.DocTest]:
    """The docstrings with examples, of all modules that have one."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if ">>>" not in path.read_text(encoding="utf-8"):
            continue
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = importlib.import_module(".".join(("beltcast", *parts)))
        for found in doctest.DocTestFinder().find(module):
            if found.examples:
                yield found


EXAMPLES = list(examples())
SLOW = {
    "beltcast.app.page.page",
    "beltcast.inference.optimise.optimise",
    "beltcast.verification.frozen.freeze",
    "beltcast.verification.frozen.score",
    "beltcast.verification.origin.scales_as_known",
    "beltcast.verification.record.backtest",
    "beltcast.workflows.calibrate.calibrate_study",
    "beltcast.workflows.report.report",
}
"""Five to eight seconds of processor time each; other tests call these functions."""


@pytest.mark.usefixtures("saved_fit", "short_walks")
@pytest.mark.parametrize(
    "example",
    [
        pytest.param(one, id=one.name, marks=[pytest.mark.long] if one.name in SLOW else [])
        for one in EXAMPLES
    ],
)
def test_the_example_prints_what_it_says(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = io.StringIO()
    failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        example, out=words.write
    )
    assert tried
    assert not failed, words.getvalue()


def test_every_public_function_has_an_example() -> None:
    with_example = {example.name.rpartition(".")[2] for example in EXAMPLES}
    functions = {name for name in beltcast.__all__ if inspect.isfunction(getattr(beltcast, name))}
    assert functions <= with_example
    assert {example.name for example in EXAMPLES} >= SLOW
