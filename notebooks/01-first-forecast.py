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
# # A first forecast
#
# From published observations to a forecast of the belts, one step per cell. Each step takes
# finished values and returns a finished value, so you can rerun a cell with other arguments.

# %%
import beltcast
from beltcast.pictures.plots import fan_chart

# %% [markdown]
# ## The study
#
# A study is a model, published observations, priors, scenarios and a description of the
# observation errors. This is the shipped study; give `read_study` the path of another.

# %%
study = beltcast.read_study()
model = study.model
print(model.subscripts["Belt"])
table = study.observations.table()
print(table.groupby(["place", "kind"]).size().unstack(fill_value=0))

# %% [markdown]
# Run the model with the constants of its file. Names and units are those of the file.

# %%
run = model.simulate(outputs=["output", "national output"])
national = run["national output"]
print(national.sel(time=[2018.0, 2024.0, 2030.0]).values, national.attrs["units"])

# %% [markdown]
# ## Fit
#
# Many starts run as one ensemble; the best are refined with exact derivatives. The table compares
# each estimate with its prior: a ratio near 1 means that the observations do not inform it.

# %%
streams = beltcast.Streams(1)
fit = beltcast.calibrate(study, rng=streams.fit, starts=16, refine=2)
estimates = fit.table()
print(fit.agreeing, "of", len(fit.refined), "refined starts agree")
print(estimates.sort_values("sd_ratio")[["prior_median", "median", "sd_ratio"]].head(10))
print(estimates["verdict"].value_counts())

# %% [markdown]
# Which observations have the largest residuals? `z` is in standard deviations.

# %%
rows = fit.fit_table()
numbers = rows[~rows["kind"].isin(["lower", "upper"])]
worst = numbers.loc[numbers["z"].abs().sort_values(ascending=False).index]
print(worst[["line", "place", "quantity", "kind", "start", "published", "fitted", "z"]].head(8))

# %% [markdown]
# ## Forecast
#
# Run the same draws of the posterior in all scenarios. Two hundred are enough for a first look.

# %%
forecast = beltcast.forecast(study, fit, rng=streams, draws=200)
fan = forecast["published_quantile"].sel(scenario="baseline", place="China")
print(fan.sel(year=[2025, 2030, 2035], quantile=[0.1, 0.5, 0.9]).to_pandas().round(0))

# %%
fan_chart(forecast, "China", compare="tariff-shock").figure

# %% [markdown]
# ## What if
#
# The ratio to the baseline, draw by draw, beside the probability under the priors alone.

# %%
at = {"place": "China", "year": 2035}
change = forecast["change_quantile"].sel(at).sel(quantile=[0.1, 0.5, 0.9]).to_pandas()
change["chance of more"] = forecast["chance_of_more"].sel(at).to_pandas()
change["prior chance"] = forecast["prior_chance_of_more"].sel(at).to_pandas()
print(change.round(2))
