"""The functions of XMILE, translated to those of the engine.

XMILE and Vensim share most functions under other names or with arguments in another order; the
engine has Vensim's.  `translate` converts a call, by name and number of arguments, and
refuses functions that the engine does not have.  Functions over arrays need subscripts and are
translated in `beltcast.engine.xmile.names`.

Random numbers are drawn as Vensim's are (`beltcast.engine.language.random_functions`), and a seed
is a stream; functions that are not in the standard follow isee's help.

Where OASIS XMILE 1.0 leaves a choice: ``INT`` rounds down, as in isee's manual and simlin, but in
a file that Vensim wrote towards zero, as the published output of SDXorg/test-models has it;
``MOD`` is the remainder of C, with the sign of the dividend; ``STDDEV`` divides by the number of
elements, as simlin does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from beltcast.engine.language.functions import INPUTS, INSTEAD, LANGUAGE
from beltcast.engine.language.stateful import WITH_MEMORY
from beltcast.engine.syntax import Call, Expr, Number, Ref
from beltcast.engine.xmile.document import DocumentPlace
from beltcast.errors import UnsupportedConstruct, did_you_mean

ARRAY_FUNCTIONS = frozenset({"SUM", "PROD", "MIN", "MAX", "VMIN", "VMAX", "MEAN", "STDDEV", "SIZE"})
"""Functions of one argument that run over the elements of arrays."""

_Builder = Callable[..., Expr]


def is_function(name: str) -> bool:
    """Whether a name in upper case is that of a function."""
    return name in _FUNCTIONS or name in ARRAY_FUNCTIONS or name in _SHARED


def translate(function: str, arguments: tuple[Expr, ...], owner: Ref, place: DocumentPlace) -> Expr:
    """Translate a call of a function of XMILE to the engine's functions.

    Parameters
    ----------
    function : str
        In upper case with single blanks.
    arguments : tuple of Expr
        Translated already.
    owner : Ref
        The variable whose equation this is, for ``SELF``.
    place : Place

    Raises
    ------
    UnsupportedConstruct
        The engine does not have the function.
    ModelFileError
        The number of arguments is wrong.
    """
    own = _FUNCTIONS.get(function)
    if own is None:
        if function in _SHARED:
            return Call(function, arguments)
        if function in _INSTEAD:
            hint = f"; {_INSTEAD[function]}"
        elif function in INSTEAD:
            hint = f"; {INSTEAD[function]}"
        else:
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
    try:
        return build(*arguments)
    except UnsupportedConstruct as problem:
        raise place.refusal(f"in the equation of '{owner.name}': {problem.sentence}") from None


def _calls(name: str, count: int) -> Mapping[int, _Builder]:
    return {count: lambda *arguments: Call(name, arguments)}


def _chain(family: str, order: float) -> Mapping[int, _Builder]:
    """DELAY1, SMTH3 and similar: the initial value is the input if it is not given."""
    return {
        2: lambda x, time: Call(family, (x, time, Number(order))),
        3: lambda x, time, initial: Call(family, (x, time, initial, Number(order))),
    }


def _chain_n(family: str) -> Mapping[int, _Builder]:
    return {
        3: lambda x, time, order: Call(family, (x, time, order)),
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


_ZERO, _ONE = Number(0.0), Number(1.0)


def _normal(mean: Expr, sd: Expr, seed: Expr = _ZERO, *ends: Expr) -> Expr:
    least, most = ends or (Number(-math.inf), Number(math.inf))
    return Call("RANDOM NORMAL", (least, most, mean, sd, seed))


def _law(function: str, *, scaled: bool = False) -> Callable[..., Expr]:
    """A distribution of Vensim without its shift, and with its stretch if it is scaled."""

    def build(*given: Expr, seed: Expr = _ZERO, ends: tuple[Expr, ...] = ()) -> Expr:
        least, most = ends or (Number(-math.inf), Number(math.inf))
        *parameters, stretch = given if scaled else (*given, Number(1.0))
        return Call(function, (least, most, *parameters, _ZERO, stretch, seed))

    return build


def _sampled(build: Callable[..., Expr], count: int) -> Mapping[int, _Builder]:
    """A draw: its parameters, then a seed and its two ends if given."""

    def with_rest(*arguments: Expr) -> Expr:
        rest = arguments[count:]
        return build(*arguments[:count], seed=rest[0] if rest else _ZERO, ends=tuple(rest[1:3]))

    return {count: with_rest, count + 1: with_rest, count + 3: with_rest}


def _triangular(start: Expr, peak: Expr, stop: Expr, *, seed: Expr, ends: tuple[Expr, ...]) -> Expr:
    least, most = ends or (start, stop)
    return Call("RANDOM TRIANGULAR", (least, most, start, peak, stop, seed))


def _weibull(shape: Expr, scale: Expr, seed: Expr = _ZERO) -> Expr:
    """Of a scale, where Vensim has the mean: scale (-ln(1 - u))^(1 / shape)."""
    share = Call("RANDOM UNIFORM", (_ZERO, Number(1.0), seed))
    lasting = Call("negative", (Call("LN", (Call("-", (Number(1.0), share)),)),))
    return Call("*", (scale, Call("^", (lasting, Call("/", (Number(1.0), shape))))))


def _monte_carlo(percent: Expr, seed: Expr = _ZERO) -> Expr:
    """1 with the given probability (in percent) per unit of time, else 0, as isee defines it."""
    draw = Call("RANDOM UNIFORM", (_ZERO, Number(100.0), seed))
    return Call("<", (draw, Call("*", (percent, _STEP))))


_STEP = Ref("TIME STEP")


def _derivative(x: Expr, order: Expr) -> Expr:
    match order:
        case Number(0.0):
            return x
        case Number(1.0):
            return Call("XDERIVATIVE", (x,))
        case _:
            raise UnsupportedConstruct("DERIVN of an order other than 0 or 1; nest DERIVN(..., 1)")


def _normal_share(low: Expr, high: Expr, mean: Expr = _ZERO, sd: Expr = _ONE) -> Expr:
    """NORMALCDF: the share of a normal distribution between two numbers."""

    def below(x: Expr) -> Expr:
        return Call("NORMAL CDF", (Call("/", (Call("-", (x, mean)), sd)),))

    return Call("-", (below(high), below(low)))


def _normal_quantile(share: Expr, mean: Expr = _ZERO, sd: Expr = _ONE) -> Expr:
    """INVNORM: the number that so much of a normal distribution lies below."""
    return Call("+", (mean, Call("*", (sd, Call("XNORMAL QUANTILE", (share,))))))


def _history(x: Expr, time: Expr) -> Expr:
    """HISTORY(x, TIME - lag), or of a constant time; 0 before the run."""
    match time:
        case Call("-", (Ref("Time"), lag)):
            late = Call("XHISTORY", (x, lag, _ZERO))
            return Call("IF THEN ELSE", (Call(">", (lag, _ZERO)), late, x))
        case Ref("Time"):
            return x
        case _:
            raise UnsupportedConstruct(
                "HISTORY of a time other than TIME less a lag is not supported; "
                "keep the value with a stock"
            )


def _wave(function: str, size: Expr, period: Expr) -> Expr:
    turns = Call("/", (Call("*", (Number(2.0 * math.pi), Ref("Time"))), period))
    return Call("*", (size, Call(function, (turns,))))


def _compound_growth(percent: Expr) -> Expr:
    """The rate of compound growth per unit of time, whatever the step."""
    factor = Call("+", (Number(1.0), Call("/", (percent, Number(100.0)))))
    grown = Call("-", (Call("^", (factor, _STEP)), Number(1.0)))
    return Call("/", (grown, _STEP))


def _rounded(x: Expr) -> Expr:
    """The nearest whole number, halves away from zero."""
    half = Number(0.5)
    up = Call("XINT", (Call("+", (x, half)),))
    down = Call("negative", (Call("XINT", (Call("-", (half, x)),)),))
    return Call("IF THEN ELSE", (Call("<", (x, Number(0.0))), down, up))


_FUNCTIONS: Mapping[str, Mapping[int, _Builder]] = {
    "INT": _calls("XINT", 1),
    "ROUND": {1: _rounded},
    "INIT": _calls("INITIAL", 1),
    "INF": {0: lambda: Number(math.inf)},
    "NAN": {0: lambda: Number(math.nan)},
    "PI": {0: lambda: Number(math.pi)},
    "MIN": _joined("MIN"),
    "MAX": _joined("MAX"),
    "MEAN": {-1: _mean},
    "SAFEDIV": {
        2: lambda x, y: Call("XSAFEDIV", (x, y)),
        3: lambda x, y, otherwise: Call("XSAFEDIV", (x, y, otherwise)),
    },
    # What a variable was one step ago: DELAY FIXED waits at least a step.
    "PREVIOUS": {2: lambda x, initial: Call("DELAY FIXED", (x, _STEP, initial))},
    "DELAY": {
        2: lambda x, time: Call("DELAY FIXED", (x, time)),
        3: lambda x, time, initial: Call("DELAY FIXED", (x, time, initial)),
    },
    "DELAY1": _chain("DELAY", 1.0),
    "DELAY3": _chain("DELAY", 3.0),
    "DELAYN": _chain_n("DELAY N"),
    # As Vensim writes them into XMILE, with its own order of arguments.
    "DELAY N": _calls("DELAY N", 4),
    "DELAY FIXED": _calls("DELAY FIXED", 3),
    "DELAY1I": _chain("DELAY", 1.0),
    "DELAY3I": _chain("DELAY", 3.0),
    "SMOOTH": _chain("SMOOTH", 1.0),
    "SMOOTHI": _chain("SMOOTH", 1.0),
    "SMOOTH3": _chain("SMOOTH", 3.0),
    "SMOOTH3I": _chain("SMOOTH", 3.0),
    "SMOOTH N": _calls("SMOOTH", 4),
    "SAMPLE IF TRUE": _calls("SAMPLE IF TRUE", 3),
    **{name: _calls(name, 3) for name in ("IF THEN ELSE", "XIDZ")},
    **{name: _calls(name, 2) for name in ("ACTIVE INITIAL", "MODULO", "QUANTUM", "ZIDZ")},
    "INTEGER": _calls("INTEGER", 1),
    "PULSE TRAIN": _calls("PULSE TRAIN", 4),
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
        1: lambda size: Call("/", (size, _STEP)),
        2: lambda size, start: Call("XPULSE", (start, size)),
        3: lambda size, start, interval: Call("XPULSE TRAIN", (start, interval, size)),
    },
    "RANDOM": {
        2: lambda least, most: Call("RANDOM UNIFORM", (least, most, Number(0.0))),
        3: lambda least, most, seed: Call("RANDOM UNIFORM", (least, most, seed)),
    },
    "NORMAL": {2: _normal, 3: _normal, 5: _normal},
    "EXPRND": _sampled(_law("RANDOM EXPONENTIAL", scaled=True), 1),
    "POISSON": _sampled(_law("RANDOM POISSON"), 1),
    "BETA": _sampled(_law("RANDOM BETA"), 2),
    "BINOMIAL": _sampled(lambda n, p, **rest: _law("RANDOM BINOMIAL")(p, n, **rest), 2),
    "GAMMA": {
        1: lambda shape: _law("XRANDOM GAMMA")(shape),
        **_sampled(_law("XRANDOM GAMMA", scaled=True), 2),
    },
    "TRIANGULAR": _sampled(_triangular, 3),
    "UNIFORM": {
        2: lambda least, most: Call("RANDOM UNIFORM", (least, most, _ZERO)),
        3: lambda least, most, seed: Call("RANDOM UNIFORM", (least, most, seed)),
    },
    "WEIBULL": {2: _weibull, 3: _weibull},
    "MONTECARLO": {1: _monte_carlo, 2: _monte_carlo},
    "GAMMALN": _calls("GAMMA LN", 1),
    "NORMALCDF": {2: _normal_share, 4: _normal_share},
    "INVNORM": {1: _normal_quantile, 3: _normal_quantile},
    "HISTORY": {2: _history},
    # isee's: a derivative by differences, waves, compound growth whatever DT is.
    "DERIVN": {2: _derivative},
    "SINWAVE": {2: lambda size, period: _wave("SIN", size, period)},
    "COSWAVE": {2: lambda size, period: _wave("COS", size, period)},
    "CGROWTH": {1: _compound_growth},
}
"""By name, then by number of arguments; -1 stands for any other number above one."""

_OURS = (
    "XPULSE",
    "XPULSE TRAIN",
    "XRANDOM GAMMA",
    "XSAFEDIV",
    "XINT",
    "XDERIVATIVE",
    "XNORMAL QUANTILE",
)
"""Functions of the engine that no language has."""

_INSTEAD: Mapping[str, str] = {
    "COUNTER": "isee's help leaves open whether its end counts; write start + (TIME - STARTTIME) "
    "MOD (end - start)",
    "LOOKUPMEAN": "isee's help does not say over what it takes the mean; divide LOOKUPAREA by the "
    "width for the mean height",
    "LOGNORMAL": "it is not said whether its mean is that of the number or of its logarithm; write "
    "EXP(NORMAL(mean, deviation)) with those of the logarithm",
    "GEOMETRIC": "it is not said whether the success counts; write INT(LN(1 - RANDOM(0, 1))/LN(1 - "
    "p)), the failures before it",
    "NEGBINOMIAL": "it is not said whether the successes count; write the trials out",
    "PARETO": "the order of its arguments is not certain; write scale*RANDOM(0, 1)^(-1/shape)",
    "LOGISTIC": "write mean + scale*LN(u/(1 - u)) with u = RANDOM(0, 1)",
}
"""Refused because their definition is uncertain, and the nearest function that works."""

_SHARED = frozenset(
    name
    for name in (*LANGUAGE, *INPUTS, *WITH_MEMORY)
    if name[0].isalpha() and name not in ("negative", "INTEG", *_OURS)
)
"""Functions that the engine has under the same name, among them Vensim's own: translators of
Vensim models leave those unchanged."""
