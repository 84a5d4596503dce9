"""Which constants of a study's model play a part that general code must know."""

from __future__ import annotations

__all__ = ["SWITCHES"]

SWITCHES = ("SW Government", "SW Market", "SW Platform")
"""Constants that are 1 where a driver acts and 0 where it does not."""
