"""New observations: read like all others, and checked against those that the study has.

A row that repeats the scope and period of a known one (place, quantity, kind, definition, vintage)
with the same value is left out and reported.  With another value it is refused; a later release is
a row of the vintage 'revised' or 'final'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from beltcast.errors import TableError
from beltcast.study.observations import Observation, Observations, repeated
from beltcast.study.observations_file import read_observations
from beltcast.study.study import Study

SAME_VALUE = 1e-6
"""Relative difference up to which two values are one number, converted twice."""


@dataclass(frozen=True, eq=False)
class NewRows:
    """New rows of a file, and repeated ones, each with the known row that it repeats."""

    rows: Observations
    known: tuple[tuple[Observation, Observation], ...] = ()

    def known_words(self) -> str:
        """Return one line for each row that was left out; empty if none was."""
        return "\n".join(
            f"Line {row.line} repeats line {old.line} of the study's observations and is left out."
            for row, old in self.known
        )


def read_new_rows(path: str | Path, study: Study) -> NewRows:
    """Read new published numbers for a study.

    Parameters
    ----------
    path : str or Path
        A CSV file with the columns of the study's observations.
    study : Study

    Raises
    ------
    TableError, UnitError
        With file and line: as for `beltcast.read_observations`; a definition that the study does
        not have; a row that contradicts a known one; no row is new.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.study.new_rows import read_new_rows
    >>> from beltcast.verification.origin import as_known
    >>> study = as_known(read_study(), 2025.5)
    >>> new = read_new_rows(shipped("calibration/data/half-year-2025.csv"), study)
    >>> [row.quantity for row in new.rows]
    ['national trade', 'national trade', 'output', 'output']
    """
    read = read_observations(path, study.model, study.places, usd_cny=study.usd_cny)
    study.noise.check(read)
    known = repeated(read, study.observations)
    for row, old in known:
        if abs(row.value / old.value - 1.0) > SAME_VALUE:
            raise TableError(
                f"the row gives {row.value:g} where line {old.line} of {study.observations.path} "
                f"has {old.value:g} for the same scope and period; correct one of them, or call a "
                "later release 'revised' or 'final'",
                read.path,
                row.line,
            )
    lines = {row.line for row, _ in known}
    rows = tuple(row for row in read if row.line not in lines)
    if not rows:
        raise TableError("every row is known to the study already; give new ones", read.path)
    return NewRows(replace(read, rows=rows), known)
