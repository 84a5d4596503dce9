"""Export of results to formats of other tools: long tables, and the IAMC format of databases.

The Dataset remains the result; these are views of it.  `iamc_table` gives the wide table that pyam
and the scenario explorers read: Model, Scenario, Region, Variable, Unit and a column per year.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.errors import InputError, one_of
from beltcast.files.complete import complete_file
from beltcast.files.extras import need
from beltcast.files.netcdf import read_netcdf
from beltcast.reports.tidy import tables_without_members, tidy_tables
from beltcast.reports.workbook import source_table, write_workbook
from beltcast.schema import MEMBER, PLACE, QUANTILE, SCENARIO, TIME, YEAR

FORMATS = ("iamc", "csv", "tables", "xlsx", "parquet", "netcdf")

_ENDINGS = {
    "iamc": ".csv",
    "csv": ".csv",
    "tables": "",
    "xlsx": ".xlsx",
    "parquet": ".parquet",
    "netcdf": ".nc",
}


def format_of(path: str | Path | None, form: str | None) -> str:
    """Format of an export: the requested one, or that of the file name extension.

    Raises
    ------
    InputError
        The format is unknown, the extension names no format, or the two differ.

    Examples
    --------
    >>> format_of("a.xlsx", None), format_of("a.iamc.csv", None), format_of("a.csv", None)
    ('xlsx', 'iamc', 'csv')
    """
    if form is not None:
        one_of(form, FORMATS, "format")
    if path is None:
        return form or "iamc"
    ending = Path(path).suffix.lower()
    if form is None:
        if str(path).lower().endswith(".iamc.csv"):
            return "iamc"
        found = next((f for f in reversed(FORMATS) if _ENDINGS[f] == ending and ending), None)
        if found is None:
            known = ", ".join(sorted({e for e in _ENDINGS.values() if e}))
            raise InputError(
                f"the ending of '{path}' names no format; end the file in {known}, or give --format"
            )
        return found
    if _ENDINGS[form] != ending:
        expected = _ENDINGS[form] or "no ending, as a folder has none"
        raise InputError(
            f"the format '{form}' and the file '{path}' differ; expected {expected}, or leave out "
            "one of them"
        )
    return form


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
        Name of the model; its name and version by default.

    Returns
    -------
    pandas.DataFrame
        One row for each variable, scenario, place and any further label.  A label becomes part of
        the variable's name, ``output|Government``, a quantile its suffix, ``output|p50``.
        Results kept member by member are excluded; their quantiles are included.

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
        numbers, years = flat.values.astype(float), [str(int(year)) for year in flat[YEAR].values]
        named = {str(d): flat[d].values for d in flat.dims[:-1]}
        unit = str(values.attrs.get("units", ""))
        for index in np.ndindex(*flat.shape[:-1]):
            labels = {d: named[d][i] for d, i in zip(named, index, strict=True)}
            parts = [str(key).removesuffix("_quantile")]
            parts += [str(v) for d, v in labels.items() if d not in (PLACE, SCENARIO, QUANTILE)]
            if QUANTILE in labels:
                parts.append(f"p{100 * float(labels[QUANTILE]):02.0f}")
            row: dict[str, object] = {
                "Model": name,
                "Scenario": str(labels.get(SCENARIO, single)),
                "Region": str(labels[PLACE]),
                "Variable": "|".join(parts),
                "Unit": unit,
            }
            rows.append(row | dict(zip(years, numbers[index].tolist(), strict=True)))
    if not rows:
        raise InputError(
            "none of the results has places and years; export a forecast, an attribution or a "
            "comparison, or take the format 'csv'"
        )
    return pd.DataFrame(rows)


def long_table(results: xr.Dataset, *, members: bool = False) -> pd.DataFrame:
    """Lay out all results as one long table: variable, its labels, value, unit.

    Parameters
    ----------
    results : xarray.Dataset
    members : bool
        Also results kept member by member; their quantiles are included in any case.

    Returns
    -------
    pandas.DataFrame
        A label that a variable does not have is empty.
    """
    tables = []
    results = results if members else tables_without_members(results)
    for key, values in results.data_vars.items():
        if values.ndim == 0 or not np.issubdtype(values.dtype, np.number):
            continue
        plain = values.drop_vars([c for c in values.coords if c not in values.dims])
        table = plain.to_series().rename("value").reset_index()
        table.insert(0, "variable", str(key))
        tables.append(table.assign(unit=str(values.attrs.get("units", ""))))
    if not tables:
        raise InputError("there is no table of numbers among the results")
    # Labels of years are whole numbers, even if other variables have none.
    joined = pd.concat(tables, ignore_index=True)
    columns = [c for c in joined.columns if c not in ("value", "unit")]
    return joined[[*columns, "value", "unit"]].convert_dtypes()


RUN_SUFFIXES = (".nc", ".csv", ".xlsx", ".parquet")
"""Endings of files that `save_run` writes."""


def run_table(run: xr.Dataset) -> pd.DataFrame:
    """Lay out a run as a table with a row for each time and a column for each element.

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
    """Refuse a file name whose extension names no format, before anything is computed.

    Raises
    ------
    InputError
    """
    if Path(path).suffix.lower() not in RUN_SUFFIXES:
        raise InputError(
            f"the ending of '{path}' names no format; end the file in {', '.join(RUN_SUFFIXES)}"
        )


def save_run(run: xr.Dataset, path: str | Path) -> None:
    """Write a run in the format that the file name extension selects.

    Parameters
    ----------
    run : xarray.Dataset
    path : str or Path
        ``.nc`` (NetCDF), ``.csv``, ``.xlsx`` or ``.parquet`` (the table of `run_table`).  The file
        appears only when it is complete.

    Raises
    ------
    InputError
        The ending is not one of these.
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
        elif suffix == ".xlsx":
            tables = {"run": run_table(run), "source": source_table(run, path.name)}
            write_workbook(tables, part)
        else:
            run_table(run).to_parquet(part, index=False, engine="pyarrow")


def export(
    results: xr.Dataset,
    path: str | Path,
    form: str = "iamc",
    *,
    members: bool = False,
    more: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    """Write results in one of `FORMATS`.

    Parameters
    ----------
    results : xarray.Dataset
    path : str or Path
    form : str
        'iamc' (CSV), 'csv' (long), 'tables' (a folder with a CSV file for each table of
        `tidy_tables`), 'xlsx' (a workbook with a sheet for each), 'parquet' (long) or 'netcdf'
        (unchanged).  CSV files begin with a byte order mark, so that spreadsheets read them as
        UTF-8.
    members : bool
        Also results kept member by member, in the long and the tidy tables.
    more : mapping of str to pandas.DataFrame, optional
        Further tables of a workbook or a folder of tables, such as the estimates.

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
    one_of(form, FORMATS, "format")
    if form == "netcdf":
        # Attributes of a store may be tables, which NetCDF cannot hold.
        plain = results.copy()
        plain.attrs = {k: v for k, v in results.attrs.items() if isinstance(v, (str, int, float))}
        plain.to_netcdf(path, engine="netcdf4")
        return
    if form in ("tables", "xlsx"):
        tables = {**tidy_tables(results, members=members), **(more or {})}
        source = source_table(results, Path(str(results.encoding.get("source", ""))).name)
        if form == "xlsx":
            write_workbook({**tables, "source": source}, path)
            return
        Path(path).mkdir(parents=True, exist_ok=True)
        for name, tidy in {**tables, "source": source}.items():
            tidy.to_csv(
                Path(path) / f"{name.replace(' ', '-')}.csv", index=False, encoding="utf-8-sig"
            )
        return
    table = iamc_table(results) if form == "iamc" else long_table(results, members=members)
    if form != "parquet":
        table.to_csv(path, index=False, encoding="utf-8" if form == "iamc" else "utf-8-sig")
        return
    need("pyarrow", "parquet", to="Parquet", otherwise="take the format 'csv'")
    table.to_parquet(path, index=False, engine="pyarrow")
