"""Dimensional check of the equations, naming the sub-expression that is wrong.

`check_units` derives the unit of each right-hand side from the declared units of its variables,
from the leaves up, and compares it with the declared unit of the left-hand side. The expected unit
is passed down the tree, so that a problem is reported at the smallest wrong expression.

Literal numbers: a bare 0 fits any unit. A right-hand side of numbers alone defines a
constant and takes the declared unit. Any other number is dimensionless, so ``MAX(Orders, 5)``
with orders in ``order/Year`` is a problem: the 5 should be a constant with a name and a unit.

A variable without a usable unit is reported once and fits anything afterwards. So does the
result of a function that has no rule here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from beltcast.engine.syntax import (
    COMPARISONS,
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
    show,
)
from beltcast.engine.units.units import DIMENSIONLESS, Unit, parse_unit
from beltcast.errors import UnitError


@dataclass(frozen=True)
class UnitProblem:
    """One inconsistency of units in a model.

    Attributes
    ----------
    equation
        Name of the variable whose equation it is.
    line
        Line of that equation in the file.
    expression
        The wrong part of the right-hand side, as Vensim text; the unit text itself if that
        cannot be read.
    found, expected
        Units as text.
    sentence
        All of it in one sentence.
    """

    equation: str
    line: int
    expression: str
    found: str
    expected: str
    sentence: str


def check_units(source: Source) -> list[UnitProblem]:
    """Check every equation of a model, in the order of the file.

    The unit of time is the declared unit of ``TIME STEP``.

    Returns
    -------
    list of UnitProblem
        Empty if all units are consistent.
    """
    equations = (*source.controls.values(), *source.equations)
    units, problems = _declared(equations)
    step = source.controls.get("time step")
    time = units.get(canonical(step.name)) if step else None
    units["time"] = time
    for name in (*source.subscripts, *(e for r in source.subscripts.values() for e in r)):
        # A subscript used as a number is its position.
        units.setdefault(canonical(name), DIMENSIONLESS)
    for equation in equations:
        problems += _EquationCheck(equation, units, time).problems()
    return sorted(problems, key=lambda problem: problem.line)


def _declared(
    equations: tuple[Equation, ...],
) -> tuple[dict[str, Unit | None], list[UnitProblem]]:
    """Return the declared unit of each variable, and the texts that are not units."""
    units: dict[str, Unit | None] = {}
    problems = []
    texts: dict[str, str] = {}
    for equation in equations:
        # Of the several equations of one variable, one states the unit.
        name = canonical(equation.name)
        texts[name] = texts.get(name) or equation.unit.strip()
    for equation in equations:
        name = canonical(equation.name)
        if name in units:
            continue
        text = texts[name]
        units[name] = None
        if not text:
            sentence = f"'{equation.name}' has no unit; give one, or Dmnl if it is dimensionless"
        else:
            try:
                units[name] = parse_unit(text)
                continue
            except UnitError as error:
                sentence = f"the unit of '{equation.name}' cannot be read: {error.sentence}"
        problems.append(
            UnitProblem(equation.name, equation.line, text, text, "a unit", sentence),
        )
    return units, problems


class _EquationCheck:
    """One walk over one equation.

    `None` in place of a unit means that it is unknown, or that anything fits.
    """

    def __init__(
        self, equation: Equation, units: Mapping[str, Unit | None], time: Unit | None
    ) -> None:
        self.equation = equation
        self.units = units
        self.time = time
        self.found: list[UnitProblem] = []

    def problems(self) -> list[UnitProblem]:
        expression = self.equation.expression
        declared = self.units[canonical(self.equation.name)]
        if _literal(expression) is None:
            self.expect(expression, declared)
        return self.found

    def expect(self, expression: Expr, unit: Unit | None) -> Unit | None:
        """Check that an expression has a unit; return the unit to continue with."""
        found = self.infer(expression, unit)
        if found is not None and unit is not None and found != unit:
            self.report(expression, found, unit)
        return found if unit is None else unit

    def infer(self, expression: Expr, hint: Unit | None = None) -> Unit | None:
        """Return the unit of an expression; `hint` is the unit that its context expects."""
        match expression:
            case Number(value):
                return None if value == 0 else DIMENSIONLESS
            case Ref(name) | Data(of=Ref(name)):
                return self.units.get(canonical(name))
            case Array() | Table() | Tables() | Data():
                return None
            case Call(function, arguments):
                rule = _RULES.get(function)
                if rule is None or len(arguments) < rule.least:
                    # The program refuses unknown functions; here they only hide their unit.
                    for argument in arguments:
                        self.infer(argument)
                    return None
                return rule.apply(self, arguments, hint)

    def agree(self, operands: tuple[Expr, ...], hint: Unit | None) -> Unit | None:
        """Check that all operands have one unit, and return it.

        If they differ, the wrong one is identified by the expected unit, or else by the first
        operand that is not a bare number.
        """
        pairs = [(operand, self.infer(operand, hint)) for operand in operands]
        known = [(operand, unit) for operand, unit in pairs if unit is not None]
        if not known:
            return None
        reference = known[0][1]
        if any(unit != reference for _, unit in known):
            named = [unit for operand, unit in known if _literal(operand) is None]
            reference = hint if hint in named else (named or [reference])[0]
        for operand, unit in known:
            if unit != reference:
                self.report(operand, unit, reference)
        return reference

    def report(self, expression: Expr, found: Unit, expected: Unit | None) -> None:
        text, name = show(expression), self.equation.name
        if expression is self.equation.expression:
            sentence = f"'{name}' has the stated unit {expected}, but {text} comes out in {found}"
        else:
            sentence = f"in '{name}', {text} has the unit {found} where {expected} is expected"
        if _literal(expression) is not None:
            sentence += "; make the number a constant with a name and a unit"
        self.found.append(
            UnitProblem(
                self.equation.name, self.equation.line, text, str(found), str(expected), sentence
            )
        )

    def per_time(self, unit: Unit | None) -> Unit | None:
        return None if unit is None or self.time is None else unit / self.time


# A rule checks the arguments of a function, and returns the unit of the result.
_Apply = Callable[[_EquationCheck, tuple[Expr, ...], "Unit | None"], "Unit | None"]


@dataclass(frozen=True)
class _Rule:
    apply: _Apply
    least: int = 1
    """With fewer arguments the rule does not apply to the call."""


def _product_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], _: Unit | None
) -> Unit | None:
    left, right = (check.infer(argument) for argument in arguments[:2])
    return None if left is None or right is None else left * right


def _quotient_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], _: Unit | None
) -> Unit | None:
    left, right = (check.infer(argument) for argument in arguments[:2])
    result = None if left is None or right is None else left / right
    if len(arguments) > 2:  # XIDZ: the value instead of x/0
        return check.expect(arguments[2], result)
    return result


def _power_rule(check: _EquationCheck, arguments: tuple[Expr, ...], _: Unit | None) -> Unit | None:
    base, exponent = arguments[:2]
    power = _literal(exponent)
    if power is not None:
        unit = check.infer(base)
        return None if unit is None else unit**power
    check.expect(exponent, DIMENSIONLESS)
    check.expect(base, DIMENSIONLESS)
    return DIMENSIONLESS


def _root_rule(check: _EquationCheck, arguments: tuple[Expr, ...], _: Unit | None) -> Unit | None:
    unit = check.infer(arguments[0])
    return None if unit is None else unit ** Fraction(1, 2)


def _sum_rule(check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None) -> Unit | None:
    return check.agree(tuple(term for a in arguments for term in _terms(a)), hint)


def _same_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None
) -> Unit | None:
    return check.agree(arguments, hint)


def _first_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None
) -> Unit | None:
    return check.infer(arguments[0], hint)


def _comparison_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], _: Unit | None
) -> Unit | None:
    check.agree(arguments, None)
    return DIMENSIONLESS


def _dimensionless_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], _: Unit | None
) -> Unit | None:
    for argument in arguments:
        check.expect(argument, DIMENSIONLESS)
    return DIMENSIONLESS


def _if_rule(check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None) -> Unit | None:
    check.expect(arguments[0], DIMENSIONLESS)
    return check.agree(arguments[1:], hint)


def _stock_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None
) -> Unit | None:
    flow, initial = arguments[:2]
    if hint is not None:
        check.expect(flow, check.per_time(hint))
        return check.expect(initial, hint)
    rate = check.infer(flow)
    stock = None if rate is None or check.time is None else rate * check.time
    return check.expect(initial, stock)


def _delay_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None
) -> Unit | None:
    """Input, delay time, initial value if given, and the order (DELAY FIXED has none)."""
    unit = check.infer(arguments[0], hint)
    check.expect(arguments[1], check.time)
    if len(arguments) > 3:
        unit = check.expect(arguments[2], unit)
    if len(arguments) > 2:
        check.expect(arguments[-1], DIMENSIONLESS)
    return unit


def _fixed_delay_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None
) -> Unit | None:
    """Input, delay time, and initial value if given."""
    unit = check.infer(arguments[0], hint)
    check.expect(arguments[1], check.time)
    return check.expect(arguments[2], unit) if len(arguments) > 2 else unit


def _trend_rule(check: _EquationCheck, arguments: tuple[Expr, ...], _: Unit | None) -> Unit | None:
    """Input, averaging time, initial trend: a fractional rate of change."""
    check.infer(arguments[0])
    check.expect(arguments[1], check.time)
    rate = check.per_time(DIMENSIONLESS)
    for initial in arguments[2:]:
        check.expect(initial, rate)
    return rate


def _forecast_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None
) -> Unit | None:
    """Input, averaging time, horizon, initial trend."""
    unit = check.infer(arguments[0], hint)
    for duration in arguments[1:3]:
        check.expect(duration, check.time)
    for initial in arguments[3:]:
        check.expect(initial, check.per_time(DIMENSIONLESS))
    return unit


def _lookup_rule(check: _EquationCheck, arguments: tuple[Expr, ...], _: Unit | None) -> Unit | None:
    check.infer(arguments[1])
    return check.infer(arguments[0])


def _step_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None
) -> Unit | None:
    unit = check.infer(arguments[0], hint)
    check.expect(arguments[1], check.time)
    return unit


def _ramp_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None
) -> Unit | None:
    slope = check.expect(arguments[0], check.per_time(hint))
    for moment in arguments[1:]:
        check.expect(moment, check.time)
    return None if slope is None or check.time is None else slope * check.time


def _pulse_rule(check: _EquationCheck, arguments: tuple[Expr, ...], _: Unit | None) -> Unit | None:
    for moment in arguments:
        check.expect(moment, check.time)
    return DIMENSIONLESS


def _sample_rule(
    check: _EquationCheck, arguments: tuple[Expr, ...], hint: Unit | None
) -> Unit | None:
    check.expect(arguments[0], DIMENSIONLESS)
    return check.agree(arguments[1:3], hint)


_DELAYS = ("DELAY", "DELAY1", "DELAY1I", "DELAY3", "DELAY3I", "DELAY N")
_SMOOTHS = ("SMOOTH", "SMOOTHI", "SMOOTH3", "SMOOTH3I", "SMOOTH N")
_DIMENSIONLESS = """
    EXP, LN, LOG, SIN, COS, TAN, ARCSIN, ARCCOS, ARCTAN, SINH, COSH, TANH, GAMMA LN, PROD,
    :AND:, :OR:, :NOT:
"""

_RULES: Mapping[str, _Rule] = {
    "*": _Rule(_product_rule, 2),
    "/": _Rule(_quotient_rule, 2),
    "ZIDZ": _Rule(_quotient_rule, 2),
    "XSAFEDIV": _Rule(_quotient_rule, 2),
    "XIDZ": _Rule(_quotient_rule, 3),
    "^": _Rule(_power_rule, 2),
    "POWER": _Rule(_power_rule, 2),
    "SQRT": _Rule(_root_rule),
    "IF THEN ELSE": _Rule(_if_rule, 3),
    "INTEG": _Rule(_stock_rule, 2),
    "SINTEG": _Rule(_stock_rule, 2),
    "TREND": _Rule(_trend_rule, 2),
    "FORECAST": _Rule(_forecast_rule, 3),
    "LOOKUP": _Rule(_lookup_rule, 2),
    "WITH LOOKUP": _Rule(_lookup_rule, 2),
    "STEP": _Rule(_step_rule, 2),
    "RAMP": _Rule(_ramp_rule, 2),
    "PULSE": _Rule(_pulse_rule, 2),
    "PULSE TRAIN": _Rule(_pulse_rule, 4),
    "SAMPLE IF TRUE": _Rule(_sample_rule, 3),
    **dict.fromkeys(("+", "-"), _Rule(_sum_rule, 2)),
    **dict.fromkeys(("MIN", "MAX", "MODULO", "QUANTUM", "ACTIVE INITIAL"), _Rule(_same_rule)),
    **dict.fromkeys(
        (
            "negative",
            "SUM",
            "VMIN",
            "VMAX",
            "INITIAL",
            "REINITIAL",
            "ABS",
            "INTEGER",
            "XINT",
            "GAME",
        ),
        _Rule(_first_rule),
    ),
    **dict.fromkeys(COMPARISONS, _Rule(_comparison_rule, 2)),
    **dict.fromkeys(
        (name.strip() for name in _DIMENSIONLESS.split(",")), _Rule(_dimensionless_rule)
    ),
    **dict.fromkeys((*_DELAYS, *_SMOOTHS), _Rule(_delay_rule, 2)),
    "DELAY FIXED": _Rule(_fixed_delay_rule, 2),
}


def _terms(expression: Expr) -> list[Expr]:
    """Return the terms of a sum, however it is nested."""
    match expression:
        case Call("+" | "-", arguments):
            return [term for argument in arguments for term in _terms(argument)]
        case _:
            return [expression]


# Division of literals may leave a long fraction, as in 1/3 read from a decimal.
_FINEST = 10**6
_ARITHMETIC: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def _literal(expression: Expr) -> Fraction | None:
    """Return the value of an expression of finite numbers alone, `None` for any other."""
    match expression:
        case Number(value) if value - value == 0:
            return Fraction(value).limit_denominator(_FINEST)
        case Call("negative", (operand,)):
            inner = _literal(operand)
            return None if inner is None else -inner
        case Call(symbol, (left, right)) if symbol in _ARITHMETIC:
            a, b = _literal(left), _literal(right)
            if a is None or b is None or (symbol == "/" and b == 0):
                return None
            return _ARITHMETIC[symbol](a, b)
        case _:
            return None
