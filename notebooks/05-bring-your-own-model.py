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
# # Bring your own model
#
# Any Vensim model will do; here it is the epidemic of Kermack and McKendrick, which ships with the
# package. It is checked, run, run a thousand times, and two of its constants are fitted to a series
# of two columns.

# %%
import tempfile
from pathlib import Path

import numpy as np

from beltcast import calibrate, load_model, make_likelihood, read_priors, read_series, run_ensemble
from beltcast.files.shipped import shipped
from beltcast.inference.audit.identify import confounded, spectrum
from beltcast.model.checks import check_model, check_text
from beltcast.study.scenarios import Scenario

model = load_model(shipped("models/sir/sir.mdl"))  # or "mine.mdl"

# %% [markdown]
# ## Check
#
# Units, the error of the step, stocks below zero, constants far off, feedback loops. Doubtful is
# not wrong: whether a contact rate of nothing makes sense is yours to judge.

# %%
print(check_text(check_model(model)))

# %% [markdown]
# ## Run
#
# Constants by name, results as an xarray Dataset under the model's own names.

# %%
run = model.simulate({"Contact Rate": 3.0}, outputs=["Infected", "Recovered"])
print(run["Infected"].sel(time=[5.0, 10.0, 15.0]).values.round(1), run["Infected"].attrs["units"])

# %% [markdown]
# ## A thousand members
#
# What is believed about the constants stands in a file, as for any study; `draw` gives members on
# the working scale, `natural` turns them into values.

# %%
with open("priors.toml", "w", encoding="utf-8") as file:
    file.write("""
["Contact Rate"]
distribution = "lognormal"
log_sd = 0.2
unit = "1/Year"
role = "pooled"
source = "judgement"

["Duration"]
distribution = "lognormal"
log_sd = 0.2
unit = "Year"
role = "pooled"
source = "judgement"
""")
priors = read_priors("priors.toml", model)
values = priors.natural(priors.draw(np.random.default_rng(1), 1000))
runs = run_ensemble(
    model,
    {"default": Scenario("default", "Default")},
    (priors.labels, values),
    outputs=["Recovered"],
)
final = runs["Recovered"].isel(scenario=0, time=-1)
print("ever infected:", np.percentile(final, [10, 50, 90]).round(), final.attrs["units"])

# %% [markdown]
# ## Fit to two columns
#
# A series that was measured in one way needs no study: each value has the same spread, here a
# tenth. `Infected` was "measured" with the constants 2.4 and 0.9. What comes out is what a study
# gives too: every estimate beside its prior.

# %%
times = np.arange(6.0, 14.0)
truth = model.simulate({"Contact Rate": 2.4, "Duration": 0.9}, outputs=["Infected"])
error = np.exp(0.1 * np.random.default_rng(2).standard_normal(len(times)))
measured = (truth["Infected"].sel(time=times) * error).to_series()
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "infected.csv"
    measured.to_csv(path, header=["Infected"])
    series = read_series(path, model, sd=0.1)
print(*series.assumed, sep="\n")
likelihood = make_likelihood(model, priors, series.observations, series.noise)
fit = calibrate(likelihood, rng=np.random.default_rng(3), starts=16, refine=2)
print(fit.table()[["prior_median", "p10", "median", "p90", "verdict"]].round(2))
print(fit.fit_table()[["start", "published", "fitted", "z"]].round(2))

# %% [markdown]
# Which of the two is known better, and what only together? A pair that is strongly confounded is
# named; the directions say which product of powers the series fixes.

# %%
print(confounded(fit))
known = spectrum(fit)
for k in range(2):
    print(f"{known.eigenvalues[k]:10.1f}  {known.words(k)}")

# %% [markdown]
# Published figures of several sources, with scopes that differ and drift, are what a study is for:
# `beltcast init mybelt --from blank` makes the files, and `model.mdl` in it is yours to replace.
