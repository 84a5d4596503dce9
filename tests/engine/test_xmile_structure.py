"""Arrays, modules and macros of XMILE.

Where a value is not worked out by hand beside it, simlin 0.8.5 gives the same for the same text.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.xmile import graphs
from beltcast.errors import ModelFileError, UnsupportedConstruct

from ..small_models import small
from ..xmile_texts import aux, dim, dimensions, element, first, of, write, xmile, y

ABC = dimensions(dim("d", "A B C"), dim("e", "P Q"), dim("f", "X Y Z"))
# x is 6, 2, 8 along d; m is 1, 2 / 3, 4 / 5, 6 over d and e; s is the square 1, 2, 3 / 4, ... 9.
X = f'<aux name="x">{of("d")}{element("A", "6")}{element("B", "2")}{element("C", "8")}</aux>'
M = (
    f'<aux name="m">{of("d e")}'
    + "".join(
        element(f"{d}, {e}", str(2 * i + j + 1))
        for i, d in enumerate("ABC")
        for j, e in enumerate("PQ")
    )
    + "</aux>"
)
S = (
    f'<aux name="s">{of("d d")}'
    + "".join(
        element(f"{a},{b}", str(3 * i + j + 1))
        for i, a in enumerate("ABC")
        for j, b in enumerate("ABC")
    )
    + "</aux>"
)


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("SUM(x[*])", 16),
        ("SUM(x)", 16),
        ("SUM(x[d])", 16),
        ("SUM(x[A:B])", 8),
        ("SUM(x[2:3])", 10),
        ("SUM(x[*] * x[*])", 104),
        ("SUM(x[*] * m[*, P])", 6 * 1 + 2 * 3 + 8 * 5),
        ("SUM(m[*, *])", 21),
        ("SUM(m)", 21),
        ("SUM(m[B, *])", 7),
        ("PROD(x[*])", 96),
        ("MIN(x[*])", 2),
        ("MAX(x[*])", 8),
        # isee's "Working with Array Equations in Version 10"
        ("MAX(x, 7)", 8),
        ("MAX(-x, 0)", 0),
        ("MIN(x[*], SUM(x))", 2),
        ("MAX(x, m[*, Q] * 3)", 18),
        ("MIN(x[2:3], 10) + MIN(10, x[2:3])", 4),
        ("MEAN(x[*])", 16 / 3),
        ("MEAN(m[*, Q])", 4),
        ("SIZE(x[*])", 3),
        ("SIZE(m)", 6),
        ("SIZE(d)", 3),
        ("STDDEV(x[*])", np.sqrt(56 / 9)),
        # isee's manual: {6, 2, 8, 5}, RANK 2 is 4; here 2 < 6 < 8.
        ("RANK(x[*], 1)", 2),
        ("RANK(x, 3)", 3),
        ("SUM(x[*] - SUM(x[*]))", 16 - 3 * 16),
        # The whole square, not its diagonal.
        ("SUM(s[*, *])", 45),
        ("SUM(s)", 45),
        ("SUM(s[B, *])", 15),
        ("SUM(s[B, *] * x[*])", 4 * 6 + 5 * 2 + 6 * 8),
        ("x[2] + x[C] + x[d.A]", 16),
        ("B + d.C + 10 * Q", 2 + 3 + 20),  # elements as numbers
    ],
)
def test_a_function_of_an_array(equation: str, expected: float, tmp_path: Path) -> None:
    got = first(tmp_path, X + M + S + aux("y", equation), dims=ABC)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("x", [6, 2, 8]),
        ("x[d] * 2", [12, 4, 16]),
        ("m[d, Q]", [2, 4, 6]),
        ("SUM(m[d, *])", [3, 7, 11]),
        ("SUM(m[*, P]) * x", [54, 18, 72]),
        ("SUM(s[d, *] * x[*])", [34, 82, 130]),  # a matrix times a vector
        ("x / SUM(x[*])", [6 / 16, 2 / 16, 8 / 16]),
        ("MAX(x, 7)", [7, 7, 8]),
        ("MIN(x, MAX(m[d, *], 3))", [3, 2, 6]),
        ("SUM(x * m[d, *])", [18, 14, 88]),  # x is that in hand, m runs over e
        ("d", [1, 2, 3]),
        ("IF d = 2 THEN x ELSE 0", [0, 2, 0]),
        ("1, 2, 3", [1, 2, 3]),
        ("PREVIOUS(SELF, x)", [6, 2, 8]),
    ],
)
def test_an_equation_for_all_elements(equation: str, expected: list[float], tmp_path: Path) -> None:
    got = first(tmp_path, X + M + S + aux("y", equation, "d"), dims=ABC)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_elements_may_have_equations_of_their_own_and_name_the_dimension(tmp_path: Path) -> None:
    each = element("A", "1") + element("B", "x[d] + x") + element("C", "SUM(x[*])")
    own = f'<aux name="y">{of("d")}{each}</aux>'
    np.testing.assert_array_equal(first(tmp_path, X + own, dims=ABC), [1, 4, 16])


def test_an_element_may_have_a_graphical_function_of_its_own(tmp_path: Path) -> None:
    def graph(ys: str) -> str:
        return f'<gf><xscale min="0" max="2"/><ypts>{ys}</ypts></gf>'

    elements = "".join(
        f'<element subscript="{e}">{graph(ys)}</element>' for e, ys in (("P", "0,2"), ("Q", "5,1"))
    )
    for own, used in (("", "t[e](1)"), ("<eqn>1</eqn>", "t")):
        table = f'<aux name="t">{of("e")}{elements}{own}</aux>'
        got = first(
            tmp_path, table + aux("y", used.replace("t[e](1)", "LOOKUP(t[e], 1)"), "e"), dims=ABC
        )
        np.testing.assert_array_equal(got, [1, 3])


def test_a_stock_over_a_dimension_takes_the_flow_of_its_element(tmp_path: Path) -> None:
    stock = (
        f'<stock name="y">{of("d")}{element("A", "1")}{element("B", "2")}{element("C", "x[C]")}'
        "<inflow>into it</inflow><outflow>out</outflow></stock>"
        f'<flow name="into it">{of("d")}<eqn>x</eqn></flow>'
        f'<flow name="out">{of("d")}<eqn>1</eqn></flow>'
    )
    model = load_model(write(tmp_path, X + stock, dimensions=ABC))
    np.testing.assert_array_equal(y(model, "numpy")[2], [1 + 10, 2 + 2, 8 + 14])


def test_a_dimension_may_be_a_number_of_elements(tmp_path: Path) -> None:
    sized = dimensions('<dim name="n" size="3"/>')
    got = first(
        tmp_path, aux("v", "n * 2", "n") + aux("y", "v[1] + 10*v[3] + SUM(v[*])"), dims=sized
    )
    assert got == 2 + 60 + 12


def test_a_number_from_first_to_last_stands_for_an_element(tmp_path: Path) -> None:
    equation = aux("y", "x[1] + 100 * x[3]")
    assert first(tmp_path, X + equation, dims=ABC) == 6 + 100 * 8
    for wrong in ("0", "4"):
        with pytest.raises(ModelFileError, match=f"'{wrong}' is not an element of 'd'"):
            first(tmp_path, X + aux("y", f"x[{wrong}]"), dims=ABC)


def test_two_dimensions_of_the_same_elements_are_not_confused(tmp_path: Path) -> None:
    # The engine compares elements as text, and finds the range of 'v' by its elements.
    twins = dimensions(dim("from", "A B"), dim("to", "A B"))
    v = f'<aux name="v">{of("to")}{element("A", "1")}{element("B", "2")}</aux>'
    for equation in ("v", "v[to]"):
        got = first(tmp_path, v + aux("y", equation, "from to"), dims=twins)
        np.testing.assert_array_equal(got, [[1, 2], [1, 2]])


def test_a_name_may_have_brackets(tmp_path: Path) -> None:
    named = aux("Price [USD]", "3", "d") + aux("y", '"Price_[USD]"[A]*2')
    np.testing.assert_array_equal(first(tmp_path, named, dims=ABC), 6)


def test_a_square_is_read_place_by_place(tmp_path: Path) -> None:
    same = (
        aux("k", "5", "d d") + f'<stock name="y">{of("d d")}<eqn>s</eqn><inflow>k</inflow></stock>'
    )
    model = load_model(write(tmp_path, S + same, dimensions=ABC))
    np.testing.assert_array_equal(y(model, "numpy")[1], np.arange(1, 10).reshape(3, 3) + 5)


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        (aux("y", "s[1 + 1, 2 - 1]"), "two computed subscripts at once"),
        (aux("y", "SUM(x[A:B] * x[B:C])"), "different dimensions or slices"),
        (aux("y", "SUM(s[*,*] * x[*])"), "different dimensions or slices"),
        (aux("y", "MIN(x[*], 2, 3, 4) + STDEV(x[*])"), "'\\*' or a slice outside SUM|STDEV"),
    ],
)
def test_what_of_arrays_could_mean_two_things_is_refused(
    variable: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises((UnsupportedConstruct, ModelFileError), match=words):
        load_model(write(tmp_path, X + S + variable, dimensions=ABC))


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        (aux("y", "x[*]"), "outside SUM"),
        (aux("y", "x[D4]"), "'D4' is not an element of 'd'"),
        (aux("y", "x[A, B]"), "'x' has 1 subscripts and is used with 2"),
        (aux("y", "SUM(3)"), "there is none in its argument"),
        (aux("y", "x[C:A]"), "outside SUM|backwards"),
        (aux("y", "SUM(x[C:A])"), "backwards"),
        (aux("y", "1", "nowhere"), "the dimension 'nowhere' is not declared"),
        (f'<aux name="y">{of("d")}{element("A,P", "1")}</aux>', "names 2"),
        (aux("y", "x[d]", "d d"), "either could be meant"),
    ],
)
def test_what_does_not_fit_is_said(variable: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=words):
        load_model(write(tmp_path, X + variable, dimensions=ABC))


def test_a_dimension_inside_another_is_no_number_of_the_engine(tmp_path: Path) -> None:
    # The engine counts in the largest range that holds an element.
    nested = dimensions(dim("all", "A B C"), dim("some", "B C"))
    with pytest.raises(UnsupportedConstruct, match="'some' as a number"):
        first(tmp_path, aux("y", "some", "some"), dims=nested)
    with pytest.raises(ModelFileError, match="several dimensions, in different places"):
        first(tmp_path, aux("y", "B"), dims=nested)
    assert first(tmp_path, aux("y", "some.B + 10 * all.B"), dims=nested) == 21
    each = f'<aux name="y">{of("some")}{element("B", "some")}{element("C", "some * 10")}</aux>'
    np.testing.assert_array_equal(first(tmp_path, each, dims=nested), [1, 20])


# --- modules ----------------------------------------------------------------------------------

INNER = (
    '<model name="Inner one"><variables><stock name="level"><eqn>start</eqn><inflow>in</inflow>'
    '</stock><flow name="in"><eqn>rate * level</eqn></flow><aux name="rate" access="input"/>'
    '<aux name="start"><eqn>10</eqn></aux></variables></model>'
)


@pytest.mark.parametrize("to", ["rate", "Inner_one.rate"])
@pytest.mark.parametrize("source", ["growth", ".growth"])
def test_a_module_has_names_of_its_own(to: str, source: str, tmp_path: Path) -> None:
    variables = (
        f'<module name="Inner one"><connect to="{to}" from="{source}"/></module>'
        + aux("growth", "1")
        + aux("rate", "-99")
        + aux("y", "Inner_one.level + .growth")
    )
    model = load_model(write(tmp_path, variables, more=INNER))
    np.testing.assert_array_equal(y(model, "numpy"), 10 * 2.0 ** np.arange(5) + 1)
    assert y(model, "numpy", "Inner one.in")[0] == 10


def test_modules_may_hold_modules_and_be_connected_to_each_other(tmp_path: Path) -> None:
    more = (
        '<model name="a"><variables><module name="b"><connect to="in" from="up"/></module>'
        + aux("up", "b.twice + 1")
        + '</variables></model><model name="b"><variables>'
        + aux("in", "0")
        + aux("twice", "2 * 21")
        + aux("out", "in + twice")
        + '</variables></model><model name="c"><variables>'
        + aux("seen", "")
        + "</variables></model>"
    )
    variables = (
        '<module name="a"/><module name="c"><connect to="seen" from="a.b.out"/></module>'
        + aux("y", "c.seen")
    )
    assert first(tmp_path, variables, more=more) == 43 + 42


def test_a_module_may_drive_a_variable_of_the_model_around_it(tmp_path: Path) -> None:
    """Stella writes the connection under the module, and the module's name as the equation."""
    more = '<model name="m"><variables>' + aux("out", "6 * 7") + "</variables></model>"
    module = '<module name="m"><connect to=".given" from="m.out"/></module>'
    variables = module + '<aux name="given" access="input"><eqn>m</eqn></aux>' + aux("y", "given")
    assert first(tmp_path, variables, more=more) == 42


def test_a_comment_may_hold_two_hyphens(tmp_path: Path) -> None:
    assert first(tmp_path, "<!-- either -- or -->" + aux("y", "3")) == 3


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ('<module name="m"/>', "has no <model> of that name"),
        ('<module name="Inner one"><connect to="no" from="x"/></module>', "no variable 'no'"),
        ('<module name="Inner one"/>', "'Inner one.rate' has no equation"),
        ('<module name="loop"/>', "contains itself"),
    ],
)
def test_a_module_that_is_not_whole_is_said(variables: str, words: str, tmp_path: Path) -> None:
    loop = '<model name="loop"><variables><module name="loop"/></variables></model>'
    with pytest.raises(ModelFileError, match=words):
        load_model(write(tmp_path, variables, more=INNER + loop))


# --- what Vensim and Stella write ---


def test_a_part_of_a_dimension_may_be_summed(tmp_path: Path) -> None:
    """``*:part``, as the public converter of Vensim models writes it."""
    parts = dimensions(dim("d", "A B C"), dim("part", "B C"))
    model = load_model(write(tmp_path, X + aux("y", "SUM(x[*:part])"), dimensions=parts))
    assert y(model, "numpy")[0] == 2 + 8


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("LOOKUP(g[d], TIME)", [[0, 10, 15, 20, 20], [0, 20, 30, 40, 40]]),
        ("LOOKUP_BACKWARD(g[d], TIME)", [[0, 10, 10, 20, 20], [0, 20, 20, 40, 40]]),
        ("LOOKUP(g[B], TIME) + 7", [[7, 27, 37, 47, 47], [7, 27, 37, 47, 47]]),
    ],
)
def test_a_call_means_the_function_of_the_element_beside_its_equation(
    call: str, expected: list[list[float]], tmp_path: Path
) -> None:
    def graph(name: str, top: float) -> str:
        return (
            f'<element subscript="{name}"><eqn>TIME + 7 - TIME</eqn><gf><xpts>0,1,3</xpts>'
            f"<ypts>0,{top / 2},{top}</ypts></gf></element>"
        )

    plain = f'<aux name="g">{of("d")}{graph("A", 20)}{graph("B", 40)}</aux>'
    variables = plain + aux("y", call, "d")
    model = load_model(write(tmp_path, variables, dimensions=dimensions(dim("d", "A B"))))
    np.testing.assert_array_equal(y(model, "numpy").T, expected)


def test_the_inverse_of_a_function_beside_an_equation_is_its_inverse(tmp_path: Path) -> None:
    graph = "<gf><xpts>0,1,2</xpts><ypts>0,10,40</ypts></gf>"
    variables = f'<aux name="g"><eqn>TIME</eqn>{graph}</aux>' + aux("y", "LOOKUPINV(g, 25)")
    assert first(tmp_path, variables) == 1.5


def test_an_arrayed_flow_leaves_a_single_stock_as_a_whole(tmp_path: Path) -> None:
    """What leaves one stock enters the other: 'a flow will take on identical dimensions to' the
    stock with more of them (isee's rules for arrayed variables)."""
    flow = f'<flow name="out">{of("d")}<eqn>x[d]</eqn></flow>'
    pool = f'<stock name="pool">{of("d")}<eqn>0</eqn><inflow>out</inflow></stock>'
    variables = X + flow + pool + '<stock name="y"><eqn>100</eqn><outflow>out</outflow>{}</stock>'
    model = load_model(write(tmp_path, variables.format(""), dimensions=ABC))
    run = model.simulate()
    assert run["y"].values.tolist() == [100, 84, 68, 52, 36]
    assert (run["y"] + run["pool"].sum("d")).values.tolist() == [100] * 5
    with pytest.raises(UnsupportedConstruct, match="not said which element goes short"):
        load_model(write(tmp_path, variables.format("<non_negative/>"), dimensions=ABC))


# --- macros -----------------------------------------------------------------------------------

LOGARITHM = (
    '<macro name="LOGARITHM"><parm>x</parm><parm default="x * 2">base</parm>'
    "<eqn>LN(x)/LN(base)</eqn></macro>"
)
STOCKED = (
    '<macro name="pile"><parm>input</parm><eqn>inside</eqn><variables><stock name="inside">'
    '<eqn>100</eqn><inflow>fill</inflow></stock><flow name="fill"><eqn>input</eqn></flow>'
    "</variables></macro>"
)


def test_a_macro_is_its_equation(tmp_path: Path) -> None:
    assert first(tmp_path, aux("y", "logarithm(8, 2)"), more=LOGARITHM) == pytest.approx(3)
    # The default is read with the arguments that are given.
    assert first(tmp_path, aux("y", "LOGARITHM(2)"), more=LOGARITHM) == pytest.approx(0.5)
    wide = LOGARITHM.replace("x * 2", "MIN(x, 99) + DT")
    assert first(tmp_path, aux("y", "LOGARITHM(2)"), more=wide) == pytest.approx(
        np.log(2) / np.log(3)
    )


def test_a_macro_may_hold_a_stock_for_each_element(tmp_path: Path) -> None:
    variables = X + aux("y", "PILE(x) + LOGARITHM(8, 2)", "d")
    model = load_model(write(tmp_path, variables, dimensions=ABC, more=STOCKED + LOGARITHM))
    np.testing.assert_allclose(y(model, "numpy")[2], [100 + 12 + 3, 100 + 4 + 3, 100 + 16 + 3])


def test_a_macro_with_a_wrong_number_of_arguments_is_said(tmp_path: Path) -> None:
    for equation in ("LOGARITHM(1, 2, 3)", "LOGARITHM()"):
        with pytest.raises(ModelFileError, match="'LOGARITHM' takes 2 arguments"):
            load_model(write(tmp_path, aux("y", equation), more=LOGARITHM))


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("x[n]", [1, 2, 3, np.nan, np.nan]),
        ("x[1 + n]", [2, 3, np.nan, np.nan, np.nan]),
        ("2*x[INT(n)]", [2, 4, 6, np.nan, np.nan]),
        ("s[n, 2]", [2, 5, 8, np.nan, np.nan]),
        ("s[B, n]", [4, 5, 6, np.nan, np.nan]),
    ],
)
def test_a_computed_subscript_is_the_place_from_one(
    equation: str, expected: list[float], tmp_path: Path
) -> None:
    dims = dimensions(dim("d", "A B C"))
    arrays = (
        f'<aux name="x">{of("d")}{element("A", "1")}{element("B", "2")}{element("C", "3")}</aux>'
        f'<aux name="s">{of("d d")}'
        + "".join(
            element(f"{a},{b}", str(3 * i + j + 1))
            for i, a in enumerate("ABC")
            for j, b in enumerate("ABC")
        )
        + "</aux>"
    )
    body = arrays + aux("n", "1 + TIME") + aux("y", equation)
    for backend in ("numpy", "llvm"):
        found = load_model(write(tmp_path, body, dimensions=dims)).simulate(backend=backend)["y"]
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("listed", ["a", "b", "ab"])
def test_a_connection_may_be_listed_under_either_module(tmp_path: Path, listed: str) -> None:
    """Stella lists it under both; ``connect2`` is its own and says the same."""
    connect = '<connect to="b.inp" from="a.outp"/><connect2 to="b.inp" from="a.outp"/>'
    body = "".join(
        f'<module name="{m}">{connect if m in listed else ""}</module>' for m in ("a", "b")
    )
    more = (
        '<model name="a"><variables><aux name="outp" access="output"><eqn>7</eqn></aux></variables>'
        '</model><model name="b"><variables><aux name="inp" access="input"><eqn>0</eqn></aux>'
        '<stock name="S"><eqn>0</eqn><inflow>f</inflow></stock><flow name="f"><eqn>inp</eqn></flow>'
        "</variables></model>"
    )
    run = load_model(write(tmp_path, body, more=more)).simulate()
    assert run["b.S"].values.tolist() == [0, 7, 14, 21, 28]


def test_the_step_may_be_a_variable(tmp_path: Path) -> None:
    path = tmp_path / "step.xmile"
    path.write_text(xmile(aux("step size", "0.5") + aux("y", "TIME"), dt="step_size"))
    assert load_model(path).simulate()["y"].values.tolist() == np.arange(0, 4.5, 0.5).tolist()


def test_what_vensim_writes_into_xmile_is_read(tmp_path: Path) -> None:
    """As its export has them: 'x =' in an equation, levels that are no INTEG, its own functions."""
    path = tmp_path / "exported.xmile"
    path.write_text(
        xmile(
            aux("inp", "STEP(10, 1)")
            + "<stock name='late'><eqn>\nlate= \n\tDELAY_N(inp, 2, 3, 2)\n</eqn></stock>"
            + "<stock name='kept'><eqn>kept =SAMPLE_IF_TRUE(TIME&lt;2, TIME, 7)</eqn></stock>"
            + "<stock name='s'><eqn>0</eqn><inflow>late</inflow></stock>"
            + aux("own", "own = XIDZ(inp, 0, 4) + IF_THEN_ELSE(inp = 10, 1, 2)")
            + aux("soft", "SMOOTH3I(inp, 2, 3)"),
            dt=" TIME_STEP=0.25",
            stop="FINAL_TIME = 4",
        )
    )
    run = load_model(path).simulate()
    beside = small(
        tmp_path,
        "inp = STEP(10, 1)",
        "late = DELAY N(inp, 2, 3, 2)",
        "kept = SAMPLE IF TRUE(Time < 2, Time, 7)",
        "s = INTEG(late, 0)",
        "own = XIDZ(inp, 0, 4) + IF THEN ELSE(inp = 10, 1, 2)",
        "soft = SMOOTH3I(inp, 2, 3)",
        TIME_STEP="0.25",
    ).simulate()
    for name in ("late", "kept", "s", "own", "soft"):
        np.testing.assert_array_equal(run[name], beside[name], err_msg=name)
    twice = "<gf><xpts>0,0,1</xpts><ypts>5,5,6</ypts></gf>"
    path.write_text(xmile(f"<aux name='g'><eqn>TIME/4</eqn>{twice}</aux>"))
    assert load_model(path).simulate()["g"].to_numpy().tolist() == [5, 5.25, 5.5, 5.75, 6]


def test_a_stock_with_flows_and_a_whole_equation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "both.xmile"
    path.write_text(
        xmile(aux("f", "1") + "<stock name='s'><eqn>s = 3</eqn><inflow>f</inflow></stock>")
    )
    with pytest.raises(ModelFileError, match="'s' has flows and 'name =' in its equation"):
        load_model(path)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (" 12.50 ", 12.5),
        ("-.5e1", -5.0),
        ("+3.E-2", 0.03),
        ("1" + "0" * 99, 1e99),  # 100 characters at most
        ("1" + "0" * 100, None),
        ("1e999", None),
        ("0x10", None),
        ("nan", None),
        ("1 2", None),
    ],
)
def test_a_number_of_a_graph_is_finite_and_has_at_most_a_hundred_characters(
    written: str, number: float | None
) -> None:
    found = graphs._number(written)
    assert math.isnan(found) if number is None else found == pytest.approx(number, rel=1e-15)
