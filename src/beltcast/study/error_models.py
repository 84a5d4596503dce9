"""Distribution of the observations of one column around the model: a family and a scale.

Choose a family by the observations (y an observation, m the model's value):

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

import json
import math
from dataclasses import dataclass
from typing import Literal, get_args

from beltcast.errors import InputError, did_you_mean
from beltcast.files.toml import TomlTable

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
"""Prefix of the name of a scale before the name of its column; 'sd of' for the others."""


@dataclass(frozen=True)
class ErrorModel:
    """Distribution of the observations of one column around the model's values.

    Attributes
    ----------
    family : str
        One of `ERROR_FAMILIES`.
    scale : float, optional
        See the table of the module; the prior median if it is estimated.  None for families
        without a scale, and if a table of data determines it (`beltcast.study.series`).
    scale_log_sd : float
        Standard deviation of the prior of the log of the scale; 0 if the scale is given.
    df : float
        Degrees of freedom of Student's t; infinite for the normal distribution.
    trials : float
        Of the binomial distribution.
    scale_by : str
        Constant of the model that the scale is multiplied by; empty without one.
    scale_power : float
        Power of that constant: -1 if it is a weight, one over a standard deviation.
    name : str
        Observations whose error models have one name share an estimated scale.

    Examples
    --------
    >>> ErrorModel("normal", 2.0).is_log, ErrorModel("lognormal", 0.1).is_log
    (False, True)
    """

    family: ErrorFamily
    scale: float | None = None
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
        if self.scale is not None and not 0 < self.scale < math.inf:
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
        """Name of the scale if it is estimated, such as 'sd of Hare'."""
        return f"{SCALE_NAMES.get(self.family, 'sd of')} {self.name}"


_KEYS = ("family", "scale", "scale_log_sd", "df", "trials", "scale_by", "scale_power", "name")


def error_model_from_table(table: TomlTable, key: str, *, name: str) -> ErrorModel:
    """Read an error model: a family, or a table such as ``{ family = "student", df = 4 }``.

    Parameters
    ----------
    table : TomlTable
    key : str
        Of the error model in that table.
    name : str
        Of the column or definition.

    Raises
    ------
    InputError
        With file and line: an unknown key or family, or an impossible number.
    """
    if isinstance(table.values.get(key), str):
        return ErrorModel(_family(table.choice(key, ERROR_FAMILIES)), name=name)
    own = table.table(key).only(_KEYS)
    return ErrorModel(
        family=_family(own.choice("family", ERROR_FAMILIES)),
        scale=own.number("scale", above=0.0) if "scale" in own else None,
        scale_log_sd=own.number("scale_log_sd", 0.0, least=0.0),
        df=own.number("df", math.inf, least=1.0),
        trials=own.number("trials", 1.0, above=0.0),
        scale_by=own.text("scale_by", ""),
        scale_power=own.number("scale_power", 1.0, least=-1.0, most=1.0),
        name=own.text("name", name),
    )


def error_model_text(errors: ErrorModel) -> str:
    """Write an error model as a line of TOML; `error_model_from_table` reads it.

    Examples
    --------
    >>> error_model_text(ErrorModel("normal", 2.0, name="Hare"))
    'errors = { family = "normal", scale = 2, name = "Hare" }'
    """
    parts = [f'family = "{errors.family}"']
    if errors.scale is not None:
        parts.append(f"scale = {errors.scale:.15g}")
    for key, default in (("scale_log_sd", 0.0), ("df", math.inf), ("trials", 1.0)):
        if getattr(errors, key) != default:
            parts.append(f"{key} = {getattr(errors, key):.15g}")
    if errors.scale_by:
        parts.append(f"scale_by = {json.dumps(errors.scale_by, ensure_ascii=False)}")
        parts.append(f"scale_power = {errors.scale_power:g}")
    parts.append(f"name = {json.dumps(errors.name, ensure_ascii=False)}")
    return f"errors = {{ {', '.join(parts)} }}"


def _family(name: str) -> ErrorFamily:
    return next(family for family in ERROR_FAMILIES if family == name)
