"""A posterior with a long tail: both samplers find it, and say so where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import SampleOptions, calibrate, sample
from beltcast.inference.calibrate import Calibration
from beltcast.workflows.own_model import read_own_model

# NIST Statistical Reference Datasets, BoxBOD (Box, Hunter and Hunter 1978): y = b1 (1 - e^(-b2 x)).
# Six rows leave b2 a long tail: the curve may have reached its end before the first row.
MODEL = """{UTF-8}
b1 = 200 ~ mg/L ~ |
b2 = 0.5 ~ 1/Day ~ |
y = b1*(1 - EXP(-b2*Time)) ~ mg/L ~ |
INITIAL TIME = 0 ~ Day ~ |
FINAL TIME = 10 ~ Day ~ |
TIME STEP = 1 ~ Day ~ |
SAVEPER = 1 ~ Day ~ |
"""
DATA = "Day,y\n1,109\n2,149\n3,149\n5,191\n7,213\n10,224\n"
SEARCH = "1 <= b1 <= 1000\n0.01 <= b2 <= 10\n"


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    folder: Path = tmp_path_factory.mktemp("box")
    for name, text in (("box.mdl", MODEL), ("box.csv", DATA), ("box.voc", SEARCH)):
        (folder / name).write_text(text)
    own = read_own_model(folder / "box.mdl", folder / "box.csv", folder / "box.voc")
    return calibrate(own.likelihood, rng=np.random.default_rng(1), starts=16)


def tail_by_grid(fit: Calibration, above: float) -> float:
    """P(b2 > above), by summing the density over a grid of both parameters and the scale."""
    likelihood = fit.likelihood
    b1 = np.linspace(-3.5, 2.0, 140)
    b2 = np.linspace(-3.5, 3.5, 280)
    scale = np.linspace(-6.0, 6.0, 60)
    theta = np.zeros((len(b1) * len(b2), 3))
    theta[:, :2] = np.stack(np.meshgrid(b1, b2, indexing="ij"), axis=-1).reshape(-1, 2)
    answers = likelihood.answers(theta)
    density = []
    for one in scale:
        theta[:, 2] = one
        density.append(likelihood.log_density(theta, answers))
    weights = np.exp(np.array(density) - np.max(density)).sum(axis=0)
    beyond = likelihood.priors.natural(theta[:, :2])[:, 1] > above
    return float(weights[beyond].sum() / weights.sum())


@pytest.mark.long
def test_walkers_find_a_tail_of_a_tenth_and_say_how_well(fit: Calibration) -> None:
    exact = tail_by_grid(fit, 2.0)
    assert 0.05 < exact < 0.15
    chains = sample(fit, SampleOptions(method="walkers"), rng=np.random.default_rng(0))
    b2 = fit.likelihood.priors.natural(chains.theta[..., :2])[..., 1]
    # Few effective draws in the tail, as the verdict says: at least 150, so three times 0.025.
    assert abs((b2 > 2.0).mean() - exact) < 0.075
    assert "Walker by walker" in chains.words()


@pytest.mark.long
def test_nuts_is_the_default_of_few_unknowns_and_finds_the_tail_too(fit: Calibration) -> None:
    pytest.importorskip("nutpie")
    exact = tail_by_grid(fit, 2.0)
    chains = sample(fit, rng=np.random.default_rng(0))
    assert chains.method == "nuts"
    b2 = fit.likelihood.priors.natural(chains.theta[..., :2])[..., 1]
    assert abs((b2 > 2.0).mean() - exact) < 0.075 or "Not mixed" in chains.words()
