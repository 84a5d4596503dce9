"""The drivers under the priors, with the data, and with data and contrasts."""

from __future__ import annotations

import numpy as np
import pytest

from beltcast import Study, attribute, sample_prior
from beltcast.drivers.attribution.evidence import driver_evidence, evidence_page
from beltcast.errors import InputError
from beltcast.forecasting.summary import as_text

YEAR = 2024


def test_the_columns_are_the_medians_and_widths_of_three_attributions(study: Study) -> None:
    prior, data, posterior = (
        sample_prior(study, 30, rng=np.random.default_rng(seed)) for seed in (1, 2, 3)
    )
    found = driver_evidence(attribute(study, posterior, prior=prior, data=data), year=YEAR)
    for source, draws in (("prior", prior), ("data", data), ("evidence", posterior)):
        alone = attribute(study, draws)
        values = alone["shapley_log"].sel(place=alone.attrs["whole"], year=YEAR)
        low, middle, high = np.nanquantile(values, [0.1, 0.5, 0.9], axis=1)
        np.testing.assert_allclose(found[f"{source}_median"], middle, atol=1e-6)
        np.testing.assert_allclose(found[f"{source}_sd"], (high - low) / 2.563, atol=1e-6)
    page = as_text(evidence_page(found, "China", YEAR))
    assert "with contrasts" in page
    assert f"{found.loc['Government', 'data_median']:+.3f}" in page


def test_an_attribution_without_the_data_alone_has_no_such_table(study: Study) -> None:
    draws = sample_prior(study, 4, rng=np.random.default_rng(1))
    with pytest.raises(InputError, match="no column 'data'"):
        driver_evidence(attribute(study, draws, prior=draws))
