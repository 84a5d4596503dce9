"""How numbers of any size are written: one form for summary, page and report."""

from __future__ import annotations

__all__ = ["digits"]


def digits(value: float, decimals: int = -1) -> str:
    """Write a number with separators; three digits, at least the whole ones, by default.

    Parameters
    ----------
    value : float
    decimals : int
        Negative for as many as three digits need.

    Examples
    --------
    >>> digits(5732.4), digits(32.58), digits(0.12345), digits(-1.39e-17)
    ('5,732', '32.6', '0.123', '0')
    """
    if decimals < 0:
        size = abs(value)
        if size < 1e-9:
            return "0"
        decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}"
