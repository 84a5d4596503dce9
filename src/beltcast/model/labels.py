"""Labels of variables in the files beside a model.

``Name`` is a variable and ``Name[Element]`` one element of it, whatever the case and the
underscores. `find_label` reads a label and `join_label` writes one.  `ModelLike` is the part of a
model that they need, so that priors, scenarios and observations can be read without a `Model`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from beltcast.engine.syntax import canonical, split_label
from beltcast.errors import UnknownName, did_you_mean, quoted


def find_label(label: str, model: ModelLike) -> tuple[VariableLike, tuple[str, ...]]:
    """Find the variable and element that ``Name`` or ``Name[Element]`` refers to.

    Parameters
    ----------
    label : str
        Case and underscores are ignored.
    model : ModelLike

    Returns
    -------
    variable : VariableLike
    elements : tuple of str
        As the model spells them; empty for the whole variable.

    Raises
    ------
    UnknownName
        The variable or the element does not exist.
    """
    name, bracket, rest = split_label(label)
    variable = model.find(name.strip())
    if not bracket:
        return variable, ()
    given = [element.strip() for element in rest.rstrip().removesuffix("]").split(",")]
    if not rest.rstrip().endswith("]") or len(given) != len(variable.dims):
        dims = ",".join(variable.dims)
        expected = f"{variable.name}[{dims}]" if dims else variable.name
        raise UnknownName(f"{quoted(label)} does not fit the model; write {quoted(expected)}")
    elements = []
    for element, dim in zip(given, variable.dims, strict=True):
        known = {canonical(other): other for other in model.subscripts[dim]}
        if canonical(element) not in known:
            meant = did_you_mean(element, known.values())
            raise UnknownName(f"{quoted(element)} is not an element of {quoted(dim)}{meant}")
        elements.append(known[canonical(element)])
    return variable, tuple(elements)


def join_label(name: str, elements: Sequence[str]) -> str:
    """Write ``Name`` or ``Name[Element]``.

    >>> join_label("Belt Size", ["Shenzhen"])
    'Belt Size[Shenzhen]'
    """
    return f"{name}[{','.join(elements)}]" if elements else name


class VariableLike(Protocol):
    """A variable of a model."""

    @property
    def name(self) -> str:
        """As the model file spells it."""

    @property
    def kind(self) -> str:
        """One of ``stock``, ``auxiliary``, ``constant``, ``input``, ``lookup``."""

    @property
    def dims(self) -> tuple[str, ...]:
        """Subscript ranges, in the order of the equation."""

    @property
    def unit(self) -> str:
        """Unit text of the model file."""


class ModelLike(Protocol):
    """The part of a model that files beside it refer to."""

    @property
    def variables(self) -> Mapping[str, VariableLike]:
        """Name in the model file to variable."""

    @property
    def subscripts(self) -> Mapping[str, tuple[str, ...]]:
        """Subscript range to its elements."""

    @property
    def path(self) -> Path | None:
        """File that the model was read from."""

    def find(self, name: str, /) -> VariableLike:
        """Find a variable, whatever the case and underscores, or raise `UnknownName`."""

    def value(self, label: str, /) -> float:
        """Return the default of a scalar constant, or of one element of a constant."""
