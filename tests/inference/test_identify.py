"""What the observations can tell: each view against a case that mathematics settles."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import log_ndtr, ndtri

from beltcast import Model, calibrate, make_likelihood
from beltcast.errors import CalibrationError, UnknownName
from beltcast.inference.audit import profiles
from beltcast.inference.audit.identify import (
    answer_gradient,
    confounded,
    leave_out,
    log_total,
    prior_pull,
    spectrum,
    without,
)
from beltcast.inference.audit.profiles import CUT, profile
from beltcast.inference.calibrate import Calibration


def test_information_and_prior_make_the_laplace_precision(fit: Calibration) -> None:
    # 1 / diag(S) of the parameters is prior precision plus marginal information, so rebuilding
    # the covariance from the spectrum must give the covariance of the fit.
    known = spectrum(fit)
    n = len(known.labels)
    sigma = fit.likelihood.priors.sigma
    whitened = known.directions @ np.diag(1.0 / (1.0 + known.eigenvalues)) @ known.directions.T
    covariance = whitened * np.outer(sigma, sigma)
    # np.allclose on the scale of each pair of standard deviations
    assert np.abs(covariance - fit.covariance[:n, :n]).max() < 1e-6 * sigma.max() ** 2


def test_directions_are_orthonormal_and_sorted(fit: Calibration) -> None:
    known = spectrum(fit)
    product = known.directions.T @ known.directions
    assert np.abs(product - np.eye(len(product))).max() < 1e-12
    assert np.all(np.diff(known.eigenvalues) <= 1e-12)
    assert 0 < known.informed < len(known.labels)


def test_shares_of_parameters_add_up_to_the_informed_directions(fit: Calibration) -> None:
    known = spectrum(fit)
    assert known.share().sum() == pytest.approx(known.informed, rel=1e-10)


def test_a_direction_is_told_by_its_largest_part(fit: Calibration) -> None:
    known = spectrum(fit)
    largest = known.labels[int(np.argmax(np.abs(known.directions[:, 0])))]
    assert known.words(0).startswith(f"{largest} +")


def test_confounded_pairs_are_those_of_the_covariance(fit: Calibration) -> None:
    pairs = confounded(fit, least=0.2)
    labels = fit.likelihood.priors.labels
    assert (pairs["correlation"].abs() >= 0.2).all()
    one = pairs.iloc[0]
    i, j = labels.index(one["one"]), labels.index(one["other"])
    c = fit.covariance
    assert one["correlation"] == pytest.approx(c[i, j] / np.sqrt(c[i, i] * c[j, j]))


def test_the_gradient_of_an_answer_is_its_slope(fit: Calibration) -> None:
    rows = fit.likelihood.model.rows("output")
    gradient = answer_gradient(fit, rows, 2024.0)
    h = 1e-5
    for i in np.argsort(-np.abs(gradient))[:4]:
        up, down = fit.theta.copy(), fit.theta.copy()
        up[i] += h
        down[i] -= h
        slope = (
            log_total(replace(fit, theta=up), rows, 2024.0)
            - log_total(replace(fit, theta=down), rows, 2024.0)
        ) / (2 * h)
        assert slope[0] == pytest.approx(gradient[i], rel=1e-5)


def test_a_prior_at_its_center_pulls_nowhere(fit: Calibration) -> None:
    n = fit.likelihood.n_parameters
    centred = fit.theta.copy()
    centred[:n] = fit.likelihood.priors.mu
    gradient = np.ones(len(centred))
    assert prior_pull(replace(fit, theta=centred), gradient).abs().max() == 0.0


@pytest.mark.long
def test_a_profile_of_what_the_data_ignore_is_its_prior(fit: Calibration) -> None:
    # The observations say next to nothing about how upgrading follows brand investment (ratio of
    # standard deviations 0.9994), so the posterior profile is the parabola of the prior.
    one = profile(fit, "Brand Push Elasticity", points=3, reach=2.0)
    assert one.likelihood_rise.max() < 0.1
    assert one.interval() == (-np.inf, np.inf)
    priors = fit.likelihood.priors
    i = priors.labels.index("Brand Push Elasticity")
    parabola = 0.5 * ((one.grid - priors.mu[i]) / priors.sigma[i]) ** 2  # a normal prior
    np.testing.assert_allclose(one.posterior_rise, parabola, atol=0.12)


@pytest.mark.parametrize(("prior_sd", "sd"), [(0.3, 0.3), (1.0, 0.1), (2.0, 0.02)])
def test_the_interval_of_a_normal_likelihood_is_exact_whatever_the_prior(
    small: Model, make: SimpleNamespace, prior_sd: float, sd: float
) -> None:
    """Five independent values of a level: mean of their logs plus and minus 1.96 sd / sqrt 5."""
    values = 10.0 * np.array([1.9, 2.1, 2.0, 2.05, 1.97])
    rows = [make.row(start=2014.0 + k, value=value) for k, value in enumerate(values)]
    noise = make.noise(grade={"A": sd, "B": sd, "C": sd})
    priors = make.priors("Factor", mu=0.0, sigma=prior_sd)
    likelihood = make_likelihood(small, priors, make.table(*rows), noise)
    fit = calibrate(likelihood, rng=np.random.default_rng(1), starts=4, refine=1)
    found = profile(fit, "Factor")
    middle, half = np.log(values / 10.0).mean(), np.sqrt(2 * CUT / 5) * sd
    np.testing.assert_allclose(
        np.log(found.interval()), [middle - half, middle + half], atol=2e-3 * half
    )
    assert found.converged
    assert found.at_bounds == ()


def test_a_profile_whose_fits_are_cut_short_has_not_converged(
    small: Model, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    priors = make.priors("Factor", "Growth", mu=[0.0, -3.0], sigma=[0.5, 0.5])
    rows = make.table(*(make.row(start=2014.0 + k, value=9.0 + 2 * k) for k in range(3)))
    one = make_likelihood(small, priors, rows, make.noise())
    start = np.append(priors.mu, np.zeros(len(one.nuisances)))
    assert profiles._held(one, start, 0, 0.3)[2]
    whole = profiles.least_squares
    short = lambda *given, **more: whole(*given, **more | {"max_nfev": 1})  # noqa: E731
    monkeypatch.setattr(profiles, "least_squares", short)
    assert not profiles._held(one, start, 0, 0.3)[2]


def test_a_row_without_weight_is_as_good_as_gone(fit: Calibration) -> None:
    likelihood = fit.likelihood
    mask = [row.definition == "100ec" for row in likelihood.observations]
    rest = without(fit, mask)
    wild = replace(
        rest.likelihood,
        published=np.where(mask, likelihood.published + 3.0, likelihood.published),
    )
    assert wild.log_density(rest.theta[None])[0] == pytest.approx(
        rest.likelihood.log_density(rest.theta[None])[0], abs=1e-6
    )


def test_an_answer_moves_by_what_the_left_out_source_had_said(
    small: Model, make: SimpleNamespace
) -> None:
    # log Factor is normal(0, 0.5) and each figure, log 10 Factor in East, has the error 0.1: with
    # observations y the posterior mean is sum(y) / 0.1^2 / (n / 0.1^2 + 1 / 0.5^2).
    values = {"a": [11.0, 12.0, 11.5], "b": [13.0, 13.5], "c": [9.0]}
    rows = [
        make.row(start=2014.0 + k, value=value, source=source)
        for k, (source, value) in enumerate((s, v) for s, own in values.items() for v in own)
    ]
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    likelihood = make_likelihood(small, priors, make.table(*rows), make.noise())
    one = calibrate(likelihood, rng=np.random.default_rng(1), starts=4, refine=1)

    def mean(sources: set[str]) -> float:
        y = np.log([v / 10.0 for s in sources for v in values[s]])
        return float(y.sum() / 0.01 / (len(y) / 0.01 + 4.0))

    groups = [row.source for row in rows]
    table = leave_out(one, groups, lambda fit: fit.theta[:1])
    assert dict(table["rows"]) == {"a": 3, "b": 2, "c": 1}
    for name in values:
        exact = mean(set(values) - {name}) - mean(set(values))
        assert table.loc[name, "answer 0"] == pytest.approx(exact, abs=1e-4)
    assert list(leave_out(one, groups, lambda fit: fit.theta[:1], most=2).index) == ["a", "b"]
    assert leave_out(one, ["all"] * 6, lambda fit: fit.theta[:1]).empty


def test_everything_cannot_be_left_out(fit: Calibration) -> None:
    with pytest.raises(CalibrationError, match="keep at least one"):
        without(fit, [True] * len(fit.likelihood.observations))


def test_an_unknown_parameter_is_named(fit: Calibration) -> None:
    with pytest.raises(UnknownName, match="did you mean 'Imitation Rate'"):
        profile(fit, "Imitation Rat")


@pytest.mark.parametrize(("kind", "side"), [("lower", -1.0), ("upper", 1.0)])
def test_a_bound_ends_an_interval_on_one_side(
    small: Model, make: SimpleNamespace, kind: str, side: float
) -> None:
    """Of a value known to be at least 13: the rise is -log Phi, which is the cut at one z."""
    likelihood = make_likelihood(
        small,
        make.priors("Factor", mu=0.0, sigma=0.4),
        make.table(make.row(kind, start=2014.0, value=13.0)),
        make.noise(),
    )
    fit = calibrate(likelihood, rng=np.random.default_rng(1), starts=4, refine=1)
    found = profile(fit, "Factor", points=9)
    end = np.log(1.3) - 0.1 * side * ndtri(np.exp(-CUT))
    ends = (np.exp(end), np.inf) if kind == "lower" else (-np.inf, np.exp(end))
    np.testing.assert_allclose(found.interval(), ends, rtol=2e-3)
    assert len(found.grid) >= 9
    assert (np.diff(found.grid) >= 0).all()
    # The rise at each value of the grid, without its own prior and with it.
    rise = -log_ndtr(side * (np.log(1.3) - np.log(found.grid)) / 0.1)
    np.testing.assert_allclose(found.likelihood_rise, rise - rise.min(), atol=1e-5)
    cost = rise + 0.5 * (np.log(found.grid) / 0.4) ** 2
    np.testing.assert_allclose(found.posterior_rise, cost - cost.min(), atol=1e-5)
