"""Forecasts of one's own columns: at which times, and how wide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from beltcast import Likelihood
from beltcast.errors import InputError
from beltcast.inference.sampling.posterior import Draws
from beltcast.workflows import own_forecast
from beltcast.workflows.own_forecast import forecast_columns, rows_to_come
from beltcast.workflows.own_model import read_own_model

MODEL = """{UTF-8}
k = 0.3 ~ 1/Day ~ |
S = INTEG(-k*S, 100) ~ mg ~ |
R = INTEG(k*S, 5) ~ mg ~ |
INITIAL TIME = 0 ~ Day ~ |
FINAL TIME = FINISH ~ Day ~ |
TIME STEP = 0.25 ~ Day ~ |
SAVEPER = 1 ~ Day ~ |
"""
# A standard deviation of 2 mg that is known.
ERRORS = '[{}]\nerrors = {{ family = "normal", scale = 2.0, scale_log_sd = 0.0 }}\n'


def likelihood(tmp_path: Path, data: str, finish: float = 8.0) -> Likelihood:
    contents = {
        "model.mdl": MODEL.replace("FINISH", str(finish)),
        "data.csv": data,
        "priors.toml": '["k"]\ndistribution = "lognormal"\nmedian = 0.3\nlog_sd = 1.0\n',
        "columns.toml": "".join(ERRORS.format(name) for name in "SR" if name in data),
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    model, table, priors, columns = (tmp_path / name for name in contents)
    return read_own_model(model, table, priors, columns=columns).likelihood


def times(likelihood: Likelihood) -> list[float]:
    return [row.end for row in rows_to_come(likelihood)]


def test_rows_follow_at_the_usual_spacing_until_final_time(tmp_path: Path) -> None:
    assert times(likelihood(tmp_path, "Day,S\n1,70\n2.5,50\n4,30\n", 7.0)) == [5.5, 7.0]
    assert times(likelihood(tmp_path, "Day,S\n1,70\n2.5,50\n4,30\n", 6.75)) == [5.5]
    # The median of 1, 1 and 3.
    assert times(likelihood(tmp_path, "Day,S\n1,70\n2,50\n3,40\n6,20\n")) == [7.0, 8.0]


def test_each_column_goes_on_from_its_own_last_row(tmp_path: Path) -> None:
    both = likelihood(tmp_path, "Day,S,R\n1,70,\n2,50,50\n3,40,\n4,30,70\n")
    found = [(row.quantity, row.start, row.end) for row in rows_to_come(both)]
    later = [("S", t, t) for t in (5.0, 6.0, 7.0, 8.0)] + [("R", t, t) for t in (6.0, 8.0)]
    assert found == later
    assert all(row.within is None for row in rows_to_come(both))


def test_a_spacing_below_the_step_is_the_step_and_a_single_row_has_none(tmp_path: Path) -> None:
    assert times(likelihood(tmp_path, "Day,S,R\n1,70,\n1.25,68,40\n", 2.0)) == [1.5, 1.75, 2.0]


def test_so_many_times_are_forecast_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_forecast, "FURTHEST", 3)
    assert times(likelihood(tmp_path, "Day,S\n1,70\n2,50\n")) == [3.0, 4.0, 5.0]


def test_a_model_that_ends_before_another_row_is_due_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"'model' ends at 4\.75, before another row of data is due"
    ):
        rows_to_come(likelihood(tmp_path, "Day,S\n1,70\n3,50\n", 4.75))


def test_bands_hold_the_errors_and_the_median_of_the_model_does_not(tmp_path: Path) -> None:
    one = likelihood(tmp_path, "Day,S,R\n1,70,30\n2,52,53\n", 4.0)
    # Every draw is the same, so that all of the width is the error of 2 mg.
    theta = np.tile(one.priors.working(np.array([0.3])), (4000, 1))
    assert theta.shape == (4000, one.size)
    forecast = forecast_columns(Draws(one, theta, "posterior"), rng=1)
    table = forecast.table
    assert table["column"].tolist() == ["S", "S", "R", "R"]
    assert table["time"].tolist() == [3.0, 4.0, 3.0, 4.0]
    run = one.model.simulate({"k": 0.3})
    path = [float(run[name].sel(time=t)) for name in "SR" for t in (3.0, 4.0)]
    np.testing.assert_allclose(table["model_median"], path, rtol=1e-12)
    levels = {"low_95": 0.025, "low_80": 0.1, "median": 0.5, "high_80": 0.9, "high_95": 0.975}
    for name, level in levels.items():
        # Four standard errors of a quantile of 4,000 normal draws.
        error = 4 * np.sqrt(level * (1 - level) / 4000) / norm.pdf(norm.ppf(level))
        np.testing.assert_allclose((table[name] - path) / 2.0, norm.ppf(level), atol=error)
    last = [line.split(":")[0].strip() for line in forecast.words().splitlines()[1:]]
    assert last == ["S at 4", "R at 4"]
    row = table.iloc[1]
    written = [f"{row[name]:.4g}" for name in ("median", "low_80", "high_80", "low_95", "high_95")]
    assert forecast.words().splitlines()[1] == (
        "  S at 4: {} ({} to {}; {} to {})".format(*written)
    )
