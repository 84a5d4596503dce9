"""XML from strangers: what it may not do, and where its lines are."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beltcast import load_model
from beltcast.engine.xmile.document import parse_document
from beltcast.engine.xmile.reader import read_xmile
from beltcast.errors import BeltcastError, ModelFileError

from ..xmile_texts import aux, dimensions, write, xmile

PATH = Path("model.stmx")


def test_an_element_knows_its_line_and_that_of_its_text() -> None:
    root, encoding = parse_document(b"<a>\n <b c='1'>\n\n x\ny</b>\n</a>", PATH)
    (b,) = root.children
    assert (b.tag, b.attributes, b.place.line) == ("b", {"c": "1"}, 2)
    assert b.text.strip().startswith("x")
    assert b.text_place.line == 2
    assert encoding == "utf-8-sig"


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "{("&" + a + ";") * 10}">'
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><xmile>&i;</xmile>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xmile>&a;</xmile>',
        '<!DOCTYPE x SYSTEM "http://example.org/x.dtd"><xmile/>',
    ],
)
def test_entities_and_document_types_are_refused(text: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "model.stmx"
    path.write_bytes(text.encode(encoding))
    # UTF-16 hides the words from a search for them; the parser meets them all the same.
    for read in (read_xmile, load_model):
        with pytest.raises(ModelFileError, match="entities can stand for anything"):
            read(path)


def test_deep_nesting_is_refused_by_line() -> None:
    with pytest.raises(ModelFileError, match="nested more than 100 deep"):
        parse_document(b"<a>" * 100_000, PATH)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no element found"),
        (b"not xml", "its XML breaks here"),
        (b"<xmile><model></xmile>", "mismatched tag"),
        (b"<xmile>&undefined;</xmile>", "undefined entity"),
        (b"\x00\x01\x02", "its XML breaks here"),
        (b'<?xml version="1.0" encoding="utf-7"?><xmile/>', "'utf-7' is not read"),
        (b'<?xml version="1.0" encoding="us-ascii"?><x>\xe9</x>', "us-ascii and is not"),
        (b"<mdl/>", "begins with <mdl>"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an element of another language"),
        (b"<xmile/>", "no <sim_specs>"),
    ],
)
def test_what_is_no_xmile_ends_in_one_sentence(text: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.xmile"
    path.write_bytes(text)
    with pytest.raises(ModelFileError, match=words):
        load_model(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
def test_names_survive_their_encoding(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    text = xmile(aux("带", "2") + aux("y", "带 * 3")).replace(
        "utf-8", encoding.removesuffix("-sig")
    )
    path.write_bytes(text.encode(encoding))
    assert float(load_model(path).simulate(backend="numpy")["y"][0]) == 6


def test_a_prefix_that_nobody_declared_is_passed_over(tmp_path: Path) -> None:
    # As the public converter of Vensim models writes it.
    path = write(tmp_path, aux("y", "2"))
    text = path.read_text().replace("<model>", '<isee:prefs layer="m"><aux/></isee:prefs><model>')
    path.write_text(text)
    load_model(path)


def test_a_prefix_that_stands_for_xmile_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, aux("y", "2"))
    text = path.read_text().replace("xmlns=", "xmlns:k=").replace("</", "</k:")
    for tag in ("xmile", "sim_specs", "start", "stop", "dt>", "model", "variables", "aux", "eqn"):
        text = text.replace(f"<{tag}", f"<k:{tag}")
    path.write_text(text)
    assert float(load_model(path).simulate(backend="numpy")["y"][0]) == 2


def test_a_variable_that_was_not_closed_ends_where_the_next_begins(tmp_path: Path) -> None:
    broken = aux("a", "1").removesuffix("</aux>") + aux("y", "a + 1")
    run = load_model(write(tmp_path, broken)).simulate(backend="numpy")
    assert float(run["y"][0]) == 2
    with pytest.raises(ModelFileError, match="mismatched tag"):
        load_model(write(tmp_path, aux("a", "1").removesuffix("</aux>") * 50))


@pytest.mark.parametrize(
    ("variables", "dims", "words"),
    [
        (aux("y", "1"), '<dim name="d" size="1000000000"/>', "at most 100000 are allowed"),
        (aux("y", "1"), f'<dim name="d" size="{"9" * 5000}"/>', "neither elements nor a size"),
        (aux("y", "1"), '<dim name="d"/>', "neither elements nor a size"),
        (
            aux("y", "1"),
            "".join(f'<dim name="d{i}" size="2"/>' for i in range(1001)),
            "more than 1000 dimensions",
        ),
        (aux("y", "1"), '<dim name="d"><elem name="D"/></dim>', "a dimension and an element"),
        (aux("y", "1+" * 300 + "1"), "", "more than 200 levels or terms"),
        (aux("y", "(" * 70 + "1" + ")" * 70), "", "more than 60 deep"),
        ('<aux name="y"><eqn>1</eqn><range min="x" max="2"/></aux>', "", "must be a number"),
        (aux("n" * 2000, "1"), "", "has 2000 characters"),
    ],
)
def test_what_is_too_large_is_refused_with_its_size(
    variables: str, dims: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(BeltcastError, match=words):
        load_model(write(tmp_path, variables, dimensions=dimensions(dims)))


def test_sums_in_sums_are_counted_each_time(tmp_path: Path) -> None:
    # Four sums of a hundred terms each, one inside the other, are a hundred million terms.
    dims = dimensions('<dim name="d" size="100"/>')
    nested = "SUM(x[*] * " * 4 + "1" + ")" * 4
    with pytest.raises(ModelFileError, match="has 101010100 terms of sums"):
        load_model(write(tmp_path, aux("x", "1", "d") + aux("y", nested), dimensions=dims))


@pytest.mark.parametrize("variable", [aux("x", "1"), ""])
def test_modules_that_double_at_each_level_are_refused(variable: str, tmp_path: Path) -> None:
    # Twenty levels of two modules each would be a million variables.
    def level(name: str, i: int) -> str:
        inner = f'<module name="m{i + 1}"/><module name="k{i + 1}"/>' if i < 30 else ""
        return f'<model name="{name}{i}"><variables>{variable}{inner}</variables></model>'

    models = "".join(level(name, i) for i in range(31) for name in "mk")
    with pytest.raises(ModelFileError, match="more than 100000 variables"):
        load_model(write(tmp_path, '<module name="m0"/>', more=models))


def test_modules_nested_too_deeply_are_refused(tmp_path: Path) -> None:
    models = "".join(
        f'<model name="m{i}"><variables><module name="m{i + 1}"/></variables></model>'
        for i in range(2000)
    )
    with pytest.raises(ModelFileError, match="nested more than 50 deep"):
        load_model(write(tmp_path, '<module name="m0"/>', more=models))


SEED = xmile(
    aux("a", "IF TIME > 2 THEN 1 ELSE b[P] + SUM(b[*])".replace(">", "&gt;"))
    + '<stock name="s"><eqn>1</eqn><inflow>f</inflow></stock><flow name="f"><eqn>a</eqn></flow>'
    + '<aux name="b"><dimensions><dim name="d"/></dimensions><eqn>2</eqn></aux>'
    + '<module name="m"><connect to="i" from="a"/></module>',
    dimensions=dimensions('<dim name="d"><elem name="P"/><elem name="Q"/></dim>'),
    more=f'<model name="m"><variables>{aux("i", "0")}</variables></model>'
    f'<macro name="k"><parm>z</parm><eqn>z+1</eqn></macro>',
)


@given(
    st.lists(
        st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 12), st.text(max_size=6)),
        min_size=1,
        max_size=4,
    )
)
def test_a_mutated_model_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, str]]
) -> None:
    text = SEED
    for at, length, instead in edits:
        text = text[:at] + instead + text[at + length :]
    path = tmp_path_factory.getbasetemp() / "mutated.stmx"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(BeltcastError):  # anything else is a fault of the reader
        load_model(path)
