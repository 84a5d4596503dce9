"""A study: model, observations, priors, noise and scenarios, all that a user writes."""
