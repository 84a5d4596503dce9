"""Runs of many members, and statistics over them."""
