"""Equations given as Vensim text, read in the context of a model.

The text is put into a small model file with the ranges of the context and read like any file, so
that there is one reader.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from beltcast.engine.syntax import (
    CONTROLS,
    Equation,
    Ref,
    Source,
    Table,
    Tables,
    canonical,
    show,
    split_label,
)
from beltcast.engine.vensim.reader import read_source
from beltcast.engine.vensim.writer import range_statements
from beltcast.errors import ModelError, ModelFileError


def read_equations(texts: Mapping[str, str], context: Source) -> tuple[Equation, ...]:
    """Read equations that are given as Vensim text.

    Parameters
    ----------
    texts : mapping of str to str
        Left-hand side, such as ``births`` or ``size[Belt]``, to right-hand side.  The points of a
        lookup are in brackets: ``((0,0),(1,2))``.
    context : Source
        Its subscript ranges may be used, and its lookups called.

    Returns
    -------
    tuple of Equation
        Without units and comments; `line` is 0.

    Raises
    ------
    ModelFileError
        A text is not an equation; the message quotes it.
    UnsupportedConstruct
        It uses something that the engine does not support.
    """
    for left, right in texts.items():
        if not right.strip() or set(left + right) & set("|~"):
            raise ModelFileError(
                f"'{left} = {right[:80]}' is no equation; give the right-hand side as Vensim text, "
                "without '|' and '~'"
            )
    wanted = {canonical(split_label(left)[0]) for left in texts}
    lines = ["{UTF-8}", *range_statements(context)]
    lines += [_statement(left, right) for left, right in texts.items()]
    # A call of a lookup is distinguished from a call of a function by the known name.
    lookups = {
        canonical(e.name): e.name
        for e in context.equations
        if isinstance(e.expression, (Table, Tables)) and canonical(e.name) not in wanted
    }
    lines += [f"{show(Ref(name))}((0,0),(1,1))\n\t~\t\n\t~\t\n\t|" for name in lookups.values()]
    # A file of controls alone would not be a model.
    lines.append(_statement("placeholder of the reader", "0"))
    controls = [name for name in CONTROLS if name not in wanted]
    lines += [_statement(name.upper(), "1") for name in controls]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "equations.mdl"
        path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
        try:
            read = read_source(path)
        except ModelError as problem:
            problem.path = problem.line = None
            raise
    found = (*read.controls.values(), *read.equations)
    kept = [e for e in found if canonical(e.name) in wanted]
    if {canonical(e.name) for e in kept} != wanted:
        raise ModelFileError(
            f"'{', '.join(texts)}' could not be read as equations; give each a name and a "
            "right-hand side"
        )
    return tuple(
        Equation(e.name, e.subscripts, e.except_, e.expression, limits=e.limits) for e in kept
    )


def _statement(left: str, right: str) -> str:
    points = right.strip()
    if points.startswith("((") and points.endswith("))"):
        return f"{left}({points[1:-1]})\n\t~\t\n\t~\t\n\t|"
    return f"{left} =\n\t{points}\n\t~\t\n\t~\t\n\t|"
