"""Dimensions of XMILE: their elements, and the dimensions of a variable."""

from __future__ import annotations

import re

from beltcast.engine.lower.limits import LARGEST_RANGE
from beltcast.engine.syntax import canonical
from beltcast.engine.xmile.document import Element
from beltcast.engine.xmile.expression import plain_name
from beltcast.engine.xmile.names import Names

MOST_DIMENSIONS = 1_000


def read_dimensions(root: Element) -> dict[str, tuple[str, ...]]:
    """Return the elements of each dimension, by its name as written.

    Raises
    ------
    ModelFileError
        A dimension without elements, with one twice, declared twice, or too large.
    UnsupportedConstruct
        A dimension and an element of one name.
    """
    found: dict[str, tuple[str, ...]] = {}
    spelled: dict[str, str] = {}
    for group in root.all("dimensions"):
        for dim in group.all("dim"):
            name = plain_name(dim.required("name"))
            if len(found) == MOST_DIMENSIONS:
                raise dim.place.error(
                    f"the model has more than {MOST_DIMENSIONS} dimensions; use fewer"
                )
            if canonical(name) in map(canonical, found):
                raise dim.place.error(f"the dimension '{name}' is declared twice; leave one")
            elements = [plain_name(e.required("name")) for e in dim.all("elem")]
            if not elements:
                elements = _counted(dim, name)
            # One spelling of an element in all dimensions: the engine compares elements as text.
            own = tuple(spelled.setdefault(canonical(e), e) for e in elements)
            if len(set(own)) < len(own):
                raise dim.place.error(f"an element of the dimension '{name}' is declared twice")
            found[name] = own
    for name in found:
        if canonical(name) in spelled:
            raise root.place.refusal(
                f"'{name}' names a dimension and an element, which is not supported; rename one"
            )
    return found


def _counted(dim: Element, name: str) -> list[str]:
    """Elements of a dimension given by its size only: numbers from 1."""
    size = dim.attributes.get("size", "").strip()
    if not re.fullmatch(r"[0-9]{1,18}", size) or int(size) < 1:
        raise dim.place.error(
            f"the dimension '{name}' has neither elements nor a size; give it one of them"
        )
    if int(size) > LARGEST_RANGE:
        raise dim.place.error(
            f"the dimension '{name}' has {size} elements, and at most {LARGEST_RANGE} are allowed"
        )
    return [str(i + 1) for i in range(int(size))]


def dimensions_of(element: Element, names: Names) -> tuple[str, ...]:
    """Return the dimensions of a variable, in the spelling of their declaration.

    Where one repeats, as in a square, the second is a copy of the first (`Names.copies`).

    Raises
    ------
    ModelFileError
        A dimension that is not declared.
    """
    dims: list[str] = []
    for group in element.all("dimensions"):
        for dim in group.all("dim"):
            name = plain_name(dim.required("name"))
            if canonical(name) not in names.dimensions:
                raise dim.place.error(
                    f"the dimension '{name}' is not declared; add it to <dimensions>"
                )
            dims.append(names.written(name))
    return tuple(names.copy(dim, dims[: i + 1].count(dim)) for i, dim in enumerate(dims))
