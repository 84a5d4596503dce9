"""Statistics over members: what becomes of members that are not finite."""

from __future__ import annotations

import numpy as np
import xarray as xr

from beltcast.ensembles.member_statistics import quantiles


def test_quantiles_of_no_finite_member_are_not_a_number() -> None:
    values = xr.DataArray([[1.0, np.nan], [3.0, np.inf]], dims=("member", "year"))
    found = quantiles(values, [0.5]).values[:, 0]
    np.testing.assert_array_equal(found, [2.0, np.nan])
