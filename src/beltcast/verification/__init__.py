"""Does it forecast: earlier dates, baselines, scores, skill."""
