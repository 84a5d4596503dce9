"""Vensim's .voc, .vpd and .cin, as Vensim's manual describes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import Model, load_model, read_cin, read_voc, read_vpd
from beltcast.errors import InputError
from beltcast.files.shipped import shipped
from beltcast.model.variants import move
from beltcast.study.series import Payoff


@pytest.fixture(scope="module")
def sir() -> Model:
    return load_model(shipped("models/sir/sir.mdl"))


def write(path: Path, text: str, name: str = "file") -> Path:
    file = path / name
    file.write_text(text, encoding="utf-8")
    return file


VOC = """\
{the search
 of last spring}
:OPTIMIZER=Powell
:SENSITIVITY=PAYOFF_VALUE=4
:MULTIPLE_START=RANDOM
:RANDOM_NUMBER=Default
:MAX_ITERATIONS=1000
:COMMENT by hand
0.5<=Contact_Rate=2<=10
0.1 <= duration <= Contact Rate | FRAC=0.01
"""


def test_a_search_becomes_uniform_priors(tmp_path: Path, sir: Model) -> None:
    priors = read_voc(write(tmp_path, VOC), sir)
    assert priors.labels == ("Contact Rate", "Duration")
    # A bound may be a constant: Contact Rate is 2 in the model.
    np.testing.assert_allclose(priors.quantiles([0.0, 0.5, 1.0])[:, 0], [0.5, 5.25, 10.0])
    np.testing.assert_allclose(priors.quantiles([0.0, 1.0])[:, 1], [0.1, 2.0])
    draws = priors.natural(priors.draw(np.random.default_rng(1), 20_000))
    # Uniform: mean (a + b) / 2, variance (b - a)^2 / 12.
    assert draws[:, 0].mean() == pytest.approx(5.25, abs=4 * 9.5 / np.sqrt(12 * 20_000))
    assert draws[:, 0].var() == pytest.approx(9.5**2 / 12, rel=0.03)
    z = priors.draw(np.random.default_rng(2), 20)
    np.testing.assert_allclose(priors.working(priors.natural(z)), z, atol=1e-8)
    step = 1e-6
    slope = (priors.natural(z + step) - priors.natural(z - step)) / (2 * step)
    np.testing.assert_allclose(priors.slope(z), slope, rtol=1e-6, atol=1e-9)


def test_a_range_stands_for_its_elements(tmp_path: Path, small: Model) -> None:
    each = read_voc(write(tmp_path, "1 <= Level[Place] = 5 <= 50\n"), small)
    assert each.labels == ("Level[East]", "Level[West]")
    one = read_voc(write(tmp_path, "1 <= Level[west] <= 50\n"), small)
    assert one.labels == ("Level[West]",)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("0 <= Contact Rate\n", 1, "two bounds"),
        ("\n0 <= Contact Rat <= 1\n", 2, "did you mean 'Contact Rate'"),
        ("0 <= Infected <= 1\n", 1, "expected a constant"),
        ("3 <= Duration <= 1\n", 1, "crossed"),
        ("3 <= Duration <= 3\n", 1, "crossed"),
        ("low <= Duration <= 1\n", 1, "neither a number"),
        ("0 <= Duration <= 1\n0 <= Duration <= 2\n", 2, "twice"),
        ("0 <= Duration <= 9 | DIS=1\n", 1, "'DIS=1'"),
        (":STOCHASTIC\n0 <= Duration <= 9\n", 1, "noisy payoff"),
        (":FASTER=1\n0 <= Duration <= 9\n", 1, "unknown option"),
        ("{open\n0 <= Duration <= 9\n", 1, "not closed"),
        (":OPTIMIZER=OFF\n", None, "no parameter"),
        ("0 <= Duration[East] <= 9\n", 1, "does not fit the model"),
    ],
)
def test_a_search_that_is_not_understood_is_refused_with_its_line(
    tmp_path: Path, sir: Model, text: str, line: int | None, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_voc(write(tmp_path, text), sir)
    assert says in caught.value.sentence
    assert caught.value.line == line


def test_a_payoff_is_read_with_the_meaning_of_its_weights(tmp_path: Path, sir: Model) -> None:
    text = "*C\nInfected|cases/0.25\n*CL\nInfected|cases/4\n"
    text += "*CG\nRecovered/Duration\n*CGL\nrecovered|r/0.3\n"
    assert read_vpd(write(tmp_path, text), sir) == (
        Payoff("Infected", "cases", 4.0, False),  # the weight is 1 / sd
        Payoff("Infected", "cases", 0.25, True),
        Payoff(
            "Recovered", "Recovered", 1.0, False, "Duration"
        ),  # the weight is the sd, a constant of 1
        Payoff("recovered", "r", 0.3, True),
    )


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("*CR\nInfected|x/1\n", 1, "'*CR'"),
        ("Infected|x/1\n", 1, "begin the file with *C"),
        ("*C\nInfected|x\n", 2, "no weight"),
        ("*C\nInfectd|x/1\n", 2, "did you mean 'Infected'"),
        ("*C\nInfected|x/-1\n", 2, "above 0"),
        ("*C\n", None, "defines no comparison"),
    ],
)
def test_a_payoff_that_is_not_understood_is_refused_with_its_line(
    tmp_path: Path, sir: Model, text: str, line: int | None, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_vpd(write(tmp_path, text), sir)
    assert says in caught.value.sentence
    assert caught.value.line == line


def test_changes_move_the_model(tmp_path: Path, sir: Model, small: Model) -> None:
    text = "duration = 2\n0.1 <= Contact_Rate = 3 <= 9 | FRAC\n{gone} DURATION = 4\n"
    changes = read_cin(write(tmp_path, text), sir)
    assert changes == {"Duration": 4.0, "Contact Rate": 3.0}
    moved = move(sir, changes).simulate(save_at=[2.0])["Infected"]
    own = sir.simulate({"Duration": 4.0, "Contact Rate": 3.0}, save_at=[2.0])["Infected"]
    assert moved.item() == own.item()
    many = read_cin(write(tmp_path, "Level[Place] = 3, 2\nLevel[East] = 7\n"), small)
    assert many == {"Level[East]": 7.0, "Level[West]": 2.0}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("Level[Place] = 1, 2, 3\n", 1, "2 elements and is given 3"),
        ("Curve(0,0,1,1)\n", 1, "changes no constant"),
        ("Word :IS: 'text'\n", 1, "changes no constant"),
        ("output[East] = 3\n", 1, "expected a constant"),
        ("Level = 3\n", 1, "'Level[Place]'"),
        ("Level[North] = 3\n", 1, "not an element of 'Place'"),
    ],
)
def test_changes_that_are_not_understood_are_refused_with_their_line(
    tmp_path: Path, small: Model, text: str, line: int, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_cin(write(tmp_path, text), small)
    assert says in caught.value.sentence
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "payoff"),
    [
        ("*C\nInfected|x/4", Payoff("Infected", "x", 0.25, False)),
        ("*CG\nInfected|x/4", Payoff("Infected", "x", 4.0, False)),
        ("*CL\nInfected|x/4", Payoff("Infected", "x", 0.25, True)),
        ("*CGL\nInfected|x/4", Payoff("Infected", "x", 4.0, True)),
        ("*clg\nInfected|x/4", Payoff("Infected", "x", 4.0, True)),
        ("* P\nInfected/4", Payoff("Infected", "", 4.0, False, policy="P")),
        ("*PF\nInfected/4", Payoff("Infected", "", 4.0, False, policy="PF")),
        # Contact Rate is 2: a weight is one over the standard deviation, its power is -1.
        ("*C\nInfected|x/Contact Rate", Payoff("Infected", "x", 0.5, False, "Contact Rate", -1.0)),
        ("*CGL\nInfected/contact_rate", Payoff("Infected", "Infected", 2.0, True, "Contact Rate")),
    ],
)
def test_each_type_of_payoff_has_its_scale_and_weight(
    tmp_path: Path, sir: Model, text: str, payoff: Payoff
) -> None:
    assert read_vpd(write(tmp_path, text + "\n"), sir) == (payoff,)


def test_a_weight_of_0_is_refused(tmp_path: Path, sir: Model) -> None:
    with pytest.raises(InputError, match="is 0; expected one above 0"):
        read_vpd(write(tmp_path, "*P\nInfected/0\n"), sir)


def test_lines_are_counted_over_a_comment_of_several(tmp_path: Path, sir: Model) -> None:
    with pytest.raises(InputError) as caught:
        read_voc(write(tmp_path, "{a\nb\nc}\n0 <= Contact Rat <= 1\n"), sir)
    assert caught.value.line == 4


@pytest.mark.parametrize("option", [":MCLIMIT=200", ":COM yes", ":ABSOLUTE=1", ":VECTOR_POINTS=3"])
def test_options_of_the_search_are_passed_over(tmp_path: Path, sir: Model, option: str) -> None:
    text = f"{option}\n0.5 <= Contact Rate <= 3 ABSOLUTE\n"
    assert read_voc(write(tmp_path, text), sir).labels == ("Contact Rate",)


def test_one_value_is_that_of_every_element(tmp_path: Path, small: Model) -> None:
    assert read_cin(write(tmp_path, "Level[Place] = 3\n"), small) == {
        "Level[East]": 3.0,
        "Level[West]": 3.0,
    }
