"""Loops: models whose loops a textbook lists, and graphs whose circuits can be counted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beltcast.engine.loops.graph import Component, Link, causal_links, feedback_loops
from beltcast.model.model import load_model

from ..model_texts import SIR, write_model


def links_of(folder: Path, equations: Mapping[str, str]) -> tuple[Link, ...]:
    model = load_model(write_model(folder, equations))
    times = model.grid().times()[[0, 40, 80]]
    states = model.batch(
        np.empty(0, dtype=np.int64),
        np.empty((0, 1)),
        outputs=np.arange(model.program.n_rows),
        saves=times,
        backend="numpy",
    )[:, :, 0]
    return causal_links(model.program, states, times)


def loops_of(folder: Path, equations: Mapping[str, str]) -> dict[str, str]:
    components = feedback_loops(links_of(folder, equations))
    assert all(c.complete for c in components)
    return {"-".join(loop.variables): loop.polarity for c in components for loop in c.loops}


# The loops as Sterman (2000) draws them: chapter 8 for growth and decay, 9 for the logistic and
# the epidemic, 17 for adjustment.  Names are in alphabetical order from the first.
KNOWN = {
    "growth": (
        {"Money": "INTEG(interest, 1)", "interest": "Money*Rate", "Rate": "0.1"},
        {"Money-interest": "R"},
    ),
    "decay": (
        {"Stock": "INTEG(-loss, 1)", "loss": "Stock/Lifetime", "Lifetime": "5"},
        {"Stock-loss": "B"},
    ),
    "a flow written inside the stock": ({"Stock": "INTEG(-Stock/5, 1)"}, {"Stock": "B"}),
    "adjustment to a goal": (
        {"State": "INTEG(change, 0)", "change": "gap/5", "gap": "Goal - State", "Goal": "100"},
        {"State-gap-change": "B"},
    ),
    "epidemic": (
        SIR,
        {"Infected-infection": "R", "Infected-recovery": "B", "Susceptible-infection": "B"},
    ),
    "logistic": (
        {
            "People": "INTEG(growth, 1)",
            "growth": "People*rate",
            "rate": "0.5*(1 - People/Capacity)",
            "Capacity": "100",
        },
        {"People-growth": "R", "People-rate-growth": "B"},
    ),
    "predator and prey": (
        {
            "Hares": "INTEG(0.5*Hares - kills, 50)",
            "Lynx": "INTEG(births - 0.4*Lynx, 5)",
            "kills": "0.01*Hares*Lynx",
            "births": "0.1*kills",
        },
        # Hares breed (R) and die of natural causes in one net flow: at 0.5 the sum is positive.
        {
            "Hares": "R",
            "Hares-kills": "B",
            "Lynx": "B",
            "Lynx-kills-births": "R",
        },
    ),
    "a delay closes a loop, and its inside is not shown": (
        {"Stock": "INTEG(-out, 10)", "out": "DELAY3(Stock/5, 2)"},
        {"Stock-out": "B"},
    ),
    "two negative links reinforce": (
        {"A": "INTEG(-0.1*B, 1)", "B": "INTEG(-0.1*A, 1)"},
        {"A-B": "R"},
    ),
    "no loop": ({"Stock": "INTEG(Flow Rate, 0)", "Flow Rate": "1"}, {}),
}


@pytest.mark.parametrize(("equations", "expected"), KNOWN.values(), ids=KNOWN)
def test_the_loops_of_a_textbook_model(
    equations: Mapping[str, str], expected: Mapping[str, str], tmp_path: Path
) -> None:
    assert loops_of(tmp_path, equations) == expected


def test_elements_of_a_range_are_one_variable(tmp_path: Path) -> None:
    equations = {
        "Belt:": "North, South",
        "Firms[Belt]": "INTEG(entry[Belt] - Firms[Belt]/10, 5)",
        "entry[Belt]": "0.01*SUM(Firms[Belt!])",
    }
    assert loops_of(tmp_path, equations) == {"Firms": "B", "Firms-entry": "R"}


def test_a_sign_that_differs_between_elements_is_not_known(tmp_path: Path) -> None:
    equations = {
        "Belt:": "North, South",
        "Effect[Belt]": "1, -1",
        "Firms[Belt]": "INTEG(entry[Belt], 5)",
        "entry[Belt]": "Effect[Belt]*Firms[Belt]",
    }
    assert loops_of(tmp_path, equations) == {"Firms-entry": "?"}


def test_a_sign_that_turns_during_the_run_is_not_known(tmp_path: Path) -> None:
    """d/dx of (x - 5)^2 is negative at the start, x = 1, and positive at the end, x = 11."""
    equations = {"X": "INTEG(1 + 0*y, 1)", "y": "(X - 5)*(X - 5)"}
    (link,) = [link for link in links_of(tmp_path, equations) if link.target == "y"]
    assert (link.source, link.sign) == ("X", "?")


def test_the_unused_side_of_a_minimum_is_idle(tmp_path: Path) -> None:
    equations = {"X": "INTEG(-out, 10)", "out": "MIN(0.1, X)"}
    assert loops_of(tmp_path, equations) == {"X-out": "idle"}


def test_a_lookup_has_the_sign_of_its_slope(tmp_path: Path) -> None:
    equations = {"X": "INTEG(flow, 10)", "flow": "WITH LOOKUP(X, ((0,5),(20,0)))"}
    assert loops_of(tmp_path, equations) == {"X-flow": "B"}


def test_an_idle_branch_with_a_wild_slope_stays_idle(tmp_path: Path) -> None:
    """The slope of SQRT is infinite at 0, but that branch is not taken."""
    equations = {
        "X": "INTEG(flow, 0)",
        "flow": "IF THEN ELSE(X < 1000, 1 - X/100, SQRT(0*X))",
    }
    assert loops_of(tmp_path, equations) == {"X-flow": "B"}


# --- graphs -----------------------------------------------------------------------------------


def complete_graph(n: int) -> list[Link]:
    names = [f"v{i:02d}" for i in range(n)]
    return [Link(a, b, "+") for a, b in itertools.permutations(names, 2)]


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_a_complete_graph_has_the_known_number_of_circuits(n: int) -> None:
    """Choose k of n vertices, and one of (k - 1)! cyclic orders."""
    expected = sum(math.comb(n, k) * math.factorial(k - 1) for k in range(2, n + 1))
    (component,) = feedback_loops(complete_graph(n))
    assert component.complete
    assert len(component.loops) == expected == len(set(component.loops))


def test_too_many_loops_give_an_independent_set_that_shows_every_link() -> None:
    links = complete_graph(12)  # more than 10^7 circuits
    (component,) = feedback_loops(links)
    assert not component.complete
    assert covered(component) == {(link.source, link.target) for link in links}
    # Each has a link of its own, so there cannot be more than the cycle space has dimensions.
    assert len(component.loops) <= len(links) - 12 + 1


def covered(component: Component) -> set[tuple[str, str]]:
    return {
        pair
        for loop in component.loops
        for pair in zip(loop.variables, (*loop.variables[1:], loop.variables[0]), strict=True)
    }


names = st.sampled_from("abcdef")
graphs = st.dictionaries(st.tuples(names, names), st.sampled_from("+-"), max_size=14)


@given(graphs)
def test_circuits_are_those_that_brute_force_finds(graph: dict[tuple[str, str], str]) -> None:
    links = [Link(a, b, sign) for (a, b), sign in graph.items()]  # type: ignore[arg-type]
    found = {
        loop.variables: loop.polarity
        for component in feedback_loops(links, limit=10_000)
        for loop in component.loops
    }
    expected = {}
    for size in range(1, 7):
        for order in itertools.permutations("abcdef", size):
            pairs = list(zip(order, (*order[1:], order[0]), strict=True))
            if order[0] == min(order) and all(pair in graph for pair in pairs):
                negative = sum(graph[pair] == "-" for pair in pairs)
                expected[order] = "B" if negative % 2 else "R"
    assert found == expected


@given(graphs)
def test_the_independent_set_shows_every_link_on_a_loop(graph: dict[tuple[str, str], str]) -> None:
    links = [Link(a, b, sign) for (a, b), sign in graph.items()]  # type: ignore[arg-type]
    for whole, short in zip(feedback_loops(links), feedback_loops(links, limit=0), strict=True):
        assert covered(short) == covered(whole)
        assert set(short.loops) <= set(whole.loops)
        inside = [p for p in graph if set(p) <= set(whole.variables)]
        assert len(short.loops) <= len(inside) - len(whole.variables) + 1
