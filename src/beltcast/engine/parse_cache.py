"""A model file as `Source`, from the cache if the same file was read before.

Reading text through PySD's parser takes longer than compiling and running the model, and so does
importing PySD; both are left out when the cache has the parse.  It is kept as JSON of the syntax
tree: reading it back makes values of `beltcast.engine.syntax` and nothing else.

The key is made of the bytes of the model, the names and bytes of the tables that it refers to,
the version of PySD and the engine's own source.  A model whose tables cannot be found from its
text is read each time.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from beltcast.engine import syntax
from beltcast.engine.cache import Cache, engine_fingerprint, key_of
from beltcast.engine.collection import uncollected
from beltcast.engine.lower.limits import check_file, check_source
from beltcast.engine.syntax import XMILE, Source
from beltcast.engine.xmile.reader import read_xmile
from beltcast.errors import ModelFileError
from beltcast.files.door import read_regular


def read_parsed(path: str | Path, cache: Cache | None) -> Source:
    """Read a model file; as `read_keyed`, without the key."""
    return read_keyed(path, cache)[0]


@uncollected()
def read_keyed(path: str | Path, cache: Cache | None) -> tuple[Source, str | None]:
    """Read a model file, as `beltcast.engine.vensim.reader.read_source` does.

    Returns
    -------
    source : Source
    key : str or None
        Under which the parse is kept, None if it is not: what is made from it may be kept by it.

    Raises
    ------
    ModelFileError, UnsupportedConstruct
        As the reader; refused files are never cached.
    """
    path = Path(path)
    key = _key(path) if cache is not None else None
    if cache is not None and key is not None:
        kept = cache.get(key)
        if kept is not None:
            try:
                return dataclasses.replace(load_source(kept), path=path), key
            except (ValueError, TypeError, KeyError, RecursionError):
                pass  # written by a program that was interrupted: read the file
    check_file(path)
    try:
        source = _reader(path)(path)
        check_source(source)
    except RecursionError:
        raise ModelFileError(
            "an expression is nested too deeply to be read; split it into several equations", path
        ) from None
    if cache is not None and key is not None and key == _key(path):  # not changed in the meantime
        # What is too deep for JSON, or of a kind that has no text, is read each time.
        with suppress(TypeError, RecursionError):
            cache.put(key, dump_source(source))
            return source, key
    return source, None


def _reader(path: Path) -> Callable[[Path], Source]:
    """Reader of files of this ending."""
    if path.suffix.lower() in XMILE:
        return read_xmile
    # Imported late: PySD takes half a second, and neither XMILE nor a kept parse needs it.
    from beltcast.engine.vensim.reader import read_source

    return read_source


# --- the key ----------------------------------------------------------------------------------

# A pattern that begins with letters is searched ten times as fast as one that begins with \b, or
# that ignores case; so it is sought in the text in upper case.
_REFERENCE = re.compile(r"GET(?<=\bGET)[\s_]+(?:XLS|DIRECT|123|VDF)\b")
_NAMED = re.compile(r"GET(?<=\bGET)[\s_]+(?:XLS|DIRECT)[\s_]+\w+[\s_]*\(\s*(['\"])([^'\"\r\n]+)\1")


def _key(path: Path) -> str | None:
    """Hash of everything that a parse depends on; None if it is unknown."""
    engine, translator = engine_fingerprint(), _translator(path)
    if engine is None or translator is None:
        return None
    try:
        content = read_regular(path, ModelFileError)
        text = content.upper().decode("latin-1")  # only to find ASCII words; any byte will do
        tables = [content[slice(*m.span(2))].decode("utf-8") for m in _NAMED.finditer(text)]
        if len(tables) != len(_REFERENCE.findall(text)):
            return None
        folder = path.resolve().parent
        pieces: list[str | bytes] = ["parse", engine, translator, path.suffix, content]
        for name in sorted(set(tables)):
            table = (folder / name).resolve()
            if folder not in table.parents or not table.is_file():
                return None  # the reader reports the error
            pieces += [name, read_regular(table, ModelFileError)]
    except (OSError, ValueError, RuntimeError, ModelFileError):
        return None
    return key_of(pieces)


def _translator(path: Path) -> bytes | None:
    """Return the version file of PySD, found without importing it; nothing for XMILE."""
    if path.suffix.lower() in XMILE:
        return b""
    try:
        found = importlib.util.find_spec("pysd")
        if found is None or found.origin is None:
            return None
        return (Path(found.origin).parent / "_version.py").read_bytes()
    except (OSError, ValueError, ImportError):
        return None


# --- values as JSON ---------------------------------------------------------------------------

# Text, numbers and None stand for themselves, lists for tuples; everything else is an object with
# one key that says what it is.  Python's JSON writes floats so that they read back the same bits,
# and knows NaN and Infinity.

_KINDS: Mapping[str, type] = {
    name: kind
    for name, kind in vars(syntax).items()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
}


def dump_source(source: Source) -> bytes:
    """Return a model as JSON, without its path.

    Raises
    ------
    TypeError
        It holds a value that has no text.
    """
    plain = plain_value(dataclasses.replace(source, path=None))
    return json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode()


def load_source(content: bytes) -> Source:
    """Return the model that `dump_source` wrote, without a path.

    Raises
    ------
    ValueError, TypeError, KeyError
        The content is something else.
    """
    source = value_of(json.loads(content))
    if not isinstance(source, Source):
        raise ValueError("not a model")
    return source


def plain_value(value: Any) -> Any:
    """Return a value of `beltcast.engine.syntax` as what JSON has.

    Raises
    ------
    TypeError
        It holds a value that has no text.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case tuple() | list():
            return [plain_value(item) for item in value]
        case np.ndarray():
            return {"array": [list(value.shape), value.astype(np.float64).reshape(-1).tolist()]}
        case Mapping():
            return {"map": [[plain_value(k), plain_value(v)] for k, v in value.items()]}
        case _:
            pass
    kind = type(value)
    if _KINDS.get(kind.__name__) is not kind:
        raise TypeError(f"a {kind.__name__} has no text")
    return {kind.__name__: [plain_value(getattr(value, f.name)) for f in dataclasses.fields(kind)]}


_AS_IT_IS = frozenset({str, float, int, bool, type(None)})


def value_of(plain: Any) -> Any:
    """Return the value that `plain_value` made plain.

    Raises
    ------
    ValueError, TypeError, KeyError
        The content is something else.
    """
    if isinstance(plain, list):
        # Most are points of lookups: a call for each number takes as long as all the rest.
        return tuple([item if type(item) in _AS_IT_IS else value_of(item) for item in plain])
    if not isinstance(plain, dict):
        return plain
    ((kind, content),) = plain.items()
    if kind == "array":
        shape, numbers = content
        return np.array(numbers, dtype=np.float64).reshape(shape)
    if kind == "map":
        return {value_of(k): value_of(v) for k, v in content}
    return _KINDS[kind](*(value_of(item) for item in content))
