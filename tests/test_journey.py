"""The journey as the README tells it: what stands there must run."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import pytest


def fences(text: str) -> list[tuple[int, str]]:
    """Line and code of every Python block of a Markdown text."""
    pattern = re.compile(r"^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```", re.M | re.S)
    return [
        (text[: found.start()].count("\n") + 2, textwrap.dedent(found["code"]))
        for found in pattern.finditer(text)
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("saved_fit", "short_walks")
def test_the_python_of_the_readme_runs(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = root / "README.md"
    blocks = fences(readme.read_text(encoding="utf-8"))
    # The journey in about ten lines, and a model of one's own.
    assert len(blocks) >= 2
    assert sum(bool(line.strip()) for line in blocks[0][1].splitlines()) <= 12
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "readme"}
    for line, code in blocks:
        # Empty lines in front, so that a traceback shows the line of the README.
        exec(compile("\n" * (line - 1) + code, str(readme), "exec"), names)
    plt.close("all")
    assert "sd_ratio" in capsys.readouterr().out
    assert list(tmp_path.glob("*.png"))
    assert names["result"]["output"].sizes["place"] == 16


def test_fences_are_found_where_they_stand() -> None:
    text = "a\n```python\nx = 1\n```\n- b\n  ```python\n  y = 2\n  ```\n```\nshell\n```\n"
    assert fences(text) == [(3, "x = 1\n"), (7, "y = 2\n")]
