"""Equations as MathML, which browsers show without a library.

A fraction is set as a fraction, a power as a power, a stock as its rate of change with its initial
value below, a choice as cases.  Names remain whole words.  `equation_math` takes a function that
turns a name into a link, so that a page can lead from an equation to the variables that it uses.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from beltcast.engine.lower.symbols import STOCKS
from beltcast.engine.syntax import (
    Array,
    Call,
    Data,
    Equation,
    Expr,
    Number,
    Ref,
    Table,
    Tables,
    canonical,
    show,
)

Address = Callable[[str], str]
"""Address that a name links to; empty for none."""

_STRENGTH = (
    {":OR:": 1, ":AND:": 2, ":NOT:": 3}
    | dict.fromkeys(("=", "<>", "<", "<=", ">", ">="), 4)
    | {"+": 5, "-": 5, "*": 6, "negative": 6}
)
_ATOM = 9
_SIGN = {
    "*": "·",
    "<>": "≠",
    "<=": "≤",
    ">=": "≥",
    ":AND:": "and",
    ":OR:": "or",
    "-": "−",
}


def equation_math(equation: Equation, address: Address = lambda name: "") -> str:
    """Set an equation.

    Parameters
    ----------
    equation : Equation
    address : callable, optional
        Address of a name, for links.

    Returns
    -------
    str
        A ``<math>`` element.

    Examples
    --------
    >>> from beltcast.engine.syntax import Equation, Number
    >>> equation_math(Equation("a", (), (), Number(2.0)))
    '<math><mrow><mtext>a</mtext><mo>=</mo><mn>2</mn></mrow></math>'
    """
    left = _reference(Ref(equation.name, equation.subscripts), lambda name: "")
    expression = equation.expression
    match expression:
        case Call(function=function, arguments=(rate, initial)) if function in STOCKS:
            derivative = (
                f"<mfrac><mrow><mi>d</mi>{left}</mrow><mrow><mi>d</mi><mi>t</mi></mrow></mfrac>"
            )
            start = f"<msub>{left}<mn>0</mn></msub>"
            lines = [
                f"{derivative}<mo>=</mo>{_set(rate, 0, address)}",
                f"{start}<mo>=</mo>{_set(initial, 0, address)}",
            ]
            rows = "".join(f"<mtr><mtd>{line}</mtd></mtr>" for line in lines)
            return f"<math><mtable>{rows}</mtable></math>"
        case Table() | Tables():
            return f"<math><mrow>{left}<mo>:</mo><mtext>points</mtext></mrow></math>"
        case Data():
            return f"<math><mrow>{left}<mo>=</mo><mtext>data over time</mtext></mrow></math>"
        case Number() | Array() | Ref() | Call():
            return f"<math><mrow>{left}<mo>=</mo>{_set(expression, 0, address)}</mrow></math>"


def expression_math(expression: Expr, address: Address = lambda name: "") -> str:
    """Set an expression; parameters as `equation_math`."""
    return f"<math><mrow>{_set(expression, 0, address)}</mrow></math>"


def _set(expression: Expr, strength: int, address: Address) -> str:
    match expression:
        case Number(value):
            text = f"<mn>{show(Number(value)).replace('-', '−')}</mn>"
            return f"<mo>(</mo>{text}<mo>)</mo>" if value < 0 and strength == _ATOM else text
        case Array():
            return f"<mtext>{escape(show(expression))}</mtext>"
        case Ref():
            return _reference(expression, address)
        case Table() | Tables() | Data():
            return "<mtext>points</mtext>"
        case Call(function, arguments):
            own, text = _call(function, arguments, address)
            inside = f"<mrow>{text}</mrow>"
            return inside if own >= strength else f"<mrow><mo>(</mo>{inside}<mo>)</mo></mrow>"


def _call(function: str, arguments: tuple[Expr, ...], address: Address) -> tuple[int, str]:
    """Binding strength of the notation of a call, and its parts."""
    match function, arguments:
        case "/", (top, bottom):
            return _ATOM, f"<mfrac>{_set(top, 0, address)}{_set(bottom, 0, address)}</mfrac>"
        case (("^" | "POWER"), (base, exponent)):
            # A base that is itself a power or a fraction keeps its brackets.
            plain = not (isinstance(base, Call) and base.function == "/")
            low = (
                _set(base, _ATOM, address)
                if plain
                else f"<mrow><mo>(</mo>{_set(base, 0, address)}<mo>)</mo></mrow>"
            )
            return 8, f"<msup>{low}{_set(exponent, 0, address)}</msup>"
        case "SQRT", (operand,):
            return _ATOM, f"<msqrt>{_set(operand, 0, address)}</msqrt>"
        case "EXP", (operand,):
            return 8, f"<msup><mi>e</mi>{_set(operand, 0, address)}</msup>"
        case "ABS", (operand,):
            return _ATOM, f"<mo>|</mo>{_set(operand, 0, address)}<mo>|</mo>"
        case "negative", (operand,):
            return 6, f"<mo>−</mo>{_set(operand, 7, address)}"
        case ":NOT:", (operand,):
            return 3, f"<mo>not</mo>{_set(operand, 5, address)}"
        case "IF THEN ELSE", (condition, yes, no):
            rows = (
                f"<mtr><mtd>{_set(yes, 0, address)}</mtd><mtd><mtext>if </mtext>"
                f"{_set(condition, 0, address)}</mtd></mtr>"
                f"<mtr><mtd>{_set(no, 0, address)}</mtd><mtd><mtext>otherwise</mtext></mtd></mtr>"
            )
            return _ATOM, f'<mo>{{</mo><mtable columnalign="left">{rows}</mtable>'
        case "SUM", (operand,):
            marks = dict.fromkeys(
                s[:-1] for ref in _references(operand) for s in ref.subscripts if s.endswith("!")
            )
            under = f"<mtext>{escape(', '.join(marks))}</mtext>"
            return 5, f"<munder><mo>∑</mo>{under}</munder>{_set(operand, 6, address)}"
        case "LOOKUP", (Ref() as lookup, at):
            name = _reference(lookup, address)
            return _ATOM, f"{name}<mo>(</mo>{_set(at, 0, address)}<mo>)</mo>"
        case operator, (left, right) if operator in _STRENGTH:
            own = _STRENGTH[operator]
            sign = escape(_SIGN.get(operator, operator))
            first, second = _set(left, own, address), _set(right, own + 1, address)
            return own, f"{first}<mo>{sign}</mo>{second}"
    given = "<mo>,</mo>".join(_set(a, 0, address) for a in arguments)
    return _ATOM, f"<mi>{escape(function.lower())}</mi><mo>(</mo>{given}<mo>)</mo>"


def _references(expression: Expr) -> list[Ref]:
    if isinstance(expression, Ref):
        return [expression]
    if isinstance(expression, Call):
        return [ref for a in expression.arguments for ref in _references(a)]
    return []


def _reference(ref: Ref, address: Address) -> str:
    name = ref.name.strip('"')
    where = address(ref.name)
    if canonical(name) == "time":
        text = "<mi>t</mi>"
    elif where:  # HTML may stand only inside the text of a formula
        text = f'<mtext><a href="{escape(where)}">{escape(name)}</a></mtext>'
    else:
        text = f"<mtext>{escape(name)}</mtext>"
    if not ref.subscripts:
        return text
    inside = ", ".join(s.removesuffix("!") for s in ref.subscripts)
    return f"<msub>{text}<mtext>{escape(inside)}</mtext></msub>"
