"""Small Vensim models as text, for the tests that need one of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CONTROLS = {"INITIAL TIME": "0", "FINAL TIME": "10", "TIME STEP": "0.125", "SAVEPER": "1"}


def model_text(equations: Mapping[str, str], controls: Mapping[str, str] | None = None) -> str:
    """Equations by left-hand side; a value may end in ``~ unit``.

    A range is written ``Name:``, and a lookup ``Name(``, as the file has no equals sign there.
    """
    parts = ["{UTF-8}\n"]
    for left, right in {**equations, **CONTROLS, **(controls or {})}.items():
        body, _, unit = right.partition("~")
        sign = "" if left.endswith((":", "(")) else " = "
        parts.append(f"{left}{sign}{body.strip()}\n\t~\t{unit.strip()}\n\t~\t\n\t|\n\n")
    return "".join(parts)


def write_model(
    folder: Path,
    equations: Mapping[str, str],
    controls: Mapping[str, str] | None = None,
    name: str = "small.mdl",
) -> Path:
    path = folder / name
    path.write_text(model_text(equations, controls), encoding="utf-8")
    return path


SIR = {
    "Susceptible": "INTEG(-infection, 999)",
    "Infected": "INTEG(infection - recovery, 1)",
    "Recovered": "INTEG(recovery, 0)",
    "infection": "Contacts*Susceptible*Infected/Total",
    "recovery": "Infected/Duration",
    "Contacts": "0.5",
    "Duration": "4",
    "Total": "1000",
}
