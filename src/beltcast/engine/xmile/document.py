"""XML as a tree of plain values with line numbers: the outermost layer of reading XMILE.

A model file is untrusted text, so the parse is hardened: a document type or an entity ends it
before anything is expanded, nothing outside the file is read, and nesting has a
limit.  Names are taken without their prefix if it stands for XMILE; elements of other
vendors (``isee:...``) are ignored, and files that use such a prefix without declaring it are read
nevertheless, because the public converter of Vensim models writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from beltcast.engine.filetext import decode
from beltcast.engine.lower.limits import LONGEST_NAME
from beltcast.errors import ModelFileError, UnsupportedConstruct

DEEPEST_NESTING = 100
"""Elements inside elements; XMILE itself needs about ten."""


MOST_REPAIRS = 10
"""Most variables without an end tag that are repaired."""

_VARIABLES = ("aux", "flow", "stock")


@dataclass(frozen=True)
class DocumentPlace:
    """Position of an element in a file, for errors.

    Attributes
    ----------
    path
    line
        From 1.
    """

    path: Path
    line: int

    def error(self, sentence: str) -> ModelFileError:
        """Return the error of something that is not XMILE."""
        return ModelFileError(sentence, self.path, self.line)

    def refusal(self, sentence: str) -> UnsupportedConstruct:
        """Return the error of something that is XMILE but not supported."""
        return UnsupportedConstruct(sentence, self.path, self.line)


@dataclass(frozen=True)
class Element:
    """An element of the document.

    Attributes
    ----------
    tag
        In lower case, without a prefix.
    attributes
        Those without a prefix, by name in lower case.
    text
        All text directly inside, as written; `text_place` is its start.
    children
        In order.
    """

    tag: str
    attributes: Mapping[str, str]
    place: DocumentPlace
    text: str
    text_place: DocumentPlace
    children: tuple[Element, ...]

    def all(self, *tags: str) -> Iterator[Element]:
        """Yield the children of these tags, in order."""
        return (child for child in self.children if child.tag in tags)

    def first(self, tag: str) -> Element | None:
        """Return the first child of a tag."""
        return next(self.all(tag), None)

    def required(self, attribute: str) -> str:
        """Return an attribute that XMILE demands.

        Raises
        ------
        ModelFileError
            It is missing, or too long.
        """
        value = self.attributes.get(attribute)
        if value is None or not value.strip():
            raise self.place.error(f"<{self.tag}> has no '{attribute}'; give it one")
        if len(value) > LONGEST_NAME:
            raise self.place.error(
                f"'{attribute}' of <{self.tag}> has {len(value)} characters, and at most "
                f"{LONGEST_NAME} are read; shorten it"
            )
        return value


def parse_document(content: bytes, path: Path) -> tuple[Element, str]:
    """Parse the bytes of a file.

    Parameters
    ----------
    content : bytes
    path : Path
        For messages.

    Returns
    -------
    root : Element
    encoding : str
        In which the bytes were read.

    Raises
    ------
    ModelFileError
        The text is not well-formed XML, has a document type, or is nested too deeply.
    """
    text, encoding = _text(content, path)
    try:
        return _parsed(text.encode("utf-8"), path, MOST_REPAIRS), encoding
    except UnicodeEncodeError:
        raise ModelFileError("the text holds half a character; restore the file", path) from None


def _parsed(content: bytes, path: Path, repairs: int) -> Element:
    """Root of UTF-8 text.

    A variable that begins inside another means that the other was not closed, whatever else is
    wrong: there is one way to repair that, and such files exist.
    """
    tree = _Tree(path)
    try:
        tree.parser.Parse(content, True)
    except expat.ExpatError as problem:
        mismatch = expat.errors.codes[expat.errors.XML_ERROR_TAG_MISMATCH]
        if problem.code == mismatch and tree.unclosed is not None and repairs:
            at, tag = tree.unclosed
            return _parsed(content[:at] + f"</{tag}>".encode() + content[at:], path, repairs - 1)
        plain = re.sub(rb"<!--.*?-->", _blank, content, flags=re.DOTALL)
        if plain != content:  # XML forbids '--' in a comment, and modellers write it
            return _parsed(plain, path, repairs)
        raise ModelFileError(
            "this is not a whole XMILE model: its XML breaks here "
            f"({expat.ErrorString(problem.code)}); restore the file",
            path,
            problem.lineno,
        ) from None
    return tree.root()


def _blank(comment: re.Match[bytes]) -> bytes:
    """Blank lines in place of a comment."""
    return b"\n" * comment.group().count(b"\n")


def _text(content: bytes, path: Path) -> tuple[str, str]:
    """Text in the encoding that the file declares, else in the one that it seems to have."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        named = "utf-16"
    else:
        head = re.match(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding=[\"']([\w.-]+)", content)
        named = head.group(1).decode("ascii").lower() if head else ""
    if named in ("", "utf-8", "utf8"):
        return decode(content)
    if named in ("gb2312", "gbk", "gb18030"):
        named = "gb18030"
    if named not in ("gb18030", "utf-16", "iso-8859-1", "latin-1", "windows-1252", "us-ascii"):
        raise ModelFileError(f"the encoding '{named}' is not read; save the file as UTF-8", path, 1)
    try:
        return content.decode(named), named
    except UnicodeDecodeError:
        raise ModelFileError(
            f"the file says that it is {named} and is not; save it as UTF-8", path, 1
        ) from None


@dataclass
class _Open:
    """An element whose end has not been reached."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: list[str] = field(default_factory=list)
    text_line: int = 0
    children: list[Element] = field(default_factory=list)
    foreign: bool = False


class _Tree:
    """Receives the events of expat."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unclosed: tuple[int, str] | None = None
        """Position of the first variable inside another, and the tag of the other."""
        self.open: list[_Open] = [_Open("", {}, 1)]
        self.prefixes: list[Mapping[str, str]] = [{}]
        # The text is decoded already, whatever encoding it declares.
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype

    def root(self) -> Element:
        if not self.open[0].children:
            raise ModelFileError(
                "this is not a whole XMILE model: it begins with an element of another language; "
                "give an XMILE file",
                self.path,
                1,
            )
        return self.open[0].children[0]

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        if len(self.open) > DEEPEST_NESTING:
            raise ModelFileError(
                f"elements are nested more than {DEEPEST_NESTING} deep here; this is not XMILE",
                self.path,
                line,
            )
        declared = {
            k.partition(":")[2]: v for k, v in attributes.items() if k.split(":")[0] == "xmlns"
        }
        prefixes = {**self.prefixes[-1], **declared} if declared else self.prefixes[-1]
        self.prefixes.append(prefixes)
        prefix, _, local = name.rpartition(":")
        if self.unclosed is None and local in _VARIABLES and self.open[-1].tag in _VARIABLES:
            self.unclosed = self.parser.CurrentByteIndex, self.open[-1].tag
        space = prefixes.get(prefix, prefix or "xmile")
        own = {k.lower(): v for k, v in attributes.items() if ":" not in k and k != "xmlns"}
        for key, value in attributes.items():
            vendor, _, attribute = key.rpartition(":")
            if vendor and _isee(prefixes.get(vendor, vendor)):
                own[f"isee:{attribute.lower()}"] = value
        foreign = self.open[-1].foreign or "xmile" not in space.lower() or _isee(space)
        self.open.append(_Open(local.lower(), own, line, foreign=foreign))

    def _characters(self, text: str) -> None:
        here = self.open[-1]
        if not here.text:
            # With buffer_text the line is that of what ended the text.
            here.text_line = self.parser.CurrentLineNumber - text.count("\n")
        here.text.append(text)

    def _end(self, _name: str) -> None:
        done = self.open.pop()
        self.prefixes.pop()
        if done.foreign:
            return
        place = DocumentPlace(self.path, done.line)
        self.open[-1].children.append(
            Element(
                tag=done.tag,
                attributes=done.attributes,
                place=place,
                text="".join(done.text),
                text_place=DocumentPlace(self.path, done.text_line) if done.text else place,
                children=tuple(done.children),
            )
        )

    def _doctype(self, *_: object) -> None:
        raise ModelFileError(
            "a document type or an entity is declared here, which is not read, because entities "
            "can stand for anything; remove the declaration",
            self.path,
            self.parser.CurrentLineNumber,
        )


def _isee(space: str) -> bool:
    """The private namespace of isee has 'XMILE' in its name too."""
    return "isee" in space.lower()
