"""From figures to parameters: priors, noise, likelihood, optimum, draws, what is identified."""
