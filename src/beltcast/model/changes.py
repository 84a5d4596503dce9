"""A model with some equations changed, added or removed: a new `Source`, the old one untouched.

All changes of one call are read first and applied together, so that a model is never seen half
changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from beltcast.engine.parse_cache import dump_source
from beltcast.engine.syntax import CONTROLS, Equation, Ref, Source, canonical, show, split_label
from beltcast.errors import ModelError, UnknownName, did_you_mean

Change: TypeAlias = "str | float | Sequence[str] | None"
"""Right-hand side as Vensim text or a number; with unit and comment; or None to remove."""


@dataclass(frozen=True)
class _Asked:
    """One change, with the left-hand side written out."""

    name: str
    left: str
    right: str
    unit: str | None
    doc: str | None


def changed_source(source: Source, changes: Mapping[str, Change]) -> Source:
    """Return a model with changed equations.

    Parameters
    ----------
    source : Source
    changes : mapping
        Left-hand side, ``births`` or ``size[Shenzhen]``, to a `Change`.  A name alone stands for
        all elements of a variable that exists, and a new name becomes a new variable.  An element
        is removed from the equation that defined it before.  Unit and comment stay unless a
        change gives them.

    Raises
    ------
    UnknownName
        A variable to remove does not exist.
    ModelFileError, UnsupportedConstruct
        A text is not an equation, or uses something that the engine does not support.
    """
    known: dict[str, list[Equation]] = {}
    for equation in (*source.controls.values(), *source.equations):
        known.setdefault(canonical(equation.name), []).append(equation)
    removed = {canonical(name): name for name, change in changes.items() if change is None}
    for name, written in removed.items():
        if name not in known or name in CONTROLS:
            names = [group[0].name for group in known.values()]
            raise UnknownName(f"'{written}' cannot be removed{did_you_mean(written, names)}")
    asked = [_asked(left, change, known) for left, change in changes.items() if change is not None]
    new = _read(asked, source)
    groups = {name: list(group) for name, group in known.items() if name not in removed}
    for change, equation in new:
        own = groups.setdefault(canonical(change.name), [])
        before = own[0] if own else None
        full = replace(
            equation,
            name=before.name if before else change.name,
            unit=change.unit if change.unit is not None else (before.unit if before else ""),
            doc=change.doc if change.doc is not None else (before.doc if before else ""),
            limits=before.limits if before else (None, None),
        )
        groups[canonical(change.name)] = _placed(own, full, source)
    controls = {name: groups[name][0] for name in source.controls}
    equations = tuple(e for name, group in groups.items() if name not in controls for e in group)
    made = replace(source, equations=equations, controls=controls)
    return replace(made, text_sha256=source_fingerprint(made))


def source_fingerprint(source: Source) -> str:
    """SHA-256 of the content of a model that was not read from a file."""
    return hashlib.sha256(dump_source(replace(source, path=None, text_sha256=""))).hexdigest()


def _asked(left: str, change: Change, known: Mapping[str, list[Equation]]) -> _Asked:
    name, bracket, rest = split_label(left)
    name = name.strip()
    parts = change if isinstance(change, Sequence) and not isinstance(change, str) else (change,)
    right, unit, doc = (*parts, None, None)[:3]
    own = known.get(canonical(name), [])
    if not name.startswith('"'):
        name = show(Ref(name))
    written = f"{name}{bracket}{rest}"
    if not bracket and own and own[0].subscripts:
        shared = {e.subscripts for e in own}
        if len(shared) > 1:
            raise ModelError(
                f"'{name}' has {len(own)} equations with different subscripts; say which one to "
                f"change, as in {name}[{', '.join(own[0].subscripts)}]"
            )
        written = f"{name}[{', '.join(own[0].subscripts)}]"
    text = right if isinstance(right, str) else repr(float(right))
    return _Asked(own[0].name if own else name, written, text, unit, doc)


def _read(asked: Sequence[_Asked], source: Source) -> list[tuple[_Asked, Equation]]:
    if not asked:
        return []
    # Imported late: it brings PySD, which a model that only runs does not need.
    from beltcast.engine.vensim.equations import read_equations

    found = read_equations({one.left: one.right for one in asked}, source)
    pairs = []
    for one in asked:
        own = [e for e in found if canonical(e.name) == canonical(one.name)]
        inside = tuple(
            canonical(s) for s in split_label(one.left)[2].rstrip("] ").split(",") if s.strip()
        )
        pairs += [(one, e) for e in own if tuple(map(canonical, e.subscripts)) == inside]
    return pairs


def _placed(own: Sequence[Equation], new: Equation, source: Source) -> list[Equation]:
    """Put an equation among those of its variable, and take its elements out of the others."""
    ranges = {canonical(n): {canonical(e) for e in es} for n, es in source.subscripts.items()}

    def elements(subscript: str) -> set[str]:
        return ranges.get(canonical(subscript), {canonical(subscript)})

    if own and len(own[0].subscripts) != len(new.subscripts):
        return [new]
    kept = []
    for old in own:
        both = list(zip(map(elements, old.subscripts), map(elements, new.subscripts), strict=True))
        if all(a <= b for a, b in both):
            continue  # none of its elements is left
        if all(a & b for a, b in both):
            old = replace(old, except_=(*old.except_, new.subscripts))
        kept.append(old)
    return [*kept, new]
