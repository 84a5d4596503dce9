"""What attribution and a Sobol' study of the belt model take, in processor seconds.

    python -m pytest tests/benchmarks/bench_drivers.py -o python_files='bench_*.py' -s

On two free cores a command takes half of them, or a little more.  Issue 6 asks for 10 s and 30 s:
20 and 60 processor seconds.  Nothing is asserted about time; what is computed is.
"""

from __future__ import annotations

import time

import numpy as np

from beltcast import Study, make_likelihood, sample_prior
from beltcast.drivers.attribution.attribute import attribute
from beltcast.drivers.sensitivity.ranks import ranked
from beltcast.drivers.sensitivity.sensitivity import sensitivity_indices


def test_attribution_of_fifteen_belts_by_1000_draws(study: Study) -> None:
    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    draws, prior = (
        sample_prior(likelihood, 1000, rng=np.random.default_rng(seed)) for seed in (1, 2)
    )
    attribute(study, draws.__class__(likelihood, draws.theta[:2], "prior"))  # compiles
    for words, beside in (("alone", None), ("with a prior beside it", prior)):
        begin, cpu = time.perf_counter(), time.process_time()
        found = attribute(study, draws, prior=beside)
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        print(
            f"\nattribution, 16 places, 1,000 draws, {words}: {cpu:.1f} processor s, {wall:.1f} s"
        )
        assert found["shapley_log"].sizes["member"] == 1000


def test_sobol_of_twenty_parameters_by_1024_points(study: Study) -> None:
    medians = study.priors.quantiles(0.5)
    labels = [study.priors.labels[i] for i in study.priors.settable]
    held = {study.priors.labels[i]: float(medians[i]) for i in study.priors.settable}
    chosen = study.priors.subset(labels[:20])
    begin, cpu = time.perf_counter(), time.process_time()
    found = sensitivity_indices(
        study.model,
        chosen,
        target="national output",
        base=1024,
        logs=True,
        at=held,
        rng=np.random.default_rng(1),
    )
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    print(f"\nSobol', 22,528 runs: {cpu:.1f} processor s, {wall:.1f} s")
    assert len(ranked(found, 2024)) == 20
