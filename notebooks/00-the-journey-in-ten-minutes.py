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
# From published observations to "what if" in six steps, with the shipped study. Each cell uses the
# result of the one before; the other notebooks take the same steps slowly. Starts and draws are
# few, to be quick; `beltcast forecast` uses more of both.

# %%
import beltcast
from beltcast.forecasting.summary import as_text, summarise
from beltcast.pictures.plots import fan_chart

# %% [markdown]
# **1. The study.** A study is a model, published observations, priors, scenarios and a description
# of the observation errors.

# %%
study = beltcast.read_study()
print(study.title)
print(len(study.observations), "observations;", len(study.priors), "priors;", *study.scenarios)

# %% [markdown]
# **2. The model alone.** The model runs with the constants of its file and returns its own names
# and units.

# %%
run = study.model.simulate(outputs=["national output"])["national output"]
print(run.sel(time=[2015.0, 2020.0, 2025.0, 2030.0]).values.round(), run.attrs["units"])

# %% [markdown]
# **3. Fit.** The table compares each estimate with its prior. Most verdicts are "mostly prior":
# the model has more parameters than the observations can distinguish.

# %%
streams = beltcast.Streams(1)
fit = beltcast.calibrate(study, rng=streams.fit, starts=8, refine=2)
print(fit.table()["verdict"].value_counts().to_string())

# %% [markdown]
# **4. Forecast.** Run draws of the posterior through every scenario. `ratio` is the width of a
# band divided by its width under the priors alone: near 1, the observations do not inform it.

# %%
forecast = beltcast.forecast(study, fit, rng=streams, draws=60, moves=8)
print(as_text(summarise(forecast, fit)))

# %% [markdown]
# **5. Plot.** Dark to light: 50, 80 and 90 % of the draws; grey: the priors alone; points:
# published observations, converted to the model's scope. Where grey and colour coincide, no
# observation informs the forecast.

# %%
fan_chart(forecast, "China", compare="tariff-shock").figure

# %% [markdown]
# **6. Your own study.** `beltcast init mybelt` makes a folder with a study that runs at once;
# notebook 05 shows how to use your own model.
