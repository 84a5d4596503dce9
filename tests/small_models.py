"""Models of a few lines, written for one claim each."""

from __future__ import annotations

from pathlib import Path

from beltcast import load_model
from beltcast.model.model import Model

CONTROLS = {"INITIAL TIME": "0", "FINAL TIME": "4", "TIME STEP": "0.125", "SAVEPER": "TIME STEP"}


def text(*equations: str, **controls: str) -> str:
    """Vensim text of equations such as 'a = 1' or 'Belt: North, South'.

    Controls are given with underscores: ``text("a = 1", FINAL_TIME="10")``.
    """
    given = CONTROLS | {name.replace("_", " "): value for name, value in controls.items()}
    lines = [*equations, *(f"{name} = {value}" for name, value in given.items())]
    return "{UTF-8}\n" + "\n\n".join(f"{line}\n\t~\t\n\t~\t\n\t|" for line in lines) + "\n"


def write(folder: Path, content: str | bytes, name: str = "small.mdl") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def small(folder: Path, *equations: str, **controls: str) -> Model:
    """The model of some equations."""
    return load_model(write(folder, text(*equations, **controls)))
