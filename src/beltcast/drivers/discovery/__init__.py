"""Discover which inputs lead to outcomes of interest."""
