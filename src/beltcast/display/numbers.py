"""Forms of numbers and columns of text that summary, page and report share."""

from __future__ import annotations

from rich.cells import cell_len


def digits(value: float, decimals: int = -1) -> str:
    """Write a number with separators; by default with three digits and at least its whole part.

    Parameters
    ----------
    value : float
    decimals : int
        If negative, as many as three digits need.

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


def rounded(value: float, figures: int = 3) -> str:
    """Write a number to a few digits, in full: 160, not 1.6e+02, and a year as a year.

    Examples
    --------
    >>> rounded(159.7, 2), rounded(2018.6), rounded(105213.4), rounded(0.012345), rounded(-1e-17)
    ('160', '2019', '105,213', '0.0123', '0')
    """
    size = abs(value)
    if size < 1e-12:  # a rounding error of a subtraction
        return "0"
    if size >= 1000:
        return f"{value:,.0f}" if size >= 10_000 else f"{value:.0f}"
    return f"{float(f'{value:.{figures}g}'):.10g}"


def filled(text: str, width: int) -> str:
    """Fill a text with spaces to a width in columns: on the left if the width is below 0.

    A Chinese character takes two columns.

    Examples
    --------
    >>> filled("产出", 6) + "|", filled("1.5", -6)
    ('产出  |', '   1.5')
    """
    space = " " * (abs(width) - cell_len(text))
    return text + space if width > 0 else space + text
