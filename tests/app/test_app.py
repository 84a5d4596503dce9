"""The app without a browser: questions and links, levers, answers, files, who is let in."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import panel as pn
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beltcast.app.files import LARGEST, read_upload, scenario_toml
from beltcast.app.levers import moved, position
from beltcast.app.results import DRAWS, Opened, answer, full_forecast, open_results
from beltcast.app.server import checked_token, content
from beltcast.app.state import Choices, Question, read_query, write_query
from beltcast.app.texts import headline
from beltcast.app.view import other_data
from beltcast.errors import InputError, ScenarioError
from beltcast.pictures.translations import WORDS
from beltcast.study.scenarios import Scenario, Size, read_scenarios
from beltcast.study.study import read_study

STUDY = read_study()  # hypothesis takes no fixture of a module
MODEL, LEVERS = STUDY.model, STUDY.roles.levers
CHOICES = Choices(
    ["China", "Foshan & Co"], ["baseline", "tilt up", "a=b"], [2025, 2030, 2035], LEVERS
)
QUESTIONS = st.builds(
    Question,
    place=st.sampled_from(CHOICES.places),
    scenario=st.sampled_from(CHOICES.scenarios),
    compare=st.sampled_from(CHOICES.scenarios),
    horizon=st.sampled_from(CHOICES.horizons),
    levers=st.tuples(
        st.tuples(st.just("support"), st.integers(0, 40).map(lambda n: n / 20)),
        st.tuples(st.just("tilt"), st.integers(10, 40).map(lambda n: n / 20)),
    ),
    language=st.sampled_from(["en", "zh"]),
)


@pytest.fixture(scope="module")
def opened() -> Opened:
    return open_results()


@given(QUESTIONS)
def test_a_link_gives_back_every_question(question: Question) -> None:
    assert read_query(write_query(question, CHOICES), CHOICES) == (question, ())


@given(st.dictionaries(st.sampled_from(["place", "horizon", "tilt", "language"]), st.text()))
def test_no_link_fails_and_what_it_asks_in_vain_is_said(query: dict[str, str]) -> None:
    question, refused = read_query(query, CHOICES)
    assert {said.partition("=")[0] for said in refused} <= set(query)
    assert question.place in CHOICES.places
    assert all(math.isfinite(value) for _, value in question.levers)


def test_the_sliders_reach_every_shipped_scenario(opened: Opened) -> None:
    model = opened.study.model
    for scenario in opened.study.scenarios.values():
        for lever in LEVERS:
            given = scenario.constants.get(lever.name, model.value(lever.name))
            assert position(lever, scenario, model) == given


def test_a_moved_lever_sets_aside_elements_and_uncertainty() -> None:
    size = Size("normal", 1.5, 0.1)
    base = Scenario(
        "s",
        "S",
        constants={"Tilt Final Multiplier": 1.5, "Support Final Multiplier[Yiwu]": 0.0, "Other": 2},
        uncertain={"Tilt Final Multiplier": size, "Other": size},
    )
    new = moved(base, (("support", 0.5), ("tilt", 1.0)), LEVERS)
    assert dict(new.constants) == {
        "Support Final Multiplier": 0.5,
        "Tilt Final Multiplier": 1.0,
        "Other": 2,
    }
    assert dict(new.uncertain) == {"Other": size}


def test_moving_all_levers_of_a_scenario_is_that_scenario(opened: Opened) -> None:
    scenarios = opened.study.scenarios
    by_hand = answer(opened, moved(scenarios["baseline"], (("brand", 1.5),), LEVERS))
    np.testing.assert_array_equal(by_hand.output, answer(opened, scenarios["brand-push"]).output)
    assert by_hand.output.sizes["member"] == DRAWS


def test_a_second_scenario_is_drawn_from_where_it_parts_from_the_first(opened: Opened) -> None:
    scenarios = opened.study.scenarios
    base, ends = (answer(opened, scenarios[n]) for n in ("baseline", "de-minimis-ends"))
    question = Question("Yiwu", "baseline", "de-minimis-ends", 2035)
    drawn = other_data(question, base, ends)
    # The exemption ends in 2025, and 2024 joins the lines.
    assert drawn["year"].tolist() == list(range(2024, 2036))
    at = {"place": "Yiwu", "year": slice(2024, 2035), "quantile": 0.5}
    np.testing.assert_array_equal(drawn["q50"], ends.published.sel(at))
    assert not len(other_data(question, base, base)["x"]), "what is the same is drawn once"


def test_shares_add_up_to_one_everywhere(opened: Opened) -> None:
    found = answer(opened, opened.study.scenarios["baseline"])
    assert set(found.shares) == {"tiers", "traffic"}
    for shares in found.shares.values():
        np.testing.assert_allclose(shares.sum("part"), 1.0, atol=1e-9)
        assert float(shares.min()) >= 0.0


def test_a_file_has_the_numbers_of_the_page(opened: Opened) -> None:
    scenario = opened.study.scenarios["tilt-up"]
    found = answer(opened, scenario).published
    filed = full_forecast(opened, {"tilt-up": scenario})["published_quantile"]
    np.testing.assert_allclose(filed.sel(scenario="tilt-up"), found, rtol=1e-12)


def test_the_headline_has_the_numbers_of_the_answer(opened: Opened) -> None:
    found = answer(opened, opened.study.scenarios["baseline"])
    for language in ("en", "zh"):
        question = Question("Yiwu", "baseline", "baseline", 2030, language=language)
        sentence = headline(opened, question, found)
        for q in (0.1, 0.5, 0.9):
            value = float(found.published.sel(place="Yiwu", year=2030, quantile=q))
            assert f"{value:,.0f}" in sentence


def test_every_text_and_all_that_the_shipped_study_names_has_two_languages(
    opened: Opened,
) -> None:
    for key, (english, chinese) in WORDS.items():
        assert english.isascii() or "–" in english, key
        fixed = re.sub(r"{.*?}", "", chinese)
        assert not re.search("[a-zA-Z]{2}|[,;:]", re.sub(r"\((.*?)\)", "", fixed)), key
    labels = opened.study.labels()
    assert set(opened.study.scenarios) <= set(labels)
    assert all(label.zh for label in [*labels.values(), *(lever.label for lever in LEVERS)])


NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    name=TEXTS.filter(str.strip),
    title=TEXTS.filter(str.strip),
    text=st.text(st.characters(exclude_categories=["Cs"])),
    number=NUMBERS,
    points=st.dictionaries(st.integers(2000, 2050).map(float), NUMBERS, min_size=1),
)
def test_a_scenario_written_as_toml_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    title: str,
    text: str,
    number: float,
    points: dict[float, float],
) -> None:
    times = tuple(sorted(points))
    size = Size("normal", 0.3, 0.1, 0.0, 1.0)
    scenario = Scenario(
        name,
        title,
        text,
        constants={"Tilt Final Multiplier": number, "Tariff Add": float(size.quantile(0.5))},
        uncertain={"Tariff Add": size},
        inputs={"seller fee share": (times, tuple(points[t] for t in times))},
    )
    path = tmp_path_factory.mktemp("toml") / "mine.toml"
    path.write_bytes(scenario_toml(scenario).encode("utf-8"))
    (back,) = read_scenarios(path, MODEL).values()
    assert back == scenario


def test_an_upload_is_refused_under_its_own_name_and_never_written_elsewhere(
    tmp_path: Path, opened: Opened
) -> None:
    model = opened.study.model
    with pytest.raises(ScenarioError) as caught:
        read_upload(b"[mine]\ntitle = 3\n", "../../etc/mine.toml", model)
    assert str(caught.value).startswith("mine.toml:2: title of scenario 'mine' is 3")
    with pytest.raises(ScenarioError, match="at most 1,000,000"):
        read_upload(b"#" * (LARGEST + 1), "big.toml", model)
    with pytest.raises(ScenarioError, match=r"^.*neither UTF-8 nor GB18030"):
        read_upload(b"\xff\xfe\x00x", "odd.toml", model)


@pytest.mark.parametrize("token", [None, "", "short"])
def test_an_address_that_others_reach_needs_a_long_token(token: str | None) -> None:
    with pytest.raises(InputError, match="can be reached by others"):
        checked_token("0.0.0.0", token)
    assert checked_token("127.0.0.1", token) == (token or "")


def test_an_address_of_ipv6_is_refused_before_the_server_stumbles_over_it() -> None:
    from bokeh.server.util import create_hosts_allowlist

    with pytest.raises(ValueError, match="Invalid host value"):
        create_hosts_allowlist(["[::1]:5006"], 5006)
    with pytest.raises(InputError, match="is of IPv6"):
        checked_token("::1", None)
    assert checked_token("::", "x" * 16)


@pytest.mark.parametrize(
    ("given", "let_in"), [("right-and-long-enough", True), ("wrong", False), ("", False)]
)
def test_without_the_token_a_page_has_no_content(given: str, let_in: bool, opened: Opened) -> None:
    shown = content(opened, {"token": given} if given else {}, "right-and-long-enough")
    assert isinstance(shown, pn.Column) == let_in
    if not let_in:
        assert "needs its token" in shown.object
