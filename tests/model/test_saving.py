"""Models written and read back: the same numbers bit for bit, and all that they say."""

from __future__ import annotations

import dataclasses
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beltcast import load_model
from beltcast.engine.syntax import Call, Expr, Number, Ref, canonical
from beltcast.engine.vensim.equations import read_equations
from beltcast.engine.xmile.expression import parse_expression
from beltcast.engine.xmile.printer import print_expression
from beltcast.errors import InputError, ModelError, UnsupportedConstruct
from beltcast.model.model import Model

from .. import conformance
from ..small_models import small, text
from ..small_models import write as write_text
from ..xmile_texts import aux, write

SHIPPED = ("belt", "decay", "influenza", "logistic", "pipeline", "sir")

SMALL = {
    "delays": (
        "x = STEP(1, 2)*RAMP(1, 0, 3)",
        "a = SMOOTH3I(x, 1, 2)",
        "b = DELAY1(x, 1) + DELAY3I(x, 2, 5)",
        "c = DELAY FIXED(x, 1, 0)",
        "d = SMOOTH N(x, 2, 1, 4) + DELAY N(x, 2, 1, 2)",
        "e = TREND(x + 1, 2, 0.1) + FORECAST(x + 1, 2, 1)",
        "f = SAMPLE IF TRUE(x > 1, x, 0) + INITIAL(x + 2)",
        "g = ACTIVE INITIAL(f*2, 3)",
    ),
    "arrays": (
        "Belt: North, South, West -> (Zone: Cold, Warm, Warm2)",
        "Zone: Cold, Warm, Warm2",
        "Part: South, West",
        "size[Belt] = 1, 2, 3",
        "share[Belt, Zone] = 1, 2, 3; 4, 5, 6; 7, 8, 9;",
        "x[Belt] :EXCEPT: [North] = size[Belt]*2",
        "x[North] = 17",
        "z[Zone] = x[Belt] + 1",
        "p[Part] = x[Part]/3",
        "s = SUM(x[Belt!]) + VMIN(x[Belt!]) + VMAX(size[Belt!]) + PROD(size[Belt!])",
        "Stock[Belt] = INTEG(x[Belt] - Stock[Belt]*share[Belt, Warm], size[Belt])",
    ),
    "lookups": (
        "curve([(0,0)-(9,9)],(0,1),(2,5),(7,0.25))",
        "y = curve(Time) + WITH LOOKUP(Time*2, ((0,0),(3,3),(8,1)))*2",
        "z = WITH LOOKUP(Time, ((0,0.1),(3,3)))",
        "w = LOOKUP EXTRAPOLATE(curve, Time*3)",
        "curves[Belt]((0,1),(4,2))",
        "Belt: North, South",
        "v[Belt] = curves[Belt](Time)",
    ),
    "logic": (
        "a = IF THEN ELSE(Time > 1 :AND: :NOT: Time >= 3 :OR: Time = 4, -Time^2, 2^(-Time))",
        "b = 1 - (2 - 3 - Time) - -Time/(Time + 1)/2",
        "c = MAX(MIN(Time, 2), 0.5)^2^0.5 + MODULO(Time, 0.75) + QUANTUM(Time, 0.3)",
        "d = EXP(-Time)*LN(Time + 1) + SQRT(Time) + INTEGER(Time*1.7) + LOG(2 + Time, 3)",
        "e = ZIDZ(Time, Time - 1) + XIDZ(Time, Time - 2, 1e-05)",
        "out = 1",
        "R = INTEG(1e-3*Time - out + d, 2)",
        "noise = RANDOM UNIFORM(0, 1, 3) + RANDOM NORMAL(-1, 1, 0, 1, 5)",
    ),
    "words": (
        '"share (%)" = 3',
        'Überschuß 带 = "share (%)"*2',
        "the end's name = 4",
    ),
}


def runs(model: Model) -> dict[str, np.ndarray]:
    run = model.simulate(backend="numpy")
    return {canonical(str(name)): array.values for name, array in run.data_vars.items()}


def assert_same(before: Model, after: Model) -> None:
    """Every variable of `before` has the same bits in `after`, with its unit and comment."""
    one, other = runs(before), runs(after)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name, strict=True)
    for name, variable in before.variables.items():
        again = after.find(name)
        # Vensim text such as '4 - 5 + 6' is read as the number that it is.
        kinds = (variable.kind, again.kind)
        # XMILE has a graphical function of TIME for a data variable.
        others = (("auxiliary", "constant"), ("input", "auxiliary"))
        assert again.kind == variable.kind or kinds in others, name
        # Of two ranges with the same elements, an array written element by element may get either.
        elements = [
            [m.subscripts[d] for d in v.dims] for m, v in ((before, variable), (after, again))
        ]
        assert elements[0] == elements[1], name
        if canonical(name) not in before.source.controls:
            # '|' and '~' end the parts of a statement of Vensim, so its comments have neither.
            docs = {variable.doc, variable.doc.replace("|", "/").replace("~", "-")}
            assert again.unit == variable.unit, name
            assert again.doc in docs, name


def through(model: Model, path: Path) -> Model:
    model.save(path)
    return load_model(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_comes_back_from_vensim_text(name: str, root: Path, tmp_path: Path) -> None:
    model = load_model(root / "models" / name / f"{name}.mdl")
    again = through(model, tmp_path / "again.mdl")
    assert_same(model, again)
    assert dict(again.source.groups) == dict(model.source.groups)
    assert dict(again.source.group_docs) == dict(model.source.group_docs)
    assert again.source.sketch == model.source.sketch.replace("\r\n", "\n")
    assert again.source.method == model.source.method


@pytest.mark.parametrize("name", [n for n in SHIPPED if n != "belt"])
def test_a_shipped_model_comes_back_from_xmile(name: str, root: Path, tmp_path: Path) -> None:
    model = load_model(root / "models" / name / f"{name}.mdl")
    assert_same(model, through(model, tmp_path / "again.xmile"))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("ending", [".mdl", ".xmile"])
def test_a_small_model_comes_back_from_both_dialects(
    name: str, ending: str, tmp_path: Path
) -> None:
    model = small(tmp_path, *SMALL[name])
    assert_same(model, through(model, tmp_path / f"again{ending}"))


def test_what_a_macro_draws_comes_back(tmp_path: Path) -> None:
    """Calls are numbered in the order of the file, and groups are written together."""
    stars = "*" * 20
    macro = ":MACRO: NOISE(seed)\nNOISE = RANDOM UNIFORM(0, 1, seed) ~~|\n:END OF MACRO:\n"
    equations = text("a = NOISE(1)", "b = RANDOM NORMAL(-1, 1, 0, 1, 2)").removeprefix("{UTF-8}")
    model = load_model(write_text(tmp_path, f"{macro}{stars}\n\t.own\n{stars}~\n\t|{equations}"))
    assert_same(model, through(model, tmp_path / "again.mdl"))
    assert model.source.groups["noise 1: noise"] == "own"


def test_elements_in_quotes_come_back_from_vensim_text(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        'Age: "20-24", "25-29", old',
        "people[Age] = 1, 2, 3",
        'young = people["20-24"] + SUM(people[Age!])',
    )
    assert runs(model)["young"][0] == 7
    assert_same(model, through(model, tmp_path / "again.mdl"))


def test_a_model_of_xmile_becomes_one_of_vensim(tmp_path: Path) -> None:
    """Graphical functions of all kinds, PULSE of a quantity, SAFEDIV, signed powers."""
    gf = '<gf type="{}"><xpts>0,1,3</xpts><ypts>0,4,5</ypts></gf>'
    variables = (
        f'<aux name="far"><eqn>TIME*2</eqn>{gf.format("extrapolate")}</aux>'
        f'<aux name="steps"><eqn>TIME*2</eqn>{gf.format("discrete")}</aux>'
        f'<aux name="near">{gf.format("extrapolate")}</aux>'
        + aux(
            "y",
            "near(TIME*3) + PULSE(6, 1) + PULSE(2, 1, 2) + (-2)^2 - 2^-1 + SAFEDIV(2, TIME - 1, 7)",
        )
        + aux("n", "NORMAL(2, 1, 7) + EXPRND(2, 3)")
        + '<stock name="S"><eqn>4</eqn><inflow>y</inflow><outflow>n</outflow></stock>'
    )
    model = load_model(write(tmp_path, variables))
    assert_same(model, through(model, tmp_path / "again.mdl"))
    assert_same(model, through(model, tmp_path / "again.stmx"))


def test_what_xmile_alone_has_is_written_out_for_vensim(tmp_path: Path) -> None:
    """Stocks that stop at zero, conveyors, INT, HISTORY and pulses that begin anywhere."""
    variables = (
        '<stock name="S"><eqn>2</eqn><outflow>out</outflow><non_negative/></stock>'
        '<flow name="out"><eqn>0.7</eqn></flow>'
        '<stock name="C"><eqn>4</eqn><inflow>on</inflow><outflow>off</outflow>'
        '<conveyor discrete="true"><len>2</len></conveyor></stock>'
        '<flow name="on"><eqn>TIME</eqn><non_negative/></flow><flow name="off"/>'
        + aux("whole", "INT(1.5 - TIME) + INT(TIME/3)")
        + aux("before", "HISTORY(whole*TIME, TIME - 2) - HISTORY(whole, TIME)")
        + aux("start", "0.3")
        + aux("pulse", "PULSE(6, start) + PULSE(2, 0.2, 1.1) + PULSE(3, start, TIME - 2)")
    )
    model = load_model(write(tmp_path, variables))
    assert runs(model)["s"][-1] == 0
    assert_same(model, through(model, tmp_path / "again.mdl"))
    assert_same(model, through(model, tmp_path / "again.stmx"))


def test_a_computed_subscript_is_mapped_in_vensim(tmp_path: Path) -> None:
    dims = '<dimensions><dim name="D"><elem name="a"/><elem name="b"/><elem name="c"/></dim>'
    variables = (
        '<aux name="v"><dimensions><dim name="D"/></dimensions>'
        '<element subscript="a"><eqn>5</eqn></element><element subscript="b"><eqn>6</eqn></element>'
        '<element subscript="c"><eqn>TIME</eqn></element></aux>' + aux("y", "v[1 + INT(TIME/2)]")
    )
    model = load_model(write(tmp_path, variables, dimensions=f"{dims}</dimensions>"))
    assert runs(model)["y"][:3].tolist() == [5, 5, 6]
    assert_same(model, through(model, tmp_path / "again.mdl"))
    with pytest.raises(UnsupportedConstruct, match="computed subscript"):
        model.save(tmp_path / "again.xmile")


def test_what_vensim_alone_has_is_written_out_for_xmile(tmp_path: Path) -> None:
    """PULSE, subscripts as numbers, ELMCOUNT, and lookups read in other ways."""
    model = small(
        tmp_path,
        "Belt: A, B, C",
        "Part: B, C",
        "place[Belt] = Belt*10 + ELMCOUNT(Part)",
        "of two[Part] = Part + B",
        "wave = PULSE(1.3, 2) + 10*PULSE(place[A] - 11.6, 0) + 100*PULSE(2, Time/2)",
        "look((0,1),(1,3),(2,4))",
        "back = LOOKUP BACKWARD(look, Time/3) + LOOKUP FORWARD(look, Time/3)",
        "inverse = LOOKUP INVERT(look, Time) + LOOKUP EXTRAPOLATE(look, Time)",
    )
    assert runs(model)["place"][0].tolist() == [12, 22, 32]
    assert_same(model, through(model, tmp_path / "again.xmile"))
    assert_same(model, through(model, tmp_path / "again.mdl"))


def test_mappings_of_both_kinds_and_names_in_quotes_come_back(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "DimA: A1, A2, A3 -> (DimB: B3, B2, B1), DimC",
        "DimB: B1, B2, B3",
        "DimC: C1, C2, C3",
        "a[DimA] = 1, 2, 3",
        "b[DimB] = a[DimA]",
        "c[DimC] = a[DimA]",
        '"Dim (2)": "1 + 1", "2-2"',
        'd["Dim (2)"] = 1',
        'e = SUM(d["Dim (2)"!])',
    )
    again = through(model, tmp_path / "again.mdl")
    assert runs(again)["b"][0].tolist() == [3, 2, 1]
    assert_same(model, again)


def test_points_of_data_variables_lie_in_a_table_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("t,a,b\n0,0.1,1\n2.5,5,2\n4,1e-3,\n", encoding="utf-8")
    model = small(
        tmp_path,
        "flow := GET DIRECT DATA('points.csv', ',', 'A', 'B2')",
        "Belt: North, South",
        "level[Belt]:HOLD BACKWARD: := GET DIRECT DATA('points.csv', ',', 'A', 'B2')",
        "y[Belt] = level[Belt]*flow",
    )
    (tmp_path / "out").mkdir()
    again = tmp_path / "out" / "again.mdl"
    assert model.save(again) == (again, tmp_path / "out" / "again_data.csv")
    assert_same(model, load_model(again))
    again = through(model, tmp_path / "again.xmile")
    for name in ("flow", "level", "y"):
        ours, theirs = model.simulate()[name], again.simulate()[name]
        np.testing.assert_allclose(ours, theirs, rtol=1e-14, err_msg=name)


@pytest.mark.parametrize(
    ("keyword", "points", "settings", "words"),
    [
        (":LOOK FORWARD:", True, "", "data variable of the kind 'look forward'"),
        (":RAW:", True, "", "data variable of the kind 'raw'"),
        ("", False, "", "data variable without numbers"),
        (
            "",
            True,
            "\\\\\\---/// Sketch information\nV300\n///---\\\\\\\n:L\x7f<%^E!@\n15:0,0,0,1,0,0\n",
            "data variable under Runge-Kutta",
        ),
    ],
)
def test_data_that_xmile_cannot_say_is_refused_by_name(
    tmp_path: Path, keyword: str, points: bool, settings: str, words: str
) -> None:
    (tmp_path / "points.csv").write_text("t,a\n0,1\n4,5\n", encoding="utf-8")
    source = " := GET DIRECT DATA('points.csv', ',', 'A', 'B2')" if points else ""
    path = write_text(tmp_path, text(f"flow{keyword}{source}", "y = flow") + settings)
    with pytest.raises(UnsupportedConstruct, match=f"'flow': XMILE has no {words}"):
        load_model(path).save(tmp_path / "again.xmile")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            '<stock name="S"><eqn>-1</eqn><outflow>y</outflow><non_negative/></stock>'
            + aux("y", "1"),
            "stock that starts below zero",
        ),
        ('<aux name="y"><eqn>INF</eqn></aux>', "infinite number"),
        ('<aux name="Exp"><eqn>EXP(TIME)</eqn></aux>', "the name of the function 'Exp'"),
    ],
)
def test_what_vensim_cannot_say_is_refused_by_name(
    variables: str, words: str, tmp_path: Path
) -> None:
    model = load_model(write(tmp_path, variables))
    with pytest.raises(UnsupportedConstruct, match=words):
        model.save(tmp_path / "again.mdl")


@pytest.mark.parametrize(
    ("equations", "words"),
    [
        (("y = VECTOR ELM MAP(x[A], 1)", "Belt: A, B", "x[Belt] = 1"), "no VECTOR ELM MAP"),
        (
            (
                "Belt: A, B",
                "Kind: C, D",
                "x[Belt] = 1",
                "z[Kind] = 2",
                "y = SUM(x[Belt!]*z[Kind!])",
            ),
            "SUM over arrays of different dimensions",
        ),
        (("DT = 3", "x = DT"), "'DT': XMILE has no 'DT' but its own word for the run"),
        (("Belt: A, B, C", "x[A] = 1", "x[C] = 2"), "'x': XMILE has no array without some"),
        (
            ("Belt: A, B, C", "Part: A, B", "x[Belt] = 1", "y = SUM(x[Part!])"),
            "SUM over 'Part', a part of 'Belt'",
        ),
    ],
)
def test_what_xmile_cannot_say_is_refused_by_name(
    equations: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedConstruct, match=words):
        small(tmp_path, *equations).save(tmp_path / "again.xmile")
    assert not (tmp_path / "again.xmile").exists()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"saved as \.mdl or .*'again\.txt' ends otherwise"):
        small(tmp_path, "a = 1").save(tmp_path / "again.txt")


def test_sketch_groups_limits_and_method_stay(tmp_path: Path) -> None:
    stars = "*" * 56
    source = text("a = 1", "b = 2").replace(
        "b = 2\n\t~\t\n\t~\t",
        f"{stars}\n\t.People\n{stars}~\n\t\tWho they are\n\t|\n\nb = 2\n\t~\tperson [0,9]\n\t~\t"
        "Counted.",
    )
    sketch = "\\\\\\---/// Sketch information\n*View 1\n10,1,a,1,2\n///---\\\\\\\n"
    sketch += ":L<%^E!@\n15:0,0,0,1,0,0\n"
    model = load_model(write_text(tmp_path, source + sketch))
    again = through(model, tmp_path / "again.mdl")
    (b,) = again["b"].equations
    assert (b.unit, b.doc, b.limits) == ("person", "Counted.", (0.0, 9.0))
    assert again.source.groups["b"] == "People"
    assert again.source.group_docs == {"People": "Who they are"}
    assert again.source.sketch == sketch
    assert again.source.method == "rk4"
    other = through(model, tmp_path / "again.xmile")
    assert (other.source.groups["b"], other.source.method) == ("People", "rk4")
    assert other["b"].equations[0].limits == (0.0, 9.0)


def test_a_single_limit_opens_in_pysd_and_comes_back(tmp_path: Path) -> None:
    """XMILE has both ends of a <range>, and PySD reads none without."""
    pysd = pytest.importorskip("pysd")
    (tmp_path / "a.mdl").write_text(
        "{UTF-8}\na = 3 ~person [0,?]~|\nb = 4 ~person [?,9]~|\nc = 5 ~person [0,9,1]~|\n"
        "INITIAL TIME = 0 ~~|\n"
        "FINAL TIME = 1 ~~|\nTIME STEP = 1 ~~|\nSAVEPER = 1 ~~|\n"
    )
    again = through(load_model(tmp_path / "a.mdl"), tmp_path / "again.xmile")
    assert again["a"].equations[0].limits == (0.0, None)
    assert again["b"].equations[0].limits == (None, 9.0)
    assert again["c"].equations[0].limits == (0.0, 9.0)
    theirs = pysd.read_xmile(str(tmp_path / "again.xmile")).run()
    assert (theirs["a"].iloc[0], theirs["b"].iloc[0]) == (3.0, 4.0)


def test_pysd_runs_what_was_written(root: Path, tmp_path: Path) -> None:
    pysd = pytest.importorskip("pysd")
    model = load_model(root / "models" / "sir" / "sir.mdl")
    expected = model.simulate(outputs="Infected")["Infected"].values
    model.save(tmp_path / "sir.mdl")
    model.save(tmp_path / "sir.xmile")
    for read, name in ((pysd.read_vensim, "sir.mdl"), (pysd.read_xmile, "sir.xmile")):
        theirs = read(str(tmp_path / name)).run(return_columns=["Infected"])["Infected"]
        own = theirs.loc[model.grid().saved()]
        np.testing.assert_allclose(own.to_numpy(), expected, rtol=1e-12)


@pytest.mark.skipif(
    conformance.checkout() is None,
    reason=f"{conformance.VARIABLE} does not name a checkout of SDXorg/test-models",
)
@pytest.mark.parametrize(
    ("endings", "to"),
    [(a, b) for a in ((".mdl",), (".xmile", ".stmx")) for b in (".mdl", ".xmile")],
)
def test_every_model_of_test_models_comes_back_or_is_refused_by_name(
    endings: tuple[str, ...], to: str, tmp_path: Path
) -> None:
    root = conformance.checkout()
    assert root is not None
    same, refused = 0, []
    for i, file in enumerate(conformance.model_files(root, endings)):
        try:
            model = load_model(file)
            runs(model)
        except ModelError:  # not a whole model, or one without its data
            continue
        (tmp_path / str(i)).mkdir()
        try:
            again = through(model, tmp_path / str(i) / f"again{to}")
        except UnsupportedConstruct as problem:
            refused.append(f"{file.name}: {problem.sentence}")
            continue
        assert_same(model, again)
        same += 1
    print(f"{same} come back, {len(refused)} refused", *refused, sep="\n")
    assert same > 60
    if endings == (".mdl",) and to == ".mdl":
        assert not refused


# --- expressions ------------------------------------------------------------------------------

NAMES = st.text(string.ascii_lowercase, min_size=3, max_size=5).map(lambda s: f"v{s}")
LEAVES = st.one_of(
    st.floats(0, 1e9, allow_nan=False).map(lambda v: Number(float(v))),
    st.floats(-1e9, -1e-9).map(lambda v: Number(float(v))),
    NAMES.map(Ref),
)
BINARY = ("+", "-", "*", "/", "^", "<", "<=", ">", ">=", "=", "<>", ":AND:", ":OR:", "MIN", "MAX")


def grown(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(st.sampled_from(BINARY), pair).map(lambda p: Call(p[0], p[1])),
        st.tuples(inner).map(lambda p: Call("negative", p)),
        st.tuples(inner).map(lambda p: Call(":NOT:", p)),
        st.tuples(inner, inner, inner).map(lambda p: Call("IF THEN ELSE", p)),
    )


EXPRESSIONS = st.recursive(LEAVES, grown, max_leaves=12)


def folded(expression: Expr) -> Expr:
    """Signs of literals in the literal, as parsers have them: -(-2) is 2."""
    if not isinstance(expression, Call):
        return expression
    arguments = tuple(map(folded, expression.arguments))
    if expression.function == "negative" and isinstance(arguments[0], Number):
        return Number(-arguments[0].value)
    return dataclasses.replace(expression, arguments=arguments)


@given(EXPRESSIONS)
@settings(max_examples=300, deadline=None)
def test_an_expression_comes_back_from_xmile_text(expression: Expr) -> None:
    read = parse_expression(print_expression(expression), fail=AssertionError)
    assert folded(read) == folded(expression)


def test_equations_as_text_are_read_in_the_context_of_a_model(tmp_path: Path) -> None:
    model = small(tmp_path, "Belt: A, B", "curve((0,0),(1,1))", "x[Belt] = 1")
    texts = {"y[Belt]": "curve(x[Belt])", "k": "((0,0),(2,3))"}
    first, second = read_equations(texts, model.source)
    assert first.expression == Call("LOOKUP", (Ref("curve"), Ref("x", ("Belt",))))
    assert second.expression.x == (0.0, 2.0)


def test_an_array_of_two_dimensions_opens_in_pysd(tmp_path: Path) -> None:
    """PySD takes a blank after the comma of an element for a part of the name."""
    pysd = pytest.importorskip("pysd")
    (tmp_path / "a.mdl").write_text(
        "{UTF-8}\nR: r1, r2 ~~|\nC: c1, c2 ~~|\nv[R,C] = 1, 2; 3, 4; ~~|\nINITIAL TIME = 0 ~~|\n"
        "FINAL TIME = 1 ~~|\nTIME STEP = 1 ~~|\nSAVEPER = 1 ~~|\n"
    )
    load_model(tmp_path / "a.mdl").save(tmp_path / "again.xmile")
    theirs = pysd.read_xmile(str(tmp_path / "again.xmile")).run(flatten_output=True)
    assert theirs.loc[0.0, ["v[r1,c2]", "v[r2,c1]"]].tolist() == [2.0, 3.0]
