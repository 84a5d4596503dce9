"""From observations to parameters: likelihood, optimum, draws, identifiability, updates."""
