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
# # Reading a calibration
#
# A fit gives numbers for everything, whether the figures know it or not. This notebook goes through
# the tables and pictures that tell the two apart; each comes with a sentence on how to read it.

# %%
import numpy as np

import beltcast
from beltcast.inference.audit import identify
from beltcast.pictures.plots import contraction_chart, profile_chart, starts_chart

study = beltcast.read_study()
likelihood = beltcast.make_likelihood(study.model, study.priors, study.observations, study.noise)
fit = beltcast.calibrate(likelihood, rng=np.random.default_rng(1), starts=16, refine=4)

# %% [markdown]
# ## Did it arrive?
#
# Grey: what the starts cost; blue: what the refined ones reached. **Read it so:** a flat floor of
# blue points is one optimum found again and again; a staircase is many optima, or too few starts.

# %%
print(fit.agreeing, "of", len(fit.refined), "refined starts reached the best optimum")
starts_chart(fit).figure

# %% [markdown]
# ## What did the figures narrow?
#
# One bar a parameter: the spread of its posterior over that of its prior. **Read it so:** right of
# the dotted line the estimate is its prior, whatever its value; only short bars are findings.

# %%
contraction_chart(fit).figure

# %%
table = fit.table()
print(table["verdict"].value_counts().to_string())
print(table.sort_values("spread_ratio")[["role", "prior_median", "median", "spread_ratio"]].head(8))

# %% [markdown]
# At the bound of its prior an estimate says that the model wants to go where it was not believed to
# be: look at the prior, or at the model.

# %%
print("At a bound:", *(fit.at_bound or ["none"]))

# %% [markdown]
# ## How many things do the figures know?
#
# The information of the figures has directions in the space of the parameters, measured in prior
# spreads. **Read it so:** an eigenvalue above 1 is a direction that the figures know better than
# the priors do; its words are a product of powers that is known, not its single parameters.

# %%
known = identify.spectrum(fit)
print(f"{known.informed} of {len(known.eigenvalues)} directions are informed")
for k in range(4):
    print(f"{known.eigenvalues[k]:10.1f}  {known.words(k)}")

# %% [markdown]
# ## What is known only together?
#
# **Read it so:** of such a pair the figures know a combination. A table that gives each of the two
# an estimate without saying so misleads.

# %%
print(identify.confounded(fit).head(6))

# %% [markdown]
# ## Which prior pulls at the answer?
#
# The nation's output of 2030 in posterior spreads, if one prior is trusted twice as much. **Read it
# so:** a large number on a prior of mere judgement is where to look for evidence first.

# %%
rows = study.model.rows("output")
pull = identify.prior_pull(fit, identify.answer_gradient(fit, rows, 2031.0))
print(pull.head(6).round(2).to_string())

# %% [markdown]
# ## How far could one parameter go?
#
# The profile: for each value of one parameter all others are fitted anew. **Read it so:** the solid
# line, without the parameter's own prior, crosses the red one where a 95 % interval of the figures
# ends; a line that never crosses is a parameter about which the figures say nothing.

# %%
shared = table[table["role"] != "belt"].sort_values("spread_ratio")
(profile,) = identify.profiles(fit, [shared.index[0]])
print(profile.label, "from {:.3g} to {:.3g}".format(*profile.interval()), profile.unit)
profile_chart(profile).figure

# %% [markdown]
# ## Which figures does it miss?
#
# `z` counts standard deviations of a figure's own noise. **Read it so:** of a hundred figures five
# may lie beyond 2; more of them, or one beyond 4, is a row to look up again or a noise judged too
# small.

# %%
figures = fit.fit_table()
figures = figures[~figures["kind"].isin(["lower", "upper"])]
print((figures["z"].abs() > 2).sum(), "of", len(figures), "beyond 2")
order = figures["z"].abs().sort_values(ascending=False).index
print(figures.loc[order, ["line", "place", "quantity", "published", "fitted", "z"]].head(5))
