r"""Columns of a table of data: what each is compared with, and how, in Python or as TOML.

A file beside the data has a table for each column that needs one::

    [Cases]                        # header of the column
    variable = "Reported"          # of the model; by default that of the header
    reading = "increase"           # "value", "total" or "increase"
    period = 7                     # over which; by default since the row before
    errors = "negative_binomial"   # a family, or a table:
                                   # { family = "student", df = 4, scale = 2.0 }
    rounded = 10                   # values are multiples of it

Readings:

============  ================================  ====================================================
reading       the model's side                  for
============  ================================  ====================================================
``value``     the variable at the row's time    stocks, rates at an instant (the default)
``total``     its integral over the period      what a flow delivers in a day, week or year
``increase``  its value less that at the        counts of new cases, from a stock that accumulates
              beginning of the period           them
============  ================================  ====================================================

Families and scales: `beltcast.study.error_models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from beltcast.errors import InputError
from beltcast.files.toml import TomlTable, read_toml
from beltcast.study.error_models import ErrorModel, error_model_from_table
from beltcast.study.observations import Reading

_COLUMN_KEYS = ("variable", "reading", "period", "errors", "rounded")


@dataclass(frozen=True)
class Column:
    """What a column is compared with, and its errors.

    Attributes
    ----------
    data : str
        Header of the column.
    variable : str
        ``Name`` or ``Name[Element]`` of the model; by default that of the header.
    errors : ErrorModel, optional
        By default chosen by the values: `beltcast.study.series.read_series`.
    reading : str
        'value', 'total' or 'increase'.
    period : float, optional  [time of the model]
        Over which a total or an increase is taken, up to the time of the row; since the row before
        by default, for the first row as for the second.
    rounded : float
        The values are multiples of it; 0 if they are as exact as printed.
    """

    data: str
    variable: str = ""
    errors: ErrorModel | None = None
    reading: Reading = "value"
    period: float | None = None
    rounded: float = 0.0


def read_columns(path: str | Path) -> tuple[Column, ...]:
    r"""Read what columns are compared with.

    Parameters
    ----------
    path : str or Path
        A TOML file, see the module.

    Raises
    ------
    InputError
        With file and line: an unknown key, reading or family, or an impossible number.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "columns.toml"
    ...     _ = path.write_text('[Cases]\nreading = "increase"\nerrors = "poisson"\n')
    ...     [one.errors.family for one in read_columns(path)]
    ['poisson']
    """
    toml = read_toml(path, InputError)
    whole = TomlTable(toml, (), toml.tables)
    return tuple(_column(whole.table(name, called=f"{{}} of '{name}'"), name) for name in whole)


def _column(table: TomlTable, name: str) -> Column:
    table.only(_COLUMN_KEYS, f"the column '{name}'")
    readings = get_args(Reading)[1:]
    reading = table.choice("reading", readings, "value")
    period = table.number("period", above=0.0) if "period" in table else None
    if period is not None and reading == "value":
        raise table.fail(
            f"'{name}' has a period and is read as a value; add reading = \"total\" or "
            '"increase", or remove the period',
            "period",
        )
    return Column(
        data=name,
        variable=table.text("variable", name),
        errors=error_model_from_table(table, "errors", name=name) if "errors" in table else None,
        reading=next(one for one in readings if one == reading),
        period=period,
        rounded=table.number("rounded", above=0.0) if "rounded" in table else 0.0,
    )
