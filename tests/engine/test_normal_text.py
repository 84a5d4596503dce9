"""What Vensim reads and PySD's grammar does not: rewritten, with the lines of the file kept."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.vensim import normal_text as nt
from beltcast.errors import ModelError, ModelFileError, SimulationError

from ..small_models import small

CONTROLS = (
    "INITIAL TIME = 0 ~~|\nFINAL TIME = 4 ~~|\nTIME STEP = 1 ~~|\nSAVEPER = 1 ~~|\n"
    "\\\\\\---/// Sketch information\n*View 1\n"
)


def run(folder: Path, body: str):  # type: ignore[no-untyped-def]
    path = folder / "m.mdl"
    path.write_text("{UTF-8}\n" + body + "\n" + CONTROLS, encoding="utf-8")
    return load_model(path)


def values(folder: Path, body: str, *names: str) -> list[list[float]]:
    found = run(folder, body).simulate(outputs=list(names))
    return [found[name].values.tolist() for name in names]


@pytest.mark.parametrize(
    ("body", "x"),
    [
        ("x = 3 {a comment} ~~|", 3),
        ("x = 3 {one {inside} another ~ | } + 1 ~~|", 4),
        ("x = {first} 1 {two\nlines} + {three} 2 ~ kg {of it} ~ doc {kept} |", 3),
        ("{before} x = 3 ~~|{after}", 3),
        ("x = 1 + \\\n\t\t2 ~~|", 3),
        ("x = 1 + \\ \n 2 ~~|", 3),
        ("x = A FUNCTION OF(y, z) ~~|\ny = 1 ~~|\nx =\n\ty + 2 ~~|", 3),
        ("x = a function of ( y ) ~~|\ny = 1 ~~|\nz = 4 ~~|\nx = y + 2 ~~|", 3),
        ("x = 3 ~ kg |", 3),
        ("x = 3 ~ |", 3),
        ("x = 3 ~ kg [text] ~ |", 3),
        ("x = 3 ~ kg [a][0,1] ~ |", 3),
        ("x = 3 ~ kg [0,?,1] ~ ~ :SUPPLEMENTARY |", 3),
        ('"{not a comment}" = 4 ~~|\nx = "{not a comment}" - 1 ~~|', 3),
        ("x = 1 + 2 ~~|", 3),
        ("x = 4.5 - 1e0 - .5 ~~|", 3),
        ("x = - 1 + 4 ~~|", 3),
        ("x = 007 - 04 ~~|", 3),
        ("people’s wish = 1 ~~|\nx = 1 + MAX(people’s wish, 0)*2 ~~|", 3),
        ("人口（万人） = 6 ~~|\nα→β = 2 ~~|\nx = 人口（万人）\n/ α→β ~~|", 3),
        ("R: nord–süd, ost ~~|\nv[R] = 1, 2 ~~|\nx = v[nord–süd] + v[ost] ~~|", 3),
        ("d: A, B ~~|\ny[d] = - 1,\n+ 4 ~~|\nx = SUM(y[d!]) ~~|", 3),
        ("| x = 3 ~~|| ", 3),
        ("*****\n\t.Group\n*****~\n\ttext\n|\nx = 3 ~~|", 3),
        ("f(1,2,3, 10,20,30) ~~|\nx = f(1.5)/5 ~~|", 3),
        ("f((1,1),(1,1),(3,5)) ~~|\nx = f(2) ~~|", 3),
        ("f((3,5),(1,1)) ~~|\nx = f(2) ~~|", 3),
        ("f([(0,0)-(9,9)],(1,1),(3,5),(3,5)) ~~|\nx = f(2) ~~|", 3),
        ("x = WITH LOOKUP(2, ([(0,0)-(9,9)],(1,1),(1,1),(3,5))) ~~|", 3),
        ("f((0,3),(1,3),(1,7),(2,9)) ~~|\nx = f(1) ~~|", 3),
        ("f((0,0),(1,0),(1,3),(2,3)) ~~|\nx = f(1.000001) ~~|", 3),
    ],
)
def test_a_text_means_what_it_means_to_vensim(tmp_path: Path, body: str, x: float) -> None:
    assert values(tmp_path, body, "x")[0][0] == pytest.approx(x)


def test_comments_inside_lists_are_left_out(tmp_path: Path) -> None:
    body = "D: a, {one} b, c ~~|\nx[D] = 1, {first}\n 2 {second}, 3 {third}\n ~~|\n"
    assert values(tmp_path, body, "x")[0][0] == [1, 2, 3]


def test_element_mappings_may_run_over_lines(tmp_path: Path) -> None:
    body = (
        "A: a1, a2 -> (B: b1,\\\n\t\tb2)\n\t~~|\nB: b1, b2 ~~|\nx[A] = 1, 2 ~~|\ny[B] = x[A]*10 ~~|"
    )
    assert values(tmp_path, body, "y")[0][0] == [10, 20]


def test_macros_may_stand_anywhere(tmp_path: Path) -> None:
    macro = (
        ":MACRO: POS(INPUT)\nPOS=MAX(INPUT, 0)\n\t~\tINPUT\n\t~\t|\n:END OF MACRO:\n"
        ":MACRO: CLIP(t, f, a, b)\nCLIP = IF THEN ELSE(a >= b, t, f) {chosen}\n~t\n~|\n"
        ":END OF MACRO:\n"
    )
    group = "****\n\t.group\n****~\n\t\tA note\n\t|\n"
    equations = "x = POS(-1) + CLIP(1, 2, 3, 4) ~~|\n"
    for body in (group + macro + equations, equations + macro, macro + group + equations):
        assert values(tmp_path, body, "x")[0][0] == 2


def test_a_data_variable_without_keyword_is_left_to_the_user(tmp_path: Path) -> None:
    model = run(
        tmp_path, 'D: a, b ~~|\n\nSales\n\t~ Person\n\t~ data |\n"Q&A"[D] ~~|\nx = Sales*2 ~~|'
    )
    with pytest.raises(SimulationError, match=r"inputs=\{'Sales': \(times, values\)\}") as problem:
        model.simulate(outputs=["x"])
    assert problem.value.line == 4
    found = model.simulate(inputs={"Sales": ([0.0, 4.0], [0.0, 8.0])}, outputs=["x"])
    assert found["x"].values.tolist() == [0, 4, 8, 12, 16]


@pytest.mark.parametrize(
    "named", ["'Table.CSV', ','", "'table.csv', ''", "'?table', ','", "File, ','"]
)
def test_a_table_is_found_as_vensim_finds_it(tmp_path: Path, named: str) -> None:
    (tmp_path / "table.csv").write_text("time,value\n0,5\n4,9\n")
    body = (
        f"File :IS: 'table.csv' ~~|\ndata := GET DIRECT DATA({named}, 'A', 'B2') ~~|\nx = data ~~|"
    )
    assert values(tmp_path, body, "x")[0] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("separator", ["\t", "\\t", "tab"])
def test_a_table_may_be_separated_by_tabs(tmp_path: Path, separator: str) -> None:
    (tmp_path / "table.txt").write_text("time\tvalue\n0\t5\n4\t9\n")
    body = f"x := GET DIRECT DATA('table.txt', '{separator}', 'A', 'B2') ~~|"
    assert values(tmp_path, body, "x")[0] == [5, 6, 7, 8, 9]


def test_an_alias_without_a_table_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="name the file in the equation"):
        run(tmp_path, "x = GET DIRECT CONSTANTS('?sales', ',', 'B2') ~~|")


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("x = 1 ~~|\n\ny = A FUNCTION OF(x) ~~|", 4, "'y' was never written"),
        ("x = 1 ~~|\ny = A FUNCTION OF(y) ~~|\ny = ~ kg ~ |", 4, "'y' has no right-hand side"),
        ("x = SIMULTANEOUS(1 - x, 1) ~~|", 2, "break it with a stock"),
        ("x = 1 ~~|\ny = 2 {open ~~|", 3, "a comment begins here and never ends"),
        ("x = 1 ~~|\n\n{c}\ny = 2 +* 3 ~~|", 5, r"from '\+\* 3' on"),
        ("x = 1 ~~|\ny = DELAY1(x) ~~|", 3, "wrong number of arguments"),
        ("x = 1 ~~|\ny = NO SUCH THING(x) ~~|", 3, "the function NO SUCH THING is not supported"),
    ],
)
def test_the_first_error_names_its_line(tmp_path: Path, body: str, line: int, words: str) -> None:
    with pytest.raises(ModelError, match=words) as problem:
        run(tmp_path, body)
    assert problem.value.line == line


def test_lines_survive_every_rewrite(tmp_path: Path) -> None:
    body = (
        "a = 1 {one\ntwo} ~~|\n\nb = 1 + \\\n 2 ~~|\n:MACRO: M(i)\nM = i ~~|\n:END OF MACRO:\n"
        "****\n.G\n****~|\nc = 3 ~~|\nd = A FUNCTION OF(a) ~~|\n\nd = M(a) ~~|"
    )
    model = run(tmp_path, body)
    text = (tmp_path / "m.mdl").read_text().splitlines()
    for name in "abcd":
        assert text[model.variables[name].line - 1].startswith(f"{name} ="), name


def test_pysd_is_as_before_once_a_model_is_read(tmp_path: Path) -> None:
    from pysd.translators.vensim import vensim_element

    run(tmp_path, "x = 1 ~~|")
    assert "eval" not in vars(vensim_element)


def test_models_are_read_side_by_side(tmp_path: Path) -> None:
    found: list[float] = []

    def read(i: int) -> None:
        folder = tmp_path / str(i)
        folder.mkdir()
        found.append(values(folder, f"x = {i} + 0*Time ~~|", "x")[0][0])

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1, 2, 3]


def test_every_rewrite_says_why() -> None:
    for written, becomes, reason in nt.REWRITES:
        assert written
        assert becomes
        assert len(reason) > 20


def test_a_lookup_jumps_where_two_points_share_an_input(tmp_path: Path) -> None:
    found = run(tmp_path, "f((0,0),(2,2),(2,6),(4,6)) ~~|\nx = f(Time) ~~|").simulate()["x"]
    np.testing.assert_allclose(found, [0, 1, 2, 6, 6])


def test_a_quoted_name_with_a_subscript_may_end_its_equation_with_one(tmp_path: Path) -> None:
    """It was taken for a data variable without an equation, as in C-LEARN."""
    body = 'D: a, b ~~|\nk[D] = 2 ~~|\n"x - y"[D] = 3*k[D] ~~|'
    assert run(tmp_path, body).simulate()['"x - y"'].values[-1].tolist() == [6, 6]


def test_long_lookups_keep_their_points(tmp_path: Path) -> None:
    """The parser gets their number, and the reader their points, in order and within a call."""
    points = ",".join(f"({x},{x * x})" for x in range(30, -1, -1))
    body = (
        f"f([(0,0)-(30,900)],{points}) ~~|\nx = f(Time) ~~|\n"
        f"y = 1 + WITH LOOKUP(2*Time, ([(0,0)-(30,900)],{points})) ~~|\n"
        f"g({','.join(map(str, range(20)))},{','.join(str(3 * x) for x in range(20))}) ~~|\n"
        "z = g(Time/2) ~~|"
    )
    found = run(tmp_path, body).simulate()
    assert found["x"].values.tolist() == [0, 1, 4, 9, 16]
    assert found["y"].values.tolist() == [1, 5, 17, 37, 65]
    assert found["z"].values.tolist() == [0, 1.5, 3, 4.5, 6]


def test_keywords_may_be_small_but_not_those_in_quotes(tmp_path: Path) -> None:
    equations = (
        "R: r1, r2",
        "x[R] :except: [r1] = :na:",
        "x[r1] = 5",
        '"a :and: b" = 1',
        'y = IF THEN ELSE(:not: Time > 9 :and: "a :and: b" = 1, x[r1], 0)',
    )
    run = small(tmp_path, *equations).simulate()
    assert run["y"].values[0] == 5
    np.testing.assert_array_equal(run["x"].values[0], [5, np.nan])
