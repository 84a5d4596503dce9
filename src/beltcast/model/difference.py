"""Differences between two models: their text, and the results of a run.

Variables are paired by name, whatever the case and underscores, and equations are compared as
trees, so that blanks, line breaks and superfluous brackets are no difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np

from beltcast.engine.syntax import (
    Array,
    Call,
    Data,
    Equation,
    Expr,
    Number,
    Ref,
    Source,
    Table,
    Tables,
    canonical,
)
from beltcast.errors import SimulationError
from beltcast.model.model import Model
from beltcast.model.shown import ShownVariable, show_equation
from beltcast.schema import TIME


@dataclass(frozen=True)
class VariableDifference:
    """A variable that only one model has, or that differs between the two.

    Attributes
    ----------
    name : str
        As the second model spells it; as the first where the second lacks it.
    change : 'added', 'removed' or 'changed'
    parts : mapping of str to (str, str)
        What differs, before and after: ``equation``, ``unit``, ``comment``, ``kind``,
        ``subscripts``, ``limits``, and ``value [element]`` for constants.
    """

    name: str
    change: Literal["added", "removed", "changed"]
    parts: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class OutputDifference:
    """How far a variable moves between two runs.

    Attributes
    ----------
    label : str
        The element that differs most.
    time : float  [time]
        When that happens.
    before, after : float
    relative : float
        Largest difference as a share of the largest size of the variable in the first run;
        infinite where that is 0.
    """

    label: str
    time: float
    before: float
    after: float
    relative: float


@dataclass(frozen=True)
class ModelDifference:
    """All differences of two models.

    Attributes
    ----------
    first, second : str
        Names of the models.
    variables : tuple of VariableDifference
        In the order of the second model, then what it lacks.
    ranges : mapping of str to (str, str)
        Subscript ranges that differ, with their elements.
    outputs : tuple of OutputDifference
        Variables of both that differ in a run with each model's own constants, the largest first.
    same_outputs : int
        Number of variables that are bit for bit the same.
    note : str
        Why no outputs are compared, or which times are compared; empty otherwise.
    """

    first: str
    second: str
    variables: tuple[VariableDifference, ...]
    ranges: Mapping[str, tuple[str, str]]
    outputs: tuple[OutputDifference, ...]
    same_outputs: int
    note: str = ""

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.variables or self.ranges or self.outputs)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def _lines(self, most: int = 20) -> Iterator[str]:
        if not self:
            yield f"'{self.first}' and '{self.second}' do not differ"
        for one in self.variables:
            yield {"added": "+", "removed": "-", "changed": "~"}[one.change] + f" {one.name}"
            for part, (before, after) in one.parts.items():
                if one.change == "changed":
                    yield f"    {part}: {before or '(none)'}"
                    yield f"    {' ' * len(part)}  {after or '(none)'}"
                elif part in ("equation", "unit"):
                    yield f"    {part}: {(before if one.change == 'removed' else after) or '-'}"
        for name, (before, after) in self.ranges.items():
            yield f"~ range {name}: {before or '(none)'} -> {after or '(none)'}"
        if self.outputs:
            yield f"{len(self.outputs)} outputs differ, {self.same_outputs} do not:"
        for output in self.outputs[:most]:
            share = f"{100 * output.relative:.3g}%" if np.isfinite(output.relative) else "from 0"
            yield (
                f"    {share:>8s}  {output.label}: {output.before:.6g} -> {output.after:.6g} at "
                f"{output.time:g}"
            )
        if len(self.outputs) > most:
            yield f"    and {len(self.outputs) - most} more"
        if self.note:
            yield self.note


def diff(first: Model, second: Model) -> ModelDifference:
    """Compare two models.

    Returns
    -------
    ModelDifference
        It prints what was added (+), removed (-) and changed (~), and the outputs that differ.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.model.difference import diff
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> diff(model, model.with_equations({"Lifetime": 4.0})).variables[0].parts
    {'value': ('5', '4')}
    """
    outputs, same, note = _outputs(first, second)
    return ModelDifference(
        first=first.name,
        second=second.name,
        variables=tuple(_variables(first, second)),
        ranges=_ranges(first.source, second.source),
        outputs=outputs,
        same_outputs=same,
        note=note,
    )


def _variables(first: Model, second: Model) -> Iterator[VariableDifference]:
    before = {canonical(name): first[name] for name in first.variables}
    after = {canonical(name): second[name] for name in second.variables}
    for key, entry in after.items():
        if key not in before:
            yield VariableDifference(entry.name, "added", _parts(None, entry))
        else:
            parts = _parts(before[key], entry)
            if parts:
                yield VariableDifference(entry.name, "changed", parts)
    for key, entry in before.items():
        if key not in after:
            yield VariableDifference(entry.name, "removed", _parts(entry, None))


def _parts(before: ShownVariable | None, after: ShownVariable | None) -> dict[str, tuple[str, str]]:
    """Parts that differ; of a variable that only one model has, those it has."""
    found: dict[str, tuple[str, str]] = {}
    numbers = _numbers(before, after)
    if numbers is not None:
        found |= numbers
    elif _meaning(before) != _meaning(after):
        found["equation"] = (_text(before), _text(after))
    for part in ("kind", "unit", "doc"):
        words = [str(getattr(one, part)) if one else "" for one in (before, after)]
        if words[0] != words[1]:
            found["comment" if part == "doc" else part] = (words[0], words[1])
    for part, of in (("subscripts", _dims), ("limits", _limits)):
        pair = (of(before), of(after))
        if pair[0] != pair[1]:
            found[part] = pair
    return found


def _numbers(
    before: ShownVariable | None, after: ShownVariable | None
) -> dict[str, tuple[str, str]] | None:
    """Values of a constant that differ, if both have the same shape; None otherwise."""
    if before is None or after is None or before.kind != "constant" or after.kind != "constant":
        return None
    one, other = (np.asarray(entry.value, dtype=np.float64) for entry in (before, after))
    axes = [[entry.model.subscripts[d] for d in entry.dims] for entry in (before, after)]
    if axes[0] != axes[1]:
        return None
    found = {}
    for place, element in zip(np.ndindex(one.shape), itertools.product(*axes[0]), strict=True):
        a, b = float(one[place]), float(other[place])
        if a != b and not (np.isnan(a) and np.isnan(b)):
            label = f"value [{', '.join(element)}]" if element else "value"
            found[label] = (f"{a:.12g}", f"{b:.12g}")
    return found


def _meaning(entry: ShownVariable | None) -> tuple[object, ...]:
    """Equations in the form in which they are compared."""
    return tuple(_plain_equation(e) for e in entry.equations) if entry else ()


def _plain_equation(equation: Equation) -> tuple[object, ...]:
    subscripts = tuple(map(canonical, equation.subscripts))
    excepted = tuple(tuple(map(canonical, group)) for group in equation.except_)
    return subscripts, excepted, _plain(equation.expression)


def _plain(expression: Expr) -> Expr:
    match expression:
        case Ref(name, subscripts):
            return Ref(canonical(name), tuple(map(canonical, subscripts)))
        case Call(function, arguments):
            return Call(function, tuple(map(_plain, arguments)))
        case Number() | Array() | Table() | Tables() | Data():
            return expression


def _text(entry: ShownVariable | None) -> str:
    return "; ".join(show_equation(e) for e in entry.equations) if entry else ""


def _dims(entry: ShownVariable | None) -> str:
    return ", ".join(entry.dims) if entry else ""


def _limits(entry: ShownVariable | None) -> str:
    ends = entry.equations[0].limits[:2] if entry else (None, None)
    known = ["" if end is None else f"{end:g}" for end in ends]
    return f"{known[0]} to {known[1]}" if any(known) else ""


def _ranges(first: Source, second: Source) -> dict[str, tuple[str, str]]:
    one, other = (
        {canonical(n): (n, ", ".join(e)) for n, e in source.subscripts.items()}
        for source in (first, second)
    )
    found = {}
    for key in {**other, **one}:
        before, after = one.get(key, ("", "")), other.get(key, ("", ""))
        if before[1] != after[1]:
            found[after[0] or before[0]] = (before[1], after[1])
    return found


def _outputs(first: Model, second: Model) -> tuple[tuple[OutputDifference, ...], int, str]:
    """Variables of both that differ, how many do not, and a note."""
    pairs = []
    for name in first.computed:
        if name not in second or second.find(name).kind == "lookup":
            continue
        elements = [[m.subscripts[d] for d in m.find(name).dims] for m in (first, second)]
        if elements[0] == elements[1]:
            pairs.append((name, second.find(name).name))
    try:
        one = first.simulate(outputs=[a for a, _ in pairs])
        other = second.simulate(outputs=[b for _, b in pairs])
    except SimulationError as problem:
        return (), 0, f"outputs are not compared, because a model does not run: {problem}"
    times, places, others = np.intersect1d(one[TIME], other[TIME], return_indices=True)
    if not len(times):
        return (), 0, "outputs are not compared, because the runs have no time in common"
    note = ""
    if len(times) < max(one.sizes[TIME], other.sizes[TIME]):
        note = f"outputs are compared at the {len(times)} times that both runs save"
    found, same = [], 0
    for a, b in pairs:
        x, y = one[a].values[places], other[b].values[others]
        gap = np.abs(x - y)
        gap = np.where(np.isnan(x) & np.isnan(y), 0.0, gap)
        if not np.any(gap > 0) and not np.isnan(gap).any():
            same += 1
            continue
        at = np.unravel_index(int(np.nanargmax(np.where(np.isnan(gap), np.inf, gap))), gap.shape)
        dims = first.find(a).dims
        inside = [first.subscripts[d][i] for d, i in zip(dims, at[1:], strict=True)]
        size = float(np.nanmax(np.abs(x)))
        found.append(
            OutputDifference(
                label=f"{a}[{', '.join(inside)}]" if inside else a,
                time=float(times[at[0]]),
                before=float(x[at]),
                after=float(y[at]),
                relative=float(gap[at]) / size if size > 0 else np.inf,
            )
        )
    found.sort(key=lambda d: (-d.relative, d.label))
    return tuple(found), same, note
