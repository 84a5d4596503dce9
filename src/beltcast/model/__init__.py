"""A model: its names, units and runs, and what can be checked in it."""
