"""Every function that turns numbers into a verdict, on seven cases in which it may say too much.

The cases: no effect, an exact tie, the wrong sign, NaN, one draw, two draws, a constant output.
Each verdict has its words for each case in `EXPECTED`; a case that cannot be put to a function is
left out there, and the reason stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import xarray as xr

from beltcast import Scenario, calibrate, load_model, make_likelihood, read_series
from beltcast.drivers.attribution.attribute import SCALES
from beltcast.drivers.attribution.null_models import null_words, placebo_words
from beltcast.drivers.attribution.page import complement_words
from beltcast.drivers.compare import compare_runs, difference_table
from beltcast.drivers.discovery.page import _telling
from beltcast.drivers.discovery.prim import telling
from beltcast.drivers.policy.page import summarise_policies
from beltcast.drivers.policy.policy import PolicyQuestion, compare_policies
from beltcast.drivers.price.page import price_words
from beltcast.drivers.price.price import _prices
from beltcast.drivers.sensitivity.page import summarise_sensitivity
from beltcast.drivers.sensitivity.sensitivity import SensitivityMethod, sensitivity_indices
from beltcast.ensembles.member_statistics import more_than
from beltcast.ensembles.verdicts import chance_words, negligible, positive_share, ratio_of
from beltcast.errors import BeltcastError
from beltcast.forecasting.summary import as_text
from beltcast.inference.audit.error_scales import _verdict
from beltcast.inference.audit.profiles import profile
from beltcast.inference.calibrate import estimate_verdict
from beltcast.model.model import Model
from beltcast.study.priors import Priors
from beltcast.study.roles import Lever
from beltcast.verification.pool import average_quantiles
from beltcast.verification.skill import case_scores, skill_table

from .model_texts import write_model

CASES = ("no effect", "tie", "wrong sign", "NaN", "one draw", "two draws", "constant")
N = 400
NORMAL = np.random.default_rng(1).standard_normal(N)
NORMAL -= NORMAL.mean()
CLOCK = {"INITIAL TIME": "0", "FINAL TIME": "2", "TIME STEP": "1", "SAVEPER": "1"}

EFFECTS: Mapping[str, np.ndarray] = {
    "no effect": 1e-17 * NORMAL,
    "tie": np.concatenate([np.abs(NORMAL), -np.abs(NORMAL)]),
    "wrong sign": -0.5 + 0.1 * NORMAL,
    "NaN": np.full(N, np.nan),
    "one draw": np.array([0.5]),
    "two draws": np.array([0.5, 0.6]),
    "constant": np.full(N, 0.5),
}
"""Draws of an effect whose sign is requested; what is expected of the study is a positive one."""


def attribution(case: str) -> str:
    """`attribute`: the sign of the drivers' synergy, the priors being undecided."""
    values, prior = EFFECTS[case], NORMAL
    values = np.where(negligible(values, 1.0), 0.0, values)  # as `attribute` does
    levels = (0.05, 0.1, 0.5, 0.9, 0.95)
    at = {"place": ["all"], "year": [2024]}
    variables: dict[str, object] = {}
    for mark, draws in (("", values), ("prior_", prior)):
        known = draws[np.isfinite(draws)]
        q = np.quantile(known, levels) if len(known) else np.full(len(levels), np.nan)
        variables[f"{mark}synergy_log_quantile"] = (("place", "year", "quantile"), [[q]])
        share = positive_share(draws, 1.0)
        variables[f"{mark}synergy_log_chance"] = (("place", "year"), [[float(share)]])
    sd = float(ratio_of(np.std(values), prior.std(), 1.0))
    variables["synergy_log_sd_ratio"] = (("place", "year"), [[sd]])
    variables["synergy_log"] = (("member", "place", "year"), values[:, None, None])
    data = xr.Dataset(variables, {**at, "quantile": list(levels)})
    assert SCALES == ("log", "level")
    return complement_words(data.assign_attrs(whole="all", year=2024, prior_draws=N))


def chance(case: str) -> str:
    """`forecast`, `price`, `report`: the chance of more."""
    values = EFFECTS[case]
    return chance_words(float(positive_share(values, 1.0)), int(np.isfinite(values).sum()))


def comparison(case: str) -> str:
    """`compare`: the share of draws with more in the last year."""
    effect = np.exp(EFFECTS[case])
    levels = np.stack([np.ones_like(effect), effect])[:, :, None, None] * np.ones(2)
    output = xr.DataArray(
        levels,
        {"scenario": ["base", "other"], "place": ["all"], "year": [2024, 2025]},
        ("scenario", "member", "place", "year"),
    )
    page = as_text(difference_table(compare_runs(output), "all"))
    (row,) = (line.rstrip() for line in page.splitlines() if line.startswith("other"))
    return row.rpartition("  ")[2]


def estimate(case: str) -> str:
    """`calibrate`, `forecast`: whether an estimate is mostly prior."""
    ratio = {"no effect": 1.0, "tie": 1.0, "wrong sign": 1.3, "NaN": np.nan, "constant": np.nan}
    draws = {"one draw": 1.0, "two draws": 2.0}
    return estimate_verdict(ratio.get(case, 0.1), draws.get(case, 400.0))


def discovery(case: str) -> str:
    """`discover`: which inputs tell the cases of interest from the others."""
    x = np.random.default_rng(2).random((N, 10))
    interest = np.random.default_rng(3).random(N) < 0.3
    if case == "NaN":
        x[5, 0] = np.nan
    if case == "wrong sign":
        interest = x[:, 0] > 0.7  # of interest is the high end, not the low one
    if case in ("one draw", "two draws"):
        interest = np.arange(N) < (1 if case == "one draw" else 2)
    if case == "tie":
        x[:] = np.where(np.arange(N) % 2, 0.25, 0.75)[:, None]
    if case == "constant":
        x[:] = 0.5
    table = xr.DataArray(x, dims=("case", "parameter"))
    told = telling(table, interest)
    counts = {"cases": N, "of_interest": int(interest.sum()), "inputs_tried": 10}
    return _telling({**counts, "inputs_telling": len(told)}) + " " + " ".join(told)


EQUATIONS = {
    "no effect": "1 + 0*a + 0*b",
    "tie": "a + b",
    "wrong sign": "-5*a + b",
    "NaN": "SQRT(a - 0.5) + b",
    "constant": "a/b*b/a*(b/3)*(3/b)",
}


@cache
def model_of(case: str) -> Model:
    with TemporaryDirectory() as folder:
        equations = {"a": "1", "b": "1", "y": EQUATIONS[case], "S": "INTEG(y, 0)"}
        return load_model(write_model(Path(folder), equations, CLOCK))


def sensitivity_of(method: SensitivityMethod) -> Callable[[str], str]:
    """`sensitivity`: ranks, and what is explained."""

    def words(case: str) -> str:
        if method != "tornado":
            pytest.importorskip("SALib")
        ranges = dict.fromkeys("ab", (0.25, 1.25))
        base = {"one draw": 1, "two draws": 2}.get(case, 128)
        found = sensitivity_indices(
            model_of("tie" if "draw" in case else case),
            ranges,
            target="y",
            method=method,
            rng=np.random.default_rng(1),
            base=base,
        )
        page = as_text(summarise_sensitivity(found, when=1.0))
        rows = [line.split()[:2] for line in page.splitlines() if line[:2] in ("a ", "b ")]
        return " ".join(" ".join(row) for row in sorted(rows)) or page.split("\n", 1)[1]

    return words


def price(case: str) -> str:
    """`price`: what a unit of the target costs."""
    effect = EFFECTS[case]
    level = xr.DataArray(
        np.stack([np.full_like(effect, 100.0), 100.0 + effect])[:, :, None],
        {"scenario": ["base", "other"], "place": ["all"]},
        ("scenario", "member", "place"),
    )
    cost = level.copy(data=np.zeros(level.shape))
    cost[1] = 1.0
    gain = more_than(level, level.isel(scenario=0, drop=True))
    prices, direction = _prices(gain, level, {"spending": cost})
    draws = int(np.isfinite(effect).sum())
    data = xr.Dataset({"price": prices, "direction": direction}).assign_attrs(whole="all")
    data = data.assign_attrs(target="output")
    more = float((effect > 0).mean())
    for name, value in (("chance_of_more_draws", draws), ("chance_of_more", more)):
        data[name] = xr.DataArray(
            [[[value, value]]],
            {"flow": ["output"], "place": ["all"], "scenario": ["base", "other"]},
            ("flow", "place", "scenario"),
        )
    return " ".join(price_words(data, "other"))


def identification(case: str) -> str:
    """`identify`: the profile interval of b, told by y = b (or by something else)."""
    expression = {"no effect": "1.9 + 0*b", "tie": "b + 0*b", "wrong sign": "1/b"}
    expression |= {"NaN": "SQRT(b - 100)", "constant": "1.9*b/b"}
    count = {"one draw": 1, "two draws": 2}.get(case, 5)
    with TemporaryDirectory() as folder:
        equations = {"b": "1", "y": expression.get(case, "b") + " ~ m/Year", "S": "INTEG(y, 0)"}
        clock = {**CLOCK, "INITIAL TIME": "2000", "FINAL TIME": "2010"}
        model = load_model(write_model(Path(folder), equations, clock))
        rows = "".join(f"{2001 + k},{(1.9, 2.1, 2.0, 1.95, 2.05)[k]}\n" for k in range(count))
        table = Path(folder) / "d.csv"
        table.write_text("time,y\n" + rows, encoding="utf-8")
        series = read_series(table, model, sd=0.05)
        infinite = ([-np.inf], [np.inf])
        priors = Priors(
            ("b",), ("b",), ("r",), ("1",), ("s",), ("lognormal",), [0.0], [1.0], *infinite
        )
        noise = replace(series.noise, error_scale_sd=0.0)
        likelihood = make_likelihood(model, priors, series.observations, noise)
        fit = calibrate(likelihood, rng=np.random.default_rng(1), starts=4, refine=1)
    low, high = profile(fit, "b").interval()
    ends = "" if low > -np.inf else "open below "
    return ends + (f"{low:.2f} to {high:.2f}" if np.isfinite([low, high]).all() else "open above")


def skill(case: str) -> str:
    """`verify`: whether one forecaster is better than another."""
    years = {"one draw": 1, "two draws": 2}.get(case, 12)
    rng = np.random.default_rng(4)
    truth = np.exp(rng.normal(0, 0.2, years))
    good = np.exp(0.2 * rng.standard_normal((years, 200)))
    other = {
        "no effect": np.exp(0.2 * rng.standard_normal((years, 200))),
        "tie": good,
        "wrong sign": np.exp(0.05 * rng.standard_normal((years, 200))) * truth[:, None],
        "NaN": np.full_like(good, np.nan),
        "constant": np.repeat(3.0 * truth[:, None], 200, axis=1),
    }.get(case, np.exp(0.9 + 0.2 * rng.standard_normal((years, 200))))
    at = ("case", np.arange(2000, 2000 + years))
    backtest = xr.Dataset(
        {
            "forecast": (("case", "forecaster", "draw"), np.stack([good, other], axis=1)),
            "observed": ("case", truth),
        },
        {
            "forecaster": ["own", "other"],
            "origin": (at[0], at[1] - 0.5),
            "lead": ("case", np.ones(years, dtype=int)),
            "year": at,
            "printed": (at[0], at[1] + 1.2),
            "last": ("case", np.ones(years)),
            "scale": ("case", np.full(years, 0.1)),
            **{
                name: ("case", [text] * years)
                for name, text in {"place": "all", "definition": "d", "quantity": "q"}.items()
            },
        },
    )
    return str(skill_table(case_scores(backtest, whole="all"), "own")["verdict"].item())


def pool(case: str) -> str:
    """`backtest`: the pool of two forecasts, which must not be one of them by its name."""
    draws = {"one draw": 1, "two draws": 2}.get(case, 100)
    own = np.exp(np.random.default_rng(5).standard_normal((draws, 1)))
    other = {"no effect": own, "tie": own, "NaN": np.full_like(own, np.nan)}.get(case, 4.0 * own)
    if case == "wrong sign":
        other = own / 4.0
    if case == "constant":
        other = np.full_like(own, 1.0)
    middle = np.exp(np.log(average_quantiles(own, other)).mean() - np.log(own).mean())
    width = np.log(average_quantiles(own, other)).std() / np.log(own).std() if draws > 1 else 0.0
    return f"{width:.2f} as wide" if case == "constant" else f"{middle:.2f} of the first"


def policy(case: str) -> str:
    """`policy`: which of two policies is best."""
    draws = {"one draw": 1, "two draws": 2}.get(case, 100)
    gain = {
        "no effect": "5 + 0*x",
        "tie": "ABS(x - 1.5)",  # both policies lie 0.5 from there
        "wrong sign": "-W*x",
        "NaN": "SQRT(-x)",
        "constant": "7",
    }.get(case, "W*x")
    with TemporaryDirectory() as folder:
        equations = {"x": "0", "W": "1", "gain": f"{gain} ~ CNY/Year", "cost": "x ~ CNY/Year"}
        model = load_model(write_model(Path(folder), {**equations, "T": "INTEG(gain, 0)"}, CLOCK))
    question = PolicyQuestion(
        model,
        (Lever("x", 0.0, 10.0, idle=0.0),),
        {"base": Scenario("base", "Base")},
        (("W",), 1.0 + np.random.default_rng(6).random((draws, 1))),
        gain="gain",
        cost="cost",
        years=(0, 1),
        budget=10.0,
    )
    page = as_text(
        summarise_policies(question, compare_policies(question, np.array([[1.0], [2.0]])))
    )
    few = "too few to call" if "too few to call" in page else ""
    best = [line.split()[0] for line in page.splitlines() if "best mean" in line]
    return " ".join([few, *best]).strip() or "none is best"


def error_scale(case: str) -> str:
    """`error-scales`: whether the observations inform the scale of an error."""
    contraction = {"no effect": 0.0, "tie": 0.0, "wrong sign": -1.0, "NaN": np.nan}
    return _verdict(contraction.get(case, 0.0))


def null_model(case: str) -> str:
    """`attribute --tests`: whether the model beats the one without interaction."""
    rows = {"one draw": 1, "two draws": 2}.get(case, 12)
    difference = {"no effect": 0.0, "tie": 0.0, "wrong sign": -5.0, "NaN": np.nan}.get(case, 5.0)
    if case == "constant":
        difference = 0.0
    attributes = {
        "difference": difference,
        "difference_p10": difference - (1.0 if case == "wrong sign" else 0.0),
        "difference_p90": difference + (1.0 if case == "wrong sign" else 0.0),
        "published_by": 2022.0,
        "fitted_rows": 30,
    }
    return null_words(xr.Dataset(coords={"row": np.arange(rows)}).assign_attrs(attributes))


def placebo_dates(case: str) -> str:
    """`attribute --placebo`: whether the observations favour the true dates."""
    evidence = {"wrong sign": [0.0, 5.0], "NaN": [0.0, np.nan]}.get(case, [0.0, 0.0])
    zero = ("shift", [0.0, 0.0])
    table = xr.Dataset(
        {"gain": zero, "gain_sd": zero, "log_evidence": ("shift", evidence)}, {"shift": [0.0, 1.5]}
    )
    return placebo_words(table.assign_attrs(constant="Start", parameter="Gain"))


VERDICTS: Mapping[str, Callable[[str], str]] = {
    "attribute": attribution,
    "attribute, null model": null_model,
    "attribute, placebo dates": placebo_dates,
    "backtest, pool": pool,
    "calibrate": estimate,
    "compare": comparison,
    "discover": discovery,
    "error-scales": error_scale,
    "forecast": chance,
    "identify": identification,
    "policy": policy,
    "price": price,
    "sensitivity, morris": sensitivity_of("morris"),
    "sensitivity, pawn": sensitivity_of("pawn"),
    "sensitivity, sobol": sensitivity_of("sobol"),
    "sensitivity, tornado": sensitivity_of("tornado"),
    "verify": skill,
}

REFUSED_FEW = {"one draw": "expected", "two draws": "expected"}
FLAT = "does not change with any of these constants"
RANKS = {
    "no effect": FLAT,
    "tie": "a 1–2 b 1–2",
    "wrong sign": "a 1 b 2",  # the size decides, whatever the sign
    "NaN": "produced NaN or infinity",
    "constant": FLAT,
}
FEW = {"one draw": "too few", "two draws": "too few"}

EXPECTED: Mapping[str, Mapping[str, str]] = {
    "attribute": {
        **FEW,
        "no effect": "no joint effect",
        "tie": "neither the data nor the priors decide",
        "wrong sign": "substitute for each other",
        "NaN": "0 draws are too few",
        "constant": "the data decide that the drivers complement each other",
    },
    "attribute, null model": {
        **FEW,
        "no effect": "is not supported",
        "tie": "is not supported",
        "wrong sign": "forecasts better",
        "NaN": "do not compare",
        "constant": "is not supported",
    },
    # Laplace's evidence rests on no draws.
    "attribute, placebo dates": {
        "no effect": "do not favour",
        "tie": "do not favour",
        "wrong sign": "do not favour",
        "NaN": "none compares",
        "constant": "do not favour",
    },
    # The pool of x and x is x, of x and x/4 is x/2, and of x and a constant half as wide.
    "backtest, pool": {
        "no effect": "1.00 of the first",
        "tie": "1.00 of the first",
        "wrong sign": "0.50 of the first",
        "NaN": "1.00 of the first",
        "one draw": "2.00 of the first",
        "two draws": "2.00 of the first",
        "constant": "0.50 as wide",
    },
    "calibrate": {
        **FEW,
        "no effect": "mostly prior",
        "tie": "mostly prior",
        "wrong sign": "mostly prior",
        "NaN": "undefined",
        "constant": "undefined",
    },
    "discover": {
        **FEW,
        "no effect": "none of 10 inputs tells",
        "tie": "none of 10 inputs tells",
        "wrong sign": "of 10 inputs 1 tell them apart. x1",
        "NaN": "expected finite numbers",
        "constant": "none of 10 inputs tells",
    },
    "error-scales": {
        "no effect": "mostly prior",
        "tie": "mostly prior",
        "wrong sign": "mostly prior",
        "NaN": "undefined",
    },
    "identify": {
        "no effect": "open below open above",
        # One observation of 1.9 with sd 0.05 in logs: 1.9 exp(+-1.96 * 0.05) without a prior.
        "one draw": "1.72 to 2.10",
        "NaN": "none of 4 starts could be simulated",
        # Five with the log mean 0.6921: exp(0.6921 +- 1.96 * 0.05 / sqrt(5)), and its inverse.
        "tie": "1.91 to 2.09",
        "wrong sign": "0.48 to 0.52",
        "constant": "open below open above",
    },
    "policy": {
        **FEW,
        "no effect": "none is best",
        "tie": "none is best",
        "wrong sign": "1.00",
        "NaN": "produced NaN or infinity",
        "constant": "none is best",
    },
    "price": {
        **FEW,
        "no effect": "unchanged -",
        "tie": "unchanged -",
        "wrong sign": "lost costs 2.0",
        "NaN": "unknown -",
        "constant": "gained costs 2.00",
    },
    "sensitivity, morris": {**RANKS, **REFUSED_FEW},
    "sensitivity, pawn": {**RANKS, **REFUSED_FEW},
    "sensitivity, sobol": {**RANKS, **REFUSED_FEW},
    "sensitivity, tornado": RANKS,  # it draws nothing that could be few
    "verify": {
        **FEW,
        "no effect": "not told apart",
        "tie": "not told apart",
        "wrong sign": "worse",
        "NaN": "too few years",  # none is left
        "constant": "better",  # the constant is three times the truth
    },
}
CHANCES = {
    **FEW,
    "no effect": "no change",
    "tie": "50 ± 2 %",
    "wrong sign": "0.0 ± 0.3 %",
    "NaN": "unknown",
    "constant": "100.0 ± 0.3 %",
}
EXPECTED = {**EXPECTED, "compare": CHANCES, "forecast": CHANCES}


def test_every_verdict_is_put_to_the_cases() -> None:
    assert set(EXPECTED) == set(VERDICTS)
    assert all(set(cases) <= set(CASES) for cases in EXPECTED.values())


@pytest.mark.parametrize(
    ("verdict", "case", "words"),
    [(name, case, words) for name, cases in EXPECTED.items() for case, words in cases.items()],
)
def test_a_verdict_says_no_more_than_its_case_bears(verdict: str, case: str, words: str) -> None:
    try:
        told = VERDICTS[verdict](case)
    except BeltcastError as refusal:
        told = str(refusal)
    for capital in ("Neither", "None", "The", "Of", "Too"):
        told = told.replace(capital, capital.lower())
    assert words in told
    assert not any(mark in told.replace("produced NaN or infinity", "") for mark in ("NaN", "+nan"))
