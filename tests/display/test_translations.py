"""Texts in two languages: complete, with the same parts, and without English in a Chinese page."""

from __future__ import annotations

import re
import string
import sys

import pytest
import xarray as xr
from rich.cells import cell_len

from beltcast import Calibration, cli, load_model, read_study
from beltcast.display.translations import PAGE, WORDS, locale_language, timed
from beltcast.drivers.compare import compare_runs, comparison_table
from beltcast.files.shipped import shipped
from beltcast.forecasting.summary import _scenarios, as_text, fit_summary, summarise
from beltcast.schema import Language
from beltcast.study.study import Study

# What stays in Latin letters: names of files, options and authors.
NAMES = {"calibration", "optima", "csv", "starts", "refine", "Boender", "Rinnooy", "Kan"}


def latin(text: str) -> set[str]:
    """Words of two Latin letters or more; an exponent such as e+02 is none."""
    return set(re.findall(r"[A-Za-z]{2,}", text))


def parts(text: str) -> set[str]:
    """Names of the parts that a text is filled with."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_text_has_the_same_parts_in_both_languages() -> None:
    differing = [key for key, (en, zh) in WORDS.items() if parts(en) != parts(zh)]
    assert not differing


def test_the_page_of_a_model_in_days_speaks_of_days() -> None:
    for english, chinese in PAGE.values():
        assert "year" not in re.sub(r"\{\w+\}", "", timed(english, "en", "Day"))
        assert "年" not in timed(chinese, "zh", "days")
    assert timed("第 {year} 天", "zh", "Year") == "第 {year} 天"


def test_no_chinese_text_counts_money_in_units_of_ten_hundred_million(study: Study) -> None:
    assert not [key for key, (_, zh) in WORDS.items() if "十亿" in zh]
    assert not [key for key, label in study.labels().items() if "十亿" in label.zh]


def test_every_variable_and_element_of_the_belt_model_has_a_chinese_name(study: Study) -> None:
    labels = study.labels()
    names = {*study.model.variables, *study.model.subscripts}
    names |= {element for own in study.model.subscripts.values() for element in own}
    assert not [name for name in names if name not in labels or not labels[name].zh]


def test_a_chinese_summary_holds_no_english_word_but_names(
    study: Study, fit: Calibration, result: xr.Dataset
) -> None:
    labels = study.labels()
    losses = comparison_table(compare_runs(result["output"]), language="zh", labels=labels)
    pages = (as_text(summarise(result, fit, "zh")), as_text(losses), fit_summary(fit, "zh", labels))
    for page in pages:
        assert latin(page) <= NAMES
    assert "单位：亿元/年" in pages[0]
    # The table counts in 亿元, ten of which are one bn CNY.
    china = result["published_quantile"].sel(scenario="baseline", place="China", year=2030)
    assert f"{10 * float(china.sel(quantile=0.5)):,.0f} (" in pages[0]
    assert max(map(len, pages[0].splitlines())) <= 112


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_narrow_terminal_cuts_no_cell(language: Language) -> None:
    shown = xr.load_dataset(shipped("calibration/results/forecast.nc"))
    table = _scenarios(shown, language)
    wide, narrow = as_text(table, 200), as_text(table, 50)
    assert max(map(cell_len, narrow.splitlines())) <= 50
    # Cells fold over several lines and keep their characters.
    assert sorted("".join(wide.split())) == sorted("".join(narrow.split()))


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_MESSAGES": "zh_TW", "LANG": "en_US"}, "zh"),
        ({"LC_ALL": "en_US", "LC_MESSAGES": "zh_CN"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN"}, "zh"),
    ],
)
def test_the_first_variable_that_is_set_gives_the_locale(
    environment: dict[str, str], language: str
) -> None:
    # POSIX.1-2017, 8.2: LC_ALL before the category before LANG; an empty one counts as unset.
    assert locale_language(environment) == language


def test_check_is_chinese_in_a_chinese_locale_and_english_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LC_MESSAGES", "zh_CN.UTF-8")

    def said(*asked: str) -> str:
        monkeypatch.setattr(sys, "argv", ["beltcast", "check", *asked])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capsys.readouterr().out

    study = read_study()
    chinese = said("--draws", "2").replace(str(study.observations.path), "")
    # nan and inf are values; units stand as the table of observations writes them.
    units = {word for row in study.observations for word in latin(row.unit)}
    assert latin(chinese) <= {"UTF", "nan", "inf", *units}
    assert f"{len(study.model.variables)} 个变量" in chinese
    model = str(shipped("models/decay/decay.mdl"))
    count = len(load_model(model).variables)
    assert f"{count} 个变量" in said(model)
    assert f"{count} variables" in said(model, "--language", "en")
