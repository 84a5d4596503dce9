"""The question that is asked, as one frozen value, and as the query of a link.

A link names only what differs from the question that the page opens with.  What it names and the
study does not have is left out, and said: a link may come from an older study.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from beltcast.errors import quoted
from beltcast.schema import LANGUAGES, Language
from beltcast.study.roles import Lever


@dataclass(frozen=True)
class Question:
    """What the page shows.

    Attributes
    ----------
    place : str
    scenario : str
    compare : str
        A second scenario.
    horizon : int  [Year]
        Last year that is shown.
    levers : tuple of (key, value)
        Levers that were moved away from where the scenario puts them.
    language : 'en' or 'zh'
    """

    place: str
    scenario: str
    compare: str
    horizon: int
    levers: tuple[tuple[str, float], ...] = ()
    language: Language = "en"


@dataclass(frozen=True)
class Choices:
    """What can be asked.

    Attributes
    ----------
    places, scenarios : sequence of str
        The first of each is what the page opens with.
    horizons : sequence of int
        Ascending; the page opens with the last.
    levers : sequence of Lever
    """

    places: Sequence[str]
    scenarios: Sequence[str]
    horizons: Sequence[int]
    levers: Sequence[Lever]

    def opening(self) -> Question:
        """Return the question that the page opens with: the baseline beside nothing else."""
        first = self.scenarios[0]
        return Question(self.places[0], first, first, self.horizons[-1])


def write_query(question: Question, choices: Choices) -> dict[str, str]:
    """Write a question as the parameters of a link.

    Parameters
    ----------
    question : Question
    choices : Choices

    Returns
    -------
    dict
        Only what differs from `Choices.opening`.

    Examples
    --------
    >>> from beltcast.app.state import Choices, write_query
    >>> choices = Choices(["China", "Yiwu"], ["baseline"], [2030, 2035], ())
    >>> from dataclasses import replace
    >>> write_query(replace(choices.opening(), place="Yiwu"), choices)
    {'place': 'Yiwu'}
    """
    opening = choices.opening()
    query = {
        name: str(getattr(question, name))
        for name in ("place", "scenario", "compare", "horizon", "language")
        if getattr(question, name) != getattr(opening, name)
    }
    return query | {key: f"{value:.6g}" for key, value in question.levers}


def read_query(query: Mapping[str, str], choices: Choices) -> tuple[Question, tuple[str, ...]]:
    """Read the parameters of a link.

    Parameters
    ----------
    query : mapping of str to str
        Other parameters, such as a token, are not looked at.
    choices : Choices

    Returns
    -------
    question : Question
    refused : tuple of str
        ``name=value`` of what could not be followed.
    """
    question = choices.opening()
    refused: list[str] = []
    allowed = {
        "place": choices.places,
        "scenario": choices.scenarios,
        "compare": choices.scenarios,
        "language": LANGUAGES,
    }
    for name, known in allowed.items():
        if name in query:
            if query[name] in known:
                # Each of these names is a field of text.
                question = replace(question, **{name: query[name]})  # type: ignore[arg-type]
            else:
                refused.append(f"{name}={quoted(query[name])}")
    if "horizon" in query:
        if query["horizon"] in map(str, choices.horizons):
            question = replace(question, horizon=int(query["horizon"]))
        else:
            refused.append(f"horizon={quoted(query['horizon'])}")
    levers = []
    for lever in choices.levers:
        if lever.key in query:
            value = _number(query[lever.key])
            if lever.low <= value <= lever.high:
                levers.append((lever.key, value))
            else:
                refused.append(f"{lever.key}={quoted(query[lever.key])}")
    return replace(question, levers=tuple(levers)), tuple(refused)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
