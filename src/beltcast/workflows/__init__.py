"""Procedures of several steps, the same for Python and the command line."""
