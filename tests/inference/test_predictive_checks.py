"""Bands of new rows hold what they say, with and without uncertainty of the parameters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from beltcast.inference.updating.predictive_checks import _quantiles


@pytest.mark.parametrize("draws", [1, 3, 400])
def test_a_band_of_80_percent_holds_80_percent_without_posterior_uncertainty(draws: int) -> None:
    low, high = _quantiles(np.full((draws, 1), 2.0), np.array([0.5]), (0.1, 0.9))[:, 0]
    share = ndtr((high - 2.0) / 0.5) - ndtr((low - 2.0) / 0.5)
    assert share == pytest.approx(0.8, abs=1e-3)
