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

A check with subscripts is one check for each element.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

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


def _test_inputs(equations: Sequence[str]) -> dict[str, tuple[tuple[str, ...], str]]:
    """Canonical name to the subscripts and the equation of each test input."""
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


def _comparisons(text: str) -> list[tuple[str, str, str]]:
    """Left side, operator and right side of each comparison; a name alone has no operator."""
    found = []
    for piece in _cut(text, ":AND:")[::2]:
        other = _cut(piece, ":OR:", ":NOT:", ":CROSSING:", ":AT LEAST ONCE:")
        if len(other) > 1:
            raise UnsupportedConstruct(
                f"{other[1]} in a reality check cannot be run; write a check for each case, or a "
                "statement of checks.toml"
            )
        parts = _cut(piece, *_COMPARED)
        if len(parts) == 1:
            found.append((piece.strip(), "", ""))
        elif len(parts) == 3:
            found.append((parts[0].strip(), parts[1], parts[2].strip()))
        else:
            raise UnsupportedConstruct(f"'{_short(piece)}' is not one comparison")
    return found


def _short(text: str) -> str:
    return " ".join(text.split())[:80]


# --- trajectories -----------------------------------------------------------------------------

_RC = re.compile(r"RC[\s_]+(STEP|RAMP|GROW|DECAY|COMPARE)([\s_]+CHECK)?\s*\(", re.IGNORECASE)
_OWN = {"STEP": 1, "RAMP": 2, "GROW": 1, "DECAY": 1}
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
            if kind == "COMPARE":
                raise UnsupportedConstruct(
                    f"{words} compares with another run, which cannot be run here; use a statement "
                    "of checks.toml with 'compared'"
                )
            if check is not judged:
                side = "after" if check else "before"
                raise UnsupportedConstruct(f"{words} stands only {side} :IMPLIES:")
            end = _closing(text, match.end())
            arguments = [a.strip() for a in _cut(text[match.end() : end], ",")[::2]]
            grace = arguments.pop(0) if check else "0"
            own = _OWN[kind]
            if not own + 1 <= len(arguments) <= own + 3 or not all(arguments):
                raise UnsupportedConstruct(f"{words} has a wrong number of arguments")
            text = f"{text[: match.start()]}{self._path(kind, grace, arguments)}{text[end + 1 :]}"
        return text

    def _path(self, kind: str, grace: str, arguments: Sequence[str]) -> str:
        basis, *given = arguments
        own, timing = given[: _OWN[kind]], given[_OWN[kind] :]
        start = self.hidden(timing[0] if timing else self._default_start())
        frozen = self.hidden(f"SAMPLE IF TRUE(Time < {start} + TIME STEP/2, {basis}, {basis})")
        until = f"Time < {start} + ({timing[1]}) - TIME STEP/2" if timing[1:] else "1 > 0"
        self.ends = self.ends or bool(timing[1:])
        self.windows.append(f"Time > {start} + ({grace}) - TIME STEP/2 :AND: {until}")
        since = f"MAX(0, Time - {start})"
        path = {
            "STEP": "{0}",
            "RAMP": "(1 + (({0}) - 1)*MIN(1, {since}/({1})))",
            "GROW": "EXP(({0})*{since})",
            "DECAY": "EXP(-{since}/({0}))",
        }[kind].format(*[f"({a})" for a in own], since=since)
        on = f"Time > {start} - TIME STEP/2 :AND: {until}"
        return f"(IF THEN ELSE({on}, {frozen}*{path}, {basis}))"

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
            raise UnsupportedConstruct("a condition with <> says not which value to take")
        if operator != "=":
            text = f"IF THEN ELSE({left} {operator} {text}, {left}, {text})"
        again = operator != "=" or self.ends
        if again and self.model.variables[variable].kind == "stock":
            raise UnsupportedConstruct(
                f"'{variable}' is a stock, and what it would be is not defined once its condition "
                "acts on it; force one of its flows"
            )
        self.ends = self.ends or ended
        target = variable + (f"[{', '.join(subscripts)}]" if subscripts else "")
        own = list(self.equations)[before:]
        self.equations[target] = text
        self.forced.setdefault(canonical(variable), []).extend([*own, target])


def _closing(text: str, at: int) -> int:
    depth = 1
    for place in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if not depth:
            return place
    raise UnsupportedConstruct(f"a bracket in '{_short(text)}' never ends")


# --- runs -------------------------------------------------------------------------------------


def _finding(
    model: Model,
    name: str,
    line: int,
    parts: tuple[str, str],
    inputs: Mapping[str, tuple[tuple[str, ...], str]],
) -> VensimFinding | None:
    changes = _Changes(model)
    try:
        for left, operator, right in _conditions(parts[0], inputs):
            changes.force(left, operator, right)
        judged = [_judged(changes, one) for one in _comparisons(parts[1])]
        changes.equations["SAVEPER"] = "TIME STEP"
        forced = compile_model(_forced_source(model.source, changes))
    except BeltcastError as problem:
        return VensimFinding(name, line, f"cannot be run: {problem}", fails=False)
    try:
        result = forced.simulate()
    except SimulationError as problem:
        return VensimFinding(name, line, f"does not run under its condition: {problem}", True)
    times = result["time"].to_numpy()
    for (left, operator, right), names in judged:
        a, b, applies = (np.asarray(result[n].to_numpy(), dtype=float) for n in names)
        bad = (applies > 0) & ~_holds(a, operator, b)
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            sentence = (
                f"fails at time {times[at]:g}: {_short(left)} is {a[at]:g}, which is not "
                f"{operator} {_short(right)}, {b[at]:g}"
            )
            return VensimFinding(name, line, sentence, fails=True)
    return None


def _conditions(
    text: str, inputs: Mapping[str, tuple[tuple[str, ...], str]]
) -> Iterator[tuple[str, str, str]]:
    """Comparisons of a condition, with those of its test inputs."""
    for left, operator, right in _comparisons(text):
        if operator:
            yield left, operator, right
            continue
        name, subscripts = _reference(left)
        if canonical(name) not in inputs:
            raise UnsupportedConstruct(f"'{_short(left)}' is neither a comparison nor a test input")
        ranges, equation = inputs[canonical(name)]
        if len(ranges) != len(subscripts):
            raise UnsupportedConstruct(f"the test input '{name}' has {len(ranges)} subscripts")
        chosen = dict(zip(map(canonical, ranges), subscripts, strict=True))
        yield from _comparisons(_named(equation, chosen))


def _judged(
    changes: _Changes, comparison: tuple[str, str, str]
) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """A comparison of the consequence, and the new variables with both sides and the window."""
    left, operator, right = comparison
    if not operator:
        raise UnsupportedConstruct(f"'{_short(left)}' is not a comparison")
    changes.windows = []
    one = changes.hidden(changes.expanded(left, judged=True))
    other = changes.hidden(changes.expanded(right, judged=True))
    window = " :AND: ".join(changes.windows) or "1 > 0"
    return comparison, (one, other, changes.hidden(f"IF THEN ELSE({window}, 1, 0)"))


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
