"""Ensembles beyond memory and machine: plans, blocks, stores."""
