"""Ensembles beyond memory and one machine: plans, blocks, stores."""
