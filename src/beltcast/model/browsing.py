"""Display of a model in a notebook: its short text, its constants, single variables.

`Browsable` adds this to `beltcast.model.variables.Variables`, and
`beltcast.model.running.Running` adds the runs.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beltcast.display.facts import Facts, html_of, listed, text_of
from beltcast.engine.syntax import CONTROLS, canonical, show
from beltcast.model.shown import ShownVariable
from beltcast.model.variables import Variables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Browsable(Variables):
    """A model whose variables can be looked up."""

    def __getitem__(self, name: str) -> ShownVariable:
        """Return one variable with its unit, equation and numbers.

        Raises
        ------
        UnknownName

        Examples
        --------
        >>> from beltcast import load_model
        >>> from beltcast.files.shipped import shipped
        >>> model = load_model(shipped("models/decay/decay.mdl"))
        >>> model["outflow"].equation
        'outflow = Stock/Lifetime'
        >>> model["lifetime"].value, model["lifetime"].unit
        (5.0, 'Year')
        """
        return ShownVariable(self, self.find(name))

    def __contains__(self, name: object) -> bool:
        """Whether the model has a variable of this name, whatever the case and underscores."""
        return isinstance(name, str) and canonical(name) in self.program.slots

    def __iter__(self) -> Iterator[str]:
        """Names of the variables."""
        return iter(self.variables)

    @property
    def constants(self) -> pd.DataFrame:
        """Every constant with its default value, unit and comment.

        Returns
        -------
        pandas.DataFrame
            One row per element: ``value``, ``unit``, ``doc``; the index is the label, such as
            ``Belt Size[Shenzhen]``.  The column ``value``, changed or not, may be passed to
            `Model.simulate`.  Controls such as TIME STEP are left out.

        Examples
        --------
        >>> from beltcast import load_model
        >>> from beltcast.files.shipped import shipped
        >>> model = load_model(shipped("models/decay/decay.mdl"))
        >>> model.constants.loc["Lifetime", "value"].item()
        5.0
        """
        import pandas as pd

        labels, rows = [], []
        for variable in self.variables.values():
            if variable.kind != "constant" or canonical(variable.name) in CONTROLS:
                continue
            axes = (self.subscripts[d] for d in variable.dims)
            own = self.program.slots[canonical(variable.name)].rows.reshape(-1).tolist()
            for element, row in zip(itertools.product(*axes), own, strict=True):
                if row >= 0:
                    labels.append(variable.name + (f"[{', '.join(element)}]" if element else ""))
                    rows.append((self.program.default(row), variable.unit, variable.doc))
        index = pd.Index(labels, name="constant", dtype=object)
        return pd.DataFrame(rows, index=index, columns=["value", "unit", "doc"])

    def _facts(self) -> Facts:
        kinds = Counter(v.kind for v in self.variables.values())
        for control in CONTROLS:
            if control in self.source.controls:
                kinds[self.find(control).kind] -= 1
        times = {c: show(e.expression) for c, e in self.source.controls.items()}
        facts = [
            ("file", str(self.path) if self.path else "none (made in Python)"),
            ("variables", ", ".join(_count(n, kind) for kind, n in kinds.items() if n)),
            (
                "time",
                f"{times['initial time']} to {times['final time']} {self.time_unit}".rstrip()
                + f", step {times['time step']}, {self.source.method}",
            ),
        ]
        if self.subscripts:
            ranges = [f"{name} ({len(e)})" for name, e in self.subscripts.items()]
            facts.append(("subscripts", listed(ranges)))
        stocks = [v.name for v in self.variables.values() if v.kind == "stock"]
        return [*facts, ("stocks", listed(stocks, 8) or "none")]

    def __repr__(self) -> str:
        return text_of(f"Model '{self.name}'", self._facts())

    def _repr_html_(self) -> str:
        return html_of(f"Model '{self.name}'", self._facts())


def _count(number: int, kind: str) -> str:
    plural = "auxiliaries" if kind == "auxiliary" else f"{kind}s"
    return f"{number} {kind if number == 1 else plural}"
