"""A published calibration, repeated: an SIR model on the boarding-school influenza of 1978.

Counts of boys in bed: British Medical Journal 1978;1:587, as in the R package outbreaks
(`influenza_england_1978_school`).  Estimates: Grinsztajn, Semenova, Margossian and Riou (2021),
Bayesian workflow for disease transmission modeling in Stan, Statistics in Medicine 40, 6209-6234,
section 2; their case study prints, for a negative binomial error, mean, sd and 95 % interval

    beta   1.74  0.05  (1.64, 1.85)      R0             3.22  0.28  (2.74, 3.83)
    gamma  0.54  0.05  (0.45, 0.64)      recovery time  1.86  0.16  (1.56, 2.21)

Ours has the same model, counts and priors, and normal errors of logs in place of the negative
binomial: with its dispersion of about 8 those have an sd of sqrt(1/8 + 1/count).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from beltcast import Calibration, SampleOptions, calibrate, load_model, make_likelihood, sample

IN_BED = (3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4)
# name: mean, sd, lower and upper end of the 95 % interval
PUBLISHED = {
    "beta": (1.74, 0.05, 1.64, 1.85),
    "gamma": (0.54, 0.05, 0.45, 0.64),
    "R0": (3.22, 0.28, 2.74, 3.83),
    "recovery time": (1.86, 0.16, 1.56, 2.21),
}


@pytest.fixture(scope="module")
def outbreak(root: Path, make: SimpleNamespace) -> Calibration:
    model = load_model(root / "models" / "influenza" / "influenza.mdl")
    # beta ~ normal(2, 1), gamma ~ normal(0.4, 0.5), both above 0, as published.
    priors = dataclasses.replace(
        make.priors(
            "Contact Rate", "Recovery Rate", mu=[2.0, 0.4], sigma=[1.0, 0.5], family="normal"
        ),
        lower=np.zeros(2),
    )
    about = {"place": "", "elements": (), "quantity": "Infected", "unit": "person"}
    rows = [
        make.row(
            start=float(day),
            end=float(day),
            value=float(count),
            grade="A" if count > 100 else "B" if count > 20 else "C",
            **about,
        )
        for day, count in enumerate(IN_BED, start=1)
    ]
    # Counts of about 250, 40 and 6.
    grade = {g: float(np.sqrt(1 / 8 + 1 / n)) for g, n in zip("ABC", (250, 40, 6), strict=True)}
    one = make_likelihood(model, priors, make.table(*rows), make.noise(grade=grade))
    return calibrate(one, rng=np.random.default_rng(1), starts=16, refine=2)


@pytest.mark.parametrize("method", ["walkers", pytest.param("nuts", marks=pytest.mark.long)])
def test_the_published_estimates_are_met(outbreak: Calibration, method: str) -> None:
    if method == "nuts":
        pytest.importorskip("nutpie", reason="the extra 'bayes' is not installed")
    rng = np.random.default_rng(2)
    chains = sample(outbreak, SampleOptions(2, 400, method, burn_in=300), rng=rng)
    assert chains.table()["rhat"].max() < 1.02
    beta, gamma = chains.theta[:, :, 0], chains.theta[:, :, 1]
    found = {"beta": beta, "gamma": gamma, "R0": beta / gamma, "recovery time": 1 / gamma}
    for name, (mean, sd, low, high) in PUBLISHED.items():
        # Another error model moves an estimate by a part of its sd, not by a whole one.
        assert found[name].mean() == pytest.approx(mean, abs=0.6 * sd), name
        assert found[name].std() == pytest.approx(sd, rel=0.5), name
        ends = np.quantile(found[name], [0.025, 0.975])
        assert np.abs(ends - [low, high]).max() < 1.1 * sd, name
