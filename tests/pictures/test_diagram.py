"""Diagrams: what is drawn is what the equations say, and nothing in a name can break the file."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest

from beltcast import diagram, load_model
from beltcast.errors import UnknownName
from beltcast.files.shipped import shipped
from beltcast.pictures.diagram import _blocks, _packed, diagram_groups
from beltcast.pictures.structure import Pipe, contracted, structure

from ..small_models import small

SVG = "{http://www.w3.org/2000/svg}"
COLOUR = "#D55E00"


def texts(svg: str) -> set[str]:
    return {
        (text.find(f"{SVG}title").text or "")  # type: ignore[union-attr]
        for text in ElementTree.fromstring(svg).iter(f"{SVG}text")
        if text.find(f"{SVG}title") is not None
    }


def test_a_flow_between_two_stocks_is_one_pipe() -> None:
    found = structure(load_model(shipped("models/sir/sir.mdl")))
    assert found.pipes == (
        Pipe("infection", "Susceptible", "Infected"),
        Pipe("recovery", "Infected", "Recovered"),
    )


def test_a_net_flow_written_as_a_formula_is_a_pipe_without_a_name(tmp_path: Path) -> None:
    model = small(tmp_path, "S = INTEG((Goal - S)/5 - loss, 1)", "Goal = 3", "loss = 0.1*S")
    found = structure(model)
    assert found.pipes == (Pipe("change of S", None, "S"), Pipe("loss", "S", None))
    assert ("S", "change of S") in found.links
    assert "change of S" not in texts(diagram(model))


def test_elements_are_one_node_and_a_delay_links_its_two_ends(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "Belt: North, South",
        "S[Belt] = INTEG(into[Belt] - out[Belt], 1)",
        "into[Belt] = 2",
        "seen[Belt] = SMOOTH(S[Belt], 3)",
        "out[Belt] = seen[Belt]/4",
    )
    found = structure(model)
    assert found.stocks == ("S",)
    assert found.pipes == (Pipe("into", None, "S"), Pipe("out", "S", None))
    assert found.links >= {("S", "seen"), ("seen", "out")}


def test_what_is_left_out_is_bridged() -> None:
    links = frozenset([("a", "x"), ("x", "y"), ("y", "b"), ("y", "c"), ("c", "d")])
    assert contracted(links, {"a", "b", "d"}) == {("a", "b"), ("a", "d")}


@pytest.mark.parametrize("name", ["belt", "sir", "pipeline", "logistic", "decay"])
@pytest.mark.parametrize("detail", ["stocks", "all"])
def test_every_model_is_drawn_whole_and_twice_alike(name: str, detail: str) -> None:
    model = load_model(shipped(f"models/{name}/{name}.mdl"))
    svg = diagram(model, detail=detail)  # type: ignore[arg-type]
    assert svg == diagram(model, detail=detail)  # type: ignore[arg-type]
    found = structure(model)
    expected = {*found.stocks, *found.inputs, *(found.auxiliaries if detail == "all" else ())}
    expected |= {flow for flow in found.flows if not flow.startswith("change of ")}
    assert texts(svg) == expected


def test_no_two_boxes_or_names_of_the_belt_model_lie_on_each_other() -> None:
    found = structure(load_model(shipped("models/belt/belt.mdl")))
    names = [*found.auxiliaries, *found.inputs]
    drawing = _packed(_blocks(found, names, found.links), found, found.links)
    labels = [*drawing.boxes.values(), *drawing.names.values()]
    for one, two in itertools.combinations(labels, 2):
        apart_x = abs(one.x - two.x) >= (one.width + two.width) / 2
        apart_y = abs(one.y - two.y) >= (one.height + two.height) / 2
        assert apart_x or apart_y, f"{one.text} lies on {two.text}"
    for label in labels:
        assert label.x - label.width / 2 >= 0
        assert label.x + label.width / 2 <= drawing.width
        assert label.y + label.height / 2 <= drawing.height


def test_the_way_of_a_loop_is_coloured() -> None:
    model = load_model(shipped("models/sir/sir.mdl"))
    assert f'stroke="{COLOUR}"' not in diagram(model)
    root = ElementTree.fromstring(diagram(model, highlight="Infected -> recovery"))
    boxes = [box for box in root.iter(f"{SVG}rect") if box.get("stroke") == COLOUR]
    assert len(boxes) == 1
    with pytest.raises(UnknownName, match="'Infektion' cannot be highlighted"):
        diagram(model, highlight=["Infektion"])


def test_a_name_cannot_break_the_file(tmp_path: Path) -> None:
    model = small(
        tmp_path, '"a <script>&b" = INTEG(-"x \'y>" , 1)', '"x \'y>" = 0.1*"a <script>&b"'
    )
    svg = diagram(model, title='<b>&"')
    assert "<script>" not in svg
    assert any("script" in text for text in texts(svg))


def test_a_group_is_drawn_with_its_own_auxiliaries_and_no_others(tmp_path: Path) -> None:
    """Two tanks that nothing joins: each is a group, and a name is drawn in one of them only."""
    model = small(
        tmp_path,
        "A = INTEG(-out a, 9)",
        "out a = speed a*A",
        "speed a = 0.1*pace a",
        "pace a = A/9",
        "B = INTEG(-out b, 9)",
        "out b = speed b*B",
        "speed b = B/9",
    )
    assert diagram_groups(model) == (("A",), ("B",))
    stocks = {"A", "B", "out a", "out b"}
    assert texts(diagram(model, group="A")) - stocks == {"speed a", "pace a"}
    assert texts(diagram(model, group="B")) - stocks == {"speed b"}
