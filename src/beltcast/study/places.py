"""Places, and the elements of the model that each is the sum of.

An observation is about a place: a city, a province, a country.  A table lists the elements of each
in its column ``belts``; every element of a subscript range is a place without being listed, and
``total`` is the sum of all elements of any range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from beltcast.engine.syntax import canonical
from beltcast.errors import (
    BeltcastError,
    TableError,
    did_you_mean,
    gathered,
    quoted,
)
from beltcast.files.text import read_text
from beltcast.files.workbook import sheet_path
from beltcast.model.labels import ModelLike
from beltcast.schema import TOTAL
from beltcast.study.tables import about, check_filled, located, records

_COLUMNS = ("place", "title", "title_zh", "belts", "note")


def read_places(
    path: str | Path, model: ModelLike, *, faults: list[BeltcastError] | None = None
) -> Mapping[str, tuple[str, ...]]:
    """Read the elements that each place sums over.

    Parameters
    ----------
    path : str or Path
        A CSV file, or a workbook with a sheet ``places``, with columns ``place`` and ``belts``
        (separated by ``;``), and optionally ``title``, ``title_zh`` and ``note``.
    model : ModelLike
    faults : list, optional
        Takes the error of each wrong row, which is then left out, instead of raising the first.

    Returns
    -------
    mapping
        Place to its elements, as the model spells them.

    Raises
    ------
    TableError
        With file and line: a wrong table, an unknown element, an element or place given twice,
        elements of different subscript ranges.

    Examples
    --------
    >>> from beltcast import load_model, read_places
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/belt/belt.mdl"))
    >>> read_places(shipped("calibration/data/places.csv"), model)["Zhejiang"]
    ('Hangzhou', 'Ningbo', 'Yiwu')
    """
    text = read_text(sheet_path(path, "places"), TableError)
    places: dict[str, tuple[str, ...]] = {}
    first: dict[str, int] = {}
    for line, cells in records(text, ("place", "belts"), _COLUMNS, faults):
        place = cells["place"]
        with gathered(faults):
            try:
                check_filled(cells, ("place", "belts"))
                if canonical(place) in first:
                    where = f"first in line {first[canonical(place)]}"
                    sentence = f"place {quoted(place)} is given twice, {where}; keep one of them"
                    with about("place"):
                        raise TableError(sentence)
                belts = [belt.strip() for belt in cells["belts"].split(";") if belt.strip()]
                with about("belts"):
                    places[place] = _elements_of(place, belts, model)
            except TableError as cell:
                raise located(cell, text, line) from None
            first[canonical(place)] = line
    return places


def read_titles(path: str | Path, column: str = "title") -> Mapping[str, str]:
    """Read the title of each place; its name where it has none.

    ``column`` may be ``title_zh``, for titles in Chinese.

    Raises
    ------
    TableError
        As for `read_places`.
    """
    text = read_text(sheet_path(path, "places"), TableError)
    rows = records(text, ("place", "belts"), _COLUMNS)
    return {cells["place"]: cells.get(column) or cells["place"] for _, cells in rows}


def all_places(
    model: ModelLike, places: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Map canonical names to (place as spelt, its elements).

    Elements of all ranges are places, and so is the whole, ``total``, of any range.
    """
    everything: dict[str, tuple[str, tuple[str, ...]]] = {canonical(TOTAL): (TOTAL, ())}
    everything |= {
        canonical(element): (element, (element,))
        for elements in model.subscripts.values()
        for element in elements
    }
    return everything | {canonical(place): (place, belts) for place, belts in places.items()}


def _elements_of(place: str, belts: Sequence[str], model: ModelLike) -> tuple[str, ...]:
    """Return elements as the model spells them, all of one subscript range."""
    spelling = {canonical(e): e for elements in model.subscripts.values() for e in elements}
    found: list[str] = []
    for belt in belts:
        if canonical(belt) not in spelling:
            known = did_you_mean(belt, spelling.values())
            raise TableError(f"unknown element {quoted(belt)} of place {quoted(place)}{known}")
        if spelling[canonical(belt)] in found:
            raise TableError(
                f"element {quoted(belt)} is twice in {quoted(place)}; keep one of them"
            )
        found.append(spelling[canonical(belt)])
    if not found:
        raise TableError(f"place {quoted(place)} has no elements; list them, separated by ';'")
    if not any(set(found) <= set(elements) for elements in model.subscripts.values()):
        sentence = f"the elements of {quoted(place)} are of different subscript ranges"
        raise TableError(f"{sentence}; keep to one range")
    if canonical(place) in spelling and found != [spelling[canonical(place)]]:
        sentence = f"place {quoted(place)} is an element of the model and can only mean itself"
        raise TableError(f"{sentence}; give the sum another name")
    return tuple(found)
