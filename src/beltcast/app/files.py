"""What is downloaded and uploaded: tables, NetCDF, pictures and scenarios as TOML."""

from __future__ import annotations

import io
import json
import math
import tempfile
from pathlib import Path

import xarray as xr

from beltcast.errors import ScenarioError
from beltcast.model.model import Model
from beltcast.reports.export import long_table
from beltcast.schema import MEMBER, PLACE, Language
from beltcast.study.scenarios import Scenario, Size, read_scenarios

LARGEST = 1_000_000
"""Bytes of an upload; the shipped file of fourteen scenarios has less than four thousand."""

_SIZE_KEYS = {
    "normal": ("mean", "sd"),
    "lognormal": ("median", "log_sd"),
    "logitnormal": ("median", "logit_sd"),
}


def scenario_toml(scenario: Scenario) -> str:
    """Write a scenario as TOML that `read_scenarios` reads.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    str

    Examples
    --------
    >>> from beltcast.app.files import scenario_toml
    >>> from beltcast.study.scenarios import Scenario
    >>> print(scenario_toml(Scenario("mine", "Mine", constants={"Tilt Final Multiplier": 1.5})))
    [mine]
    title = "Mine"
    <BLANKLINE>
    [mine.constants]
    "Tilt Final Multiplier" = 1.5
    <BLANKLINE>
    """
    name = _text(scenario.name) if not scenario.name.replace("-", "").isalnum() else scenario.name
    if not name.isascii():
        name = _text(scenario.name)
    lines = [f"[{name}]", f"title = {_text(scenario.title)}"]
    lines += [
        f"{key} = {_text(value)}"
        for key, value in (("text", scenario.text), ("code", scenario.code))
        if value
    ]
    if scenario.constants:
        lines += ["", f"[{name}.constants]"]
        for label, value in scenario.constants.items():
            size = scenario.uncertain.get(label)
            lines.append(f"{_text(label)} = {value!r}" if size is None else _size(label, size))
    for label, (times, values) in scenario.inputs.items():
        lines += ["", f"[{name}.inputs.{_text(label)}]"]
        lines += [f'"{t:.10g}" = {v!r}' for t, v in zip(times, values, strict=True)]
    return "\n".join(lines) + "\n"


def read_upload(data: bytes, filename: str, model: Model) -> dict[str, Scenario]:
    """Read an uploaded file of scenarios.

    Parameters
    ----------
    data : bytes
    filename : str
        As the browser tells it; only its last part is used, in messages.
    model : Model

    Returns
    -------
    dict
        Name to scenario.

    Raises
    ------
    ScenarioError
        As of `read_scenarios`, with the file's own name and line; or the file is too large.
    """
    name = Path(filename.replace("\\", "/")).name or "scenarios.toml"
    if len(data) > LARGEST:
        raise ScenarioError(
            f"the file has {len(data):,} bytes; a file of scenarios has at most {LARGEST:,}", name
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenarios.toml"
        path.write_bytes(data)
        try:
            return read_scenarios(path, model)
        except ScenarioError as problem:
            raise ScenarioError(problem.sentence, name, problem.line) from None


def table_csv(forecast: xr.Dataset, place: str) -> bytes:
    """Lay out the bands of one place as a long table, in UTF-8 that spreadsheets recognise."""
    named = [name for name, values in forecast.data_vars.items() if PLACE in values.dims]
    bands = forecast[named].sel({PLACE: place}).drop_dims(MEMBER)
    return long_table(bands).to_csv(index=False).encode("utf-8-sig")


def netcdf_bytes(forecast: xr.Dataset) -> bytes:
    """Write a Dataset to NetCDF, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "forecast.nc"
        forecast.to_netcdf(path, engine="netcdf4", encoding={"output": {"zlib": True}})
        return path.read_bytes()


def picture_png(
    forecast: xr.Dataset,
    place: str,
    scenario: str,
    compare: str,
    *,
    title: str,
    language: Language,
) -> bytes:
    """Draw the fan chart as `beltcast.pictures.plots` does."""
    # Here, so that the page need not wait for Matplotlib to open.
    from matplotlib.figure import Figure

    from beltcast.pictures.plots import fan_chart

    ax = fan_chart(
        forecast, place, scenario=scenario, compare=compare, title=title, language=language
    )
    figure = ax.figure
    assert isinstance(figure, Figure)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=150, format="png")
    return stream.getvalue()


def _text(value: str) -> str:
    """A basic string of TOML; JSON's escapes are among TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _size(label: str, size: Size) -> str:
    centre, spread = _SIZE_KEYS[size.distribution]
    parts = [
        f'distribution = "{size.distribution}"',
        f"{centre} = {size.centre!r}",
        f"{spread} = {size.spread!r}",
    ]
    if math.isfinite(size.lower) and math.isfinite(size.upper):
        parts.append(f"bounds = [{size.lower!r}, {size.upper!r}]")
    return f"{_text(label)} = {{ {', '.join(parts)} }}"
