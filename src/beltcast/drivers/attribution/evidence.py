"""Contribution of each driver under the priors, the data and the published contrasts, side by side.

The three columns are the Shapley values of an attribution (`attribute`) under the priors alone,
under the posterior without contrasts and under the posterior with them.
"""

from __future__ import annotations

import pandas as pd
import xarray as xr
from rich.console import RenderableType

from beltcast.display.tables import console_table, titled
from beltcast.drivers.attribution.attribute import DRIVER
from beltcast.ensembles.member_statistics import at_year
from beltcast.errors import InputError
from beltcast.schema import PLACE, QUANTILE

SOURCES = {"prior": "prior_", "data": "data_", "evidence": ""}
"""Column of the table, and the prefix of the variables of an attribution that fill it."""

_BAND = 2.563
"""Width of the 80 % band of a normal distribution, in standard deviations."""


def driver_evidence(attribution: xr.Dataset, *, year: int | None = None) -> pd.DataFrame:
    """Return the contribution of each driver to the whole in a year, by source of knowledge.

    Parameters
    ----------
    attribution : xarray.Dataset
        As `attribute` returns it, with ``prior`` and ``data``.
    year : int, optional
        That of the attribution's attributes by default.

    Returns
    -------
    pandas.DataFrame
        By driver: ``prior_median``, ``prior_sd`` (the 80 % band over 2.563), the same of ``data``,
        the posterior without contrasts, and of ``evidence``, the posterior with them; of the log.

    Raises
    ------
    InputError
        The attribution has no prior, or no posterior without contrasts.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import attribute, read_study, sample_prior
    >>> from beltcast.drivers.attribution.evidence import driver_evidence
    >>> study = read_study()
    >>> draws = sample_prior(study, 8, rng=np.random.default_rng(1))
    >>> driver_evidence(attribute(study, draws, prior=draws, data=draws)).columns.tolist()[:2]
    ['prior_median', 'prior_sd']
    """
    year = int(attribution.attrs["year"]) if year is None else year
    at = at_year(attribution, year).sel({PLACE: str(attribution.attrs["whole"])})
    columns = {}
    for source, mark in SOURCES.items():
        name = f"{mark}shapley_log_quantile"
        if name not in at:
            raise InputError(
                f"the attribution has no column '{source}'; attribute with prior = ... and data = "
                "..., draws of the priors and of the posterior without contrasts"
            )
        low, middle, high = (at[name].sel({QUANTILE: q}).values for q in (0.1, 0.5, 0.9))
        columns[f"{source}_median"], columns[f"{source}_sd"] = middle, (high - low) / _BAND
    return pd.DataFrame(columns, index=pd.Index(at[DRIVER].values.astype(str), name=DRIVER))


def evidence_page(table: pd.DataFrame, whole: str, year: int) -> RenderableType:
    """Lay out the table of `driver_evidence` for a `rich` console."""
    page = console_table("", "prior", "with the data", "with contrasts")
    for driver, row in table.iterrows():
        cells = (f"{row[f'{s}_median']:+.3f} ± {row[f'{s}_sd']:.3f}" for s in SOURCES)
        page.add_row(str(driver), *cells)
    return titled(
        f"{whole} in {year}: Shapley values in logs (median ± sd) under the priors, with the "
        "data,\nand with the published contrasts as well",
        page,
    )
