"""A calibration on disk: the same when opened, refused when stale."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from beltcast import Calibration, Model, calibrate, make_likelihood
from beltcast.errors import InputError
from beltcast.inference.saved import CALIBRATION_FILE, load_calibration, save_calibration

HASHES = {"model": "a" * 64, "observations": "b" * 64, "priors": "c" * 64, "scenarios": "d" * 64}
RENEW = "beltcast calibrate --output here"


@pytest.fixture
def fit(small: Model, make: SimpleNamespace) -> Calibration:
    # A normal prior that allows negative output: some starts have no cost.
    priors = make.priors("Factor", "Growth", mu=[1.0, 0.0], sigma=[1.0, 0.05], family="normal")
    rows = make.table(make.row(value=11.0), make.row(start=2018.0, value=12.0))
    one = make_likelihood(small, priors, rows, make.noise(year_shock=0.05))
    return calibrate(one, rng=np.random.default_rng(0), starts=16, refine=3)


def test_what_is_opened_is_what_was_saved(tmp_path: Path, fit: Calibration) -> None:
    assert np.isinf(fit.start_costs).any()
    save_calibration(fit, tmp_path, HASHES)
    for path in (tmp_path, tmp_path / CALIBRATION_FILE):
        found = load_calibration(path, fit.likelihood, HASHES, renew=RENEW)
        for name in ("theta", "covariance", "start_costs", "refined", "refined_costs", "converged"):
            np.testing.assert_array_equal(getattr(found, name), getattr(fit, name), err_msg=name)
        assert (found.cost, found.method) == (fit.cost, fit.method)
        assert len(found.history()) == len(fit.history())


@pytest.mark.parametrize("name", ["model", "observations", "priors"])
def test_a_change_of_what_it_was_made_from_is_named_with_the_command_that_renews_it(
    tmp_path: Path, fit: Calibration, name: str
) -> None:
    save_calibration(fit, tmp_path, HASHES)
    with pytest.raises(InputError) as caught:
        load_calibration(tmp_path, fit.likelihood, HASHES | {name: "e" * 64}, renew=RENEW)
    assert f"a change of: {name}; renew it with '{RENEW}'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_scenarios_leave_a_calibration_valid(tmp_path: Path, fit: Calibration) -> None:
    save_calibration(fit, tmp_path, HASHES)
    changed = HASHES | {"scenarios": "e" * 64}
    assert load_calibration(tmp_path, fit.likelihood, changed, renew=RENEW).cost == fit.cost


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"format": 1', '"format": 0'),
        lambda text: json.dumps(json.loads(text) | {"optima": []}),
        lambda text: json.dumps(json.loads(text) | {"labels": ["Factor"]}),
    ],
)
def test_a_damaged_file_is_refused_with_the_command_that_renews_it(
    tmp_path: Path, fit: Calibration, damage
) -> None:
    path = save_calibration(fit, tmp_path, HASHES)
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InputError, match="renew it with 'beltcast calibrate --output here'"):
        load_calibration(path, fit.likelihood, HASHES, renew=RENEW)


def test_no_file_is_an_input_error(tmp_path: Path, fit: Calibration) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_calibration(tmp_path / "none.json", fit.likelihood, HASHES, renew=RENEW)


def test_a_fit_prints_in_a_few_lines_and_draws_every_observation(fit: Calibration) -> None:
    assert len(repr(fit)) < 600
    assert f"{fit.cost:.6g}" in fit._repr_html_()
    ax = fit.plot()
    points = np.concatenate([bar.lines[0].get_xydata() for bar in ax.containers])
    table = fit.fit_table()
    np.testing.assert_array_equal(np.sort(points[:, 0]), np.sort(table["published"]))
    np.testing.assert_array_equal(np.sort(points[:, 1]), np.sort(table["fitted"]))
