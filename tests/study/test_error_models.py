"""Error models as a line of TOML: what is left out, and what is written and read again."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

from beltcast.errors import InputError
from beltcast.files.toml import TomlTable, read_toml
from beltcast.study.error_models import (
    ErrorModel,
    error_model_from_table,
    error_model_text,
)


def read(folder: Path, line: str) -> ErrorModel:
    path = folder / "errors.toml"
    path.write_text(line + "\n", encoding="utf-8")
    toml = read_toml(path, InputError)
    return error_model_from_table(TomlTable(toml, (), toml.tables), "errors", name="Hare")


@pytest.mark.parametrize("line", ['errors = "student"', 'errors = { family = "student" }'])
def test_what_a_line_leaves_out_is_given_once_and_normal(tmp_path: Path, line: str) -> None:
    found = read(tmp_path, line)
    assert (found.scale, found.scale_log_sd, found.df) == (None, 0.0, math.inf)
    assert (found.trials, found.scale_by, found.scale_power) == (1.0, "", 1.0)
    assert found.name == "Hare"


@pytest.mark.parametrize(
    ("scale", "log_sd", "df", "trials", "by"),
    list(
        itertools.product(
            (None, 1 / 3), (0.0, 0.7), (1.0, math.inf), (1.0, 20.0), (("", 1.0), ("Sd", -1.0))
        )
    ),
)
def test_a_written_error_model_is_read_as_it_was(
    tmp_path: Path,
    scale: float | None,
    log_sd: float,
    df: float,
    trials: float,
    by: tuple[str, float],
) -> None:
    model = ErrorModel("student", scale, log_sd, df, trials, *by, name='a "b"')
    found = read(tmp_path, error_model_text(model))
    assert found == model if scale is None else found.scale == pytest.approx(scale, rel=1e-15)


@pytest.mark.parametrize(
    ("given", "possible"),
    [
        ({"scale": 0.0}, False),
        ({"scale": math.inf}, False),
        ({"scale_log_sd": 0.0}, True),
        ({"scale_log_sd": -0.1}, False),
        ({"scale_log_sd": math.inf}, False),
        ({"df": 1.0}, True),  # Cauchy's
        ({"df": 0.9}, False),
        ({"trials": 0.0}, False),
        ({"trials": 0.5}, True),
    ],
)
def test_numbers_of_an_error_model_have_their_ends(given: dict[str, float], possible: bool) -> None:
    if possible:
        ErrorModel("student", **given)  # type: ignore[arg-type]
        return
    with pytest.raises(InputError, match="expected"):
        ErrorModel("student", **given)  # type: ignore[arg-type]
