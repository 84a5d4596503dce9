"""Model files as an enemy would write them: each ends in one clear error, soon, and runs nothing.

The fuzzer mutates small models that use the whole language.  The long run is
``pytest tests/engine/test_hostile.py -k fuzz --fuzz-cases 20000``; what it breaks is kept in
`SEEDS`.
"""

from __future__ import annotations

import os
import signal
import time
import tracemalloc
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beltcast.engine.vensim.reader  # noqa: F401  # so that no case below pays for importing PySD
from beltcast.engine.lower.limits import DEEPEST_BRACKETS, DEEPEST_EXPRESSION, check_file
from beltcast.engine.run.plan import LARGEST_RUN, time_grid
from beltcast.engine.vensim.writer import mdl_text
from beltcast.engine.xmile.writer import xmile_text
from beltcast.errors import BeltcastError, ModelFileError, SimulationError, UnsupportedConstruct
from beltcast.model.checks import check_model
from beltcast.model.model import load_model

from .. import xmile_texts
from ..model_texts import SIR, model_text, write_model

SOON = 5.0
"""Seconds of processor time; each case takes less than a tenth of it on a free machine."""

SMALL = 30 * 2**20
"""Bytes that a refusal may use: a model of 10^7 elements takes more than its list of names."""


class _Hangs(BaseException):
    """Not an Exception, so that no parser can wrap it."""


@contextmanager
def soon(seconds: float = SOON) -> Iterator[None]:
    def alarm(number: int, frame: FrameType | None) -> None:
        raise _Hangs(f"still running after {12 * seconds:g} s")

    start = time.process_time()
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, alarm)
        signal.alarm(int(12 * seconds))
    try:
        yield
    finally:
        if hasattr(signal, "SIGALRM"):
            signal.alarm(0)
    assert time.process_time() - start < seconds


def refusal(path: Path) -> str:
    """The one error of loading and running a model."""
    with soon(), pytest.raises(BeltcastError) as caught:
        load_model(path).simulate(backend="numpy")
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 600 + len(str(path))
    assert "recursion" not in sentence
    return sentence


# --- sizes ------------------------------------------------------------------------------------

POINTS = ",".join(f"({i},{i})" for i in range(200_000))

TOO_LARGE: dict[str, tuple[Mapping[str, str], Mapping[str, str], str]] = {
    "10^9 steps": ({}, {"TIME STEP": "1e-8"}, "has 1000000000 steps"),
    "a step below the precision": ({}, {"TIME STEP": "1e-300"}, "steps"),
    "a distant end": ({}, {"FINAL TIME": "1e300"}, "has 8e+300 steps"),
    "an end beyond all numbers": ({}, {"FINAL TIME": "1e999"}, "impossible"),
    "a range of 10^7 elements": (
        {"A:": "(A1-A10000000)", "x[A]": "1"}, {}, "has 10000000 elements"),
    "a range of 10^9 elements": (
        {"A:": "(A1-A1000000000)", "x[A]": "1"}, {}, "has 1000000000 elements"),
    "10^9 elements in three ranges": (
        {"A:": "(A1-A1000)", "B:": "(B1-B1000)", "C:": "(C1-C1000)", "x[A,B,C]": "1"},
        {}, "the model has 1000000005 elements"),
    "a sum of 10^8 terms": (
        {"A:": "(A1-A10000)", "y[A]": "1", "x[A]": "SUM(y[A!])"},
        {}, "the model has 100000000 terms"),
    "a lookup of 200,000 points": (
        {"t(": f"{POINTS})", "x": "t(Time)"}, {}, "characters, and at most"),
    "a name of 50,000 characters": ({"x" * 50_000: "1"}, {}, "a name here has 500"),
    "a name with blanks": ({"x y" * 1000: "1"}, {}, "a name here has 300"),
    "a number of 5,000 digits": ({"x": "9" * 5000}, {}, "5002 characters"),
    "20,000 brackets": (
        {"x": "(" * 20_000 + "1" + ")" * 20_000}, {}, "nested 20000 deep"),
    "300 functions in each other": (
        {"x": "MAX(1," * 300 + "1" + ")" * 300}, {}, "nested 300 deep"),
    "a sum of 3,000 terms": ({"x": "+".join(["Time"] * 3000)}, {}, "more than 200 levels"),
    "a tower of 3,000 powers": ({"x": "^".join(["1"] * 3000)}, {}, "more than 200 levels"),
    "3,000 signs": ({"x": "-" * 3000 + "1"}, {}, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(("equations", "controls", "words"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_too_large_a_model_is_refused_with_its_size_before_memory_is_taken(
    equations: Mapping[str, str], controls: Mapping[str, str], words: str, tmp_path: Path
) -> None:
    path = write_model(tmp_path, {"S": "INTEG(1, 0)", **equations}, controls)
    size = path.stat().st_size
    tracemalloc.start()
    try:
        assert words in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < SMALL + 20 * size
    finally:
        tracemalloc.stop()


def test_a_file_of_a_hundred_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.mdl"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    assert "104857600 bytes" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are of POSIX")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mdl")
    assert "it is a pipe" in refusal(tmp_path / "pipe.mdl")


def test_what_is_just_within_the_limits_runs_everywhere(tmp_path: Path) -> None:
    """Loads, runs on both back ends, is differentiated and checked: no stack ends first."""
    brackets = "(" * (DEEPEST_BRACKETS - 1) + "k" + ")" * (DEEPEST_BRACKETS - 1)
    functions = "MAX(k," * (DEEPEST_BRACKETS - 1) + "k" + ")" * (DEEPEST_BRACKETS - 1)
    terms = "+".join(["S"] * (DEEPEST_EXPRESSION - 1))
    path = write_model(
        tmp_path,
        {"k": "0.01", "S": "INTEG(k, 1)", "a": brackets, "b": functions, "c": terms},
    )
    model = load_model(path)
    for backend in ("numpy", "llvm"):
        run = model.simulate(backend=backend)  # type: ignore[arg-type]
        assert run["c"].values[0] == pytest.approx(DEEPEST_EXPRESSION - 1, rel=1e-12)
        model.batch(
            model.rows("k"),
            np.array([[0.01]]),
            outputs=model.rows("c"),
            saves=[1.0],
            directions=np.array([0]),
            backend=backend,  # type: ignore[arg-type]
        )
    check_model(model)


def test_the_time_grid_has_the_decimals_that_its_step_means() -> None:
    """Each time is the number nearest to its decimal: Time >= 1 holds at 1 for dt = 0.1."""
    assert time_grid(0.0, 2.0, 0.1).tolist() == [float(f"{k // 10}.{k % 10}") for k in range(21)]
    # A third has no decimal: the multiples of the step.
    assert time_grid(0.0, 3.0, 1 / 3).tolist() == [k * (1 / 3) for k in range(10)]
    assert len(time_grid(0.0, float(LARGEST_RUN), 1.0)) == LARGEST_RUN + 1


@pytest.mark.parametrize("end", [1e308, 1.7e308])
def test_a_number_of_steps_beyond_all_numbers_is_refused(end: float) -> None:
    with pytest.raises(SimulationError):
        time_grid(-end, end, 1e-300)


def test_a_control_may_be_computed_from_constants(tmp_path: Path) -> None:
    equations = {"S": "INTEG(1, 0)", "Horizon": "4"}
    controls = {
        "FINAL TIME": "INITIAL TIME + Horizon", "TIME STEP": "SAVEPER/4", "INITIAL TIME": "2",
    }  # fmt: skip
    model = load_model(write_model(tmp_path, equations, controls))
    assert model.simulate()["time"].values.tolist() == [2, 3, 4, 5, 6]
    assert model.simulate({"Horizon": 1})["time"].values.tolist() == [2, 3]
    assert model.grid().step == 0.25


def test_a_control_that_moves_with_a_stock_is_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path, {"S": "INTEG(1, 0)"}, {"TIME STEP": "0.125 + 0*S"})
    with pytest.raises(UnsupportedConstruct, match="depends on a stock"):
        load_model(path).grid()


def test_entities_of_xml_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "laughs.xmile"
    path.write_text('<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "ha">]>\n<xmile>&a;</xmile>')
    with pytest.raises(ModelFileError, match="entities") as caught:
        load_model(path)
    assert caught.value.line == 2


# --- circles ----------------------------------------------------------------------------------

CIRCLES: dict[str, tuple[Mapping[str, str], str]] = {
    "auxiliaries": ({"x": "y + 1", "y": "z", "z": "x"}, "z -> x"),
    "one with itself": ({"x": "x + 1"}, "x"),
    "ranges": ({"A:": "B", "B:": "A", "x[A]": "1"}, "contains itself"),
    "a range with itself": ({"A:": "A", "x[A]": "1"}, "contains itself"),
    "a control with itself": ({"TIME STEP": "TIME STEP"}, "TIME STEP"),
    "initial values": ({"S": "INTEG(1, T)", "T": "INTEG(1, S)"}, "S"),
}


@pytest.mark.parametrize(("equations", "words"), CIRCLES.values(), ids=CIRCLES)
def test_a_circle_is_named(equations: Mapping[str, str], words: str, tmp_path: Path) -> None:
    controls = {k: v for k, v in equations.items() if k.isupper() and " " in k}
    assert words in refusal(write_model(tmp_path, {"U": "INTEG(1, 0)", **equations}, controls))


# --- bytes ------------------------------------------------------------------------------------

RUBBISH = {
    "NUL": b"x = 1\x00 ~ ~ |\n",
    "lone surrogate": b"x = 1\n~\t\t~\t|\n\xed\xa0\x80 = 1\n~ ~|",
    "random": bytes(np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8)),
    "UTF-16": "x = 1 ~ ~ |".encode("utf-16"),
    "empty": b"",
    "pipes": b"|" * 100_000,
    "tildes": b"~" * 100_000 + b"=|",
    "quotes": b'"' * 20_000 + b"=|",
    "an open quote": b'x = "' + b"a" * 100_000 + b"|",
    "backslashes": b'x = "' + b"\\" * 50_000 + b'"|',
    "braces": b"{" * 50_000 + b"=|",
    "brackets": b"x" + b"[" * 5000 + b"=1~~|",
    "open references": b"x = GET DIRECT DATA(" * 5000 + b"~~|",
    "colons": b":" * 50_000 + b"=|",
    "commas": b"x = " + b"," * 30_000 + b"~~|",
    "blanks": b"x =" + b" " * 200_000 + b"1~~|",
    "empty lines": b"\n" * 300_000 + b"x = 1 ~ ~ |",
    "an ELF header": b"\x7fELF\x02\x01\x01" + b"\x00" * 1000,
}


@pytest.mark.parametrize("content", RUBBISH.values(), ids=RUBBISH)
def test_rubbish_ends_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rubbish.mdl"
    path.write_bytes(content)
    assert str(path) in refusal(path)


# --- other files ------------------------------------------------------------------------------

REFERENCES = [
    "GET DIRECT CONSTANTS('../secret.csv', ',', 'A1')",
    "GET DIRECT CONSTANTS('{folder}/secret.csv', ',', 'A1')",
    "GET DIRECT CONSTANTS('link.csv', ',', 'A1')",
    "GET DIRECT CONSTANTS('/dev/zero', ',', 'A1')",
    "GET DIRECT DATA('/dev/stdin', ',', 'A', 'B2')",
    "GET DIRECT DATA('../secret.csv', ',', 'A', 'B2')",
    "GET XLS DATA('/dev/zero', 'Sheet', 'A', 'B2')",
    "GET XLS CONSTANTS('../secret.xlsx', 'Sheet', 'B2')",
    "GET DIRECT CONSTANTS('.', ',', 'A1')",
    "GET DIRECT CONSTANTS('', ',', 'A1')",
    "GET DIRECT CONSTANTS('a\\', ',', 'A1')",
    "GET DIRECT CONSTANTS('beside.csv', ',', 'ZZZZZZZZZZZZZZZZ1')",
    "GET DIRECT CONSTANTS('beside.csv', ',', 'A99999999999999999999')",
    "GET DIRECT LOOKUPS('/dev/zero', ',', 'A', 'B2')",
]


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_outside_the_folder_is_refused(reference: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.csv").write_text("12345,1\n2,3\n")
    (inside / "beside.csv").write_text("1,2\n")
    (inside / "link.csv").symlink_to(tmp_path / "secret.csv")
    path = write_model(inside, {"x": reference.format(folder=tmp_path), "S": "INTEG(x, 0)"})
    assert "12345" not in refusal(path)


CODE = [
    # PySD evaluates what stands for the limits of a lookup, and its grammar takes anything there.
    {"x": "WITH LOOKUP(Time,([{code}],(0,0),(1,1)))"},
    {"x": "WITH LOOKUP(Time,([(0,0)-(1,{code})],(0,0),(1,1)))"},
    {"t(": "[{code}],(0,0),(1,1))", "x": "t(Time)"},
    {"t(": " [(0,0)-(1,{code})], (0,0),(1,1) )", "x": "t(Time)"},
    {"t": "([{code}],(0,0),(1,1))", "x": "t(Time)"},
    {"x": "{code}"},
    {"x": "MAX({code}, 1)"},
    {"x": "GET DIRECT CONSTANTS({code}, ',', 'A1')"},
    {"x[{code}]": "1"},
    {"A:": "({code}-A3)", "x[A]": "1"},
]


@pytest.mark.parametrize("equations", CODE, ids=lambda e: "; ".join(e.values()))
def test_nothing_in_a_model_is_executed(equations: Mapping[str, str], tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    code = f"open('{mark}','w').close()"
    filled = {k.format(code=code): v.format(code=code) for k, v in equations.items()}
    refusal(write_model(tmp_path, filled))
    assert not mark.exists()


# --- the fuzzer -------------------------------------------------------------------------------

LANGUAGE = model_text(
    {
        "Belt:": "North, South, East",
        "Sub:": "North, South",
        "Size[Belt]": "1, 2, 3",
        "Firms[Belt]": "INTEG(entry[Belt] - Firms[Belt]/Life, Size[Belt])",
        "entry[Belt]": "MAX(0, Size[Belt]*effect(Time/10))/1.5",
        "effect(": "[(0,0)-(10,10)],(0,1),(0.5,1.5),(1,2))",
        "Life": "5",
        "all": "SUM(Firms[Belt!])",
        "late": "DELAY3(all, 2)",
        "smooth": "SMOOTHI(late, 3, 1)",
        "first": "INITIAL(all)",
        "chosen": "IF THEN ELSE(all > 5 :AND: Time < 8, all^0.5, -1)",
        "inline": "WITH LOOKUP(Time, ([(0,0)-(10,10)],(0,0),(5,2),(10,1)))",
        "part[Sub]": "Firms[Sub]*2",
        "pushed": "STEP(1, 3) + RAMP(0.1, 2, 5) + PULSE(4, 1)",
        "safe": "XIDZ(1, all - 6, 2) + ZIDZ(all, pushed)",
        '"odd & name"': "EXP(-all/10) + LN(all) + MODULO(Time, 3)",
    }
)
CHANCE = model_text(
    {
        "NOISE SEED": "7",
        "p": "RANDOM POISSON(0, 99, 3 + Time, 0, 1, 1)",
        "b": "RANDOM BINOMIAL(0, 9, 0.3, 8, 1, 2, 0) + "
        "RANDOM NEGATIVE BINOMIAL(2, 50, 0.4, 2, 0, 1, 0)",
        "g": "RANDOM GAMMA(0, 9, 2, 0, 1, 0)*RANDOM BETA(0, 1, 2, 3, 0, 1, 0)",
        "w": "RANDOM WEIBULL(0, 9, 2, 1, 3, 0) + RANDOM TRIANGULAR(0, 9, 1, 2, 5, 0)",
        "S": "INTEG(p + b - g - GAMMA LN(w), 100)",
        "t": "GET TIME VALUE(1, 2, 0)",
    }
)
RARE = model_text(
    {
        "R:": "a, b, c",
        "v[R]": "1, 3, 2",
        "flat(": "[(0,0)-(1,1)],(0,1),(1,1))",
        "x": "VECTOR LOOKUP(v[a], Time, 0, 5, 0) + LOOKUP AREA(flat, 0, Time)",
        "s": "SSHAPE(Time/10, 2) + RAMP FROM TO(1, 2, 3, 4, 0) + SAMPLE UNTIL(5, Time, 1)",
        "d": "DELAY CONVEYOR(x, 2, 0.1, flat, 9, 2) + DELAY MATERIAL(x, 2, 1, 0)",
        "noise": "RANDOM PINK NOISE(0, 1, 4, 1) + NORMAL CDF(s)",
        "P:": "ptype, ppriority, pwidth, pextra",
        "pp[R,P]": "1, 2, 1, 0; 2, 1, 2, 0; 3, 3, 1, 0;",
        "price": "FIND MARKET PRICE(v[a], pp[a,ptype], v[a], pp[a,ptype])",
        "sold[R]": "SUPPLY AT PRICE(v[R], pp[R,ptype], price)",
    }
)
PAST = model_text(
    {
        "R:": "a, b, c",
        "stock[R]": "INTEG(1/(Time + 1), start[R])",
        "start[R]": "1, 3, 2",
        "gone": "SHIFT IF TRUE(stock[a], MODULO(Time, 3) = 1, 3, 1, 5)",
        "bump(": "[(0,0)-(1,1)],(0,1),(1,3),(2,0))",
        "spread": "DELAY PROFILE(bump, gone + Time, 2.5, 1, 0.1)",
        "rate": "INTERNAL RATE OF RETURN(spread, 2, -9, 1)",
        "known": "IF THEN ELSE(rate = :NA:, REINITIAL(spread), rate)",
        "mapped[R]": "VECTOR ELM MAP(start[R], R - 1)",
    }
)
CONVEYOR = xmile_texts.xmile(
    '<stock name="belt"><eqn>8</eqn><inflow>in</inflow><outflow>out</outflow>'
    '<outflow>lost</outflow><conveyor exponential_leak="true"><len>2</len><capacity>9</capacity>'
    "<in_limit>5</in_limit><arrest>TIME = 2</arrest></conveyor></stock>"
    '<flow name="in"><eqn>4 + late</eqn><non_negative/></flow>'
    '<flow name="out"><eqn>0</eqn></flow>'
    '<flow name="lost" leak_start="0" leak_end="0.5"><eqn>0.1</eqn><leak/></flow>'
    '<gf name="g"><xpts>0,1,2</xpts><ypts>1,3,4</ypts></gf>'
    + xmile_texts.aux("late", "HISTORY(belt, TIME - 1)/9 + NORMALCDF(0, TIME, 1, 2)")
    + xmile_texts.aux("area", "LOOKUPAREA(g, TIME) + LOOKUPINV(g, 2) + INVNORM(0.3)")
)
XMILE = xmile_texts.xmile(
    xmile_texts.aux("size", "2 + belt", "belt")
    + '<stock name="firms"><dimensions><dim name="belt"/></dimensions><eqn>size</eqn>'
    "<inflow>entry</inflow><outflow>exit</outflow><non_negative/></stock>"
    '<flow name="entry"><dimensions><dim name="belt"/></dimensions><eqn>size*effect(TIME)</eqn>'
    "<non_negative/></flow>" + '<flow name="exit"><dimensions><dim name="belt"/></dimensions>'
    "<eqn>firms/5</eqn></flow>"
    '<aux name="effect"><gf type="extrapolate"><xscale min="0" max="4"/><ypts>1,2,4</ypts></gf>'
    "</aux>"
    + xmile_texts.aux("all", "SUM(firms[*]) + MEAN(firms) - firms[north]")
    + xmile_texts.aux("late", "DELAY3(all, 2) + SMTHN(all, 3, 2) + PREVIOUS(SELF, 1)")
    + xmile_texts.aux("chosen", "IF all &gt; 5 AND NOT TIME = 2 THEN all MOD 3 ELSE -2^2")
    + xmile_texts.aux("pushed", "PULSE(6, 1, 2) + STEP(2, 2) + RAMP(3, 1)")
    + xmile_texts.aux("drawn", "POISSON(3, 1) + NORMAL(0, 1, 2, -1, 1) + GAMMA(2)")
    + xmile_texts.aux("twice", "DOUBLE(all) // 3")
    + '<module name="part"><connect to="x" from=".all"/></module>',
    dimensions=xmile_texts.dimensions(xmile_texts.dim("belt", "north south east")),
    more='<model name="part"><variables><aux name="x" access="input"><eqn>1</eqn></aux>'
    '<aux name="y" access="output"><eqn>x*2</eqn></aux></variables></model>'
    '<macro name="DOUBLE"><parm>a</parm><eqn>2*a</eqn></macro>',
)
DECAY = model_text({"S": "INTEG(-S/5, 100)"})
BASES = [LANGUAGE, model_text(SIR), DECAY, CHANCE, RARE, PAST, XMILE, CONVEYOR]
NAMES = ["language", "epidemic", "decay", "chance", "rare", "past", "xmile", "conveyor"]

WORDS = [
    *"()[]{},;:=|~!^*/+-<>\"'\\\n\t ",
    *("\\\\\\---///", ":EXCEPT:", ":NA:", ":MACRO:", ":END OF MACRO:", ":AND:", ":NOT:", "<->"),
    *("INTEG(", "INITIAL(", "SUM(", "DELAY3(", "SMOOTH(", "DELAY FIXED(", "WITH LOOKUP("),
    *("VECTOR SELECT(", "ALLOCATE AVAILABLE(", "RANDOM UNIFORM(", "GET DIRECT DATA(", "GAME("),
    *("SHIFT IF TRUE(", "DELAY PROFILE(", "INTERNAL RATE OF RETURN(", "stock[a]", "bump"),
    *("VECTOR LOOKUP(", "LOOKUP AREA(", "FIND MARKET PRICE(", "DELAY CONVEYOR(", "v[a]", "flat"),
    *("SAMPLE IF TRUE(", "ACTIVE INITIAL(", "TABBED ARRAY(", "TREND(", "FORECAST(", "A FUNCTION"),
    *("Time", "TIME STEP", "Belt", "Belt!", "North", "Sub", "all", "effect", "Firms[Belt]"),
    *("0", "-1", "1e-300", "1e308", "1e999", "0.5", "007", "1000000000", "(A1-A99999999)"),
    *("<", "</", "/>", "&", "&lt;", "<!DOCTYPE x>", "<![CDATA[", "<dim name='belt'/>", "</eqn>"),
    *(
        "<non_negative/>",
        "<conveyor/>",
        "<leak/>",
        "<arrest>1</arrest>",
        "<capacity>",
        "<gf>",
        "SELF",
        "belt[*]",
        ".",
        "THEN",
        "//",
        "_",
        "north:",
    ),
    *("\x00", "\ufeff", "é", "名", "\u202e", "\ud800", "[(0,0)-(1,1)]"),
]

mutations = st.lists(
    st.tuples(
        st.sampled_from(["delete", "insert", "replace", "copy", "number"]),
        st.floats(0, 1),
        st.floats(0, 1),
        st.sampled_from(WORDS),
    ),
    min_size=1,
    max_size=6,
)


def mutated(text: str, changes: list[tuple[str, float, float, str]]) -> bytes:
    for kind, where, how, word in changes:
        at = int(where * len(text))
        end = min(len(text), at + int(how**4 * 200) + 1)
        if kind == "delete":
            text = text[:at] + text[end:]
        elif kind == "insert":
            text = text[:at] + word + text[at:]
        elif kind == "replace":
            text = text[:at] + word + text[at + len(word) :]
        elif kind == "copy":
            to = int(how * len(text))
            text = text[:to] + text[at : at + 60] + text[to:]
        else:
            digits = [i for i, c in enumerate(text) if c.isdigit()]
            if digits:
                i = digits[int(where * (len(digits) - 1))]
                text = text[:i] + word + text[i + 1 :]
    return text.encode("utf-8", "surrogatepass")


def survive(content: bytes, folder: Path) -> None:
    """Anything but a BeltcastError, or a hang, is a fault."""
    path = folder / ("fuzz.xmile" if b"xmile" in content[:300] else "fuzz.mdl")
    path.write_bytes(content)
    with soon(20.0), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = load_model(path)
            if len(model.grid().times()) <= 2000:
                model.simulate(backend="numpy")
            for write in (mdl_text, xmile_text):
                with suppress(BeltcastError):
                    write(model.source)
        except BeltcastError:
            pass


# What the fuzzer once broke, as small as it could be made.
SEEDS: dict[str, str] = {
    "an element that the range of a variable does not have": LANGUAGE.replace(
        "Sub:North, South", "Sub:North, Sout"
    ),
    "a function with memory and too few arguments": LANGUAGE.replace("STEP(1, 3)", "STEP(1)"),
    "a lookup without an argument": LANGUAGE.replace("effect(Time/10)", "effect()"),
    "a lookup of two arguments": LANGUAGE.replace("effect(Time/10)", "effect(Time, 10)"),
    "a list of one number": LANGUAGE.replace("Life = 5", "Life = ;"),
    "a list that ends in a semicolon": LANGUAGE.replace("Life = 5", "Life = 5;"),
    "a TIME STEP that reads a stock, and no SAVEPER": model_text(
        {"S": "INTEG(-S/5, 100)", "TIME STEP": "IF THEN ELSE(S > 50, 1, 0.5)"}
    ).replace("SAVEPER", "SAVER"),
    "a priority profile with an element of no range": RARE.replace("pp[a,ptype]", "pp[a,type]", 1),
    "no time step for a conveyor": RARE.replace("TIME STEP = 0.125", "TIME STEP = 0"),
    "no time step for a profile": PAST.replace("TIME STEP = 0.125", "TIME STEP = 0"),
    "an end before the start": PAST.replace("FINAL TIME = 10", "FINAL TIME = -10"),
    "an endless run": PAST.replace("FINAL TIME = 10", "FINAL TIME = 1e999").replace(
        "bump, gone + Time, 2.5", "bump, gone, 1e999"
    ),
    "no time step for a delay": model_text({"TIME STEP": "0", "x": "DELAY N(Time, -1, 0, 3)"}),
    "a delay that is no number": model_text({"x": "DELAY N(Time, :NA:, 0, 3)"}),
    "a delay that moves without end": model_text(
        {"FINAL TIME": "1e999", "x": "DELAY INFORMATION(Time, Time, 0)"}
    ),
    "a shift from an element of no range": PAST.replace("stock[a],", "stock[no],"),
    "brackets inside brackets in a unit": model_text({"S": "INTEG(-S/5, 100)"}).replace(
        "~", "~[(0,[(0,0)-(1,1)]0)-(1,1)]", 1
    ),
    "half of a WITH LOOKUP": LANGUAGE.replace("SUM(Firms[Belt!])", "WITH LOOKUP(Life, 1)"),
}


@pytest.mark.parametrize("content", SEEDS.values(), ids=SEEDS)
def test_what_once_broke_is_refused(content: str, tmp_path: Path) -> None:
    survive(content.encode(), tmp_path)


def test_fuzz(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    cases: int = request.config.getoption("--fuzz-cases")

    @settings(
        max_examples=cases,
        derandomize=cases <= 100,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(BASES), mutations)
    def run(base: str, changes: list[tuple[str, float, float, str]]) -> None:
        survive(mutated(base, changes), tmp_path)

    run()


@pytest.mark.parametrize("base", BASES, ids=NAMES)
def test_the_bases_of_the_fuzzer_run(base: str, tmp_path: Path) -> None:
    """Else it would mutate refusals into refusals."""
    path = tmp_path / ("base.xmile" if "<xmile" in base else "base.mdl")
    path.write_text(base, encoding="utf-8")
    load_model(path).simulate(backend="numpy")


def test_the_limits_leave_ordinary_text_alone(root: Path) -> None:
    for path in (root / "models").rglob("*.mdl"):
        check_file(path)


def test_a_limit_is_told_with_its_line(tmp_path: Path) -> None:
    path = write_model(tmp_path, {"S": "INTEG(1, 0)", "deep": "(" * 60 + "1" + ")" * 60})
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert caught.value.line == 7
