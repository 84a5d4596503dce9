"""Statistics of a fit: best estimates with standard errors, information criteria, errors by column.

The *best fit* maximises the likelihood times the informative priors.  A uniform or log-uniform
prior states bounds only, and the default prior of an estimated scale hardly anything, so these have
no weight in it: with such priors alone it is the maximum likelihood estimate, which other programs
print.  It is searched from each optimum of the posterior, on scales where bounds are finite
(`Priors.boxed`), so that an estimate can reach a bound.  (`Calibration.table` has the median and
interval of the posterior, which depend on bounds.)

With k unknowns, n observations and the greatest log likelihood L, of the observations themselves
(not of their logs),

    AIC = 2 k - 2 L,    BIC = k log n - 2 L

(Akaike 1974, Schwarz 1978).  By column, with y the observations, m the model and R the correlation
of the two,

    RMSE^2 = mean (y - m)^2,
    Theil's U = RMSE / sqrt(mean y^2),
    and its parts: bias (mean y - mean m)^2 / RMSE^2, variance (sd y - sd m)^2 / RMSE^2,
    covariance 2 (1 - R) sd y sd m / RMSE^2, which add up to 1 (Theil 1966; Sterman 1984).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from beltcast.display.numbers import rounded
from beltcast.engine.nodes import FloatArray
from beltcast.inference.calibrate import Calibration, curvature_covariance, one_blas_thread
from beltcast.inference.flat_priors import bounds_only, moved
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.optimise import refine
from beltcast.inference.pool_scales import integrated_error_scales

AT_BOUND = 1e-3
"""Distance from a bound, as a part of the range, below which an estimate is said to be at it."""

SEARCHES = 6
"""Optima of the posterior that the best fit is searched from, the best first."""


@dataclass(frozen=True, eq=False)
class FitStatistics:
    """Statistics of a fit.

    Attributes
    ----------
    estimates : pandas.DataFrame
        By parameter and estimated scale: ``estimate``, ``standard_error``, and the ends of the 80%
        and 95% intervals ``p10``, ``p90``, ``p2_5``, ``p97_5``, in the unit of each; whether it
        ended ``at_bound``.
    log_likelihood : float
        Of the observations, with all constants.
    unknowns, observations : int
        k and n.
    columns : pandas.DataFrame
        By column: ``rows``, ``rmse``, ``r2``, ``theil_u``, ``bias``, ``variance``, ``covariance``.
    pooled : bool
        Whether constants are pooled, so that the log likelihood is conditional on their elements.
    """

    estimates: pd.DataFrame
    log_likelihood: float
    unknowns: int
    observations: int
    columns: pd.DataFrame
    pooled: bool = False

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return 2.0 * self.unknowns - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's information criterion."""
        return float(self.unknowns * np.log(self.observations) - 2.0 * self.log_likelihood)

    def words(self) -> str:
        """Return the statistics as text."""
        lines = [
            f"log likelihood {self.log_likelihood:.2f} (natural logarithm, of the observations "
            f"themselves); {self.unknowns} unknowns, {self.observations} observations; "
            f"AIC {self.aic:.2f}, BIC {self.bic:.2f}",
        ]
        if self.pooled:
            lines.append(
                "log likelihood, AIC and BIC are given the elements of pooled constants; do not "
                "compare them with marginal ones, as programs for mixed models print"
            )
        lines += [
            "",
            f"{'best fit':34s} {'estimate':>12s} {'std. error':>12s}  {'95% interval':>24s}",
        ]
        for name, row in self.estimates.iterrows():
            interval = f"{rounded(row['p2_5'], 4)} to {rounded(row['p97_5'], 4)}"
            lines.append(
                f"{name!s:34s} {rounded(row['estimate'], 5):>12s} "
                f"{rounded(row['standard_error']):>12s}  "
                f"{interval:>24s}" + ("  at its bound" if row["at_bound"] else "")
            )
        lines += ["", f"{'column':34s} rows       RMSE     R2  Theil U  bias  var.  cov."]
        for name, row in self.columns.iterrows():
            lines.append(
                f"{name!s:34s} {row['rows']:4.0f} {row['rmse']:10.4g} {row['r2']:6.3f} "
                f"{row['theil_u']:8.3f} {row['bias']:5.2f} {row['variance']:5.2f} "
                f"{row['covariance']:5.2f}"
            )
        return "\n".join(lines)


@one_blas_thread()
def fit_statistics(calibration: Calibration) -> FitStatistics:
    r"""Compute the best fit of a calibration and its statistics.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from beltcast import calibrate, load_model, make_likelihood, read_series
    >>> from beltcast.study.priors import make_priors, uniform_entry
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> guess = uniform_entry("Lifetime", "Lifetime", "pooled", "Year", "a guess", (1.0, 20.0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "stock.csv"
    ...     _ = path.write_text("time,Stock\n1,84\n2,66\n3,56\n4,44\n5,38\n")
    ...     series = read_series(path, model)
    >>> one = make_likelihood(model, make_priors([guess]), series.observations, series.noise)
    >>> found = fit_statistics(calibrate(one, rng=np.random.default_rng(1), starts=4))
    >>> list(found.estimates.index), found.observations
    (['Lifetime', 'sd of Stock'], 5)
    """
    likelihood = bounds_only(calibration.likelihood)
    optima = np.array(calibration.distinct(np.inf, by_fit=True)[:SEARCHES])
    found = refine(likelihood, moved(optima, calibration.likelihood, likelihood))
    best = min(found, key=lambda one: one.cost)
    theta = integrated_error_scales(likelihood, best.theta)
    try:
        covariance = curvature_covariance(likelihood, theta)
    except np.linalg.LinAlgError:  # an undetermined direction has no standard error
        covariance = np.full((likelihood.size, likelihood.size), np.inf)
    of_rows = likelihood.log_likelihood(best.theta[None])[0]
    # The density of a log is that of the number times the number.
    logs = likelihood.families.log & likelihood.families.number & (likelihood.side == 0)
    logs &= likelihood.half == 0
    total = float(of_rows.sum() - likelihood.published[logs].sum())
    return FitStatistics(
        estimates=_estimates(likelihood, theta, covariance),
        log_likelihood=total,
        unknowns=likelihood.size,
        observations=len(of_rows),
        columns=_columns(likelihood, theta),
        pooled=bool(likelihood.priors.pools),
    )


def _estimates(likelihood: Likelihood, theta: FloatArray, covariance: FloatArray) -> pd.DataFrame:
    priors, n = likelihood.priors, likelihood.n_parameters
    sd = np.sqrt(np.diag(covariance))
    # Rows of the identity pulled back are the derivatives of the values.
    by_z = priors.pull_back(np.eye(n), theta[:n])
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", by_z, covariance[:n, :n], by_z), 0.0))
    values = priors.natural(theta[:n])
    pooled = {priors.labels[pool.sd] for pool in priors.pools}
    rows = {
        label: (value, error, *(value + q * error for q in _REACH))
        for label, value, error in zip(priors.labels, values, errors, strict=True)
        if label not in pooled
    }
    for name, loading, base in scales_of(likelihood):
        k = n + likelihood.nuisances.index(name)
        log_sd = loading * sd[k]
        value = base * np.exp(loading * theta[k])
        # A perfect fit puts a scale at its bound, and makes its standard error infinite.
        with np.errstate(over="ignore", invalid="ignore"):
            rows[name] = (value, value * log_sd, *(value * np.exp(q * log_sd) for q in _REACH))
    names = ["estimate", "standard_error", "p10", "p90", "p2_5", "p97_5"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    lower, upper = priors.lower, priors.upper
    near = np.minimum(theta[:n] - lower, upper - theta[:n]) < AT_BOUND * (upper - lower)
    at_bound = np.isfinite(upper - lower) & near
    scales = np.array(likelihood.nuisances)[np.abs(theta[n:]) > likelihood.scale_limit - AT_BOUND]
    table["at_bound"] = table.index.isin([*np.array(priors.labels)[at_bound], *scales])
    return table


_REACH = (ndtri(0.1), ndtri(0.9), ndtri(0.025), ndtri(0.975))


def scales_of(likelihood: Likelihood) -> list[tuple[str, float, float]]:
    """Name, loading and median of each estimated scale of an error model."""
    found: dict[str, tuple[str, float, float]] = {}
    for row in likelihood.observations:
        errors = likelihood.noise.errors_of(row)
        name, log_sd = likelihood.noise.scale_of(row)
        if errors is not None and name in likelihood.nuisances:
            found[name] = (name, log_sd, errors.scale or 1.0)
    return list(found.values())


def _columns(likelihood: Likelihood, theta: FloatArray) -> pd.DataFrame:
    rows = likelihood.observations.rows
    published = likelihood.natural(likelihood.published)
    fitted = likelihood.natural(likelihood.expected(theta[None])[0])
    names = np.array([likelihood.noise.definitions[row.definition].title for row in rows])
    numbers = likelihood.side == 0
    table = {}
    for name in dict.fromkeys(names.tolist()):
        own = numbers & (names == name) & np.isfinite(fitted)
        y, m = published[own], fitted[own]
        if not len(y):
            continue
        square = float(np.mean((y - m) ** 2))
        total = float(np.mean((y - y.mean()) ** 2))
        sds = y.std(), m.std()
        together = float(np.mean((y - y.mean()) * (m - m.mean())))
        part = 1.0 / square if square > 0 else np.nan
        table[name] = (
            len(y),
            np.sqrt(square),
            1.0 - square / total if total > 0 else np.nan,
            np.sqrt(square / np.mean(y**2)) if (y**2).any() else np.nan,
            part * (y.mean() - m.mean()) ** 2,
            part * (sds[0] - sds[1]) ** 2,
            part * 2.0 * (sds[0] * sds[1] - together),
        )
    names_of = ["rows", "rmse", "r2", "theil_u", "bias", "variance", "covariance"]
    return pd.DataFrame.from_dict(table, orient="index", columns=names_of)
