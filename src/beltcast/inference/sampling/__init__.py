"""Draws from the posterior, and their diagnostics."""
