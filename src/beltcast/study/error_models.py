"""How the observations of one column differ from the model: a family and a scale.

What you have, and the family that serves it (y an observation, m the model's value):

====================================  ======================  ======================================
observations                          family                  scale
====================================  ======================  ======================================
positive numbers, relative errors     ``lognormal``           standard deviation of ``log(y / m)``
any numbers, absolute errors          ``normal``              standard deviation of ``y - m``
the same, with some that are wrong    ``student``             scale of ``y - m``, with ``df``
positive, with some that are wrong    ``log_student``         scale of ``log(y / m)``, with ``df``
counts                                ``poisson``             none: the variance is m
counts that vary more than Poisson    ``negative_binomial``   overdispersion 1 / phi: the variance
                                                              is ``m + m^2 / phi``
counts out of a known number          ``binomial``            none: m is the probability, ``trials``
                                                              the number
none: a variable of the model is      ``log_density``         none
itself a log likelihood
====================================  ======================  ======================================

A scale is given, or estimated with a log-normal prior whose median is ``scale`` and whose standard
deviation (of the log) is ``scale_log_sd``.  It may also be a constant of the model that is
estimated itself (`scale_by`), as Vensim allows in the weight of a payoff.

The same value describes the errors of a column of a table (`beltcast.study.series`) and of a
definition of a study (`beltcast.study.noise`), so that both are fitted by one likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from beltcast.errors import InputError, did_you_mean
from beltcast.files.toml import Toml

ErrorFamily = Literal[
    "lognormal",
    "normal",
    "student",
    "log_student",
    "poisson",
    "negative_binomial",
    "binomial",
    "log_density",
]

ERROR_FAMILIES: tuple[ErrorFamily, ...] = get_args(ErrorFamily)

LOG_FAMILIES = ("lognormal", "log_student")
"""Families that compare logs, so that observations and the model's values must be above 0."""

COUNT_FAMILIES = ("poisson", "negative_binomial", "binomial")
"""Families of whole numbers."""

SCALED_FAMILIES = ("lognormal", "normal", "student", "log_student", "negative_binomial")
"""Families that have a scale."""

SCALE_NAMES = {"negative_binomial": "overdispersion of"}
"""What a scale is called before the name of its column; 'sd of' for the others."""


@dataclass(frozen=True)
class ErrorModel:
    """Distribution of the observations of one column around the model's values.

    Attributes
    ----------
    family : str
        One of `ERROR_FAMILIES`.
    scale : float
        See the table of the module; 1 for families without a scale.
    scale_log_sd : float
        Standard deviation of the prior of the log of the scale; 0 where the scale is given.
    df : float
        Degrees of freedom of Student's t; infinite for the normal distribution.
    trials : float
        Of the binomial distribution.
    scale_by : str
        Constant of the model that the scale is multiplied by; empty without one.
    scale_power : float
        Power of that constant: -1 where it is a weight, one over a standard deviation.
    name : str
        Observations whose error models have one name share an estimated scale.

    Examples
    --------
    >>> ErrorModel("normal", 2.0).is_log, ErrorModel("lognormal", 0.1).is_log
    (False, True)
    """

    family: ErrorFamily
    scale: float = 1.0
    scale_log_sd: float = 0.0
    df: float = math.inf
    trials: float = 1.0
    scale_by: str = ""
    scale_power: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.family not in ERROR_FAMILIES:
            known = did_you_mean(str(self.family), ERROR_FAMILIES)
            raise InputError(f"unknown family of errors '{self.family}'{known}")
        if not 0 < self.scale < math.inf:
            raise InputError(
                f"the scale of {self.family} errors is {self.scale:g}; expected a number above 0"
            )
        if not 0 <= self.scale_log_sd < math.inf or not self.df >= 1 or not self.trials > 0:
            raise InputError(
                f"{self.family} errors have scale_log_sd {self.scale_log_sd:g}, df {self.df:g} and "
                f"trials {self.trials:g}; expected 0 or more, 1 or more, and above 0"
            )

    @property
    def is_log(self) -> bool:
        """Whether logs are compared."""
        return self.family in LOG_FAMILIES

    @property
    def is_count(self) -> bool:
        """Whether observations are whole numbers."""
        return self.family in COUNT_FAMILIES

    @property
    def scale_name(self) -> str:
        """Name of the scale where it is estimated, such as 'sd of Hare'."""
        return f"{SCALE_NAMES.get(self.family, 'sd of')} {self.name}"


_KEYS = ("family", "scale", "scale_log_sd", "df", "trials", "scale_by")


def error_model_from_table(toml: Toml, *keys: str, name: str) -> ErrorModel:
    """Read an error model from an inline table such as ``{ family = "student", df = 4 }``.

    Parameters
    ----------
    toml : Toml
    *keys : str
        Path of the table, from the top.
    name : str
        Of the column or definition.

    Raises
    ------
    InputError
        With file and line: an unknown key or family, or an impossible number.
    """
    table: Any = toml.tables
    for key in keys:
        table = table[key]
    where = toml.path, toml.line(*keys)
    given: Mapping[str, Any] = {"family": table} if isinstance(table, str) else table
    if not isinstance(given, dict) or "family" not in given:
        raise InputError(
            f"{'.'.join(keys)} is {table!r}; expected a family of errors, such as "
            '{ family = "student", df = 4 }',
            *where,
        )
    for key, value in given.items():
        if key not in _KEYS:
            sentence = f"{'.'.join(keys)} has the unknown key '{key}'"
            raise InputError(f"{sentence}{did_you_mean(key, _KEYS)}", *where)
        wants_text = key in ("family", "scale_by")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, str) != wants_text or not (wants_text or is_number):
            raise InputError(f"{'.'.join(keys)}.{key} is {value!r}; correct it", *where)
    try:
        return ErrorModel(name=name, **given)
    except InputError as problem:
        raise InputError(problem.sentence, *where) from None
