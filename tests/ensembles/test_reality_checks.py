"""Statements about a model: what they find, when and in which draw, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import Model, Study, load_model
from beltcast.ensembles.reality_checks import check_statements
from beltcast.errors import InputError
from beltcast.study.scenarios import Scenario
from beltcast.study.statements import read_statements

TEXT = """{UTF-8}
Part: one, two
    ~ ~ |
Stock[Part] = INTEG(Rate*Stock[Part], 1)
    ~ thing
    ~ |
whole = SUM(Stock[Part!])*Leak
    ~ thing
    ~ |
Rate = 0.1
    ~ 1/Year
    ~ |
Leak = 1
    ~ Dmnl
    ~ |
INITIAL TIME = 2000
    ~ Year
    ~ |
FINAL TIME = 2010
    ~ Year
    ~ |
TIME STEP = 0.25
    ~ Year
    ~ |
SAVEPER = 1
    ~ Year
    ~ |
"""
SCENARIOS = {"baseline": Scenario("baseline", "Baseline")}


@pytest.fixture(scope="module")
def grower(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("grower") / "grower.mdl"
    path.write_text(TEXT, encoding="utf-8")
    return load_model(path)


def found(model: Model, tmp_path: Path, text: str, rates: tuple[float, ...] = (0.1,)) -> list:
    path = tmp_path / "checks.toml"
    path.write_text(text, encoding="utf-8")
    statements = read_statements(path, model)
    draws = (("Rate",), np.array(rates)[:, None])
    return list(check_statements(model, statements, SCENARIOS, draws))


def test_what_holds_is_not_reported(grower: Model, tmp_path: Path) -> None:
    text = (
        '[adds]\nvariable = "Stock"\nsum = ["Part"]\nequals = "whole"\n'
        '[grows]\nvariable = "whole"\ngiven = { Rate = 0.2 }\ncompared = "not less"\n'
        '[finite]\nvariable = "whole"\nvary = ["Rate"]\ntimes = [0, 10]\n'
    )
    assert found(grower, tmp_path, text, (0.05, 0.15)) == []


def test_a_part_that_leaks_is_found_with_its_share_time_and_draw(
    grower: Model, tmp_path: Path
) -> None:
    # Stocks of 1 grow by Euler's (1 + r / 4)^(4 t): above 3 after 5 years at 0.25, never at 0.1.
    text = '[small]\nsay = "never above 3"\nvariable = "Stock"\nat_most = 3\n'
    (one,) = found(grower, tmp_path, text, (0.1, 0.1, 0.25, 0.1))
    assert (one.share, one.draw, one.condition) == (0.25, 2, "scenario baseline")
    assert one.time == 2005.0
    assert one.statement.say == "never above 3"


def test_a_loss_is_compared_draw_by_draw_with_what_is_without(
    grower: Model, tmp_path: Path
) -> None:
    text = (
        '[loss]\nvariable = "whole"\ngiven = { Leak = 0.5 }\nloss_at_most = MOST\nfrom = 2003\n'
        '[less]\nvariable = "whole"\ngiven = { Leak = 0.5 }\ncompared = "more"\n'
    )
    assert [v.statement.name for v in found(grower, tmp_path, text.replace("MOST", "0.5"))] == [
        "less"
    ]
    loss, less = found(grower, tmp_path, text.replace("MOST", "0.49"))
    assert (loss.time, less.time) == (2003.0, 2000.0)
    assert loss.condition == "Leak = 0.5"


def test_what_is_not_finite_breaks_any_statement(grower: Model, tmp_path: Path) -> None:
    (one,) = found(
        grower, tmp_path, '[any]\nvariable = "whole"\nvary = ["Rate"]\ntimes = [1e300]\n'
    )
    assert one.time == 2001.0


def test_a_statement_counts_only_where_it_applies(grower: Model, tmp_path: Path) -> None:
    text = '[when]\nvariable = "Stock"\nat_most = 0\nwhen = { variable = "whole", at_least = 4 }\n'
    (one,) = found(grower, tmp_path, text)
    # Two stocks of 1 are 4 together once each is 2: log 2 / (4 log 1.025) is 7.02 years.
    assert one.time == 2008.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[a]\nvariable = "hole"', "'hole' is not a variable"),
        ('[a]\nvariable = "whole"\nat_mots = 1', "unknown key 'at_mots'.*did you mean 'at_most'"),
        ('[a]\nvariable = "whole"\nsum = ["Part"]', "no range 'Part'"),
        ('[a]\nvariable = "whole"\ncompared = "less"', "needs constants to set"),
        ('[a]\nvariable = "whole"\nvary = ["Rate"]', "vary and times go together"),
        ('[a]\nvariable = "whole"\ngiven = { Rat = 1 }', "'Rat' is not a variable"),
    ],
)
def test_a_wrong_statement_is_refused_by_line(
    grower: Model, tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        found(grower, tmp_path, text)
    assert refused.value.line is not None


def test_the_belt_model_keeps_its_statements(study: Study) -> None:
    # `beltcast check` asks 200 draws; eight keep the test short.
    values = study.priors.natural(study.priors.draw(np.random.default_rng(7), 8))
    assert len(study.reality_checks) >= 25
    names = ("baseline", "tariff-shock", "headwinds")
    scenarios = {name: study.scenarios[name] for name in names}
    draws = (study.priors.labels, values)
    assert check_statements(study.model, study.reality_checks, scenarios, draws) == ()
