"""Announced events, which hold in every scenario.

An event has the form of a scenario (`beltcast.study.scenarios`): constants of the model, its date
among them, each with a size that may be uncertain.  Unlike a scenario it is not an alternative: a
forecast *given* events includes all of them in all scenarios, and adds one scenario without them to
show their effect.  A constant that a scenario sets itself overrides that of an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from beltcast.engine.syntax import split_label
from beltcast.errors import InputError, ScenarioError, quoted
from beltcast.files.text import file_sha256
from beltcast.study.scenarios import Scenario, extend, read_scenarios
from beltcast.study.study import Study

WITHOUT = "without-events"
"""Name of the scenario that leaves the events out."""


def with_events(
    scenarios: Mapping[str, Scenario], events: Mapping[str, Scenario]
) -> dict[str, Scenario]:
    """Add events to every scenario.

    Parameters
    ----------
    scenarios : mapping of str to Scenario
    events : mapping of str to Scenario
        As `read_scenarios` returns them.

    Returns
    -------
    dict
        The scenarios in their order, each with all events, then the first of them without, called
        ``without-events``.

    Raises
    ------
    ScenarioError
        Two events set the same constant or input, or a scenario has the name of the last.

    Examples
    --------
    >>> from beltcast.study.scenarios import Scenario
    >>> duty = Scenario("duty", "A duty", constants={"Tariff Add": 0.1, "Tariff Start": 2026.5})
    >>> more = Scenario("more", "A higher duty", constants={"Tariff Add": 0.3})
    >>> base = Scenario("baseline", "Baseline")
    >>> both = with_events({"baseline": base, "more": more}, {"duty": duty})
    >>> dict(both["more"].constants)
    {'Tariff Start': 2026.5, 'Tariff Add': 0.3}
    >>> list(both)
    ['baseline', 'more', 'without-events']
    """
    _refuse_shared(events)
    if WITHOUT in scenarios:
        raise ScenarioError(f"a scenario is called {quoted(WITHOUT)} already; give it another name")
    together = Scenario("events", "Announced events")
    for event in events.values():
        together = replace(extend(together, event), text="")
    given = {name: extend(together, scenario) for name, scenario in scenarios.items()}
    first = next(iter(scenarios.values()))
    text = f"{first.title} without {', '.join(event.title for event in events.values())}."
    without = replace(first, name=WITHOUT, title="Without the announced events", text=text, code="")
    return {**given, WITHOUT: without}


def given_events(study: Study, path: str | Path) -> tuple[Study, str]:
    """Add the events of a file to every scenario of a study.

    Returns
    -------
    (Study, str)
        The study and the SHA-256 of the file.
    """
    scenarios = with_events(study.scenarios, read_scenarios(path, study.model))
    return replace(study, scenarios=scenarios), file_sha256(path, InputError)


def _refuse_shared(events: Mapping[str, Scenario]) -> None:
    """Refuse events of which one would silently override the other."""
    for one, other in combinations(events.values(), 2):
        for mine in (*one.constants, *one.inputs):
            for theirs in (*other.constants, *other.inputs):
                whole = "[" not in mine or "[" not in theirs
                same_name = split_label(mine)[0] == split_label(theirs)[0]
                if mine == theirs or (whole and same_name):
                    raise ScenarioError(
                        f"the events {quoted(one.name)} and {quoted(other.name)} both set "
                        f"{quoted(mine)}; write them as one event"
                    )
