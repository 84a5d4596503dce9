"""Results in the formats of other tools: long tables, and the IAMC format of scenario databases.

A Dataset stays the result; these are views of it.  `iamc_table` gives the wide table that pyam and
the scenario explorers read: Model, Scenario, Region, Variable, Unit and a column a year.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.errors import InputError
from beltcast.files.complete import complete_file
from beltcast.files.extras import need
from beltcast.files.netcdf import read_netcdf
from beltcast.schema import MEMBER, PLACE, QUANTILE, SCENARIO, TIME, YEAR

FORMATS = ("iamc", "csv", "parquet", "netcdf")


def read_results(path: str | Path) -> xr.Dataset:
    """Read a NetCDF file of results completely.

    Raises
    ------
    InputError
        The file does not exist or is not NetCDF.
    """
    return read_netcdf(path)


def iamc_table(results: xr.Dataset, *, model: str | None = None) -> pd.DataFrame:
    """Lay out all yearly results by place in the IAMC format.

    Parameters
    ----------
    results : xarray.Dataset
        Of a forecast, an attribution or a comparison.
    model : str, optional
        What to call the model; its name and version by default.

    Returns
    -------
    pandas.DataFrame
        One row for each variable, scenario, place and any further label.  A label becomes a part
        of the variable's name, ``output|Government``, a quantile its ending, ``output|p50``.
        Results kept member by member are left out: their quantiles are there.

    Raises
    ------
    InputError
        Nothing in the Dataset has places and years.

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.reports.export import iamc_table
    >>> iamc_table(xr.open_dataset("runs/belt/forecast.nc")).head()  # doctest: +SKIP
    """
    name = model or f"beltcast {results.attrs.get('model', '')}".strip()
    single = str(results.attrs.get("scenario", results.attrs.get("baseline", "baseline")))
    rows: list[dict[str, object]] = []
    for key, values in results.data_vars.items():
        if PLACE not in values.dims or YEAR not in values.dims or "member" in values.dims:
            continue
        others = [str(d) for d in values.dims if d not in (PLACE, YEAR)]
        flat = values.transpose(*others, PLACE, YEAR)
        for index in np.ndindex(*flat.shape[:-1]):
            at = dict(zip((*others, PLACE), index, strict=True))
            labels = {d: flat[d].values[i] for d, i in at.items()}
            parts = [str(key).removesuffix("_quantile")]
            parts += [str(v) for d, v in labels.items() if d not in (PLACE, SCENARIO, QUANTILE)]
            if QUANTILE in labels:
                parts.append(f"p{100 * float(labels[QUANTILE]):02.0f}")
            row: dict[str, object] = {
                "Model": name,
                "Scenario": str(labels.get(SCENARIO, single)),
                "Region": str(labels[PLACE]),
                "Variable": "|".join(parts),
                "Unit": str(values.attrs.get("units", "")),
            }
            years = zip(flat[YEAR].values, flat.values[index], strict=True)
            rows.append(row | {str(int(year)): float(v) for year, v in years})
    if not rows:
        raise InputError(
            "none of the results has places and years; export a forecast, an attribution or a "
            "comparison, or take the format 'csv'"
        )
    return pd.DataFrame(rows)


def long_table(results: xr.Dataset) -> pd.DataFrame:
    """Lay out all results as one long table: variable, its labels, value, unit.

    Parameters
    ----------
    results : xarray.Dataset

    Returns
    -------
    pandas.DataFrame
        A label that a variable does not have is empty.
    """
    tables = []
    for key, values in results.data_vars.items():
        if values.ndim == 0 or not np.issubdtype(values.dtype, np.number):
            continue
        plain = values.drop_vars([c for c in values.coords if c not in values.dims])
        table = plain.to_series().rename("value").reset_index()
        table.insert(0, "variable", str(key))
        tables.append(table.assign(unit=str(values.attrs.get("units", ""))))
    if not tables:
        raise InputError("there is no table of numbers among the results")
    # Labels of years are whole numbers, also where other variables have none.
    joined = pd.concat(tables, ignore_index=True)
    columns = [c for c in joined.columns if c not in ("value", "unit")]
    return joined[[*columns, "value", "unit"]].convert_dtypes()


RUN_SUFFIXES = (".nc", ".csv", ".parquet")
"""Endings of files that `save_run` writes."""


def run_table(run: xr.Dataset) -> pd.DataFrame:
    """Lay out a run as a table with a row for each instant and a column for each element.

    Parameters
    ----------
    run : xarray.Dataset
        Of `Model.simulate` or `run_ensemble`.

    Returns
    -------
    pandas.DataFrame
        First ``scenario`` and ``member`` where the run has them, and ``time``; then a column for
        each variable or element, such as ``output[Shenzhen]``.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.reports.export import run_table
    >>> run = load_model(shipped("models/decay/decay.mdl")).simulate(outputs="Stock")
    >>> list(run_table(run).columns)
    ['time', 'Stock']
    """
    rows = [d for d in (SCENARIO, MEMBER, TIME) if d in run.dims]
    index = pd.MultiIndex.from_product([run[d].values for d in rows], names=rows)
    columns = {}
    for name, array in run.data_vars.items():
        if TIME not in array.dims:
            continue
        across = [str(d) for d in array.dims if d not in rows]
        whole = array.broadcast_like(run[rows], exclude=across).transpose(*rows, *across)
        for place in np.ndindex(*(array.sizes[d] for d in across)):
            elements = [str(array[d].values[i]) for d, i in zip(across, place, strict=True)]
            label = f"{name}[{','.join(elements)}]" if elements else str(name)
            columns[label] = whole.values[(..., *place)].reshape(-1)
    return pd.DataFrame(columns, index=index).reset_index()


def check_run_path(path: str | Path) -> None:
    """Refuse a file name whose ending names no format, before anything is computed.

    Raises
    ------
    InputError
    """
    if Path(path).suffix.lower() not in RUN_SUFFIXES:
        raise InputError(
            f"the ending of '{path}' names no format; end the file in {', '.join(RUN_SUFFIXES)}"
        )


def save_run(run: xr.Dataset, path: str | Path) -> None:
    """Write a run in the format that the ending of the file names.

    Parameters
    ----------
    run : xarray.Dataset
    path : str or Path
        ``.nc`` (NetCDF), ``.csv`` or ``.parquet`` (the table of `run_table`).  The file appears
        when it is complete.

    Raises
    ------
    InputError
        The ending is another.
    MissingExtra
        Parquet needs pyarrow.
    """
    path = Path(path)
    check_run_path(path)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        need("pyarrow", "parquet", to="Parquet", otherwise="write .csv")
    with complete_file(path) as part:
        if suffix == ".nc":
            run.to_netcdf(part, engine="netcdf4")
        elif suffix == ".csv":
            run_table(run).to_csv(part, index=False)
        else:
            run_table(run).to_parquet(part, index=False, engine="pyarrow")


def export(results: xr.Dataset, path: str | Path, form: str = "iamc") -> None:
    """Write results in one of `FORMATS`.

    Parameters
    ----------
    results : xarray.Dataset
    path : str or Path
    form : str
        'iamc' (CSV), 'csv' (long), 'parquet' (long) or 'netcdf' (as it is).

    Raises
    ------
    InputError
        The format is unknown.
    MissingExtra
        Parquet needs pyarrow.

    Examples
    --------
    >>> from beltcast import export, load_model, run_ensemble
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.study.scenarios import Scenario
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> runs = run_ensemble(model, {"base": Scenario("base", "Base")}, outputs=["Stock"])
    >>> export(runs, "runs.nc", form="netcdf")
    """
    if form not in FORMATS:
        raise InputError(f"unknown format '{form}'; expected one of {', '.join(FORMATS)}")
    if form == "netcdf":
        # Attributes of a store may be tables, which NetCDF has no place for.
        plain = results.copy()
        plain.attrs = {k: v for k, v in results.attrs.items() if isinstance(v, (str, int, float))}
        plain.to_netcdf(path, engine="netcdf4")
        return
    table = iamc_table(results) if form == "iamc" else long_table(results)
    if form != "parquet":
        table.to_csv(path, index=False)
        return
    need("pyarrow", "parquet", to="Parquet", otherwise="take the format 'csv'")
    table.to_parquet(path, index=False, engine="pyarrow")
