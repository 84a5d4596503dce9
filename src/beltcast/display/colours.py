"""Colours of all charts: the colour-blind safe palette of Okabe and Ito (2008)."""

from __future__ import annotations

POSTERIOR = "#0072B2"
PRIOR = "#999999"
OTHER = "#D55E00"
"""Colour of a second scenario, or of a limit."""
POINT = "#000000"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Colours of categories, in this order."""
