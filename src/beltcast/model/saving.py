"""Write a model to a file of either dialect, chosen by the ending of its name."""

from __future__ import annotations

from pathlib import Path

from beltcast.engine.run.plan import ADAPTIVE
from beltcast.engine.syntax import XMILE, Source
from beltcast.engine.vensim.writer import mdl_text
from beltcast.engine.xmile.writer import xmile_text
from beltcast.errors import InputError, UnsupportedConstruct
from beltcast.files.complete import complete_file


def save_source(source: Source, path: str | Path) -> tuple[Path, ...]:
    """Write a model; see `beltcast.Model.save`."""
    path = Path(path)
    suffix = path.suffix.lower()
    if source.method in ADAPTIVE:
        raise UnsupportedConstruct(
            f"a model file cannot name the method '{source.method}'; save the model as it was "
            "read, and choose the method where it is run"
        )
    if suffix in XMILE:
        with complete_file(path) as part:
            part.write_text(xmile_text(source, name=path.stem), encoding="utf-8")
        return (path,)
    if suffix != ".mdl":
        raise InputError(
            f"a model is saved as .mdl or {', '.join(XMILE)}, and '{path.name}' ends otherwise"
        )
    table = path.with_name(f"{path.stem}_data.csv")
    written = mdl_text(source, table=table.name)
    if written.table:
        with complete_file(table) as part:
            part.write_text(written.table, encoding="utf-8")
    with complete_file(path) as part:
        part.write_text(written.text, encoding="utf-8")
    return (path, table) if written.table else (path,)
