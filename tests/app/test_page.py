"""The page as a file: its size, its policy, its data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beltcast.app.page import LARGEST_PAGE, asset
from beltcast.app.page_model import agreement, page_model
from beltcast.errors import UnsupportedConstruct
from beltcast.schema import PLACE, SCENARIO
from beltcast.study.roles import Lever
from beltcast.study.scenarios import Scenario

from ..small_models import small

WEB = Path(__file__).parents[2] / "web"


def data_of(html: str) -> dict[str, Any]:
    packed = re.search(r'id="data">([^<]*)<', html)
    assert packed
    return json.loads(zlib.decompress(base64.b64decode(packed[1]), -15))


def array(packed: dict[str, Any]) -> np.ndarray:
    kind = "f8" if "f8" in packed else "f4"
    return np.frombuffer(base64.b64decode(packed[kind]), "<" + kind).reshape(packed["shape"])


def test_a_page_is_small_enough_to_be_sent(made) -> None:
    assert len(made.html.encode()) < LARGEST_PAGE


def test_the_policy_allows_the_own_script_and_style_and_no_request(made) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made.html)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    assert rules["default-src"] == "'none'"
    assert not {"connect-src", "font-src", "frame-src", "media-src"} & set(rules)
    for name, rule in (("page.js", "script-src"), ("page.css", "style-src")):
        digest = base64.b64encode(hashlib.sha256(asset(name).encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules[rule]
        assert f">{asset(name)}</" in made.html
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", made.html)


def test_a_scenario_s_own_series_is_on_the_page(made) -> None:
    points = [scenario["points"] for scenario in data_of(made.html)["scenarios"]]
    assert points[:-1] == [{}] * (len(points) - 1)
    assert points[-1] == {"yuan per dollar": [[2026.0, 2030.0], [7.0, 6.5]]}


def test_the_base_numbers_of_a_page_are_those_of_the_forecast_to_the_last_bit(made) -> None:
    data = data_of(made.html)
    names = [s["name"] for s in data["scenarios"]]
    theirs = made.forecast["published_quantile"].sel({SCENARIO: names})
    np.testing.assert_array_equal(
        array(data["base"]["published"]),
        theirs.transpose(PLACE, SCENARIO, "year", "quantile").values,
    )


def test_what_a_page_names_comes_from_the_study(made) -> None:
    data = data_of(made.html)
    assert data["title"][0] == made.study.title
    levers = [lever["name"] for lever in data["levers"]]
    assert levers == [lever.name for lever in made.study.roles.levers]
    assert len(data["drivers"]) == len(made.study.roles.switches)
    assert [place["name"] for place in data["places"]] == made.study.shown()


def test_agreement_finds_the_year_from_which_a_lever_acts(tmp_path: Path) -> None:
    """A step at 2 changes the stock from the next step on: at 2 the states are still the same."""
    late = ("lever = 1", "s = INTEG(flow, 1)", "flow = 1 + (lever - 1) * STEP(1, 2)")
    model = small(tmp_path, *late, "early = 0", "r = INTEG(early, 0)", TIME_STEP="0.5")
    levers = (Lever("lever", 0.0, 2.0, 1.0, key="lever"), Lever("early", 0.0, 1.0, 0.0, key="e"))
    up = Scenario("up", "Up", constants={"lever": 3.0})
    scenarios = {"base": Scenario("base", "Base"), "up": up}
    found = agreement(model, ((), np.empty((1, 0))), scenarios, levers)
    assert found == {"scenario base": 4.0, "scenario up": 2.0, "lever": 2.0, "early": 0.0}


def test_a_model_with_random_numbers_has_no_page(tmp_path: Path) -> None:
    model = small(tmp_path, "s = INTEG(flow, 1)", "flow = RANDOM NORMAL(-1, 1, 0, 1, 3)")
    with pytest.raises(UnsupportedConstruct, match="'flow' uses"):
        page_model(
            model,
            outputs=["s"],
            labels=(),
            values=np.empty((4, 0)),
            scenarios={},
            levers=(),
            members=4,
        )


@pytest.mark.skipif(
    not (WEB / "node_modules").is_dir() or shutil.which("node") is None,
    reason="needs Node and the packages of web/: cd web && npm ci",
)
def test_the_asset_that_ships_is_what_its_source_builds(tmp_path: Path) -> None:
    subprocess.run(["node", "build.mjs", str(tmp_path)], cwd=WEB, check=True)
    for name in ("page.js", "page.css", "LICENSES.txt"):
        assert (tmp_path / name).read_text(encoding="utf-8") == asset(name), (
            f"{name} is not what web/ builds; run: cd web && npm ci && npm run build"
        )
