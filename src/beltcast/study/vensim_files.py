"""Files of a Vensim calibration: optimization control (.voc), payoff (.vpd), changes (.cin).

`read_voc` returns priors, uniform within the bounds; `read_vpd` the variable, data and weight of
each term of the payoff; `read_cin` constants for `beltcast.model.variants.move`.  The formats are
those of Vensim's reference manual (vensim.com/documentation, pages "Optimization Control", "Payoff
Definitions", "Extended Payoffs", "Constant Input Files").

Settings of Vensim's optimiser (tolerances, starting values) are ignored: the methods here have
their own.  Any other unknown line is an error with file and line, because silently ignoring a line
would fit a different model.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from beltcast.engine.syntax import CONTROLS, canonical, split_label
from beltcast.errors import InputError, UnknownName, did_you_mean, quoted
from beltcast.files.text import Text, read_text
from beltcast.model.labels import find_label, join_label
from beltcast.model.model import Model
from beltcast.study.priors import Entry, Priors, make_priors, uniform_entry
from beltcast.study.series import Payoff
from beltcast.study.tables import is_number

_COMMENT = re.compile(r"\{[^}]*\}")

# Vensim reads four letters of each option.
_OPTIONS = (
    "OPTI",
    "SENS",
    "MULT",
    "RAND",
    "OUTP",
    "TRAC",
    "MAX_",
    "REST",
    "PASS",
    "FRAC",
    "TOLE",
    "ABSO",
    "SCAL",
    "VECT",
    "COMM",
    "COM",
)
_MARKOV = "MC"


def read_voc(path: str | Path, model: Model) -> Priors:
    """Read an optimization control file: a uniform prior for each parameter that it searches.

    Lines are ``low <= Name = start <= high``; a bound may be a constant of the model, a subscript
    range stands for all its elements.  Starting values and options are ignored.

    Raises
    ------
    InputError
        With file and line: an unknown line, a name that is not a constant, bounds that are
        missing or crossed, a discrete parameter, a parameter given twice.

    Examples
    --------
    >>> import tempfile
    >>> from beltcast import load_model, read_voc
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/sir/sir.mdl"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "file"
    ...     _ = path.write_text("0.5 <= Contact Rate = 2 <= 10")
    ...     read_voc(path, model).labels
    ('Contact Rate',)
    """
    text = read_text(path, InputError)
    entries: dict[str, Entry] = {}
    for line, content in _lines(text):
        if content.startswith(":"):
            _check_option(text, line, content)
            continue
        for entry in _searched(text, line, content, model):
            if entry.label in entries:
                raise InputError(
                    f"{quoted(entry.label)} is searched twice; keep one of the lines",
                    text.path,
                    line,
                )
            entries[entry.label] = entry
    if not entries:
        raise InputError(
            "the file names no parameter to search; add a line such as 0 <= Name <= 10", text.path
        )
    return make_priors(list(entries.values()), path=text.path, sha256=text.sha256)


def read_vpd(path: str | Path, model: Model) -> tuple[Payoff, ...]:
    r"""Read a payoff definition: which variable is compared with which data, at which weight.

    Supported are calibration elements ``*C`` and ``*CL`` (the weight is one over the standard
    deviation, of values or of logs), ``*CG`` and ``*CGL`` (the weight is the standard deviation),
    and policy elements ``*P`` and ``*PF``, whose variable is itself a log likelihood: a rate that
    is summed over the run, or the value at its end, times the weight.  A weight may be a constant
    that is searched.

    Returns
    -------
    tuple of Payoff
        For `beltcast.study.series.read_series`.

    Raises
    ------
    InputError
        With file and line: another distribution, a name that the model does not have, a weight that
        is not above 0.

    Examples
    --------
    >>> import tempfile
    >>> from beltcast import load_model, read_vpd
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/sir/sir.mdl"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "file"
    ...     _ = path.write_text("*CL" + chr(10) + "Infected|flu/10")
    ...     [p.variable for p in read_vpd(path, model)]
    ['Infected']
    """
    text = read_text(path, InputError)
    kind, found = "", []
    for line, content in _lines(text):
        if content.startswith("*"):
            kind = content.upper().replace(" ", "")
            if kind not in ("*C", "*CL", "*CG", "*CGL", "*CLG", "*P", "*PF"):
                raise InputError(
                    f"payoff type {quoted(content)} is not supported; expected *C, *CL, *CG or "
                    "*CGL, or *P or *PF for a variable that is a log likelihood",
                    text.path,
                    line,
                )
            continue
        if not kind:
            raise InputError(
                f"{quoted(content)} comes before any type; begin the file with *C", text.path, line
            )
        found.append(_compared(text, line, content, kind, model))
    if not found:
        raise InputError("the file defines no comparison; add a line such as x|x data/1", text.path)
    return tuple(found)


def read_cin(path: str | Path, model: Model) -> Mapping[str, float]:
    """Read a file of changes: other values of constants.

    Supported are ``NAME = 3``, ``NAME[Element] = 3``, ``NAME[Range] = 3`` or ``= 3, 2, 7``, and
    the lines of an optimization control file, whose middle value counts.  A later line overrides.

    Returns
    -------
    mapping
        ``Name`` or ``Name[Element]`` to its value, for `beltcast.model.variants.move`.

    Raises
    ------
    InputError
        With file and line: a lookup or text, a name that is not a constant, a wrong count of
        values.

    Examples
    --------
    >>> import tempfile
    >>> from beltcast import load_model, read_cin
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/sir/sir.mdl"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "file"
    ...     _ = path.write_text("Contact Rate = 3")
    ...     read_cin(path, model)
    {'Contact Rate': 3.0}
    """
    text = read_text(path, InputError)
    found: dict[str, float] = {}
    for line, content in _lines(text):
        if content.startswith(":"):
            _check_option(text, line, content)
            continue
        parts = [part.strip() for part in content.partition("|")[0].split("<=")]
        middle = next((part for part in parts if "=" in part), parts[0])
        name, equals, given = (part.strip() for part in middle.partition("="))
        if not equals or ":IS:" in content.upper():
            raise InputError(
                f"{quoted(content)} changes no constant; expected NAME = number (lookups and texts "
                "are not read here: change them in the model)",
                text.path,
                line,
            )
        labels = _constants(text, line, name, model)
        numbers = [_value(text, line, cell.strip(), model) for cell in given.split(",")]
        if len(numbers) == 1:
            numbers = numbers * len(labels)
        if len(numbers) != len(labels):
            raise InputError(
                f"{quoted(name)} has {len(labels)} elements and is given {len(numbers)} values; "
                "give one, or one for each",
                text.path,
                line,
            )
        found.update(zip(labels, numbers, strict=True))
    return found


def _lines(text: Text) -> Iterator[tuple[int, str]]:
    """Return lines that are not empty, without comments in braces."""
    # A comment over several lines keeps its line breaks, so that line numbers remain right.
    plain = _COMMENT.sub(lambda m: "\n" * m[0].count("\n"), text.text)
    for line, content in enumerate(plain.splitlines(), start=1):
        if "{" in content or "}" in content:
            raise InputError("a comment in braces is not closed; close it", text.path, line)
        if content.strip():
            yield line, content.strip()


def _check_option(text: Text, line: int, content: str) -> None:
    keyword = content[1:].partition("=")[0].split()[0:1]
    name = keyword[0].upper() if keyword else ""
    if name.startswith("STOC"):
        sentence = ":STOCHASTIC asks for a noisy payoff, which is not supported; remove it"
        raise InputError(sentence, text.path, line)
    if name[:4] not in _OPTIONS and not name.startswith(_MARKOV):
        raise InputError(
            f"unknown option {quoted(content)}; correct it, or remove it", text.path, line
        )


def _searched(text: Text, line: int, content: str, model: Model) -> Iterator[Entry]:
    range_, bar, more = content.partition("|")
    if bar and not re.match(r"\s*(FRAC|ABS)", more, re.IGNORECASE):
        raise InputError(
            f"{quoted(more.strip())} of a parameter is not supported; expected a tolerance "
            "(FRAC or ABS) or nothing",
            text.path,
            line,
        )
    # An old form has the tolerance after the bound, without a bar.
    range_ = re.sub(r"\s(FRAC|ABS)\w*\s*(=.*)?$", "", range_, flags=re.IGNORECASE)
    parts = [part.strip() for part in range_.split("<=")]
    if len(parts) != 3 or not all(parts):
        raise InputError(
            f"{quoted(content)} is not a parameter with two bounds; write it low <= Name <= high",
            text.path,
            line,
        )
    low, high = (_value(text, line, part, model) for part in (parts[0], parts[2]))
    name = parts[1].partition("=")[0].strip()
    if not low < high:
        raise InputError(
            f"the bounds of {quoted(name)} are crossed, {low:g} and {high:g}; swap them",
            text.path,
            line,
        )
    for label in _constants(text, line, name, model):
        variable, _ = find_label(label, model)
        source = f"{text.path.name}, line {line}"
        yield uniform_entry(label, variable.name, "other", variable.unit, source, (low, high))


def _compared(text: Text, line: int, content: str, kind: str, model: Model) -> Payoff:
    compared, slash, weight = content.rpartition("/")
    if not slash:
        raise InputError(
            f"{quoted(content)} has no weight; write it variable|data/weight", text.path, line
        )
    variable, bar, data = (part.strip() for part in compared.partition("|"))
    try:
        model.rows(variable)
    except UnknownName as unknown:
        raise InputError(unknown.sentence, text.path, line) from None
    number = _value(text, line, weight.strip(), model)
    by = "" if is_number(weight.strip()) else join_label(*_label_of(weight.strip(), model))
    if not number > 0:
        raise InputError(
            f"the weight of {quoted(variable)} is {number:g}; expected one above 0", text.path, line
        )
    if kind.startswith("*P"):
        return Payoff(variable, "", number, False, policy=kind[1:])
    sd = number if "G" in kind else 1.0 / number
    power = -1.0 if by and "G" not in kind else 1.0
    return Payoff(variable, data if bar else variable, sd, "L" in kind, by, power)


def _label_of(cell: str, model: Model) -> tuple[str, tuple[str, ...]]:
    variable, elements = find_label(cell, model)
    return variable.name, elements


def _constants(text: Text, line: int, name: str, model: Model) -> list[str]:
    """Return the labels of a name: itself, or each element of its ranges."""
    base, bracket, rest = split_label(name)
    try:
        variable = model.find(base.strip())
    except UnknownName as unknown:
        raise InputError(unknown.sentence, text.path, line) from None
    if variable.kind != "constant":
        raise InputError(
            f"{quoted(variable.name)} is of kind {quoted(variable.kind)} in the model; expected a "
            "constant",
            text.path,
            line,
        )
    _refuse_control(text, line, variable.name)
    given = [part.strip() for part in rest.rstrip().removesuffix("]").split(",")] if bracket else []
    if len(given) != len(variable.dims):
        expected = join_label(variable.name, variable.dims)
        raise InputError(
            f"{quoted(name)} does not fit the model; write {quoted(expected)}, or elements",
            text.path,
            line,
        )
    each = []
    for part, dim in zip(given, variable.dims, strict=True):
        known = {canonical(e): (e,) for e in model.subscripts[dim]}
        # A range of the model, the whole or a part of it, stands for all its elements.
        ranges = {canonical(r): elements for r, elements in model.subscripts.items()}
        chosen = known.get(canonical(part.rstrip("!"))) or ranges.get(canonical(part.rstrip("!")))
        if chosen is None or not all(canonical(e) in known for e in chosen):
            meant = did_you_mean(part, [*model.subscripts[dim], dim])
            raise InputError(
                f"{quoted(part)} is not an element of {quoted(dim)}{meant}", text.path, line
            )
        each.append(chosen)
    return [join_label(variable.name, elements) for elements in itertools.product(*each)]


def _refuse_control(text: Text, line: int, name: str) -> None:
    if canonical(name) in CONTROLS:
        raise InputError(
            f"{quoted(name)} sets the time grid of all runs and is neither searched nor changed "
            "here; change it in the model",
            text.path,
            line,
        )


def _value(text: Text, line: int, cell: str, model: Model) -> float:
    """Return a number, or the value of a constant."""
    if is_number(cell):
        return float(cell)
    try:
        variable, elements = find_label(cell, model)
        if variable.kind == "constant" and len(elements) == len(variable.dims):
            return model.value(join_label(variable.name, elements))
    except UnknownName:
        pass
    raise InputError(
        f"{quoted(cell)} is neither a number nor a constant of the model; correct it",
        text.path,
        line,
    )
