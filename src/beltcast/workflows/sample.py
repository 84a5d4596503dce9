"""Fit a study and sample its posterior by Markov chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from beltcast.display.lines import save_chart
from beltcast.files.netcdf import write_netcdf
from beltcast.inference.fit_over_time import plot_fit_over_time
from beltcast.inference.sampling.chain_files import POSTERIOR_FILE, posterior_groups
from beltcast.inference.sampling.chains import Chains
from beltcast.inference.sampling.loo import loo_words
from beltcast.inference.sampling.sampler import SampleOptions, Unfinished, sample
from beltcast.schema import Progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study
from beltcast.workflows.draws import FitOptions, fit_study

_PICTURED = 1000
"""Draws behind the bands in the picture."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """Chains, and the results that are written.

    Attributes
    ----------
    chains : Chains
    groups : mapping of str to xarray.Dataset
        Of ArviZ's schema.
    streams : Streams
    """

    chains: Chains
    groups: Mapping[str, xr.Dataset]
    streams: Streams

    def page(self) -> str:
        """Return the verdict on the mixing, and leave-one-out cross-validation."""
        return f"{self.chains.words()}\n{loo_words(self.chains)}"

    def save(self, folder: Path, *, picture: bool = False) -> None:
        """Write the groups and the diagnostics, with a chart of the fit over time if requested."""
        write_netcdf(folder / POSTERIOR_FILE, self.groups)
        self.chains.table().to_csv(folder / "diagnostics.csv", float_format="%.5g")
        if picture:
            likelihood = self.chains.likelihood
            theta = self.chains.separate.reshape(-1, likelihood.size)
            chosen = theta[:: max(1, len(theta) // _PICTURED)]
            figure = plot_fit_over_time(likelihood, chosen, rng=self.streams.noise)
            save_chart(figure, folder / "fit.png")


def sample_study(
    study: Study,
    options: SampleOptions | None = None,
    fit: FitOptions | None = None,
    *,
    rng: Random,
    resume: Unfinished | None = None,
    keep: Callable[[Unfinished], None] | None = None,
    progress: Progress | None = None,
) -> Sampled:
    """Fit a study and sample its posterior.

    Parameters
    ----------
    study : Study
    options : SampleOptions, optional
    fit : FitOptions, optional
    rng : Streams, numpy.random.Generator or int
    resume, keep
        As for `beltcast.sample`.
    progress : Progress, optional

    Examples
    --------
    >>> from beltcast import SampleOptions, read_study
    >>> from beltcast.workflows.sample import sample_study
    >>> found = sample_study(read_study(), SampleOptions(draws=200), rng=1)  # doctest: +SKIP
    """
    streams = Streams.of(rng)
    chains = sample(
        fit_study(study, fit, rng=streams.fit, progress=progress),
        options,
        rng=streams.chains,
        resume=resume,
        keep=keep,
        progress=progress,
    )
    noted = {"seed": str(streams.seed), **study.provenance()}
    return Sampled(chains, posterior_groups(chains, rng=streams.prior, provenance=noted), streams)
