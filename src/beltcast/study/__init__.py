"""All that a user writes: model, observations, priors, noise and scenarios as one study."""
