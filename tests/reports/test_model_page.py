"""The documentation of a model: what it holds, and that it needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from beltcast import document, load_model
from beltcast.model.model import Model
from beltcast.reports.guidelines import report_items

from ..small_models import small


class Links(HTMLParser):
    """Addresses, anchors, and what is fetched."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.to: set[str] = set()
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        if tag == "a":
            self.to.add(own["href"] or "")
        if "id" in own:
            self.ids.append(own["id"] or "")
        self.fetched += [own[k] or "" for k in ("src", "srcset") if k in own]
        if tag == "link":
            self.fetched.append(own.get("href") or "")


@pytest.fixture(scope="module")
def belt(root: Path) -> Model:
    return load_model(root / "models" / "belt" / "belt.mdl")


def test_every_link_has_its_place_and_nothing_is_fetched(belt: Model) -> None:
    links = Links(document(belt, checks=False))
    assert {to for to in links.to if not to.startswith("#")} == set()
    assert {to[1:] for to in links.to} <= set(links.ids)
    assert not links.fetched


def test_every_variable_has_its_equation_and_its_comment(belt: Model) -> None:
    page = document(belt, checks=False)
    assert page.count("<section class='v'") == len(belt.variables)
    assert page.count("<math>") >= len(belt.variables)
    assert "Supervision Maturity" in page
    for group in set(belt.source.groups.values()):
        assert re.search(rf">{re.escape(group)}</h2>", page), group


def test_causes_and_uses_carry_their_signs_and_loops_are_listed(tmp_path: Path) -> None:
    model = small(
        tmp_path, "S = INTEG(-loss, 9)", "loss = S/life", "life = 3", "curve((0,0),(1,2))"
    )
    page = document(model)
    assert "− <a href='#" in page
    assert "(initial value)" not in page
    assert re.search(r"<li>B: <a href='#v\d+'>S</a> → <a href='#v\d+'>loss</a></li>", page)
    assert page.count("<svg") == 1
    assert "runs with a constant at 0" in page


def test_a_model_that_does_not_run_is_documented_and_says_so(tmp_path: Path) -> None:
    page = document(small(tmp_path, "S = INTEG(1/(Time - 1), 0)"))
    assert "The model does not run with its own constants" in page


def test_what_the_guidelines_ask_for_is_ticked_or_missing(tmp_path: Path) -> None:
    model = small(
        tmp_path, "rate = 3", "S = INTEG(rate + RANDOM UNIFORM(0, 1, 2), 0)", "x:INTERPOLATE:"
    )
    items = {item.text: item for item in report_items(model)}
    assert items["the equation of each variable"].there
    assert items["the points of each exogenous input"].missing == ("x",)
    assert items["the seed of random numbers"].missing == ("S",)
    assert items["a unit for each variable"].missing == ("rate", "S", "x")
    assert not items["the unit of time"].there


def test_a_source_is_an_address_a_year_or_a_remark_in_brackets(tmp_path: Path) -> None:
    path = tmp_path / "m.mdl"
    small(tmp_path, "a = 1", "b = 2", "c = 3", "d = 4")
    text = (tmp_path / "small.mdl").read_text(encoding="utf-8")
    for name, doc in (("a", "See https://example.org."), ("b", "Smith (2012)."), ("c", "[guess]")):
        start = text.index(f"{name} = ")
        at = text.index("~\t\n\t~\t", start) + len("~\t\n\t~\t")
        text = text[:at] + doc + text[at:]
    path.write_text(text, encoding="utf-8")
    items = {item.text: item for item in report_items(load_model(path))}
    (missing,) = [i.missing for t, i in items.items() if t.startswith("a source")]
    assert missing == ("d",)
