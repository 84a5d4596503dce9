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
# Three drivers are said to have made the belts grow: government (pilot zones and the rules learned
# in them), the market (brands, quality, own sites) and platforms (traffic and thresholds). Each has
# a switch in the model: off means frozen as it was in 2013. This notebook shares out the growth
# among them, asks whether they complement each other, and tries to prove itself wrong.

# %%
import numpy as np

import beltcast
from beltcast.drivers.attribution.null_models import placebo, placebo_words
from beltcast.drivers.attribution.page import complement_words, summarise_attribution
from beltcast.drivers.attribution.plot import contribution_areas, waterfall
from beltcast.drivers.compare import comparison_table
from beltcast.drivers.sensitivity.page import summarise_sensitivity
from beltcast.drivers.sensitivity.plot import tornado_chart, weights_over_time
from beltcast.drivers.sensitivity.sensitivity import ranked
from beltcast.forecasting.summary import as_text

# %% [markdown]
# ## The fit
#
# Few starts and draws, so that the notebook takes a minute; `beltcast attribute` takes more.

# %%
study = beltcast.read_study()
likelihood = beltcast.make_likelihood(study.model, study.priors, study.observations, study.noise)
for_fit, for_draws, for_prior, for_rest = np.random.default_rng(1).spawn(4)
fit = beltcast.calibrate(likelihood, rng=for_fit, starts=8, refine=1)
posterior = beltcast.approximate_posterior(fit, 150, rng=for_draws, moves=15)
prior = beltcast.sample_prior(likelihood, 150, rng=for_prior)

# %% [markdown]
# ## Shapley values
#
# For every draw the model runs with each of the eight sets of drivers. A driver's Shapley value is
# what it adds, averaged over all orders in which the drivers could have come. In logs, factors that
# multiply have no synergy, so logs come first; money comes second.

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
# Synergy is the joint gain less the gains of each driver alone. The model multiplies and feeds
# back, so it nearly builds synergy in: the sentence compares the chance of a positive synergy with
# what the priors alone give, and says who speaks, figures or structure.

# %%
print(complement_words(drivers))

# %% [markdown]
# `drivers.nulls.against_null` goes further: a twin of the model in which the drivers cannot
# interact is fitted to the same early figures, and both are scored on later ones. It takes a few
# minutes, `beltcast attribute --tests` runs it.
#
# ## Placebo
#
# Had the pilot zones come at other dates, would the fit be worse? If not, the gain of support is
# no finding about zones.

# %%
dates = placebo(study, rng=for_rest, shifts=(-2.0,), starts=8, refine=1)
print(placebo_words(dates))

# %% [markdown]
# ## Scenarios, draw by draw
#
# A member is the same draw in all scenarios, so differences are far surer than levels.

# %%
comparison = beltcast.compare(study, posterior, rng=for_rest)
print(as_text(comparison_table(comparison)))

# %% [markdown]
# ## What the answer hangs on
#
# One constant at a time first, then shares of the variance for the five heaviest. SALib makes the
# latter: `pip install 'beltcast[sensitivity]'`.

# %%
tornado = beltcast.sensitivity(
    study.model, study.priors, target="national output", method="tornado", rng=for_rest
)
tornado_chart(tornado, when=2030).figure

# %%
heaviest = study.priors.subset(ranked(tornado, 2030)[:5])
shares = beltcast.sensitivity(
    study.model, heaviest, target="national output", rng=for_rest, base=256, logs=True
)
print(as_text(summarise_sensitivity(shares, when=2030)))

# %%
weights_over_time(shares, when=2030).figure
