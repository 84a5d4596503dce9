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
# A fit returns a number for every parameter, whether the observations inform it or not. This
# notebook shows the tables and charts that tell the two apart, each with a sentence on how to read
# it.

# %%
import beltcast
from beltcast.inference.audit import identify
from beltcast.inference.audit.profiles import profiles
from beltcast.pictures.plots import profile_chart, sd_ratio_chart, starts_chart

study = beltcast.read_study()
fit = beltcast.calibrate(study, rng=beltcast.Streams(1).fit, starts=16, refine=4)

# %% [markdown]
# ## Did it converge?
#
# Grey: the cost of each start; blue: the cost after refinement. **How to read it:** blue points at
# one level are one optimum found repeatedly; a staircase is several optima, or too few starts.

# %%
print(fit.agreeing, "of", len(fit.refined), "refined starts reached the best optimum")
starts_chart(fit).figure

# %% [markdown]
# ## What did the observations inform?
#
# One bar per parameter: its posterior standard deviation divided by that of its prior. **How to
# read it:** right of the dotted line the estimate is mostly its prior; only short bars are
# findings.

# %%
sd_ratio_chart(fit).figure

# %%
table = fit.table()
print(table["verdict"].value_counts().to_string())
print(table.sort_values("sd_ratio")[["role", "prior_median", "median", "sd_ratio"]].head(8))

# %% [markdown]
# An estimate at a bound of its prior means that the data and the prior disagree: check the prior,
# or the model.

# %%
print("At a bound:", *(fit.at_bound or ["none"]))

# %% [markdown]
# ## How many directions do the observations determine?
#
# The information of the observations has directions in the space of the parameters, in units of
# prior standard deviations. **How to read it:** an eigenvalue above 1 is a direction that the
# observations determine better than the priors do. They determine the product of powers that is
# printed, not its single parameters.

# %%
known = identify.spectrum(fit)
print(f"{known.informed} of {len(known.eigenvalues)} directions are informed")
for k in range(4):
    print(f"{known.eigenvalues[k]:10.1f}  {known.words(k)}")

# %% [markdown]
# ## Which parameters are confounded?
#
# **How to read it:** the observations determine only a combination of such a pair. A table with an
# estimate of each one, and no word about the other, misleads.

# %%
print(identify.confounded(fit).head(6))

# %% [markdown]
# ## Which prior moves the answer?
#
# The change of national output in 2030, in posterior standard deviations, if one prior gets twice
# the weight. **How to read it:** look for evidence first where a prior based on judgement has a
# large number.

# %%
rows = study.model.rows("output")
pull = identify.prior_pull(fit, identify.answer_gradient(fit, rows, 2031.0))
print(pull.head(6).round(2).to_string())

# %% [markdown]
# ## What is the interval of one parameter?
#
# The profile refits all other parameters at each value of one. **How to read it:** the solid line,
# without the parameter's own prior, crosses the red one at the ends of a 95 % interval from the
# observations; a line that never crosses is a parameter that they do not inform.

# %%
shared = table[table["role"] != "belt"].sort_values("sd_ratio")
(profile,) = profiles(fit, [shared.index[0]])
print(profile.label, "from {:.3g} to {:.3g}".format(*profile.interval()), profile.unit)
profile_chart(profile).figure

# %% [markdown]
# ## Which observations have large residuals?
#
# `z` is in standard deviations of the observation's own error. **How to read it:** about 5 in 100
# lie beyond 2. If there are more, or one beyond 4, check the row, or whether the error is set too
# small.

# %%
rows = fit.fit_table()
rows = rows[~rows["kind"].isin(["lower", "upper"])]
print((rows["z"].abs() > 2).sum(), "of", len(rows), "beyond 2")
order = rows["z"].abs().sort_values(ascending=False).index
print(rows.loc[order, ["line", "place", "quantity", "published", "fitted", "z"]].head(5))
