"""A model that only answers questions: what the readers at the door ask for, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from beltcast.engine.syntax import canonical
from beltcast.errors import UnknownName, did_you_mean, quoted


@dataclass(frozen=True)
class Variable:
    name: str
    kind: str
    dims: tuple[str, ...] = ()
    unit: str = "Dmnl"


_VARIABLES = (
    Variable("Imitation Rate", "constant", (), "1/Year"),
    Variable("Exit Rate", "constant", ("Tier",), "1/Year"),
    Variable("Belt Size", "constant", ("Belt",), "bnCNY/Year"),
    Variable("Belt Brand Factor", "constant", ("Belt",)),
    Variable("Support Entry Gain", "constant"),
    Variable("Export Share", "constant"),
    Variable("Mix", "constant", ("Belt", "Tier")),
    Variable("overseas online retail", "input", (), "tnUSD/Year"),
    Variable("output", "auxiliary", ("Belt",), "bnCNY/Year"),
    Variable("national trade", "auxiliary", (), "bnCNY/Year"),
    Variable("active sellers", "stock", ("Belt",), "firm"),
    Variable("brand share of output", "auxiliary", ("Belt",)),
    Variable("firms", "stock", ("Belt", "Tier"), "firm"),
)
_VALUES = {
    "Imitation Rate": 0.4,
    "Exit Rate[Brand]": 0.05,
    "Exit Rate[Factory]": 0.1,
    "Exit Rate[Distributor]": 0.2,
    "Belt Size[Shenzhen]": 60.0,
    "Belt Size[Foshan]": 10.0,
    "Belt Size[Yiwu]": 20.0,
    "Belt Brand Factor[Shenzhen]": 1.0,
    "Belt Brand Factor[Foshan]": 1.0,
    "Belt Brand Factor[Yiwu]": 1.0,
    "Support Entry Gain": 0.0,
    "Export Share": 0.775,
}


class StandIn:
    """Three belts and three tiers."""

    path: Path | None = Path("belt.mdl")
    variables: Mapping[str, Variable] = {variable.name: variable for variable in _VARIABLES}
    subscripts: Mapping[str, tuple[str, ...]] = {
        "Belt": ("Shenzhen", "Foshan", "Yiwu"),
        "Tier": ("Brand", "Factory", "Distributor"),
    }

    def find(self, name: str, /) -> Variable:
        for variable in self.variables.values():
            if canonical(variable.name) == canonical(name):
                return variable
        known = did_you_mean(name, self.variables)
        raise UnknownName(f"{quoted(name)} is not in belt.mdl{known}")

    def value(self, label: str, /) -> float:
        return _VALUES[label]
