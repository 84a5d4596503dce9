"""Graphical functions of XMILE: points from text."""

from __future__ import annotations

import itertools
import math
import re
import sys
from typing import Literal

import numpy as np

from beltcast.engine.syntax import Table
from beltcast.engine.xmile.document import Element

_KINDS: dict[str, Literal["interpolate", "extrapolate", "hold"]] = {
    "continuous": "interpolate",
    "extrapolate": "extrapolate",
    "discrete": "hold",
}


def graph_of(element: Element) -> Table:
    """Return the points of a ``<gf>``.

    The inputs are written out (``<xpts>``) or distributed evenly between the ends of ``<xscale>``.

    Raises
    ------
    ModelFileError
        Points are missing, are not numbers, or do not pair up.
    """
    values = _points(element, "ypts")
    if values is None:
        raise element.place.error("a graphical function has no <ypts>; give its points")
    inputs = _points(element, "xpts")
    if inputs is None:
        scale = element.first("xscale")
        if scale is None:
            raise element.place.error(
                "a graphical function has neither <xpts> nor <xscale>; give one of them"
            )
        low, high = number_attribute(scale, "min"), number_attribute(scale, "max")
        inputs = np.linspace(low, high, len(values)).tolist()
    if len(inputs) != len(values):
        raise element.place.error(
            f"a graphical function has {len(inputs)} <xpts> and {len(values)} <ypts>; give as many "
            "of each"
        )
    pairs = sorted(set(zip(inputs, values, strict=True)))  # a point written twice adds nothing
    if any(b[0] <= a[0] for a, b in itertools.pairwise(pairs)):
        raise element.place.error(
            "two points of a graphical function have the same input; move one of them"
        )
    return Table(tuple(x for x, _ in pairs), tuple(y for _, y in pairs), _kind(element))


def _kind(element: Element) -> Literal["interpolate", "extrapolate", "hold"]:
    written = element.attributes.get("type", "").strip().lower()
    if not written:  # the form of files before the standard
        old = element.attributes.get("discrete", "").strip().lower()
        written = "discrete" if old == "true" else "continuous"
    if written not in _KINDS:
        raise element.place.refusal(
            f"a graphical function of type '{written}' is not supported; use continuous, "
            "extrapolate or discrete"
        )
    return _KINDS[written]


def _points(element: Element, tag: str) -> list[float] | None:
    """Numbers of a list, or None if there is none."""
    child = element.first(tag)
    if child is None:
        return None
    separator = child.attributes.get("sep", ",")
    pieces = child.text.split(separator) if separator.strip() else child.text.split()
    texts = [p.strip() for p in pieces]
    if texts and not texts[-1]:
        texts.pop()
    points = [_number(t) for t in texts]
    if not points or any(math.isnan(p) for p in points):
        raise child.place.error(
            f"<{tag}> is a list of numbers separated by '{separator}', and this one is not; write "
            "it so"
        )
    return points


OPEN_END = sys.float_info.max
"""What stands, with its sign, for no limit where a file must give both."""


def number_attribute(element: Element, attribute: str) -> float:
    """Return the number in an attribute.

    Raises
    ------
    ModelFileError
        It is missing, or not a number.
    """
    text = element.required(attribute)
    value = _number(text)
    if math.isnan(value):
        raise element.place.error(
            f"'{attribute}' of <{element.tag}> is '{text[:80]}', and must be a number"
        )
    return value


def _number(text: str) -> float:
    """A finite number as XMILE writes it, NaN for anything else."""
    if not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text) or len(text) > 100:
        return math.nan
    value = float(text)
    return value if math.isfinite(value) else math.nan
