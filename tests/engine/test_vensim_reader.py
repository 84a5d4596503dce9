"""From bytes to equations: what is read, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beltcast import load_model
from beltcast.engine.syntax import Call, Number, Ref, Table
from beltcast.engine.vensim.reader import read_source
from beltcast.errors import ModelError, ModelFileError
from beltcast.model.model import Model

from ..small_models import small, text, write


def refusal(folder: Path, *equations: str) -> ModelError:
    """What load_model says of some equations; line 2 is the first of them."""
    with pytest.raises(ModelError) as caught:
        small(folder, *equations)
    assert "\n" not in str(caught.value)
    assert caught.value.path == folder / "small.mdl"
    return caught.value


def test_equations_keep_what_the_modeller_wrote(tmp_path: Path) -> None:
    content = (
        "{UTF-8}\nbirth rate = 0.1*Births\n\t~\tperson/Year [0,1]\n\t~\tTwo\n\tlines.\n\t|\n\n"
    )
    content += text("Births = 3").removeprefix("{UTF-8}\n")
    source = read_source(write(tmp_path, content))
    first = source.equations[0]
    assert (first.name, first.unit, first.doc, first.line) == (
        "birth rate",
        "person/Year",
        "Two lines.",
        2,
    )
    assert first.limits == (0, 1)
    assert first.expression == Call("*", (Number(0.1), Ref("Births")))
    assert source.controls["final time"].expression == Number(4.0)


def test_lines_are_those_of_the_file(root: Path) -> None:
    path = root / "models" / "belt" / "belt.mdl"
    lines = path.read_text(encoding="utf-8").splitlines()
    source = read_source(path)
    for equation in (*source.equations, *source.controls.values()):
        assert lines[equation.line - 1].startswith(equation.name), equation.name


def test_ranges_within_ranges_are_written_out(tmp_path: Path) -> None:
    source = small(tmp_path, "All: East, Rest", "Rest: North, South", "a[All] = 1").source
    assert source.subscripts["All"] == ("East", "North", "South")


def test_lookups_are_tables(tmp_path: Path) -> None:
    source = small(tmp_path, "f([(0,0)-(9,9)],(0,1),(2,5))", "y = f(Time)").source
    assert source.equations[0].expression == Table((0.0, 2.0), (1.0, 5.0))
    call = source.equations[1].expression
    assert isinstance(call, Call)
    assert call.function == "LOOKUP"


# --- encodings --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_chinese_file_reads_alike_in_utf_8_and_gb18030(tmp_path: Path, encoding: str) -> None:
    content = text("卖家 = 3", "产出 = 卖家*2").removeprefix("{UTF-8}\n")
    model = load_model(write(tmp_path, content.encode(encoding)))
    assert float(model.simulate()["产出"][-1]) == 6.0


def test_a_latin_1_file_keeps_its_letters(tmp_path: Path) -> None:
    """'é|' would be one Chinese character, and its equation would lose its end."""
    content = "décor = 3\n\t~\t\n\t~\tdécoré|\n\n" + text("double = 2*décor").removeprefix(
        "{UTF-8}"
    )
    model = load_model(write(tmp_path, content.encode("latin-1")))
    assert model.source.encoding == "latin-1"
    assert model.variables["décor"].doc == "décoré"
    assert float(model.simulate()["double"][-1]) == 6.0


def test_line_ends_of_windows_change_nothing(tmp_path: Path) -> None:
    content = text("a = 1", "b = a + nothing")
    with pytest.raises(ModelError, match="'nothing'") as unix:
        load_model(write(tmp_path, content))
    with pytest.raises(ModelError, match="'nothing'") as windows:
        load_model(write(tmp_path, content.replace("\n", "\r\n")))
    assert windows.value.line == unix.value.line == 7


# --- files that are no models -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a Vensim model"),
        (b"hello, world", "not a Vensim model"),
        (b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20, "not a Vensim model"),
        (b"a = 1 ~~|\n\x00", "not a Vensim model"),
        (b"a = 1\n\t~\t\n\t~\t\n\t|\n", "does not define INITIAL TIME"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        load_model(write(tmp_path, content))


def test_a_missing_file_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "none.mdl")
    with pytest.raises(ModelFileError, match=r"ends in \.mdl"):
        load_model(write(tmp_path, "a = 1", "model.txt"))
    (tmp_path / "folder.mdl").mkdir()
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model(tmp_path / "folder.mdl")


def test_a_file_cut_anywhere_is_refused_or_whole(root: Path, tmp_path: Path) -> None:
    """A cut between two equations cannot be seen; the names that are missing then are."""
    content = (root / "models" / "decay" / "decay.mdl").read_text(encoding="utf-8")
    last = content.rindex("|")
    for end in range(0, last, 7):
        with pytest.raises(ModelError):
            load_model(write(tmp_path, content[:end]))


def test_a_cut_equation_is_named_by_its_line(tmp_path: Path) -> None:
    content = text("a = 1", "b = 2")
    with pytest.raises(ModelFileError, match="truncated") as caught:
        load_model(write(tmp_path, content[: content.index("b = 2") + 4]))
    assert caught.value.line == 7


# --- what is not supported --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equations", "line", "words"),
    [
        (["y = a + 1"], 2, "uses 'a', which the model does not define"),
        (["Rate = 1", "y = Rat + 1"], 7, "did you mean 'Rate'"),
        (["y = FORECASTER(Time)"], 2, "FORECASTER"),
        (["y = DELAY PROFILE(Time, 2, 0)"], 2, "DELAY PROFILE"),
        (["y = RANDOM LOOKUP(0, 1, 2, 0)"], 2, "RANDOM LOOKUP"),
        (["Belt: North, South", "y[Belt] = 1", "z = y[East]"], 12, "'East' is neither"),
        (["Belt: North, South", "y[Balt] = 1"], 7, "'Balt' is neither"),
        (["y = STEP(3)"], 2, "STEP takes 2 arguments and is given 1"),
        (["y = PULSE(3)"], 2, "PULSE takes 2 arguments and is given 1"),
        (["y = MAX(3)"], 2, "MAX takes 2 arguments and is given 1"),
        (["f((0,0),(1,1))", "y = f(1, 2)"], 7, "takes one argument and is given 2"),
        (["f((0,0),(1,1))", "y = f + 1"], 7, "the lookup 'f' used as a value"),
        (["a = 1", "y = a(2)"], 7, "'a' is called but is not a lookup"),
        (["a = 1", "a = 2"], 7, "defined twice"),
        (["x = GET XLS CONSTANTS('a.xlsx', 'S', 'B2')"], 2, "'a.xlsx' cannot be read"),
        (["x := GET DIRECT DATA('a.ods', 'S', 'A', 'B2')"], 2, "nor a workbook"),
        (["x = GET DIRECT CONSTANTS('../a.csv', ',', 'B2')"], 2, "outside its own folder"),
        (["x = GET DIRECT CONSTANTS('/etc/a.csv', ',', 'B2')"], 2, "outside its own folder"),
        (["Belt: North, South", "x[Belt] = 1, 2, 3"], 7, "3 numbers are given for 2"),
        (["Belt: North, South", "x[Belt] = 1", "y = x"], 12, "has 1 subscripts and is used with 0"),
        (["Belt: North, South", "x[North] = 1", "y[Belt] = x[Belt]"], 12, "'x[South]' is not"),
        (
            ["Belt: North, South", "x[Belt] = 1", "y = SUM(x[North])"],
            12,
            "without a subscript mark",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(
    tmp_path: Path, equations: list[str], line: int, words: str
) -> None:
    error = refusal(tmp_path, *equations)
    assert words in error.sentence
    assert error.line == line


def test_subscripts_from_a_missing_workbook_are_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, "Belt: GET XLS SUBSCRIPT('a.xlsx', 'S', 'A1', 'A9', '')", "a[Belt]=1")
    assert "workbook 'a.xlsx' cannot be read" in error.sentence


def test_an_equation_that_cannot_be_parsed_is_shown(tmp_path: Path) -> None:
    error = refusal(tmp_path, "a = 1", "y = 3 +* a")
    assert "3 +* a" in error.sentence


def test_a_circle_of_auxiliaries_is_refused_with_its_names(tmp_path: Path) -> None:
    error = refusal(tmp_path, "a = b + 1", "b = c*2", "c = a - 1", "d = 1")
    assert "need each other at the same instant" in error.sentence
    assert {"a", "b", "c"} <= set(error.sentence.replace(";", " ").split())
    assert " d " not in error.sentence
    assert error.line in (2, 7, 12)


def test_very_deep_nesting_is_refused_and_long_sums_are_not(tmp_path: Path) -> None:
    elements = ", ".join(f"e{i}" for i in range(600))
    model = small(tmp_path, f"Many: {elements}", "x[Many] = 2", "y = SUM(x[Many!])")
    for backend in ("numpy", "llvm"):
        assert float(model.simulate(outputs=["y"], backend=backend)["y"][0]) == 1200.0
    error = refusal(tmp_path, "a = 1", "y = " + "(" * 400 + "a" + "+1)" * 400)
    assert "y" in error.sentence or "nested" in error.sentence


# --- mutated text -----------------------------------------------------------------------------


def assert_model_or_sentence(path: Path) -> None:
    result: Model | ModelError
    try:
        result = load_model(path)
    except ModelError as error:
        result = error
    if isinstance(result, ModelError):
        assert "\n" not in str(result)
        assert result.path == path
    else:
        assert result.variables


@settings(max_examples=50)
@given(data=st.data())
def test_damaged_text_gives_a_model_or_a_model_error(
    root: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = (root / "models" / "pipeline" / "pipeline.mdl").read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        gone = data.draw(st.integers(0, 8))
        added = data.draw(
            st.one_of(
                st.sampled_from(["(", ")", "[", "]", "|", "~", "=", ":", "'", '"', ",", "!", "*"]),
                st.sampled_from(["STEP(", "inflow", "SUM(", "INTEG(", ":EXCEPT:", ":MACRO:", "^"]),
                st.text(max_size=4),
            )
        )
        content = content[:at] + added + content[at + gone :]
    folder = tmp_path_factory.mktemp("damaged")
    assert_model_or_sentence(write(folder, content.encode("utf-8", "replace")))


@settings(max_examples=12)
@given(data=st.data())
def test_a_damaged_belt_model_gives_a_model_or_a_model_error(
    root: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = root / "models" / "belt"
    content = (folder / "belt.mdl").read_text(encoding="utf-8")
    at = data.draw(st.integers(0, len(content)))
    gone = data.draw(st.integers(0, 12))
    added = data.draw(
        st.sampled_from(["", "(", ")", "]", "|", "~", "=", "Belt", "Tier!", ",", "x"])
    )
    copy = tmp_path_factory.mktemp("belt")
    for table in folder.glob("*.csv"):
        (copy / table.name).write_bytes(table.read_bytes())
    assert_model_or_sentence(write(copy, content[:at] + added + content[at + gone :]))


def test_a_tabbed_array_may_have_hundreds_of_numbers(tmp_path: Path) -> None:
    rows = [[100 * i + j for j in range(30)] for i in range(30)]
    table = "\\\n\t\t".join("\t".join(map(str, row)) for row in rows)
    model = small(tmp_path, "R: (r1-r30)", "S: (s1-s30)", f"v[R,S] = TABBED ARRAY(\n\t{table}\n)")
    found = model.simulate(outputs=["v"])["v"].to_numpy()[0]
    assert found.tolist() == rows


def test_results_of_vensim_itself_are_refused_by_name(tmp_path: Path) -> None:
    error = refusal(tmp_path, "x = GET VDF CONSTANTS('base.vdf', 'a', 1)")
    assert "GET VDF CONSTANTS, which reads Vensim's own binary results" in error.sentence
    assert "GET DIRECT CONSTANTS" in error.sentence


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_a_file_may_have_any_encoding_that_says_so(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "m.mdl"
    path.write_bytes(text("población = 3", "y = población*2").encode(encoding))
    assert load_model(path).simulate()["y"].values[0] == 6


def test_a_name_keeps_its_spelling_whatever_the_case_of_its_uses(tmp_path: Path) -> None:
    rates = ("Birth Rate = 2", '"Death (%)" = 3')
    model = small(
        tmp_path, *rates, "x = birth_rate * 3", 'y = DELAY FIXED(birth_rate, 1, "death (%)")'
    )
    found = {e.name: e.expression for e in model.source.equations}
    birth, death = Ref("Birth Rate"), Ref('"Death (%)"')
    assert found["x"] == Call("*", (birth, Number(3.0)))
    assert found["y"] == Call("DELAY FIXED", (birth, Number(1.0), death))
