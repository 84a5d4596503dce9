"""Reality checks that a Vensim model carries: ``name :THE CONDITION: ... :IMPLIES: ...``.

Each check is one run with its condition forced (Vensim's manual, "Simulation and Reality Check"):

* An equality, or a test input, takes the place of the variable's equation; where its right side
  names the variable, that is the value which the model computes.
* An inequality leaves the variable where it holds and otherwise acts as an equality.
* ``RC STEP(basis, mult, start, duration)`` is the basis until the start, and then the basis at the
  start times the present ``mult``.  ``RC RAMP`` goes there within a time, ``RC GROW`` and ``RC
  DECAY`` change exponentially.  The start is ``RC START TIME``, or the second step of the run.
* A consequence with ``RC ... CHECK(grace, ...)`` is judged from the grace after the start on, any
  other at every step.
* ``RC COMPARE('run', variable, mult)`` takes the variable from the table ``run.csv`` beside the
  model, as ``beltcast run --output run.csv`` writes it.
* A condition with ``:OR:`` is run for each way in which it can come true.

A check with subscripts is one check for each element.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from beltcast.engine.filetext import decode, read_bytes
from beltcast.engine.syntax import Equation, Ref, Source, canonical
from beltcast.errors import BeltcastError, SimulationError, UnsupportedConstruct
from beltcast.model.changes import changed_source
from beltcast.model.model import Model, compile_model

_TOLERANCE = 1e-9
"""Part of the larger side by which a comparison may be missed."""


@dataclass(frozen=True)
class VensimFinding:
    """A check that fails, or that cannot be run.

    Attributes
    ----------
    name : str
    line : int
    sentence : str
    fails : bool
        False where the check cannot be run.
    """

    name: str
    line: int
    sentence: str
    fails: bool


def check_vensim_statements(model: Model) -> tuple[int, tuple[VensimFinding, ...]]:
    """Run the reality checks of the file that a model was read from.

    Returns
    -------
    int
        How many checks there are.
    tuple of VensimFinding
        In the order of the file.
    """
    path = model.source.path
    if path is None or path.suffix.lower() != ".mdl" or not path.is_file():
        return 0, ()
    text, _encoding = decode(read_bytes(path))
    if not re.search(r":\s*THE\s+CONDITION\s*:", text, re.IGNORECASE):
        return 0, ()
    from beltcast.engine.vensim.normal_text import normal_text

    equations = [(s.equation, s.line) for s in normal_text(text, path).statements]
    inputs = _test_inputs([equation for equation, _ in equations])
    count, found = 0, []
    for equation, line in equations:
        match = _CHECK.fullmatch(equation)
        if match is None:
            continue
        head, condition, consequence = (part.strip() for part in match.groups())
        for name, chosen in _by_element(head, model):
            count += 1
            parts = _named(condition, chosen), _named(consequence, chosen)
            finding = _finding(model, name, line, parts, inputs)
            if finding is not None:
                found.append(finding)
    return count, tuple(found)


# --- text -------------------------------------------------------------------------------------

_CHECK = re.compile(
    r"(.*?):\s*THE\s+CONDITION\s*:(.*?):\s*IMPLIES\s*:(.*)", re.IGNORECASE | re.DOTALL
)
_INPUT = re.compile(r"(.*?):\s*TEST\s+INPUT\s*:(.*)", re.IGNORECASE | re.DOTALL)
_REFERENCE = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^\[\]()<>=:]+?)\s*(?:\[([^\]]*)\])?\s*')
_COMPARED = ("<>", "<=", ">=", "=", "<", ">")


def _test_inputs(equations: Sequence[str]) -> _Inputs:
    found = {}
    for equation in equations:
        if match := _INPUT.fullmatch(equation):
            name, subscripts = _reference(match.group(1))
            found[canonical(name)] = (subscripts, match.group(2).strip())
    return found


def _reference(text: str) -> tuple[str, tuple[str, ...]]:
    """Name and subscripts of a text that is nothing else."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise UnsupportedConstruct(f"'{_short(text)}' is not a variable, and is to be one here")
    inside = match.group(2)
    return match.group(1), tuple(s.strip() for s in inside.split(",")) if inside else ()


def _by_element(head: str, model: Model) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Name of each check that a heading stands for, and the element of each of its ranges."""
    name, subscripts = _reference(head)
    known = {canonical(n): elements for n, elements in model.subscripts.items()}
    of_each = [known.get(canonical(s), (s,)) for s in subscripts]
    for elements in itertools.product(*of_each):
        chosen = dict(zip(map(canonical, subscripts), elements, strict=True))
        shown = canonical(name)
        yield (f"{shown}[{', '.join(elements)}]" if elements else shown), chosen


def _named(text: str, chosen: Mapping[str, str]) -> str:
    """The text with elements in the place of ranges."""

    def inside(match: re.Match[str]) -> str:
        return f"[{', '.join(chosen.get(canonical(s), s) for s in match[1].split(','))}]"

    return re.sub(r"\[([^\]]*)\]", inside, text)


def _cut(text: str, *marks: str) -> list[str]:
    """Cut at marks outside quotes and brackets; each mark that cuts stands between two pieces."""
    pieces, depth, start, at = [], 0, 0, 0
    quoted = False
    while at < len(text):
        mark = next((m for m in marks if text[at : at + len(m)].upper() == m), None)
        if text[at] == '"':
            quoted = not quoted
        elif not quoted and text[at] in "([":
            depth += 1
        elif not quoted and text[at] in ")]":
            depth -= 1
        elif mark and not quoted and not depth:
            pieces += [text[start:at], mark]
            at += len(mark)
            start = at
            continue
        at += 1
    return [*pieces, text[start:]]


@dataclass(frozen=True)
class _Comparison:
    """One comparison."""

    left: str
    operator: str
    right: str


@dataclass(frozen=True)
class _Joined:
    """Statements of which all hold, or one at least."""

    one_is_enough: bool
    parts: tuple[_Logic, ...]


_Logic: TypeAlias = "_Comparison | _Joined"
_Inputs: TypeAlias = Mapping[str, tuple[tuple[str, ...], str]]
"""Canonical name to the subscripts and the equation of each test input."""
_OPPOSITE = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _logic(text: str, inputs: _Inputs | None = None) -> _Logic:
    """Read comparisons joined by logic; without test inputs, a name alone is refused."""
    text = text.strip()
    for mark in (":OR:", ":AND:"):
        pieces = _cut(text, mark)
        if len(pieces) > 1:
            return _Joined(mark == ":OR:", tuple(_logic(p, inputs) for p in pieces[::2]))
    if text[:5].upper() == ":NOT:":
        return _opposite(_logic(text[5:], inputs))
    other = _cut(text, ":CROSSING:", ":AT LEAST ONCE:")
    if len(other) > 1:
        raise UnsupportedConstruct(
            f"{other[1]} in a reality check cannot be run; write a statement of checks.toml"
        )
    if text[:1] == "(" and _closing(text, 1) == len(text) - 1:
        inside = text[1:-1]
        if len(_cut(inside, ":OR:", ":AND:", ":NOT:", *_COMPARED)) > 1 or inside[:1] == "(":
            return _logic(inside, inputs)
    parts = _cut(text, *_COMPARED)
    if len(parts) == 3:
        return _Comparison(parts[0].strip(), parts[1], parts[2].strip())
    if len(parts) > 1 or inputs is None:
        raise UnsupportedConstruct(f"'{_short(text)}' is not a comparison")
    name, subscripts = _reference(text)
    if canonical(name) not in inputs:
        raise UnsupportedConstruct(f"'{_short(text)}' is neither a comparison nor a test input")
    ranges, equation = inputs[canonical(name)]
    if len(ranges) != len(subscripts):
        raise UnsupportedConstruct(f"the test input '{name}' has {len(ranges)} subscripts")
    chosen = dict(zip(map(canonical, ranges), subscripts, strict=True))
    without = {n: own for n, own in inputs.items() if n != canonical(name)}
    return _logic(_named(equation, chosen), without)


def _opposite(logic: _Logic) -> _Logic:
    if isinstance(logic, _Joined):
        return _Joined(not logic.one_is_enough, tuple(map(_opposite, logic.parts)))
    return _Comparison(logic.left, _OPPOSITE[logic.operator], logic.right)


def _ways(logic: _Logic) -> list[tuple[_Comparison, ...]]:
    """The sets of comparisons each of which makes a condition true."""
    if isinstance(logic, _Comparison):
        return [(logic,)]
    each = [_ways(part) for part in logic.parts]
    if logic.one_is_enough:
        return [way for ways in each for way in ways]
    if math.prod(map(len, each)) > _MOST_WAYS:
        raise UnsupportedConstruct(
            f"a condition that can come true in more than {_MOST_WAYS} ways; write several checks"
        )
    return [sum(ways, ()) for ways in itertools.product(*each)]


_MOST_WAYS = 64


def _short(text: str) -> str:
    return " ".join(text.split())[:80]


# --- trajectories -----------------------------------------------------------------------------

_RC = re.compile(r"RC[\s_]+(STEP|RAMP|GROW|DECAY|COMPARE)([\s_]+CHECK)?\s*\(", re.IGNORECASE)
_OWN = {"STEP": 1, "RAMP": 2, "GROW": 1, "DECAY": 1, "COMPARE": 1}
"""Arguments between the basis and the start."""


@dataclass
class _Changes:
    """The equations of a run with a forced condition."""

    model: Model
    equations: dict[str, str] = field(default_factory=dict)
    forced: dict[str, list[str]] = field(default_factory=dict)
    """Canonical name of a forced variable to the left-hand sides that mean what it would be."""
    windows: list[str] = field(default_factory=list)
    ends: bool = False

    def hidden(self, text: str) -> str:
        """Name of a new variable with this equation."""
        name = f"reality check {len(self.equations)}"
        self.equations[name] = text
        return name

    def expanded(self, text: str, *, judged: bool) -> str:
        """The text with its RC functions written out; their windows are kept."""
        while match := _RC.search(text):
            kind, check = match[1].upper(), bool(match[2])
            words = " ".join(match[0].rstrip("( \t").upper().replace("_", " ").split())
            if check is not judged:
                side = "after" if check else "before"
                raise UnsupportedConstruct(f"{words} stands only {side} :IMPLIES:")
            end = _closing(text, match.end())
            arguments = [a.strip() for a in _cut(text[match.end() : end], ",")[::2]]
            run = arguments.pop(0) if kind == "COMPARE" else ""
            at = min(int(kind == "COMPARE"), len(arguments) - 1)
            grace = arguments.pop(at) if check else "0"
            own = _OWN[kind]
            if not own + 1 <= len(arguments) <= own + 3 or not all(arguments):
                raise UnsupportedConstruct(f"{words} has a wrong number of arguments")
            text = (
                f"{text[: match.start()]}{self._path(kind, run, grace, arguments)}{text[end + 1 :]}"
            )
        return text

    def _path(self, kind: str, run: str, grace: str, arguments: Sequence[str]) -> str:
        basis, *given = arguments
        own, timing = given[: _OWN[kind]], given[_OWN[kind] :]
        start = self.hidden(timing[0] if timing else self._default_start())
        frozen = self.hidden(
            f"WITH LOOKUP(Time, {self._saved(run, basis)})"
            if run
            else f"SAMPLE IF TRUE(Time < {start} + TIME STEP/2, {basis}, {basis})"
        )
        until = f"Time < {start} + ({timing[1]}) - TIME STEP/2" if timing[1:] else "1 > 0"
        self.ends = self.ends or bool(timing[1:])
        self.windows.append(f"Time > {start} + ({grace}) - TIME STEP/2 :AND: {until}")
        since = f"MAX(0, Time - {start})"
        path = {
            "STEP": "{0}",
            "COMPARE": "{0}",
            "RAMP": "(1 + (({0}) - 1)*MIN(1, {since}/({1})))",
            "GROW": "EXP(({0})*{since})",
            "DECAY": "EXP(-{since}/({0}))",
        }[kind].format(*[f"({a})" for a in own], since=since)
        on = f"Time > {start} - TIME STEP/2 :AND: {until}"
        return f"(IF THEN ELSE({on}, {frozen}*{path}, {basis}))"

    def _saved(self, run: str, basis: str) -> str:
        """Points of a variable in the results of another run, which lie beside the model."""
        assert self.model.path is not None
        path = self.model.path.with_name(f"{run.strip(chr(39))}.csv")
        if not path.is_file():
            raise UnsupportedConstruct(
                f"RC COMPARE names the run {run}, and there is no '{path.name}' beside the model; "
                f"make it with 'beltcast run {self.model.path.name} --output {path.name}'"
            )
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
        wanted = _column(basis)
        places = [i for i, label in enumerate(rows[0]) if _column(label) == wanted]
        times = [i for i, label in enumerate(rows[0]) if canonical(label) == "time"]
        if not places or not times:
            raise UnsupportedConstruct(f"'{path.name}' has no column '{basis}' beside its time")
        points = {float(row[times[0]]): float(row[places[0]]) for row in rows[1:]}
        if len(points) < len(rows) - 1:
            raise UnsupportedConstruct(f"'{path.name}' holds more than one run")
        return f"({','.join(f'({t!r},{v!r})' for t, v in sorted(points.items()))})"

    def _default_start(self) -> str:
        named = any(canonical(n) == "rc start time" for n in self.model.variables)
        return "RC START TIME" if named else "INITIAL TIME + TIME STEP"

    def force(self, left: str, operator: str, right: str) -> None:
        """Give a variable the value that makes a comparison true."""
        name, subscripts = _reference(left)
        variable = next((v for v in self.model.variables if canonical(v) == canonical(name)), None)
        if variable is None:
            raise UnsupportedConstruct(f"'{_short(left)}' is neither a variable nor a test input")
        before = len(self.equations)
        ended, self.ends = self.ends, False
        text = self.expanded(right, judged=False)
        if operator == "<>":
            raise UnsupportedConstruct("a condition with <> does not determine a value")
        target = variable + (f"[{', '.join(subscripts)}]" if subscripts else "")
        if operator != "=":
            own = self.hidden(self.equations[target]) if target in self.equations else left
            text = f"IF THEN ELSE({own} {operator} {text}, {own}, {text})"
        again = operator != "=" or self.ends
        if again and self.model.variables[variable].kind == "stock":
            raise UnsupportedConstruct(
                f"'{variable}' is a stock, whose value is not defined while a condition "
                "forces it; force one of its flows"
            )
        self.ends = self.ends or ended
        added = list(self.equations)[before:]
        self.equations[target] = text
        self.forced.setdefault(canonical(variable), []).extend([*added, target])


def _column(label: str) -> tuple[str, ...]:
    name, subscripts = _reference(label)
    return tuple(map(canonical, (name, *subscripts)))


def _closing(text: str, at: int) -> int:
    depth = 1
    for place in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if not depth:
            return place
    raise UnsupportedConstruct(f"a bracket in '{_short(text)}' never ends")


# --- runs -------------------------------------------------------------------------------------


def _finding(
    model: Model, name: str, line: int, parts: tuple[str, str], inputs: _Inputs
) -> VensimFinding | None:
    """The first way of making the condition true under which the consequence fails."""
    try:
        consequence = _logic(parts[1])
        ways = _ways(_logic(parts[0], inputs))
    except UnsupportedConstruct as problem:
        return VensimFinding(name, line, f"cannot be run: {problem}", fails=False)
    for way in ways:
        found = _finding_of_way(model, name, line, way, consequence)
        if found is not None:
            where = " :AND: ".join(f"{c.left} {c.operator} {c.right}" for c in way)
            said = f"where {_short(where)}: {found.sentence}" if len(ways) > 1 else found.sentence
            return replace(found, sentence=said)
    return None


def _finding_of_way(
    model: Model, name: str, line: int, way: Sequence[_Comparison], consequence: _Logic
) -> VensimFinding | None:
    changes = _Changes(model)
    judged: dict[_Comparison, tuple[str, str, str]] = {}
    try:
        for forced_one in way:
            changes.force(forced_one.left, forced_one.operator, forced_one.right)
        for one in _leaves(consequence):
            judged[one] = _judged(changes, one)
        changes.equations["SAVEPER"] = "TIME STEP"
        forced = compile_model(_forced_source(model.source, changes))
    except BeltcastError as problem:
        return VensimFinding(name, line, f"cannot be run: {problem}", fails=False)
    try:
        result = forced.simulate()
    except SimulationError as problem:
        return VensimFinding(name, line, f"does not run under its condition: {problem}", True)
    sides = {
        one: tuple(np.asarray(result[n].to_numpy(), dtype=float) for n in names)
        for one, names in judged.items()
    }
    truth = {one: ~(on > 0) | _holds(a, one.operator, b) for one, (a, b, on) in sides.items()}
    bad = ~_truth(consequence, truth)
    if not bad.any():
        return None
    at = int(np.flatnonzero(bad)[0])
    wrong = consequence
    while isinstance(wrong, _Joined) and not wrong.one_is_enough:
        wrong = next(part for part in wrong.parts if not _truth(part, truth)[at])
    said = []
    for one in _leaves(wrong):
        a, b, _ = sides[one]
        said.append(
            f"{_short(one.left)} is {a[at]:g}, which is not {one.operator} "
            f"{_short(one.right)}, {b[at]:g}"
            if not truth[one][at]
            else f"{_short(one.left)} {one.operator} {_short(one.right)} alone is not enough"
        )
    when = f"fails at time {result['time'].to_numpy()[at]:g}"
    return VensimFinding(name, line, f"{when}: {'; '.join(said)}", fails=True)


def _leaves(logic: _Logic) -> Iterator[_Comparison]:
    if isinstance(logic, _Comparison):
        yield logic
    else:
        for part in logic.parts:
            yield from _leaves(part)


def _truth(logic: _Logic, known: Mapping[_Comparison, Any]) -> Any:
    if isinstance(logic, _Comparison):
        return known[logic]
    parts = [_truth(part, known) for part in logic.parts]
    return np.any(parts, axis=0) if logic.one_is_enough else np.all(parts, axis=0)


def _judged(changes: _Changes, comparison: _Comparison) -> tuple[str, str, str]:
    """New variables with both sides of a comparison of the consequence, and its window."""
    changes.windows = []
    one = changes.hidden(changes.expanded(comparison.left, judged=True))
    other = changes.hidden(changes.expanded(comparison.right, judged=True))
    window = " :AND: ".join(changes.windows) or "1 > 0"
    return one, other, changes.hidden(f"IF THEN ELSE({window}, 1, 0)")


def _holds(a: Any, operator: str, b: Any) -> Any:
    slack = _TOLERANCE * np.maximum(np.abs(a), np.abs(b))
    near = np.abs(a - b) <= slack
    return {
        "=": near,
        "<>": ~near,
        "<=": (a < b) | near,
        ">=": (a > b) | near,
        "<": a < b,
        ">": a > b,
    }[operator]


def _forced_source(source: Source, changes: _Changes) -> Source:
    """The model with its forced variables, and a copy of each that its own condition names."""
    made = changed_source(source, changes.equations)
    added: list[Equation] = []
    equations = made.equations
    for name, sides in changes.forced.items():
        copy = f"{name} as the model computes it"
        wanted = {canonical(_reference(side)[0]) for side in sides}
        inside = [_reference(side)[1] for side in sides if canonical(_reference(side)[0]) == name]
        of_sides = [
            e
            for e in equations
            if canonical(e.name) in wanted - {name}
            or (canonical(e.name) == name and e.subscripts and e.subscripts in inside)
            or (canonical(e.name) == name and () in inside)
        ]
        changed = {
            id(e): replace(e, expression=_renamed(e.expression, name, copy)) for e in of_sides
        }
        if all(changed[id(e)].expression == e.expression for e in of_sides):
            continue
        equations = tuple(changed.get(id(e), e) for e in equations)
        added += [replace(e, name=copy) for e in source.equations if canonical(e.name) == name]
    return replace(made, equations=(*equations, *added))


def _renamed(node: Any, name: str, to: str) -> Any:
    """An expression with another name for a variable."""
    if isinstance(node, Ref):
        return replace(node, name=to) if canonical(node.name) == name else node
    if isinstance(node, tuple):
        return tuple(_renamed(one, name, to) for one in node)
    if is_dataclass(node) and not isinstance(node, type):
        values = {f.name: getattr(node, f.name) for f in fields(node) if f.init}
        new = {key: _renamed(value, name, to) for key, value in values.items()}
        return node if all(new[key] is values[key] for key in new) else replace(node, **new)
    return node
