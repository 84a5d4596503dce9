"""Chains on disk: a posterior that ArviZ opens, and the state of an unfinished run.

``posterior.nc`` has the groups of ArviZ's schema, each an xarray Dataset:

================  ================================================================================
posterior         one variable per parameter, in its own unit, and ``nuisance``; (chain, draw), a
                  chain a Markov chain, ``superchain`` its group
sample_stats      ``lp``, and statistics of the method on each draw; (chain, draw)
log_likelihood    ``published``, of each observation, so that `arviz.loo` works; (chain, draw, row)
observed_data     ``published``; (row)
prior             as posterior, from the priors alone
================  ================================================================================

``arviz.from_netcdf(path)`` reads it; so does ``xarray.open_dataset(path, group="posterior")``
without ArviZ.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError, reason_of
from beltcast.files.complete import appearing, remove_dead_parts
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.arviz_groups import (
    NUISANCE,
    PUBLISHED,
    observed,
    rows_of,
    unknowns,
    variable,
)
from beltcast.inference.sampling.chains import SUPERCHAIN, Chains
from beltcast.inference.sampling.diagnostics import MIXED
from beltcast.inference.sampling.draws_file import refuse_other_study
from beltcast.inference.sampling.metropolis import Walkers
from beltcast.inference.sampling.posterior import Draws, sample_prior
from beltcast.inference.sampling.sampler import Unfinished
from beltcast.schema import CHAIN, DRAW, ROW
from beltcast.study.study import Study

POSTERIOR_FILE = "posterior.nc"
"""Name of the file of a posterior in a folder of results."""

SAMPLE = "beltcast sample"
"""The command that writes it."""

_WALKERS = ("theta", "weight", "center", "root", "sizes", "past", "together")


def posterior_groups(
    chains: Chains,
    *,
    rng: np.random.Generator,
    provenance: Mapping[str, str] | None = None,
) -> dict[str, xr.Dataset]:
    """Lay chains out in the groups of ArviZ's schema.

    Parameters
    ----------
    chains : Chains
    rng : numpy.random.Generator
        Draws the group ``prior``, as many as a group of Markov chains has.
    provenance : mapping, optional
        Attributes of each group, such as the hashes of a study.
    """
    likelihood = chains.likelihood
    count, draws, _ = chains.separate.shape
    coordinates = {CHAIN: np.arange(count), DRAW: np.arange(draws)}
    group = (CHAIN, chains.superchain, {"long_name": "Group that a Markov chain is of."})
    table = chains.table()
    posterior = unknowns(likelihood, chains.separate)
    posterior = posterior.assign_coords(coordinates | {SUPERCHAIN: group})
    posterior.attrs |= {
        "method": chains.method,
        "acceptance": chains.acceptance,
        "evaluations": chains.evaluations,
        "moves_between_draws": chains.every,
        "worst_rhat": table["rhat"].max(),
        "least_ess": table[["ess_bulk", "ess_tail"]].min().min(),
        "worst_rhat_nested": table["rhat_nested"].max(),
        "mixed": int(table["rhat_nested"].max() <= MIXED),
    }
    prior = sample_prior(likelihood, chains.theta.shape[1], rng=rng).theta[None]
    stats = {
        name: chains.by_markov_chain(value > 0 if name == "diverging" else value)
        for name, value in chains.stats.items()
    }
    groups = {
        "posterior": posterior,
        "sample_stats": xr.Dataset(
            {name: ((CHAIN, DRAW), value) for name, value in stats.items()}, coordinates
        ),
        "log_likelihood": xr.Dataset(
            {PUBLISHED: ((CHAIN, DRAW, ROW), chains.by_markov_chain(chains.log_likelihood))},
            coordinates | rows_of(likelihood),
        ),
        "observed_data": observed(likelihood),
        "prior": unknowns(likelihood, prior).assign_coords(
            {CHAIN: np.arange(1), DRAW: np.arange(prior.shape[1])}
        ),
    }
    return {name: group.assign_attrs(provenance or {}) for name, group in groups.items()}


def load_posterior(path: str | Path, study: Study, likelihood: Likelihood) -> Draws:
    """Read the draws of all chains, for the study that they were made from.

    Parameters
    ----------
    path : str or Path
        ``posterior.nc``, or the folder that holds it.
    study : Study
    likelihood : Likelihood
        Of that study.

    Returns
    -------
    Draws
        Chain after chain.

    Raises
    ------
    InputError
        The file does not exist, holds no chains of these unknowns, or the study has changed since.
    """
    path = Path(path)
    path = path / POSTERIOR_FILE if path.is_dir() else path
    try:
        data = xr.load_dataset(path, group="posterior", engine="netcdf4")
    except OSError:
        raise InputError(
            f"there are no chains in '{path}'; give {POSTERIOR_FILE} of {SAMPLE}"
        ) from None
    refuse_other_study(data, study, path, renew=SAMPLE)
    priors, names = likelihood.priors, [variable(label) for label in likelihood.priors.labels]
    known = {*data.data_vars, *(str(name) for name in data[f"{NUISANCE}_name"].values)}
    for name in (*names, *likelihood.nuisances):
        if name not in known:
            raise InputError(f"these chains have no '{name}'; remake them with {SAMPLE}", path)
    values = [data[name].values for name in names]
    nuisances = data[NUISANCE].sel({f"{NUISANCE}_name": list(likelihood.nuisances)}).values
    theta = np.concatenate([priors.working(np.stack(values, axis=-1)), nuisances], axis=-1)
    acceptance = float(data.attrs["acceptance"])
    return Draws(likelihood, theta.reshape(-1, likelihood.size), "posterior", acceptance)


def save_unfinished(state: Unfinished, path: str | Path) -> None:
    """Save the state of a run; the file is the complete new one or the one before."""
    path = Path(path)
    arrays: dict[str, np.ndarray] = {
        "key": np.array(state.key),
        "numbers": np.array([state.block, state.evaluations, len(state.theta)]),
    }
    if state.walkers is not None:
        arrays |= {f"walkers {name}": getattr(state.walkers, name) for name in _WALKERS}
    for block, (theta, stats) in enumerate(zip(state.theta, state.stats, strict=True)):
        arrays[f"theta {block}"] = theta
        arrays |= {f"stats {block} {name}": value for name, value in stats.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead_parts(path.parent, path.name)
        with appearing(path) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as problem:
        raise InputError(f"'{path}' cannot be written ({reason_of(problem)})") from None


def load_unfinished(path: str | Path) -> Unfinished:
    """Read the state of a run.

    Raises
    ------
    InputError
        The file does not exist, or was not written by this package.
    """
    try:
        # Opened here: NumPy leaves a file open that turns out to be broken.
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        block, evaluations, parts = (int(number) for number in arrays["numbers"])
        walkers = None
        if "walkers theta" in arrays:
            walkers = Walkers(**{name: arrays[f"walkers {name}"] for name in _WALKERS})
        return Unfinished(
            key=str(arrays["key"]),
            block=block,
            walkers=walkers,
            theta=tuple(arrays[f"theta {k}"] for k in range(parts)),
            stats=tuple(_stats(arrays, f"stats {k} ") for k in range(parts)),
            evaluations=evaluations,
        )
    except FileNotFoundError:
        raise InputError(
            f"there is no unfinished run in '{path}'; start again without --resume"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        raise InputError(
            f"'{path}' is not an unfinished run that beltcast wrote; start again without --resume"
        ) from None


def _stats(arrays: Mapping[str, np.ndarray], start: str) -> dict[str, FloatArray]:
    return {
        name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)
    }
