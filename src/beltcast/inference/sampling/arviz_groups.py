"""Draws in the groups of ArviZ's schema, as plain datasets and as ArviZ's own object.

This module does not know how draws were made: it takes the likelihood, which names the unknowns,
and arrays of draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.files.extras import need
from beltcast.inference.likelihood import Likelihood
from beltcast.schema import CHAIN, DRAW, ROW

NUISANCE = "nuisance"
PUBLISHED = "published"


def inference_data(groups: Mapping[str, xr.Dataset]) -> Any:
    """Return groups as ArviZ's object.

    Returns
    -------
    arviz.InferenceData
        If ArviZ has no such class (version 1 and later), an `xarray.DataTree`.

    Raises
    ------
    MissingExtra
        ArviZ is not installed.
    """
    arviz = need("arviz", "bayes", to="to_inferencedata", otherwise="write posterior.nc")
    made = getattr(arviz, "InferenceData", None)
    return made(**groups) if made is not None else xr.DataTree.from_dict(dict(groups))


def unknowns(likelihood: Likelihood, theta: FloatArray) -> xr.Dataset:
    """Lay out draws of all unknowns: parameters in their units, then nuisances.

    Parameters
    ----------
    likelihood : Likelihood
    theta : (chains, draws, size)
        On working scales.
    """
    priors = likelihood.priors
    values = priors.natural(theta[:, :, : len(priors)])
    variables = {
        variable(label): ((CHAIN, DRAW), values[:, :, i], {"units": priors.units[i]})
        for i, label in enumerate(priors.labels)
    }
    nuisances = theta[:, :, len(priors) :]
    about = {"units": "1", "long_name": "Standard normal a priori."}
    variables[NUISANCE] = ((CHAIN, DRAW, f"{NUISANCE}_name"), nuisances, about)  # type: ignore[assignment]  # one dimension more
    chains, draws = theta.shape[:2]
    return xr.Dataset(
        variables,
        {
            f"{NUISANCE}_name": list(likelihood.nuisances),
            CHAIN: np.arange(chains),
            DRAW: np.arange(draws),
        },
    )


def observed(likelihood: Likelihood) -> xr.Dataset:
    """Lay out the published numbers, (row)."""
    return xr.Dataset(
        {PUBLISHED: (ROW, likelihood.natural(likelihood.published))}, rows_of(likelihood)
    )


def variable(label: str) -> str:
    """Name of a parameter's variable: a slash would create a group in a NetCDF file."""
    return label.replace("/", "_")


def rows_of(likelihood: Likelihood) -> dict[str, object]:
    """Coordinates of the observations."""
    rows = likelihood.observations.rows
    return {
        ROW: np.arange(len(rows)),
        "line": (ROW, [row.line for row in rows]),
        "place": (ROW, [row.place for row in rows]),
        "quantity": (ROW, [row.quantity for row in rows]),
        "start": (ROW, [row.start for row in rows]),
        "end": (ROW, [row.end for row in rows]),
    }
