"""The levers: constants of the model that a slider moves, by driver.

They are the constants that the shipped scenarios set; each is phased in by the model itself, from
2026 over three years.  A model that does not have one gets no slider for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from beltcast.model.model import Model
from beltcast.study.scenarios import Scenario


@dataclass(frozen=True)
class Lever:
    """A constant that can be moved.

    Attributes
    ----------
    key : str
        Short name, for links and texts.
    label : str
        The constant.
    driver : str
        Government, Market or Platform.
    lower, upper, step : float  [unit of the constant]
    """

    key: str
    label: str
    driver: str
    lower: float
    upper: float
    step: float = 0.05


LEVERS = (
    Lever("support", "Support Final Multiplier", "Government", 0.0, 2.0),
    Lever("brand", "Brand Propensity Final Multiplier", "Market", 0.5, 2.0),
    Lever("tilt", "Tilt Final Multiplier", "Platform", 0.5, 2.0),
    Lever("threshold", "Threshold Final Multiplier", "Platform", 0.5, 2.0),
)
"""Of the belt model.  The ranges hold every shipped scenario; a multiplier of 2 doubles what a
driver does, more than any scenario asks."""


def levers_of(model: Model) -> tuple[Lever, ...]:
    """Levers that a model has."""
    return tuple(lever for lever in LEVERS if lever.label in model.variables)


def position(lever: Lever, scenario: Scenario, model: Model) -> float:
    """Where a scenario puts a lever; the model's own value if it says nothing.

    A scenario that goes beyond the slider's range is shown at its end.
    """
    value = scenario.constants.get(lever.label)
    if value is None:
        value = model.value(lever.label)
    return min(max(float(value), lever.lower), lever.upper)


def moved(scenario: Scenario, levers: tuple[tuple[str, float], ...]) -> Scenario:
    """Move levers of a scenario; what is moved by hand is no longer uncertain.

    Parameters
    ----------
    scenario : Scenario
    levers : tuple of (key, value)

    Returns
    -------
    Scenario

    Examples
    --------
    >>> from beltcast.app.levers import moved
    >>> from beltcast.study.scenarios import Scenario
    >>> moved(Scenario("s", "S"), (("tilt", 1.5),)).constants["Tilt Final Multiplier"]
    1.5
    """
    by_key = {lever.key: lever.label for lever in LEVERS}
    given = {by_key[key]: value for key, value in levers}
    # A whole constant sets aside elements that the scenario gives, as in `read_scenarios`.
    kept = {k: v for k, v in scenario.constants.items() if k.partition("[")[0] not in given}
    uncertain = {k: v for k, v in scenario.uncertain.items() if k in kept}
    return replace(
        scenario,
        constants=MappingProxyType({**given, **kept}),
        uncertain=MappingProxyType(uncertain),
    )
