"""The same model in PySD, for exchange and comparison.

PySD writes Python code for a model and runs it.  Here it does so in a temporary folder, with the
tables beside the model, from the text of `beltcast.engine.vensim.normal_text`.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from pathlib import Path
from typing import Any

from beltcast.engine.filetext import decode, read_bytes
from beltcast.engine.syntax import XMILE
from beltcast.engine.vensim.normal_text import normal_text
from beltcast.engine.vensim.translator import literals_only
from beltcast.errors import ModelFileError, UnsupportedConstruct

_TABLES = (".csv", ".txt", ".tab", ".xls", ".xlsx", ".xlsm")


def open_in_pysd(path: Path) -> Any:
    """Open a model file in PySD.

    Parameters
    ----------
    path : Path
        A Vensim or XMILE file.

    Returns
    -------
    pysd.py_backend.model.Model

    Raises
    ------
    UnsupportedConstruct
        PySD cannot translate the model; the message is PySD's.
    """
    import pysd

    xmile = path.suffix.lower() in XMILE
    kept = tempfile.TemporaryDirectory(prefix="beltcast-pysd-")
    folder = Path(kept.name)
    for table in path.parent.iterdir():
        if table.suffix.lower() in _TABLES and table.is_file():
            shutil.copy(table, folder / table.name)
    if xmile:
        copy = folder / f"{path.stem}.xmile"
        shutil.copy(path, copy)
    else:
        copy = folder / f"{path.stem}.mdl"
        text, _ = decode(read_bytes(path))
        copy.write_text(normal_text(text, path).text, encoding="utf-8")
    with warnings.catch_warnings(), literals_only():
        warnings.simplefilter("ignore")
        try:
            model = pysd.read_xmile(str(copy)) if xmile else pysd.read_vensim(str(copy))
        except ModelFileError:
            raise
        except Exception as problem:  # whatever PySD raises is reported, not hidden
            words = " ".join(str(problem).split())[:200] or type(problem).__name__
            raise UnsupportedConstruct(f"PySD cannot open the model: {words}", path) from None
    # The code and its tables are read while the model runs: they are kept as long as it exists.
    weakref.finalize(model, kept.cleanup)
    return model
