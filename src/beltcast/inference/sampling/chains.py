"""Markov chains of a posterior as a value, with their diagnostics.

`beltcast.inference.sampling.sampler` makes them, `chain_files` reads and writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.display.facts import Facts, html_of, text_of
from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.arviz_groups import (
    PUBLISHED,
    inference_data,
    observed,
    rows_of,
    unknowns,
)
from beltcast.inference.sampling.diagnostics import (
    MIXED,
    diagnose,
    energy_information,
    mixing_verdict,
    nested_rhat,
    stuck,
)
from beltcast.inference.sampling.posterior import Draws
from beltcast.schema import CHAIN, DRAW, ROW

SUPERCHAIN = "superchain"
"""Coordinate of Markov chains: the group of each."""


@dataclass(frozen=True, eq=False, repr=False)
class Chains:
    """Draws of all unknowns by chains.

    Attributes
    ----------
    likelihood : Likelihood
        It names the columns.
    theta : (chains, draws, size)
        Parameters, then nuisances, on working scales.
    walker : (draws,) int
        Walker of its chain that a draw belongs to; each walker is a Markov chain.
    stats : mapping of str to (chains, draws)
        ``lp`` (log density, unnormalised), and for nuts ``diverging``, ``energy`` and others.
    log_likelihood : (chains, draws, rows)
        Of each published observation, given parameters and nuisances.
    method : str
    acceptance : float
        Share of accepted moves after the burn-in; for nuts the mean acceptance statistic.
    evaluations : int
        Values of the density, or gradients, in all.
    every : int
        Moves between recorded draws; 1 for nuts.
    """

    likelihood: Likelihood
    theta: FloatArray
    walker: np.ndarray
    stats: Mapping[str, FloatArray]
    log_likelihood: FloatArray
    method: str
    acceptance: float
    evaluations: int
    every: int

    @property
    def walkers(self) -> int:
        """Markov chains of each group; 1 for nuts."""
        return int(self.walker.max()) + 1

    @property
    def separate(self) -> FloatArray:
        """The Markov chains one by one, (chains * walkers, draws / walkers, size)."""
        return self.by_markov_chain(self.theta)

    @property
    def superchain(self) -> IntArray:
        """Group of each Markov chain, (chains * walkers,)."""
        return np.repeat(np.arange(len(self.theta)), self.walkers)

    def by_markov_chain(self, values: np.ndarray) -> np.ndarray:
        """Lay out values by Markov chain.

        Parameters
        ----------
        values : (chains, draws, ...)
            The walkers of a group one after the other.

        Returns
        -------
        (chains * walkers, draws / walkers, ...)
        """
        chains, draws, *rest = values.shape
        return values.reshape(chains * self.walkers, draws // self.walkers, *rest)

    def table(self) -> pd.DataFrame:
        """R-hat and effective sample sizes of every parameter and nuisance.

        Returns
        -------
        pandas.DataFrame
            ``rhat``, ``ess_bulk`` and ``ess_tail`` of the Markov chains, and ``rhat_nested``
            between groups of them, for which walkers may be too short for an R-hat of their own;
            the same as ``rhat`` if a group is one chain.
        """
        table = diagnose(self.separate, self.likelihood.labels)
        grouped = self.walkers > 1 and len(self.theta) > 1
        nested = nested_rhat(self.separate, self.superchain) if grouped else table["rhat"]
        table.insert(1, "rhat_nested", nested)
        return table

    def words(self) -> str:
        """Verdict in words: the largest R-hat, the fewest effective draws, what did not mix."""
        chains, draws, size = self.theta.shape
        walkers, table = self.walkers, self.table()
        of = f", each {walkers} independent walkers" if walkers > 1 else ""
        lines = [
            f"{chains} chains of {draws:,} draws{of}; {size} unknowns, method {self.method}, "
            f"acceptance {self.acceptance:.2f}, {self.evaluations:,} evaluations.",
            mixing_verdict(
                table.assign(rhat=table["rhat_nested"]),
                stuck(self.separate),
                "Nested R-hat" if walkers > 1 else "R-hat",
            ),
        ]
        if walkers > 1:
            strict = table["rhat"]
            lines.append(
                f"Walker by walker, of {draws // walkers} draws each, R-hat is at most "
                f"{strict.max():.3f} ({strict.idxmax()}); {int((strict > MIXED).sum())} of {size} "
                f"are above {MIXED:g}."
            )
        if "diverging" in self.stats:
            count = int(self.stats["diverging"].sum())
            bad = "; do not trust the tails" if count else ""
            lines.append(
                f"Divergences: {count}{bad}. Energy moves freely above 0.3 (E-BFMI): least "
                f"{energy_information(self.stats['energy']).min():.2f}."
            )
        return "\n".join(lines)

    def to_inferencedata(self) -> Any:
        """Return the chains as ArviZ's object.

        Returns
        -------
        arviz.InferenceData
            The groups ``posterior``, ``sample_stats``, ``log_likelihood`` (so that `arviz.loo`
            works) and ``observed_data``. A chain is one Markov chain; the coordinate
            ``superchain`` names its group.

        Raises
        ------
        MissingExtra
            ArviZ is not installed.
        """
        draws = unknowns(self.likelihood, self.separate)
        draws = draws.assign_coords({SUPERCHAIN: (CHAIN, self.superchain)})
        at = {CHAIN: draws[CHAIN].values, DRAW: draws[DRAW].values}
        stats = {
            name: ((CHAIN, DRAW), self.by_markov_chain(value)) for name, value in self.stats.items()
        }
        rows = rows_of(self.likelihood)
        each = {PUBLISHED: ((CHAIN, DRAW, ROW), self.by_markov_chain(self.log_likelihood))}
        return inference_data(
            {
                "posterior": draws,
                "sample_stats": xr.Dataset(stats, at),
                "log_likelihood": xr.Dataset(each, at | rows),
                "observed_data": observed(self.likelihood),
            }
        )

    def _facts(self) -> Facts:
        chains, draws, size = self.theta.shape
        return [
            ("chains", f"{chains} of {draws:,} draws"),
            ("model", self.likelihood.model.name),
            ("unknowns", str(size)),
            ("method", self.method),
            ("acceptance", f"{self.acceptance:.2f}"),
            ("next", "table() for R-hat and effective sample sizes, draws() for all draws"),
        ]

    def __repr__(self) -> str:
        return text_of("Chains", self._facts())

    def _repr_html_(self) -> str:
        return html_of("Chains", self._facts())

    def draws(self) -> Draws:
        """All draws as one set, as `beltcast.approximate_posterior` returns them."""
        each = self.separate
        flat = each.transpose(1, 0, 2).reshape(-1, each.shape[2])
        return Draws(self.likelihood, flat, "posterior", self.acceptance, walkers=len(each))
