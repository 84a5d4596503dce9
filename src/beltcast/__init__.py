"""System-dynamics forecasts, with the evidence behind each number.

Each command has a function of its name; `study` has `write_study`, `trace` has `Model.causes` and
`Model.uses`, and `app` has `page`.  A name is imported at its first use,
so that a program that only runs a model does not load the tools that fit one.  The names stand in
``__init__.pyi`` alone, which type checkers read too.
"""

import importlib
from functools import cache
from pathlib import Path
from typing import Any

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    homes = _homes()
    if name == "__all__":
        return sorted([*homes, "__version__"])
    if name not in homes:
        raise AttributeError(f"module 'beltcast' has no attribute {name!r}")
    value = getattr(importlib.import_module(homes[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_homes(), "__version__"])


@cache
def _homes() -> dict[str, str]:
    """Return the module of each public name."""
    import ast  # here, since `import beltcast` alone does without it

    names = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    return {
        alias.name: f"{node.module}"
        for node in names
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
