"""Forecasts and their summaries."""
