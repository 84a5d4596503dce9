"""A model: read from a file, run, asked for its structure, changed and saved.

`load_model` reads a file.  `Model.simulate` runs it once and labels the result; `Model.batch` is
the unlabelled run of many members, on which ensembles and fits are built
(`beltcast.model.running`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from beltcast.engine.cache import open_cache
from beltcast.engine.collection import uncollected
from beltcast.engine.lower.lowering import lower
from beltcast.engine.lower.symbols import copied
from beltcast.engine.parse_cache import read_keyed
from beltcast.engine.program import Program
from beltcast.engine.program_cache import read_lowered
from beltcast.engine.run.plan import (
    Method,
    Stepping,
    stepping,
)
from beltcast.engine.syntax import Equation, Source, canonical
from beltcast.errors import ModelError, ModelFileError, SimulationError
from beltcast.model.changes import Change, changed_source
from beltcast.model.running import Running
from beltcast.model.saving import save_source
from beltcast.model.trace import DEPTH, Tree, causes_and_uses, grow_tree, polarities, reached
from beltcast.model.variables import Variable

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False, repr=False)
class Model(Running):
    """A stock-flow model.

    `load_model` makes it.  `beltcast.model.variables.Variables` holds its attributes,
    `beltcast.model.browsing.Browsable` displays its variables and
    `beltcast.model.running.Running` runs it.
    """

    def causes(self, name: str, depth: int = DEPTH) -> Tree:
        """Trace what drives a variable.

        Parameters
        ----------
        name : str
        depth : int
            Levels of causes.

        Returns
        -------
        Tree
            It prints as a tree, with the unit of each variable and the polarity of each link in a
            run with the model's own constants (evaluated at the start, the middle and the end).

        Raises
        ------
        UnknownName

        Examples
        --------
        >>> from beltcast import load_model
        >>> from beltcast.files.shipped import shipped
        >>> load_model(shipped("models/decay/decay.mdl")).causes("outflow", depth=1)
        outflow [thing/Year]
        ├── + Stock [thing] (stock) ...
        └── − Lifetime [Year] (constant)
        """
        return self._tree(name, "causes", depth)

    def uses(self, name: str, depth: int = DEPTH) -> Tree:
        """Trace what a variable drives; parameters and result are those of `causes`.

        Examples
        --------
        >>> from beltcast import load_model
        >>> from beltcast.files.shipped import shipped
        >>> load_model(shipped("models/decay/decay.mdl")).uses("Lifetime", depth=2)
        Lifetime [Year] (constant)
        └── − outflow [thing/Year]
            └── − Stock [thing] (stock) ...
        """
        return self._tree(name, "uses", depth)

    def interact(
        self, outputs: str | Sequence[str] | None = None, constants: Sequence[str] | None = None
    ) -> Any:
        """Show sliders for constants and a chart that follows them, in a notebook.

        Parameters
        ----------
        outputs : str or sequence of str, optional
            Variables without subscripts to draw; by default the first four stocks.
        constants : sequence of str, optional
            Labels such as ``Belt Size[Shenzhen]``; by default the first six that are not 0.

        Returns
        -------
        ipywidgets.HBox

        Raises
        ------
        MissingExtra
            ipywidgets is not installed.
        UnknownName, ModelError
            A label is not a constant, or there is nothing to draw.
        """
        from beltcast.model.interact import make_controls

        return make_controls(self, outputs, constants)

    def with_equations(self, changes: Mapping[str, Change]) -> Model:
        """Return the model with some equations changed, added or removed.

        Parameters
        ----------
        changes : mapping
            By the left-hand side, ``births`` or ``size[Shenzhen]``: the new right-hand side as
            Vensim text, a number, a tuple (right-hand side, unit, comment), or None to remove the
            variable.  All changes are applied together.  An existing variable keeps its unit
            and comment unless the change gives them.

        Returns
        -------
        Model
            This model is not changed.

        Raises
        ------
        UnknownName
            A variable to remove, or one that an equation uses, does not exist.
        ModelFileError, UnsupportedConstruct
            A text is not an equation, or the equations are inconsistent.

        Examples
        --------
        >>> from beltcast import load_model
        >>> from beltcast.files.shipped import shipped
        >>> model = load_model(shipped("models/decay/decay.mdl"))
        >>> slow = model.with_equations({"outflow": "Stock/Lifetime*Share", "Share": 0.5})
        >>> slow["Share"].value
        0.5
        """
        return compile_model(changed_source(self.source, changes))

    def save(self, path: str | Path) -> tuple[Path, ...]:
        """Write the model to a file.

        Parameters
        ----------
        path : str or Path
            ``.mdl`` (Vensim), or ``.xmile``, ``.stmx``, ``.itmx``, ``.xml`` (XMILE).  Reading the
            file gives the same results bit for bit, with names, units, comments and groups;
            sketches are kept if the model came from the same dialect.

        Returns
        -------
        tuple of Path
            The file, and a table beside it, ``<name>_data.csv``, if a Vensim model has data
            variables.

        Raises
        ------
        UnsupportedConstruct
            The dialect cannot express something; the message names the variable.
        InputError
            The ending is another, or the file cannot be written.
        """
        return save_source(self.source, path)

    def _tree(self, name: str, direction: Literal["causes", "uses"], depth: int) -> Tree:
        structure = causes_and_uses(self)
        targets = reached(self, name, direction, depth, structure)
        try:
            states, times = self.states()
        except SimulationError:  # the structure needs no run; a model without data has no signs
            signs = {}
        else:
            signs = polarities(self, states, times, targets)
        return grow_tree(self, name, direction, depth, signs, structure)

    def to_pysd(self) -> Any:
        """Open the file of the model in PySD.

        Returns
        -------
        pysd.py_backend.model.Model
            It runs Python code that PySD writes for the model, in a temporary folder.

        Raises
        ------
        ModelFileError
            The model was not read from a file.
        UnsupportedConstruct
            PySD cannot translate it.
        """
        # Imported late: PySD takes half a second, and no run needs it.
        from beltcast.engine.vensim.pysd_model import open_in_pysd

        if self.path is None:
            raise ModelFileError("the model was not read from a file; save it first")
        return open_in_pysd(self.path)

    def _compiled(self, source: Source) -> Model:
        return compile_model(source)


def load_model(
    path: str | Path,
    *,
    method: Method | Stepping | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> Model:
    """Read a model file.

    Parameters
    ----------
    path : str or Path
        A Vensim ``.mdl`` file in UTF-8, GB18030 or Latin-1, or an XMILE file.  Tables that
        it refers to are in its folder.
    method : str, optional
        Stepping method, as for `Model.simulate`; by default as the file states.
    rtol, atol : float, optional
        Error that one step of the methods 'adaptive' and 'stiff' may make, over the value of a
        stock and in its unit; 1e-7 and 1e-16 by default.

    Raises
    ------
    ModelFileError
        The file is missing, truncated, not a model, or its equations are inconsistent.
    UnsupportedConstruct
        It uses something that the engine does not support; nothing is ever approximated.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> load_model(shipped("models/belt/belt.mdl")).subscripts["Tier"]
    ('Brand', 'Factory', 'Distributor')
    """
    cache = open_cache()
    source, key = read_keyed(path, cache)
    way = method if isinstance(method, Stepping) else stepping(method or source.method, rtol, atol)
    source = replace(source, method=way.method, tolerance=(way.rtol, way.atol))
    return _made_of(source, lambda: read_lowered(source, cache, key))


def compile_model(source: Source) -> Model:
    """Make a model from its equations, whether read from a file or written in Python.

    Raises
    ------
    ModelFileError, UnsupportedConstruct
        As `load_model`.
    """
    return _made_of(source, lambda: lower(source))


@uncollected()
def _made_of(source: Source, find_program: Callable[[], Program]) -> Model:
    try:
        program = find_program()
    except RecursionError:
        raise ModelFileError(
            "an expression is nested too deeply to be read; split it into several equations",
            source.path,
        ) from None
    except ModelError as problem:
        if problem.path is None:
            problem.path = source.path
        raise
    texts: dict[str, Equation] = {}
    for equation in (*source.controls.values(), *source.equations):
        texts.setdefault(canonical(equation.name), equation)
    variables = {
        slot.name: Variable(
            name=slot.name,
            kind=slot.kind,  # type: ignore[arg-type]  # lower() gives one of the literals
            dims=slot.dims,
            unit=texts[name].unit,
            doc=texts[name].doc,
            line=texts[name].line,
        )
        for name, slot in program.slots.items()
    }
    subscripts = dict(source.subscripts)
    for dim in (d for slot in program.slots.values() for d in slot.dims):
        if dim not in subscripts:  # the second axis of an array over one range twice
            subscripts[dim] = subscripts[copied(dim)]
    return Model(source, program, variables, subscripts)
