# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Did it forecast?
#
# `beltcast backtest` went back to each half-year from mid-2020 to mid-2025, hid what was
# published later, fitted everything anew and forecast each total that was published afterwards, of
# years and of their first months. This notebook reads its results and asks whether the model
# forecasts, whether it knows its own errors, and what it missed. docs/verification.md describes how
# an origin is made.

# %%
import numpy as np
import xarray as xr

from beltcast.files.shipped import shipped
from beltcast.verification.skill import (
    case_scores,
    common_cases,
    coverage_table,
    score_table,
    skill_table,
    theil_table,
    worst_misses,
)
from beltcast.verification.skill_plot import pit_chart, reliability_chart, skill_by_lead
from beltcast.verification.skill_text import place_year_markdown, skill_markdown

with xr.open_dataset(shipped("calibration/results/verification.nc")) as opened:
    backtest = opened.load()
scores = case_scores(backtest)
rng = np.random.default_rng(1)
print(f"{scores.sizes['case']} observations, {backtest.attrs['information']}")

# %% [markdown]
# ## Every forecaster on the cases that all of them forecast
#
# The CRPS of the log of a level reads as a relative error: 0.1 is about 10 %. A baseline needs a
# history of its series, which two in five of the cases lack; the model forecasts all. `sd + drift`
# and `sd + damped trend` average the quantiles of the model and a baseline, with equal weights.

# %%
print(skill_markdown(scores, "sd"))

# %% [markdown]
# The verdict is "better" or "worse" only where the interval excludes zero over at least ten years.
# There are few targets: each place and year is one. Averaged over the cases of each, with Henan,
# which has most of the belts' years, also as one event and left out:

# %%
print(place_year_markdown(scores, "sd", against=["drift", "sd + drift"]))

# %% [markdown]
# ## The nation and the belts

# %%
both = common_cases(scores, ["sd", "sd + drift", "drift", "damped trend"])
columns = ["scope", "forecaster", "cases", "log_crps", "mase", "covered_80"]
print(score_table(both, by="scope")[columns].round(3).to_string(index=False))

# %% [markdown]
# ## Skill by lead

# %%
skill_by_lead(scores, "sd", against=["drift", "damped trend", "log drift"]).figure

# %% [markdown]
# ## Do the bands have their nominal coverage?
#
# Clopper and Pearson's intervals assume independent cases. These are not: the leads from one origin
# share their errors.

# %%
reliability_chart(scores, forecasters=["sd", "sd prior", "sd + drift", "drift"]).figure

# %%
pit_chart(scores, "sd").figure

# %%
# Where nothing of a series was published (`first` is 1), the band tests the prior of its size.
held = coverage_table(scores.sel(forecaster=["sd", "sd + drift"]), by="first")
print(held[held["level"] == 0.8].round(2).to_string(index=False))

# %% [markdown]
# ## Three goals
#
# The project's own goals: a CRPS 15 % below that of the best single baseline, bands of 80 % that
# hold 72 to 88 %, and a national error of less than 4 % a year ahead. The cell prints all three, by
# cases.
# Which baseline is best is known only afterwards.

# %%
single = [n for n in score_table(scores)["forecaster"] if n != "average"]
best = next(n for n in single if "sd" not in n and n != "no interaction")
for name in ("sd", "sd + drift"):
    gain = skill_table(scores, name, against=[best]).iloc[0]
    answered = common_cases(scores, [name, best]).sel(forecaster=name)
    inside = float(answered["covered"].sel(level=0.8).mean())
    nation = answered.isel(
        case=np.flatnonzero((answered["scope"] == "nation") & (answered["lead"] == 1))
    )
    error = np.abs(nation["median"] / nation["observed"] - 1.0)
    print(
        f"{name}: gain on {best} {gain['skill']:+.0%} ({gain['low']:+.0%} to {gain['high']:+.0%}, "
        f"{gain['cases']} cases); 80% bands hold {inside:.0%} of these; nation, one year ahead: "
        f"mean error {float(error.mean()):.1%} ({nation.sizes['case']} observations)"
    )

# %% [markdown]
# ## Bias or scatter?
#
# Theil's decomposition of the squared error of the medians, in logs: bias, unequal variance, and
# the rest.

# %%
split = theil_table(scores).set_index("forecaster")
print(split.loc[["sd", "sd + drift", "drift", "damped trend"]].round(3).to_string())

# %% [markdown]
# ## The worst misses
#
# Two reasons recur. *Unknown level*: before 2021 customs had published no number of full scope;
# estimates of industry institutes set the level, and it was three times too high. *A statistic
# never seen*: Qingdao's goods under the CBEC codes, and the platform statistics of Henan and
# Chongqing, are a seventh to a fifth of what the priors of their offsets led to expect. All of
# these are marked `first`.

# %%
columns = ["place", "year", "origin", "definition", "observed", "p10", "median", "p90", "ratio"]
print(worst_misses(scores, "sd", most=12)[columns].round(2).to_string(index=False))

# %% [markdown]
# docs/verification.md describes what was tried, what helped and what remains.
