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
# # The journey in ten minutes
#
# From published figures to "what if" in six cells, with the shipped study. Each cell takes what the
# one before gave; the other notebooks take the same steps slowly. Few starts and few draws, so that
# it is quick: `beltcast forecast` takes more of both.

# %%
import numpy as np

import beltcast
from beltcast.forecasting.summary import as_text, summarise
from beltcast.pictures.plots import fan_chart

# %% [markdown]
# **1. What there is.** A study is a model, published figures, priors, scenarios and a description
# of how noisy figures are.

# %%
study = beltcast.read_study()
print(study.title)
print(len(study.observations), "figures;", len(study.priors), "priors;", *study.scenarios)

# %% [markdown]
# **2. The model alone.** It runs as it stands, under its own names and with its units.

# %%
run = study.model.simulate(outputs=["national output"])["national output"]
print(run.sel(time=[2015.0, 2020.0, 2025.0, 2030.0]).values.round(), run.attrs["units"])

# %% [markdown]
# **3. Fit.** Every estimate stands beside its prior. Most verdicts say "mostly prior": there are
# more parameters than figures that could tell them apart. That is said, not hidden.

# %%
likelihood = beltcast.make_likelihood(study.model, study.priors, study.observations, study.noise)
rng = np.random.default_rng(1)
fit = beltcast.calibrate(likelihood, rng=rng, starts=8, refine=2)
print(fit.table()["verdict"].value_counts().to_string())

# %% [markdown]
# **4. Forecast.** Draws of the posterior through every scenario. `ratio` is the width of a band
# beside the one that the priors alone give: near 1, the figures have said nothing.

# %%
forecast = beltcast.forecast(study, fit, rng=rng, draws=60, moves=8)
print(as_text(summarise(forecast, fit)))

# %% [markdown]
# **5. Look.** Dark to light: 50, 80 and 90 % of the draws; grey: the priors alone; points:
# published figures, brought to the model's scope. Where grey and colour coincide, no figure has
# spoken.

# %%
fan_chart(forecast, "China", compare="de-minimis-ends").figure

# %% [markdown]
# **6. Your turn.** `beltcast init mybelt` makes a folder with a study of your own that runs at
# once; notebook 05 brings a model of your own.
