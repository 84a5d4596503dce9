"""What output costs, by lever and belt."""

from __future__ import annotations

import numpy as np
import pytest

from beltcast import Study, make_likelihood, price_of_output, run_ensemble, sample_prior
from beltcast.errors import InputError, ScenarioError
from beltcast.scenarios import select


def test_a_price_is_more_spending_over_more_output(study: Study) -> None:
    from dataclasses import replace

    two = replace(study, scenarios=select(study.scenarios, ["baseline", "brand-push"]))
    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    draws = sample_prior(likelihood, 20, rng=np.random.default_rng(1))
    found = price_of_output(two, draws, years=(2026, 2035), rng=np.random.default_rng(2))
    runs = run_ensemble(
        study.model,
        two.scenarios,
        (draws.labels, draws.values),
        outputs=["output", "seller spending"],
    ).sel(year=slice(2026, 2035), Belt="Foshan")
    gain, cost = (
        runs[name].sum("year").diff("scenario").values[0] for name in ("output", "seller spending")
    )
    assert (
        float(found["chance_of_gain"].sel(scenario="brand-push", place="Foshan"))
        == (gain > 0).mean()
    )
    middle = found["price of seller spending"].sel(
        scenario="brand-push", place="Foshan", quantile=0.5
    )
    assert float(middle) == pytest.approx(np.median((cost / gain)[gain > 0]))
    # The first scenario is compared with itself: no gain, and no price.
    assert float(found["chance_of_gain"].sel(scenario="baseline").max()) == 0.0
    assert found["price of seller spending"].sel(scenario="baseline").isnull().all()
    with pytest.raises(InputError, match="years 2026 to 2050"):
        price_of_output(two, draws, years=(2026, 2050), rng=np.random.default_rng(2))
    one = replace(study, scenarios=select(study.scenarios, ["baseline"]))
    with pytest.raises(ScenarioError, match="second scenario"):
        price_of_output(one, draws, years=(2026, 2035), rng=np.random.default_rng(2))
