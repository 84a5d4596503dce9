"""The variables of a model: names, kinds, units, and the rows of the program that hold them.

This module resolves labels such as ``Belt Size[Shenzhen]`` to rows, constants and series for every
caller that sets, saves or fits something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.program import Program
from beltcast.engine.syntax import CONTROLS, Data, Source, canonical, split_label
from beltcast.errors import ModelError, UnknownName, did_you_mean
from beltcast.model.arguments import Constants, Inputs, plain_constants, plain_inputs
from beltcast.model.labels import join_label

VariableKind = Literal["stock", "auxiliary", "constant", "input", "lookup"]


@dataclass(frozen=True)
class Variable:
    """A variable of a model.

    Attributes
    ----------
    name : str
        As the model file spells it.
    kind : str
        stock, auxiliary, constant, input or lookup.
    dims : tuple of str
        Subscript ranges.
    unit, doc : str
        As in the model file.
    line : int
        Line of the file.
    """

    name: str
    kind: VariableKind
    dims: tuple[str, ...]
    unit: str
    doc: str
    line: int


@dataclass(frozen=True, eq=False)
class Variables:
    """The variables of a model, and the lookup of their labels.

    Attributes
    ----------
    source : Source
        The equations as read.
    program : Program
        The equations in order.
    variables : mapping of str to Variable
        By the name in the file.
    subscripts : mapping of str to tuple of str
        Elements of each subscript range.
    """

    source: Source
    program: Program
    variables: Mapping[str, Variable]
    subscripts: Mapping[str, tuple[str, ...]]

    @property
    def path(self) -> Path | None:
        """File of the model."""
        return self.source.path

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return self.path.stem if self.path else "model"

    @property
    def time_unit(self) -> str:
        """Unit of time."""
        return self.source.controls["time step"].unit

    def find(self, name: str, /) -> Variable:
        """Find a variable, whatever the case and the underscores.

        Raises
        ------
        UnknownName
        """
        slot = self.program.slots.get(canonical(name))
        if slot is None:
            names = [*self.variables]
            raise UnknownName(
                f"'{name}' is not a variable of {self.name}{did_you_mean(name, names)}"
            )
        return self.variables[slot.name]

    def rows(self, label: str, /) -> IntArray:
        """Rows of a variable, or of one element: ``Belt Size`` or ``Belt Size[Shenzhen]``.

        Returns
        -------
        (n,)
            In the order of the elements, last subscript fastest.

        Raises
        ------
        UnknownName
        """
        name, _, inside = split_label(label)
        variable = self.find(name.strip())
        rows = self.program.slots[canonical(variable.name)].rows
        if not inside:
            return rows.reshape(-1)
        elements = [e.strip() for e in inside.rstrip("]").split(",")]
        if len(elements) != len(variable.dims):
            raise UnknownName(
                f"'{label}' gives {len(elements)} elements, but '{variable.name}' has the "
                f"dimensions ({', '.join(variable.dims)})"
            )
        place = tuple(
            self._position(label, e, d) for e, d in zip(elements, variable.dims, strict=True)
        )
        found = np.atleast_1d(rows[place])
        if found.size == 1 and found[0] < 0:
            raise UnknownName(
                f"'{label}' has no equation in {self.name}, which gives one to other elements of "
                f"'{variable.name}'; give it one, or name one of those"
            )
        return found

    def _position(self, label: str, element: str, dim: str) -> int:
        names = self.subscripts[dim]
        for i, name in enumerate(names):
            if canonical(name) == canonical(element):
                return i
        raise UnknownName(
            f"'{label}' names '{element}', which is not an element of {dim}"
            + did_you_mean(element, names)
        )

    def value(self, label: str, /) -> float:
        """Default of a scalar constant, or of one element of a constant.

        Raises
        ------
        UnknownName
            The constant does not exist, or has several elements.
        """
        rows = self._constant_rows(label)
        if len(rows) != 1:
            raise UnknownName(f"'{label}' has {len(rows)} elements; name one, as in Name[Element]")
        return self.program.default(int(rows[0]))

    def _constant_rows(self, label: str) -> IntArray:
        rows = self.rows(label)
        variable = self.find(split_label(label)[0].strip())
        if variable.kind != "constant":
            raise UnknownName(
                f"'{variable.name}' is not a constant of {self.name} (kind: {variable.kind}); "
                "only constants can be set"
            )
        return rows[rows >= 0]

    def targets(self, labels: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Rows that labelled parameters set, and the position of each row's label.

        A bare name stands for all elements of its constant; an element with a label of its own
        is left to that one.

        Returns
        -------
        (p,), (p,)

        Raises
        ------
        UnknownName
            A label is not a constant of the model.
        ModelError
            Two labels are the same constant or element.
        """
        owner: dict[int, int] = {}
        for column, label in sorted(enumerate(labels), key=lambda pair: "[" in pair[1]):
            for row in self._constant_rows(label).tolist():
                other = labels[owner[row]] if row in owner else ""
                if other and ("[" in other) == ("[" in label):
                    raise ModelError(
                        f"'{other}' and '{label}' set the same constant of {self.name}; keep one"
                    )
                owner[row] = column
        rows = sorted(owner)
        return np.array(rows, dtype=np.int64), np.array([owner[r] for r in rows], dtype=np.int64)

    def label(self, row: int) -> str:
        """Name of the variable, and element, of a row."""
        for slot in self.program.slots.values():
            where = np.argwhere(slot.rows == row)
            if len(where):
                elements = [self.subscripts[d][i] for d, i in zip(slot.dims, where[0], strict=True)]
                return slot.name + (f"[{', '.join(elements)}]" if elements else "")
        return f"row {row}"

    def attributes(self, name: str) -> dict[str, str]:
        """Unit, meaning and kind of a variable, for a dataset."""
        variable = self.variables[name]
        words = {"units": variable.unit, "long_name": variable.doc or name, "kind": variable.kind}
        missing = self.without_equation(name)
        return words | ({"without_equation": "; ".join(missing)} if missing else {})

    def without_equation(self, name: str) -> tuple[str, ...]:
        """Elements of an array that no equation defines, whose results are missing.

        Vensim allows them where no equation reads them; one that reads them is refused by name.

        >>> from beltcast import load_model
        >>> from beltcast.files.shipped import shipped
        >>> load_model(shipped("models/belt/belt.mdl")).without_equation("output")
        ()
        """
        slot = self.program.slots[canonical(name)]
        if slot.rows.min(initial=0) >= 0:
            return ()
        return tuple(
            join_label(
                slot.name, [self.subscripts[d][i] for d, i in zip(slot.dims, at, strict=True)]
            )
            for at in np.argwhere(slot.rows < 0).tolist()
        )

    def constant_values(self, constants: Constants | None) -> tuple[IntArray, FloatArray]:
        """Rows and values of the constants that a run sets.

        As in `targets`, the label of an element overrides that of its constant.  A control that
        the file does not give as a number, such as SAVEPER = TIME STEP, is left to `grid`.

        Returns
        -------
        (p,), (p,)

        Raises
        ------
        UnknownName, ModelError
            As `targets`.
        """
        chosen = [
            (label, value)
            for label, value in plain_constants(constants, self).items()
            if canonical(label) not in CONTROLS or not self._follows(label)
        ]
        rows, place = self.targets([label for label, _ in chosen])
        return rows, np.array([v for _, v in chosen], dtype=np.float64)[place]

    def _follows(self, control: str) -> bool:
        """Whether a control is computed from another, or missing from the file."""
        slot = self.program.slots.get(canonical(control))
        return slot is None or slot.kind != "constant"

    def input_series(self, inputs: Inputs | None) -> dict[int, Data]:
        """Replace input series from the first given time on, by row.

        Raises
        ------
        UnknownName
            A name is not an input of the model.
        InputError
            The times do not ascend, times and values do not pair, or one of them is NaN.
        """
        series: dict[int, Data] = {}
        for name, (t, y) in plain_inputs(inputs).items():
            variable = self.find(split_label(name)[0])
            if variable.kind != "input":
                raise UnknownName(
                    f"'{variable.name}' is not an input of {self.name} (kind: {variable.kind}); "
                    f"its inputs are {', '.join(self.inputs) or 'none'}"
                )
            named = [row for row in self.rows(name).tolist() if row >= 0]
            follow = [f for row in named for f in self.program.followers.get(row, ())]
            for row in (*named, *follow):
                own = self.program.inputs[row]
                kept = own.times < t[0]
                series[row] = Data(
                    np.concatenate([own.times[kept], t]),
                    np.concatenate([own.values[kept], y]),
                    own.method,
                )
        return series

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the exogenous series."""
        return tuple(v.name for v in self.variables.values() if v.kind == "input")

    @property
    def computed(self) -> list[str]:
        """Names of all variables that have a value in a run."""
        controls = {self.source.controls[c].name for c in CONTROLS if c in self.source.controls}
        return [
            v.name for v in self.variables.values() if v.kind != "lookup" and v.name not in controls
        ]
