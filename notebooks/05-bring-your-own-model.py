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
# You can use any Vensim model. This notebook takes the epidemic model of Kermack and McKendrick,
# which ships with the package: it checks the model, runs it once and a thousand times, and fits
# two of its constants to a table of two columns.

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
# Units, the error of the time step, negative stocks, extreme constants, feedback loops. A doubt is
# not a fault: judge yourself whether a contact rate of zero makes sense.

# %%
print(check_text(check_model(model)))

# %% [markdown]
# ## Run
#
# Give constants by name; the result is an xarray Dataset with the model's own names.

# %%
run = model.simulate({"Contact Rate": 3.0}, outputs=["Infected", "Recovered"])
print(run["Infected"].sel(time=[5.0, 10.0, 15.0]).values.round(1), run["Infected"].attrs["units"])

# %% [markdown]
# ## A thousand members
#
# A file holds the priors, as for any study. `draw` returns members on the working scale, and
# `natural` converts them to values.

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
# A series measured in one way throughout needs no study: each value has the same relative error,
# here a tenth. `Infected` was simulated with the constants 2.4 and 0.9. The result is that of a
# study: each estimate beside its prior.

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
# Which of the two do the data determine better, and which combination? Strongly confounded pairs
# are listed; the directions give the product of powers that the series determines.

# %%
print(confounded(fit))
known = spectrum(fit)
for k in range(2):
    print(f"{known.eigenvalues[k]:10.1f}  {known.words(k)}")

# %% [markdown]
# Use a study for observations of several sources whose scopes differ and drift: `beltcast init
# mybelt --from blank` writes the files; replace its `model.mdl` with your own.
