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
# # What drives the belt
#
# Three drivers are thought to have made the belts grow: government (pilot zones and the rules
# developed in them), the market (brands, quality, own sites) and platforms (traffic and
# thresholds). Each has a switch in the model: off freezes it at 2013. This notebook attributes the
# growth to them, asks whether they complement each other, and tests its own answer.

# %%
import beltcast
from beltcast.drivers.attribution.null_models import placebo, placebo_words
from beltcast.drivers.attribution.page import complement_words, summarise_attribution
from beltcast.drivers.attribution.plot import contribution_areas, waterfall
from beltcast.drivers.compare import comparison_table
from beltcast.drivers.sensitivity.page import summarise_sensitivity
from beltcast.drivers.sensitivity.plot import tornado_chart, weights_over_time
from beltcast.drivers.sensitivity.ranks import ranked
from beltcast.forecasting.summary import as_text

# %% [markdown]
# ## The fit
#
# Starts and draws are few, so that the notebook takes a minute; `beltcast attribute` uses more.

# %%
study = beltcast.read_study()
streams = beltcast.Streams(1)
fit = beltcast.calibrate(study, rng=streams.fit, starts=8, refine=1)
posterior = beltcast.approximate_posterior(fit, 150, rng=streams.posterior, moves=15)
prior = beltcast.sample_prior(study, 150, rng=streams.prior)

# %% [markdown]
# ## Shapley values
#
# For every draw the model runs with each of the eight sets of drivers. A driver's Shapley value is
# what it adds, averaged over all orders of the drivers. In logs, factors that multiply have no
# synergy, so logs come first and money second.

# %%
drivers = beltcast.attribute(study, posterior, prior=prior, since=2018)
print(as_text(summarise_attribution(drivers, year=2024)))

# %%
contribution_areas(drivers, "China").figure

# %%
waterfall(drivers, "Shenzhen", year=2024).figure

# %% [markdown]
# ## Do the drivers complement each other?
#
# Synergy is the joint gain minus the gains of each driver alone. The model multiplies and feeds
# back, so its structure favours synergy. The sentence compares the probability of a positive
# synergy with that under the priors alone, and states whether it comes from the data or from the
# structure.

# %%
print(complement_words(drivers))

# %% [markdown]
# `against_null` of `beltcast.drivers.attribution.null_models` goes further: it fits a null model,
# in which the drivers cannot interact, to the same early observations, and scores both on later
# ones. `beltcast attribute --tests` runs it in a few minutes.
#
# ## Placebo
#
# Would the fit be worse if the pilot zones had started at other dates? If not, the gain of support
# is no finding about zones.

# %%
options = {"shifts": (-2.0,), "starts": 8, "refine": 1}
dates = placebo(study, "Zone Year", "Support Gain", rng=streams.under("placebo"), **options)
print(placebo_words(dates))

# %% [markdown]
# ## Scenarios, draw by draw
#
# A member is the same draw in all scenarios, so differences are more certain than levels.

# %%
comparison = beltcast.compare(study, posterior, rng=streams)
print(as_text(comparison_table(comparison)))

# %% [markdown]
# ## What the answer depends on
#
# Change one constant at a time first, then compute shares of the variance for the five most
# influential.

# %%
options = beltcast.SensitivityOptions(method="tornado", levels=True)
tornado = beltcast.sensitivity(study, options, rng=streams).result
tornado_chart(tornado, when=2030).figure

# %%
options = beltcast.SensitivityOptions(parameters=tuple(ranked(tornado, 2030)[:5]), base=256)
shares = beltcast.sensitivity(study, options, rng=streams).result
print(as_text(summarise_sensitivity(shares, when=2030)))

# %%
weights_over_time(shares, when=2030).figure
