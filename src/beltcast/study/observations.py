"""Observations: published numbers with their scope, release and source.

A row holds the number (quantity, kind, value, unit), its place and period, its statistical scope
(definition), its release (vintage), its reliability (grade), and when and where it was
published.  Nothing is smoothed, filled or annualised: `observe` computes the number that the model
would have published for each row, and the likelihood compares the two.

Kinds:

===========  ==================================================================
kind         the number is
===========  ==================================================================
level        the total over a whole number of years, or a stock at an instant
part-year    the total over any other period
growth       the change on the same period one year earlier, as the ratio 1 + g
share        the part of the sum over all places, same quantity and period
over         "over 120,000": a level or part-year just above a round number, by some percent
             (``noise.exceeds``); a number with an error on one side, not a bound without ceiling
lower        a lower bound on what a level or part-year would be, such as a part of the place
upper        an upper bound
===========  ==================================================================

A flow (a unit per time) has a total over a period.  Every other quantity is observed at an
instant, start = end; a dimensionless quantity may also be averaged over a period.

Start, end and publication are years with decimals or dates.  The optional column ``period`` gives
start and end in one, ``2024H1`` or ``2024年1-6月`` (`beltcast.study.periods`).

The optional column ``digits`` gives the number of known digits: a level of 1.7 with two digits is
any number from 1.65 to 1.75, and a lower bound of 2 with one digit ("more than 2") any number from
2 to 3.

The optional column ``reading`` states another quantity of a run: the ``value`` of the variable at
the end, even of a flow; its ``total`` over the period; or its ``increase``.  Such rows may be 0 or
negative, and several may have one time.  ``rounded`` states what values are multiples of.

`beltcast.study.observations_file` reads them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from beltcast.study.contrasts import Contrasts

ObservationKind: TypeAlias = Literal[
    "level", "part-year", "growth", "share", "over", "lower", "upper"
]
Reading: TypeAlias = Literal["", "value", "total", "increase"]
Vintage: TypeAlias = Literal["final", "revised", "preliminary", "only"]
Grade: TypeAlias = Literal["A", "B", "C"]

EXAMPLE = "EXAMPLE"
"""Prefix of the source of an invented row of a template."""

# Months are written as k/12 with four decimals.
TIME_TOLERANCE = 1e-3
_REPEATS = "repeats the period of"


@dataclass(frozen=True)
class Observation:
    """One published number.

    Parameters
    ----------
    line : int
        Of the file, counted from 1.
    place : str
    elements : tuple of str
        Elements that the place sums over; empty for a quantity without dimensions.
    quantity : str
        The variable, as the model spells it.
    kind : str
    start, end : float  [Year]
    value : float  [unit of the model; 1 for growth and share]
        A total has the variable's unit times Year; growth is the ratio 1 + g.
    unit : str
        As published.
    definition, vintage, grade : str
    published : float  [Year]
    source, url, quote, note : str
    within : (float, float), optional  [as value]
        Bounds of the unrounded number; None if the number is exact as printed.
    reading : str
        Quantity of a run: the ``value`` of the variable at `end`, its ``total`` (integral)
        from `start` to `end`, or its ``increase`` between them.  Empty: the total of a flow, and of
        other variables the value, or over a period the mean.
    """

    line: int
    place: str
    elements: tuple[str, ...]
    quantity: str
    kind: ObservationKind
    start: float
    end: float
    value: float
    unit: str
    definition: str
    vintage: Vintage
    grade: Grade
    published: float
    source: str
    url: str = ""
    quote: str = ""
    note: str = ""
    within: tuple[float, float] | None = None
    reading: Reading = ""


@dataclass(frozen=True)
class Observations:
    """Rows of a table, in the order of the file.

    ``sha256`` is the hash of the file's bytes; a selection of rows keeps it.  ``encoding`` is that
    of the file, ``utf-8``, ``utf-16`` or ``gb18030``; `assumed` holds sentences on how it was read.
    ``contrasts`` are the published differences between two runs that a study names beside them.
    """

    rows: tuple[Observation, ...]
    path: Path
    sha256: str
    encoding: str = "utf-8"
    assumed: tuple[str, ...] = ()
    contrasts: Contrasts | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Observation]:
        return iter(self.rows)

    def table(self) -> pd.DataFrame:
        """Return the rows as a table with one column per field; elements are joined by ``;``."""
        names = [field.name for field in dataclasses.fields(Observation)]
        # Not dataclasses.asdict, which would copy every row in depth.
        data = {name: [getattr(row, name) for row in self.rows] for name in names}
        data["elements"] = [";".join(row.elements) for row in self.rows]
        return pd.DataFrame(data, columns=names)

    def published_by(self, date: float) -> Observations:
        """Keep the rows, and the contrasts, that were published at a date or before.

        Parameters
        ----------
        date : float  [Year]
        """
        known = self.select([row.published <= date for row in self.rows])
        contrasts = self.contrasts and self.contrasts.published_by(date)
        return dataclasses.replace(known, contrasts=contrasts)

    def examples(self) -> Observations:
        """Keep the invented rows of a template, whose source begins with EXAMPLE."""
        return self.select([row.source.startswith(EXAMPLE) for row in self.rows])

    def select(self, mask: ArrayLike) -> Observations:
        """Keep the rows where a mask is true.

        Parameters
        ----------
        mask : (rows,) bool

        Raises
        ------
        ValueError
            The mask does not hold one boolean per row.
        """
        keep = np.asarray(mask)
        if keep.size == 0 and not self.rows:
            return self
        if keep.dtype != bool or keep.shape != (len(self),):
            expected = f"expected booleans of shape {(len(self),)}"
            raise ValueError(f"mask has shape {keep.shape} of {keep.dtype}, {expected}")
        rows = tuple(row for row, kept in zip(self.rows, keep, strict=True) if kept)
        return dataclasses.replace(self, rows=rows)


def repeated(new: Observations, known: Observations) -> tuple[tuple[Observation, Observation], ...]:
    """Pair new rows with known ones of the same scope and period.

    Returns
    -------
    tuple of (Observation, Observation)
        A new row and the known one, in the order of the new.
    """
    by_scope: dict[tuple[str, ...], list[Observation]] = {}
    for row in known:
        by_scope.setdefault(scope(row), []).append(row)
    return tuple(
        (row, old)
        for row in new
        for old in by_scope.get(scope(row), ())
        if clash(row, old) == _REPEATS
    )


def scope(row: Observation) -> tuple[str, ...]:
    """Return the scope within which two rows must have different periods."""
    return (row.place, row.quantity, row.kind, row.definition, row.vintage)


def clash(one: Observation, other: Observation) -> str:
    """Return how two rows of one scope exclude each other; empty if they do not."""
    first, last = one.start - other.start, one.end - other.end
    if abs(first) <= TIME_TOLERANCE and abs(last) <= TIME_TOLERANCE:
        return _REPEATS
    overlap = min(one.end, other.end) - max(one.start, other.start)
    crossing = first * last > 0 and min(abs(first), abs(last)) > TIME_TOLERANCE
    if one.kind == "level" and overlap > TIME_TOLERANCE and crossing:
        return "overlaps with the period of"
    return ""
