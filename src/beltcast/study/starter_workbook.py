"""A new study's tables in one workbook, with drop-downs and instructions in two languages."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from beltcast.model.quantities import PUBLISHED_UNITS
from beltcast.study.observations import Grade, ObservationKind, Vintage
from beltcast.study.table_sheets import PRIOR_COLUMNS, SCENARIO_COLUMNS

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

TABLES = {
    "observations": "observations.csv",
    "places": "places.csv",
    "priors": "parameters.toml",
    "scenarios": "scenarios.toml",
}
"""Sheet -> file of the template that it stands for."""

_ROWS = 2000
"""Rows below the header that have drop-downs."""

_OBSERVATION_COLUMNS = (
    *("place", "quantity", "kind", "period", "value", "unit", "definition", "vintage", "grade"),
    *("published", "source", "url", "quote", "note"),
)

_HELP = (
    (
        "Instructions",
        "说明",
    ),
    (
        "Sheet observations: one published number a row. Replace the rows whose source "
        "begins with EXAMPLE: as long as one is left, every forecast says so.",
        "observations 表：每行填写一个已公布的数据。来源以 EXAMPLE 开头的行是虚构的示例，请替"
        "换；只要还有一行，每次预测都会提示。",
    ),
    (
        "place, kind, unit, definition, vintage and grade have drop-downs. A unit may also "
        "be one of the model's own.",
        "place（地区）、kind（类型）、unit（单位）、definition（口径）、vintage（版本）和 gra"
        "de（等级）可从下拉列表选择；单位也可以用模型自己的单位。",
    ),
    (
        "kind: level (total of whole years, or a stock at an instant), part-year, growth (in "
        "%, on the same period of the year before), share (in %), over, lower and upper "
        "(bounds).",
        "kind：level 为全年总量或某一时点的存量，part-year 为不足一年的总量，growth 为同比增"
        "速（%），share 为占比（%），over 为“超过”某个整数，lower 和 upper 为下限和上限；也可写"
        "全年、部分年份、增速、占比、略超、下限、上限。",
    ),
    (
        "period: 2024, 2024H1, 2024Q1-Q3, 2024年1-6月, 2024-03, or 2024-01-01 to 2024-06-30. "
        "A date such as 2024-12-31 is the end of that day, for stocks.",
        "period（时期）：2024、2024H1、2024Q1-Q3、2024年1-6月、2024-03，或 2024-01-01 至 2024"
        "-06-30。存量填写日期，例如 2024-12-31，表示当日结束时。",
    ),
    (
        "vintage: final, revised, preliminary, or only (published once). grade: A official "
        "and confirmed, B second-hand, C single or contradicted.",
        "vintage：final 为最终数，revised 为修订数，preliminary 为初步数，only 为仅公布一次。"
        "grade：A 为官方并经核实，B 为转引，C 为单一来源或有矛盾。",
    ),
    (
        "published: the date of publication (2025-01-20), or the year with decimals.",
        "published：公布日期（2025-01-20），或带小数的年份。",
    ),
    (
        "Sheet places: names for sums of belts, separated by semicolons.",
        "places 表：产业带合计的名称，各产业带用英文分号隔开。",
    ),
    (
        "Sheet priors: one constant of the model a row, with its distribution before the "
        "observations are known. Without median or mean the model's own value is the centre.",
        "priors 表：每行一个模型常数，填写看到数据之前的分布。不填 median 或 mean 时，以模型"
        "自身的值为中心。",
    ),
    (
        "Sheet scenarios: one constant of a scenario a row; with a time, one point of an "
        "input series. The first scenario is the one that the others are compared with.",
        "scenarios 表：每行填写一个情景中的一个常数；填写 time 时为输入序列的一个点。第一个情"
        "景是其他情景的比较基准。",
    ),
    (
        "Then run: beltcast check THIS.xlsx, and beltcast forecast THIS.xlsx. An error names "
        "sheet and cell. Keep study.toml and model.mdl beside this file.",
        "然后运行：beltcast check 本文件.xlsx，以及 beltcast forecast 本文件.xlsx。错误信息会"
        "指明工作表和单元格。请将 study.toml 和 model.mdl 与本文件放在同一文件夹。",
    ),
)


def workbook_of(texts: Mapping[str, str], belts: Sequence[str]) -> bytes:
    """Return a workbook with the tables of a template.

    Parameters
    ----------
    texts : mapping
        Name of a file of the template to its text, filled in.
    belts : sequence of str
    """
    import openpyxl
    from openpyxl.styles import Alignment, Font

    book = openpyxl.Workbook()
    instructions = book.active
    instructions.title = "instructions 说明"
    for row in _HELP:
        instructions.append(row)
    for letter in "AB":
        instructions.column_dimensions[letter].width = 80
        for cell in instructions[letter]:
            cell.alignment = Alignment(wrap_text=True, vertical="top")
        instructions[f"{letter}1"].font = Font(bold=True)

    observations = [_observation(row) for row in _csv_rows(texts[TABLES["observations"]])]
    places = _csv_rows(texts[TABLES["places"]])
    priors = tomllib.loads(texts[TABLES["priors"]])
    scenarios = tomllib.loads(texts[TABLES["scenarios"]])
    definitions = list(tomllib.loads(texts["study.toml"])["definitions"])
    _fill(book.create_sheet("observations"), _OBSERVATION_COLUMNS, observations)
    _fill(book.create_sheet("places"), ("place", "title", "title_zh", "belts", "note"), places)
    _fill(book.create_sheet("priors"), PRIOR_COLUMNS, map(_prior, priors, priors.values()))
    rows = [row for name, table in scenarios.items() for row in _scenario(name, table)]
    _fill(book.create_sheet("scenarios"), SCENARIO_COLUMNS, rows)
    _add_lists(
        book,
        {
            "place": [*belts, *(row["place"] for row in places)],
            "kind": get_args(ObservationKind),
            "unit": list(PUBLISHED_UNITS),
            "definition": definitions,
            "vintage": get_args(Vintage),
            "grade": get_args(Grade),
        },
    )
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _fill(sheet: Worksheet, columns: Sequence[str], rows: Any) -> None:
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    sheet.append(list(columns))
    for row in rows:
        sheet.append([row.get(name) for name in columns])
    sheet.freeze_panes = "A2"
    for k, name in enumerate(columns, start=1):
        sheet.cell(1, k).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(k)].width = max(12, min(40, 2 * len(name)))


def _add_lists(book: Any, lists: Mapping[str, Sequence[str]]) -> None:
    """Give columns of the observations a drop-down each, from a sheet of lists."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    sheet = book.create_sheet("lists")
    observations = book["observations"]
    for k, (name, words) in enumerate(lists.items(), start=1):
        for i, word in enumerate((name, *words), start=1):
            sheet.cell(i, k, word)
        letter = get_column_letter(k)
        choice = DataValidation(
            type="list",
            formula1=f"lists!${letter}$2:${letter}${len(words) + 1}",
            # Any other place of the model, or unit of its own, is left to `check`.
            showErrorMessage=name not in ("place", "unit", "definition"),
            allow_blank=True,
        )
        own = get_column_letter(_OBSERVATION_COLUMNS.index(name) + 1)
        choice.add(f"{own}2:{own}{_ROWS}")
        observations.add_data_validation(choice)
    sheet.freeze_panes = "A2"


def _csv_rows(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(text)))


def _observation(row: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: float(row[name]) for name in ("value", "published")}
    return {**row, **numbers, "period": _period(float(row["start"]), float(row["end"]))}


def _period(start: float, end: float) -> str:
    """Write a period of the templates: a year, its first half, or the end of the year before."""
    if start == end:
        return f"{int(start) - 1}-12-31"
    return f"{int(start)}" if end == start + 1 else f"{int(start)}H1"


def _prior(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    lower, upper = table.get("bounds", (None, None))
    return {"parameter": name, **table, "lower": lower, "upper": upper}


def _scenario(name: str, table: Mapping[str, Any]) -> list[dict[str, Any]]:
    own = {"scenario": name, **table}
    rows = []
    for constant, value in table.get("constants", {}).items():
        size = value if isinstance(value, dict) else {"value": value}
        rows.append({**own, "constant": constant, **size})
        own = {"scenario": name}
    return rows or [own]
