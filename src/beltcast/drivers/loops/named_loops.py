"""Loops by their variables: names, their share over time, and the run without a loop.

A loop is identified by its variables, in the order in which they drive each other, from any start.
A few of them are enough if only one loop runs through all of these.

A loop is cut at one of its links: from a chosen time on, the target reads the value that the source
had at that time.  That cuts every loop through that link, so `knock_out` takes the link that the
fewest other loops share, and reports the loops that it cut as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from beltcast.drivers.loops.loop_scores import ARROW, LOOP
from beltcast.engine.loops.graph import (
    Loop,
    causal_links,
    feedback_loops,
)
from beltcast.engine.syntax import Call, Equation, Expr, Number, Ref, canonical, split_label
from beltcast.errors import InputError, quoted
from beltcast.model.changes import source_fingerprint
from beltcast.model.model import Model, compile_model


@dataclass(frozen=True)
class KnockOut:
    """A model without one of its loops.

    Attributes
    ----------
    model : Model
        Runs like any other; compare it with the whole model.
    loop : tuple of str
        Variables of the loop in turn.
    link : (str, str)
        Source and target between which it is cut.
    since : float or None  [time]
        Time of the cut; None from the start of the run on.
    also_cut : tuple of tuple of str
        Other loops through that link, of those that were listed.
    complete : bool
        Whether all loops among these variables were listed.
    """

    model: Model
    loop: tuple[str, ...]
    link: tuple[str, str]
    since: float | None
    also_cut: tuple[tuple[str, ...], ...]
    complete: bool

    def compare(self, whole: Model) -> xr.Dataset:
        """Run the variables on the loop in the whole model and without the loop.

        Parameters
        ----------
        whole : Model
            The model that the loop was cut out of.

        Returns
        -------
        xarray.Dataset
            Over (run, ..., time), where run is ``whole`` or ``without``.
        """
        runs = [m.simulate(outputs=self.loop) for m in (whole, self.model)]
        labels = xr.DataArray(np.array(["whole", "without"]), dims="run", name="run")
        both = xr.concat(runs, dim=labels, combine_attrs="drop_conflicts")
        return both.assign_attrs(loop=ARROW.join(self.loop), link=ARROW.join(self.link))

    def __str__(self) -> str:
        when = "from the start" if self.since is None else f"from {self.since:g} on"
        lines = [
            f"Without {ARROW.join((*self.loop, self.loop[0]))}",
            f"{self.link[1]} reads {self.link[0]} as it is {when}",
        ]
        count = len(self.also_cut)
        if count:
            of = "" if self.complete else " of those listed"
            lines.append(f"{count} other loop{'s' if count > 1 else ''}{of} pass through that link")
        return "\n".join(lines)


def find_loop(model: Model, variables: Sequence[str]) -> tuple[str, ...]:
    """Find a loop by its variables.

    Parameters
    ----------
    model : Model
    variables : sequence of str
        All variables of a loop in turn, beginning anywhere, or enough of them.

    Returns
    -------
    tuple of str
        All of them in turn, the alphabetically first one first.

    Raises
    ------
    UnknownName
        A variable does not exist.
    InputError
        No loop, or more than one, runs through them.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.drivers.loops.named_loops import find_loop
    >>> from beltcast.files.shipped import shipped
    >>> find_loop(load_model(shipped("models/decay/decay.mdl")), ["outflow"])
    ('Stock', 'outflow')
    """
    return _found(_Loops(model), variables)


def name_loops(scores: xr.Dataset, names: Mapping[str, Sequence[str]], model: Model) -> xr.Dataset:
    """Give loops names; the others keep their numbers.

    Parameters
    ----------
    scores : xarray.Dataset
        As `beltcast.loops` returns it.
    names : mapping of str to sequence of str
        Name to variables, as for `find_loop`.
    model : Model
        The model of the scores.

    Raises
    ------
    UnknownName, InputError
        As `find_loop`; or two names refer to one loop.

    Examples
    --------
    >>> from beltcast import load_model, loops, name_loops
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/sir/sir.mdl"))
    >>> named = name_loops(loops(model), {"contagion": ["Infected", "infection"]}, model)
    >>> named["loop"].values.tolist()
    ['B1', 'contagion', 'B2']
    """
    loops = _Loops(model)
    paths = [_turned(str(path).split(ARROW)) for path in scores["path"].values]
    labels = [str(label) for label in scores[LOOP].values]
    given: dict[tuple[str, ...], str] = {}
    for name, variables in names.items():
        path = _found(loops, variables)
        if path in given:
            raise InputError(
                f"'{given[path]}' and '{name}' name the same loop, {ARROW.join(path)}; keep one"
            )
        given[path] = name
    for i, path in enumerate(paths):
        plain = _turned([split_label(step)[0] for step in path])
        if plain in given:
            labels[i] = given[plain]
    return scores.assign_coords({LOOP: (LOOP, np.array(labels, dtype=str))})


def knock_out(
    model: Model,
    variables: Sequence[str],
    *,
    link: tuple[str, str] | None = None,
    since: float | None = None,
) -> KnockOut:
    """Cut one loop of a model.

    Parameters
    ----------
    model : Model
    variables : sequence of str
        As for `find_loop`.
    link : (source, target), optional
        Where to cut; by default the link that the fewest other loops share.  A link into a stock
        cannot be cut: the stock adds up its flows.
    since : float, optional  [time]
        When the source is held; from the start of the run by default.

    Raises
    ------
    UnknownName
    InputError
        No loop, or more than one, runs through the variables; or the link is not on the loop.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.drivers.loops.named_loops import knock_out
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> without = knock_out(model, ["Stock", "outflow"]).model
    >>> without.simulate(save_at=[1.0])["Stock"].item()
    80.0
    """
    loops = _Loops(model)
    path = _found(loops, variables)
    pairs = _pairs(path)
    able = [pair for pair in pairs if model.find(pair[1]).kind != "stock"]
    if link is not None:
        wanted = (model.find(link[0]).name, model.find(link[1]).name)
        able = [pair for pair in able if pair == wanted]
    if not able:
        words = ", ".join(ARROW.join(pair) for pair in pairs)
        raise InputError(
            f"the loop cannot be cut there; name a link of it that does not end in a stock: {words}"
        )
    others = {
        pair: [loop.variables for loop in loops.listed if pair in _pairs(loop.variables)]
        for pair in able
    }
    cut = min(able, key=lambda pair: (len(others[pair]), pairs.index(pair)))
    also = tuple(other for other in others[cut] if _turned(other) != path)
    return KnockOut(_cut(model, cut, since), path, cut, since, also, loops.complete)


class _Loops:
    """Links and loops of a model, found once for several questions."""

    def __init__(self, model: Model) -> None:
        self.model = model
        states, times = model.states()
        links = causal_links(model.program, states, times)
        self.links = {(link.source, link.target) for link in links}
        components = feedback_loops(links)
        self.listed: list[Loop] = [loop for c in components for loop in c.loops]
        self.complete = all(c.complete for c in components)


def _found(loops: _Loops, variables: Sequence[str]) -> tuple[str, ...]:
    names = [loops.model.find(name).name for name in variables]
    if not names:
        raise InputError("a loop is named by its variables, and none is given; name at least one")
    # All variables in turn are a loop even if it is not among those listed.
    if len(set(names)) == len(names) and all(pair in loops.links for pair in _pairs(names)):
        return _turned(names)
    fitting = [loop.variables for loop in loops.listed if set(names) <= set(loop.variables)]
    exact = [path for path in fitting if len(path) == len(names)]
    chosen = exact if len(exact) == 1 else fitting
    if len(chosen) == 1:
        return _turned(chosen[0])
    given = ", ".join(names)
    if not chosen:
        more = "" if loops.complete else " among those that can be listed; name all its variables"
        raise InputError(f"no loop runs through {given}{more or '; check the names'}")
    some = "; ".join(ARROW.join(path) for path in sorted(chosen, key=len)[:3])
    raise InputError(
        f"{len(chosen)} loops run through {given}, such as {some}; name more of its variables"
    )


def _turned(path: Sequence[str]) -> tuple[str, ...]:
    start = list(path).index(min(path))
    return (*path[start:], *path[:start])


def _pairs(path: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(path, (*path[1:], path[0]), strict=True))


def _cut(model: Model, link: tuple[str, str], since: float | None) -> Model:
    """Return the model in which the target reads the held value of the source."""
    source, target = link
    dims = _written_dims(model, source)
    held = f"{source.strip(chr(34))} held for {target.strip(chr(34))}"
    if canonical(held) in model.program.slots:
        raise InputError(f"the model has a variable {quoted(held)} already; rename it")
    value = Ref(source, dims)
    if since is None:
        expression: Expr = Call("INITIAL", (value,))
    else:
        before = Call("<=", (Ref("Time"), Number(float(since))))
        expression = Call("SAMPLE IF TRUE", (before, value, value))
    unit = model.variables[source].unit
    own = Equation(held, dims, (), expression, unit, f"{source} as {target} reads it.")
    equations = tuple(
        replace(e, expression=_reading(e.expression, source, held))
        if canonical(e.name) == canonical(target)
        else e
        for e in model.source.equations
    )
    made = replace(model.source, equations=(*equations, own))
    return compile_model(replace(made, text_sha256=source_fingerprint(made)))


def _written_dims(model: Model, name: str) -> tuple[str, ...]:
    """Subscripts of the source; two axes over one range cannot be told apart in an equation."""
    dims = model.variables[name].dims
    if any(d not in model.source.subscripts for d in dims):
        raise InputError(f"'{name}' runs twice over one range, so its links cannot be cut")
    return dims


def _reading(expression: Expr, source: str, held: str) -> Expr:
    if isinstance(expression, Ref) and canonical(expression.name) == canonical(source):
        return replace(expression, name=held)
    if isinstance(expression, Call):
        arguments = tuple(_reading(a, source, held) for a in expression.arguments)
        return replace(expression, arguments=arguments)
    return expression
