"""Verification: forecasts from earlier dates, baselines, scores, skill."""
