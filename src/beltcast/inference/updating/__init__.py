"""Revise kept draws when new observations arrive."""
