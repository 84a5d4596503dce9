"""Names of dimensions and coordinates, said once.

========== ==================================================================================
dimension  meaning
========== ==================================================================================
time       instant, the model's own time (a stock is known at instants)
year       calendar year: the value is the total of a flow from ``year`` to ``year + 1``
scenario   name of a scenario (see ``models/belt/scenarios.toml``)
member     realization: one draw of the parameters, the same in all scenarios
place      a belt, or a sum of belts such as China
quantile   probability of a quantile
parameter  label of an estimated parameter, ``Name`` or ``Name[Element]``
row        one published number
case       one published number forecast from one origin
forecaster name of what made a forecast: the model, a variant of it, a baseline
draw       one draw of a chain, or of a forecaster (not the same member in two of them)
chain      a Markov chain, or a group of them (see `beltcast.inference.chains`)
set        one synthetic data set
========== ==================================================================================

Subscript ranges of the model (Belt, Tier, ...) are dimensions under their own names.
"""

from __future__ import annotations

TIME = "time"
YEAR = "year"
SCENARIO = "scenario"
MEMBER = "member"
PLACE = "place"
QUANTILE = "quantile"
PARAMETER = "parameter"
ROW = "row"
CASE = "case"
FORECASTER = "forecaster"
DRAW = "draw"
CHAIN = "chain"
SET = "set"

QUANTILES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
"""Quantiles that are stored with a forecast; 0.10 to 0.90 is the 80% band."""

TOTAL = "total"
"""What the sum of all places is called where the study has no name for it."""
