"""Where a scenario puts the levers of a study, and scenarios with levers moved by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from beltcast.model.model import Model
from beltcast.study.roles import Lever
from beltcast.study.scenarios import Scenario


def position(lever: Lever, scenario: Scenario, model: Model) -> float:
    """Return where a scenario puts a lever; the model's own value if it does not set it.

    A scenario beyond the range of the lever is shown at the end of the range.
    """
    value = scenario.constants.get(lever.name)
    if value is None:
        value = model.value(lever.name)
    return min(max(float(value), lever.low), lever.high)


def moved(
    scenario: Scenario, levers: Sequence[tuple[str, float]], known: Sequence[Lever]
) -> Scenario:
    """Move levers of a scenario; what is moved by hand is no longer uncertain.

    Parameters
    ----------
    scenario : Scenario
    levers : sequence of (key, value)
    known : sequence of Lever
        Levers of the study.

    Returns
    -------
    Scenario

    Examples
    --------
    >>> from beltcast.app.levers import moved
    >>> from beltcast.study.roles import Lever
    >>> from beltcast.study.scenarios import Scenario
    >>> effort = Lever("Fishing Effort", 0.0, 2.0, idle=1.0, key="effort")
    >>> moved(Scenario("s", "S"), [("effort", 1.5)], [effort]).constants["Fishing Effort"]
    1.5
    """
    by_key = {lever.key: lever.name for lever in known}
    given = {by_key[key]: value for key, value in levers}
    # A whole constant sets aside elements that the scenario gives, as in `read_scenarios`.
    kept = {k: v for k, v in scenario.constants.items() if k.partition("[")[0] not in given}
    uncertain = {k: v for k, v in scenario.uncertain.items() if k in kept}
    return replace(
        scenario,
        constants=MappingProxyType({**given, **kept}),
        uncertain=MappingProxyType(uncertain),
    )
