"""Trees of causes and uses: the variables that drive a variable, and those that it drives.

The structure comes from the equations: the causes of a variable are the names on its right-hand
side.  The polarity of a link is the sign of the partial derivative in a run, from
`beltcast.engine.loops.graph`: ``+`` and ``-``, ``?`` where the sign changes within the run or is
unknown, ``0`` where the link had no effect at the instants examined.  A link that acts only on
the initial value of a stock is marked.

A tree ends at its depth, and wherever a variable already stands on the path from the root: that
path is a feedback loop, and the branch is marked as one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Literal

from beltcast.engine.loops.graph import Sign, signed_links
from beltcast.engine.nodes import FloatArray
from beltcast.engine.syntax import CONTROLS, Call, Expr, Ref, canonical
from beltcast.model.variables import Variables

DEPTH = 2
"""Default number of levels below the root, as in Vensim's tree diagrams."""

Direction = Literal["causes", "uses"]


@dataclass(frozen=True)
class Tree:
    """A variable and its causes, or its uses, each with its own.

    Attributes
    ----------
    variable : str
        As the model file spells it; ``Time`` for time itself.
    kind : str
        stock, auxiliary, constant, input, lookup or time.
    unit : str
    polarity : str
        Of the link between this variable and the one above it: ``+``, ``-``, ``?``, ``0``; empty at
        the root, for a lookup, and if the model did not run.
    initial : bool
        The link acts on the initial value only.
    loop : bool
        The variable already stands on the path above: this path closes a feedback loop.
    more : bool
        There are further levels below, beyond the depth.
    branches : tuple of Tree
    """

    variable: str
    kind: str
    unit: str
    polarity: str = ""
    initial: bool = False
    loop: bool = False
    more: bool = False
    branches: tuple[Tree, ...] = ()

    def __iter__(self) -> Iterator[Tree]:
        """Iterate over the branches."""
        return iter(self.branches)

    def __str__(self) -> str:
        return "\n".join(self._lines("", ""))

    def __repr__(self) -> str:
        return str(self)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the branches."""
        return tuple(branch.variable for branch in self.branches)

    def _lines(self, first: str, rest: str) -> Iterator[str]:
        yield first + self._words()
        for i, branch in enumerate(self.branches):
            last = i == len(self.branches) - 1
            yield from branch._lines(
                rest + ("└── " if last else "├── "), rest + ("    " if last else "│   ")
            )

    def _words(self) -> str:
        sign = f"{self.polarity.replace('-', '−')} " if self.polarity else ""
        notes = [self.kind] if self.kind in ("stock", "constant", "input", "lookup") else []
        notes += ["initial value"] if self.initial else []
        notes += ["feedback loop"] if self.loop else []
        unit = f" [{self.unit}]" if self.unit else ""
        after = f" ({', '.join(notes)})" if notes else ""
        return f"{sign}{self.variable}{unit}{after}{' ...' if self.more else ''}"

    def _repr_html_(self) -> str:
        return f"<ul>{self._item()}</ul>"

    def _item(self) -> str:
        inside = "".join(branch._item() for branch in self.branches)
        return f"<li>{escape(self._words())}{f'<ul>{inside}</ul>' if inside else ''}</li>"


@dataclass(frozen=True)
class Neighbours:
    """References among the equations of a model, by canonical name.

    Attributes
    ----------
    causes, uses : mapping of str to mapping of str to bool
        Neighbours of each variable in the order of the equations, and whether the link acts only
        on the initial value.
    """

    causes: Mapping[str, Mapping[str, bool]]
    uses: Mapping[str, Mapping[str, bool]]


def causes_and_uses(model: Variables) -> Neighbours:
    """Read the causes and uses of all variables from the equations.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> found = causes_and_uses(load_model(shipped("models/decay/decay.mdl")))
    >>> list(found.causes["stock"])
    ['outflow', 'initial stock']
    """
    causes: dict[str, dict[str, bool]] = {name: {} for name in model.program.slots}
    source = model.source
    for equation in (*source.controls.values(), *source.equations):
        own = causes[canonical(equation.name)]
        for ref, initial in _references(equation.expression, initial=False):
            name = canonical(ref.name)
            if name in causes or name == "time":
                own[name] = own.get(name, True) and initial
    uses: dict[str, dict[str, bool]] = {name: {} for name in (*causes, "time")}
    for target, sources in causes.items():
        for name, initial in sources.items():
            uses[name][target] = initial
    return Neighbours(causes, uses)


def _references(expression: Expr, *, initial: bool) -> Iterator[tuple[Ref, bool]]:
    """Yield each reference, and whether it acts only on an initial value."""
    if isinstance(expression, Ref):
        yield expression, initial
    if not isinstance(expression, Call):
        return
    at_start = _INITIAL.get(expression.function, ())
    for place, argument in enumerate(expression.arguments):
        yield from _references(argument, initial=initial or place in at_start)


_INITIAL: Mapping[str, tuple[int, ...]] = {
    "INTEG": (1,),
    "NON NEGATIVE INTEG": (1,),
    "SINTEG": (1,),
    "INITIAL": (0,),
    "REINITIAL": (0,),
    "ACTIVE INITIAL": (1,),
    "SMOOTH": (2,),
    "DELAY": (2,),
    "DELAY N": (2,),
    "DELAY FIXED": (2,),
    "SAMPLE IF TRUE": (2,),
    "TREND": (2,),
    "FORECAST": (3,),
}
"""Arguments that act only on an initial value, by function."""


def polarities(
    model: Variables, states: FloatArray, times: FloatArray, targets: Collection[str]
) -> dict[tuple[str, str], Sign]:
    """Polarity of the links into some variables, by cause and effect.

    Parameters
    ----------
    model : Variables
    states : (k, n_rows)
        Values of all rows at k instants of a run.
    times : (k,)  [time]
    targets : collection of str
        Names of the effects.

    Returns
    -------
    dict
        By canonical names (cause, effect).
    """
    wanted = set(targets)
    program = model.program
    blocks = [
        block
        for stage in (program.setup, program.step, program.rates, program.hold)
        for block in stage
        if block.name in wanted
    ]
    links = signed_links(program, blocks, states, times)
    return {(canonical(link.source), canonical(link.target)): link.sign for link in links}


def grow_tree(
    model: Variables,
    name: str,
    direction: Direction,
    depth: int,
    signs: Mapping[tuple[str, str], Sign],
    structure: Neighbours,
) -> Tree:
    """Grow the tree of a variable's causes or uses.

    Parameters
    ----------
    model : Variables
    name : str
    direction : 'causes' or 'uses'
    depth : int
        Levels below the root.
    signs : mapping
        As of `polarities`.
    structure : Neighbours

    Raises
    ------
    UnknownName
    """
    root = canonical(model.find(name).name)
    return _grown(model, root, direction, depth, signs, structure, (root,), "", initial=False)


def reached(
    model: Variables, name: str, direction: Direction, depth: int, structure: Neighbours
) -> set[str]:
    """Names of the effects of all links in a tree, as the model file spells them."""
    links = structure.causes if direction == "causes" else structure.uses
    level = {canonical(model.find(name).name)}
    targets: set[str] = set()
    for _ in range(depth):
        following = {other for one in level for other in links.get(one, ())}
        targets |= level if direction == "causes" else following
        level = following
    slots = model.program.slots
    return {slots[one].name for one in targets if one in slots}


def _grown(
    model: Variables,
    name: str,
    direction: Direction,
    depth: int,
    signs: Mapping[tuple[str, str], Sign],
    structure: Neighbours,
    path: tuple[str, ...],
    polarity: str,
    *,
    initial: bool,
) -> Tree:
    slot = model.program.slots.get(name)
    below = (structure.causes if direction == "causes" else structure.uses).get(name, {})
    # The control equations use the time step and each other; their links are of no interest.
    below = {n: i for n, i in below.items() if n not in CONTROLS or direction == "causes"}
    loop = name in path[:-1]
    branches = []
    if not loop and depth > 0:
        for other, at_start in below.items():
            pair = (other, name) if direction == "causes" else (name, other)
            sign = "" if at_start else signs.get(pair, "")
            branches.append(
                _grown(
                    model,
                    other,
                    direction,
                    depth - 1,
                    signs,
                    structure,
                    (*path, other),
                    sign,
                    initial=at_start,
                )
            )
    if slot is None:
        return Tree("Time", "time", model.time_unit, polarity, initial)
    variable = model.variables[slot.name]
    return Tree(
        variable.name,
        variable.kind,
        variable.unit,
        polarity,
        initial,
        loop,
        bool(below) and not branches and not loop,
        tuple(branches),
    )
