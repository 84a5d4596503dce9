"""The functions of XMILE, said in those of the engine.

XMILE and Vensim share most functions under other names or with arguments in another order; the
engine knows Vensim's.  `translate` says one in the other, by name and number of arguments, and
refuses what the engine does not have.  Functions over arrays need to know subscripts and are
translated in `beltcast.engine.xmile_names`.

Where OASIS XMILE 1.0 leaves a choice: ``INT`` and ``MOD`` cut towards zero, as the published
output of SDXorg/test-models does (isee's manual and simlin round down); ``STDDEV`` divides by the
number of elements, as simlin does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from beltcast.engine.functions import INPUTS, LANGUAGE
from beltcast.engine.memory import WITH_MEMORY
from beltcast.engine.syntax import Call, Expr, Number, Ref
from beltcast.engine.xmile_document import Place
from beltcast.errors import did_you_mean

__all__ = ["ARRAY_FUNCTIONS", "translate"]

ARRAY_FUNCTIONS = frozenset({"SUM", "PROD", "MIN", "MAX", "VMIN", "VMAX", "MEAN", "STDDEV", "SIZE"})
"""Functions of one argument that run over the elements of arrays."""

_Builder = Callable[..., Expr]


def translate(function: str, arguments: tuple[Expr, ...], owner: Ref, place: Place) -> Expr:
    """Say a call of a function of XMILE in the engine's functions.

    Parameters
    ----------
    function : str
        In upper case with single blanks.
    arguments : tuple of Expr
        Translated already.
    owner : Ref
        The variable whose equation this is, for ``SELF``.
    place : Place

    Returns
    -------
    Expr

    Raises
    ------
    UnsupportedConstruct
        The engine has no such function.
    ModelFileError
        The number of arguments is wrong.
    """
    own = _FUNCTIONS.get(function)
    if own is None:
        if function in _SHARED:
            return Call(function, arguments)
        hint = did_you_mean(function, [*_FUNCTIONS, *ARRAY_FUNCTIONS, *_SHARED])
        raise place.refusal(
            f"in the equation of '{owner.name}': the function {function} is not supported"
            + (hint or "; write it out")
        )
    build = own.get(len(arguments), own.get(-1) if len(arguments) > 1 else None)
    if build is None:
        counts = "1 or more" if -1 in own else " or ".join(map(str, own))
        raise place.error(
            f"in the equation of '{owner.name}': {function} takes {counts} arguments and is given "
            f"{len(arguments)}"
        )
    return build(*arguments)


def _calls(name: str, count: int) -> Mapping[int, _Builder]:
    return {count: lambda *arguments: Call(name, arguments)}


def _chain(family: str, order: float) -> Mapping[int, _Builder]:
    """DELAY1, SMTH3 and their like: the initial value is the input where it is not given."""
    return {
        2: lambda x, time: Call(family, (x, time, x, Number(order))),
        3: lambda x, time, initial: Call(family, (x, time, initial, Number(order))),
    }


def _chain_n(family: str) -> Mapping[int, _Builder]:
    return {
        3: lambda x, time, order: Call(family, (x, time, x, order)),
        4: lambda x, time, order, initial: Call(family, (x, time, initial, order)),
    }


def _joined(function: str) -> Mapping[int, _Builder]:
    """MIN or MAX of two and more."""

    def build(*arguments: Expr) -> Expr:
        result = arguments[0]
        for argument in arguments[1:]:
            result = Call(function, (result, argument))
        return result

    return {-1: build}


def _mean(*arguments: Expr) -> Expr:
    total = arguments[0]
    for argument in arguments[1:]:
        total = Call("+", (total, argument))
    return Call("/", (total, Number(float(len(arguments)))))


_ZERO = Number(0.0)


def _normal(mean: Expr, spread: Expr, seed: Expr = _ZERO, *ends: Expr) -> Expr:
    least, most = ends or (Number(-math.inf), Number(math.inf))
    return Call("RANDOM NORMAL", (least, most, mean, spread, seed))


def _exponential(mean: Expr, seed: Expr = _ZERO) -> Expr:
    ends = (Number(0.0), Number(math.inf))
    return Call("RANDOM EXPONENTIAL", (*ends, Number(0.0), mean, seed))


_STEP = Ref("TIME STEP")

_FUNCTIONS: Mapping[str, Mapping[int, _Builder]] = {
    "INT": _calls("INTEGER", 1),
    "INIT": _calls("INITIAL", 1),
    "INF": {0: lambda: Number(math.inf)},
    "PI": {0: lambda: Number(math.pi)},
    "MIN": _joined("MIN"),
    "MAX": _joined("MAX"),
    "MEAN": {-1: _mean},
    "SAFEDIV": {
        2: lambda x, y: Call("ZIDZ", (x, y)),
        3: lambda x, y, otherwise: Call("XIDZ", (x, y, otherwise)),
    },
    # What a variable was one step ago: DELAY FIXED waits at least a step.
    "PREVIOUS": {2: lambda x, initial: Call("DELAY FIXED", (x, _STEP, initial))},
    "DELAY": {
        2: lambda x, time: Call("DELAY FIXED", (x, time, x)),
        3: lambda x, time, initial: Call("DELAY FIXED", (x, time, initial)),
    },
    "DELAY1": _chain("DELAY", 1.0),
    "DELAY3": _chain("DELAY", 3.0),
    "DELAYN": _chain_n("DELAY N"),
    "SMTH1": _chain("SMOOTH", 1.0),
    "SMTH3": _chain("SMOOTH", 3.0),
    "SMTHN": _chain_n("SMOOTH"),
    "TREND": {
        2: lambda x, time: Call("TREND", (x, time, Number(0.0))),
        3: lambda x, time, initial: Call("TREND", (x, time, initial)),
    },
    "FORCST": {
        3: lambda x, time, ahead: Call("FORECAST", (x, time, ahead, Number(0.0))),
        4: lambda x, time, ahead, initial: Call("FORECAST", (x, time, ahead, initial)),
    },
    "PULSE": {
        2: lambda size, start: Call("XPULSE", (start, size)),
        3: lambda size, start, interval: Call("XPULSE TRAIN", (start, interval, size)),
    },
    "RANDOM": {
        2: lambda least, most: Call("RANDOM UNIFORM", (least, most, Number(0.0))),
        3: lambda least, most, seed: Call("RANDOM UNIFORM", (least, most, seed)),
    },
    "NORMAL": {2: _normal, 3: _normal, 5: _normal},
    "EXPRND": {1: _exponential, 2: _exponential},
}
"""By name, then by number of arguments; -1 stands for any other number above one."""

_SHARED = frozenset(
    name
    for name in (*LANGUAGE, *INPUTS, *WITH_MEMORY)
    if name[0].isalpha() and name not in ("negative", "INTEG", "XPULSE", "XPULSE TRAIN")
)
"""Functions that the engine knows by the same name, among them Vensim's own: translators of
Vensim models leave those as they are."""
