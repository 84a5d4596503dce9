"""Texts in English and Chinese: one catalogue for the command line, page, reports and charts.

Each text that belongs to the package is here once, under a key; the caller supplies the numbers. A
study's names of its places, scenarios, drivers, variables and units come from its own files
(`beltcast.study.roles`); `called` looks them up.  Other text from files keeps its language.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from beltcast.display.numbers import digits
from beltcast.display.summary_texts import SUMMARY
from beltcast.errors import one_of
from beltcast.schema import LANGUAGES, Label, Language

PAGE: Mapping[str, tuple[str, str]] = {
    "controls": ("What to show", "显示内容"),
    "place": ("Place", "地区"),
    "scenario": ("Scenario", "情景"),
    "compare": ("Compare with", "对比情景"),
    "compare_none": ("the first scenario", "首个情景"),
    "horizon": ("Up to the year", "预测至"),
    "levers": ("Levers, phased in from {year}", "政策与市场杠杆（{year} 年起生效）"),
    "reset": ("Levers back to the scenario", "恢复该情景的设定"),
    "moved": ("levers moved", "杠杆已调整"),
    "unmoved": ("levers unmoved", "杠杆未调整时"),
    "download": ("Download", "下载"),
    "csv": ("Table (CSV)", "数据表 (CSV)"),
    "toml": ("Scenario (TOML)", "情景文件 (TOML)"),
    "print": ("Print or save as PDF", "打印或另存为 PDF"),
    "link": (
        "The address of this page restores what it shows.",
        "复制本页地址即可还原当前视图。",
    ),
    "refused": (
        "The link names items that this page does not have; ignored: {what}.",
        "链接中有本页没有的内容，已忽略：{what}。",
    ),
    "drawn": ("{name}: {median}, {band}", "{name}：{median}及 {band}"),
    "band": ("50, 80, 90 % bands", "50、80、90% 区间"),
    "band80": ("80 % band", "80% 区间"),
    "bound": ("published as a bound", "公布的上限或下限"),
    "source": ("source", "来源"),
    "numbers": ("Numbers of the chart", "图中数值"),
    "log_axis": ("Logarithmic axis", "对数坐标轴"),
    "in_year": ("{year}", "{year} 年"),
    "band_of": ("80 % band {band}", "80% 区间 {band}"),
    "prior_median": ("median, prior alone", "中位数（仅先验）"),
    "compared": (
        "Against {other}: {middle} (80 % band {low} to {high}), draw by draw; more in {more} of "
        "the draws.",
        "与{other}相比：{middle}（80% 区间 {low} 至 {high}），逐样本比较；{more} 的样本更高。",
    ),
    "compared_none": (
        "Against {other}: no change in any draw.",
        "与{other}相比：所有样本均无变化。",
    ),
    "compared_prior": (
        "Against {other}: {middle} (80 % band {low} to {high}); more in {more} of the draws, under "
        "the priors alone in {prior}.",
        "与{other}相比：{middle}（80% 区间 {low} 至 {high}）；{more} 的样本更高，"
        "仅凭先验时为 {prior}。",
    ),
    "readout_hint": (
        "Point at a year of the chart to read it.",
        "将指针移到图中某一年即可读取数值。",
    ),
    "point": (
        "{period}: {published} published ({definition}), {here} on this scope. {source}, "
        "line {line}",
        "{period}：公布 {published}（{definition}），换算至本口径 {here}。{source}，第 {line} 行",
    ),
    "all_places": ("all places", "全部地区"),
    "drivers": ("Contributions of the drivers", "各驱动力的贡献"),
    "drivers_note": (
        "Shapley values over the runs with and without each driver. The parts add up to the "
        "median of the forecast; bands hold 80 % of the kept draws.",
        "对各驱动力开与关的全部组合计算沙普利值。各部分之和等于预测中位数；区间为所留样本的 80%。",
    ),
    "without_drivers": ("Without any driver", "无任何驱动力"),
    "sum": ("sum", "合计"),
    "computing": ("The model is running …", "模型运行中……"),
    "diagram": ("Stock-flow diagram of the model", "模型的存量流量图"),
    "diagram_hint": (
        "Choose a variable to see its equation, unit, causes and uses. Drag to move; pinch, or use "
        "+ and −, to zoom.",
        "点击变量可查看其方程、单位、原因与用途。拖动平移，双指或 + − 缩放。",
    ),
    "open_group": ("Variables of", "展开变量"),
    "stocks_alone": ("(stocks and flows alone)", "（仅存量与流量）"),
    "all_variables": ("All variables", "全部变量"),
    "whole_diagram": ("Whole diagram", "完整图"),
    "zoom_in": ("Zoom in", "放大"),
    "zoom_out": ("Zoom out", "缩小"),
    "causes": ("Causes", "原因"),
    "uses": ("Uses", "用途"),
    "kind_stock": ("stock", "存量"),
    "kind_auxiliary": ("auxiliary", "辅助变量"),
    "kind_constant": ("constant", "常数"),
    "kind_input": ("input", "输入"),
    "kind_lookup": ("lookup", "表函数"),
    "share": ("share", "份额"),
    "scope": (
        "Bands include the uncertainty of the parameters, shocks of single years and observation "
        "errors. Points are observations converted to the model's scope.",
        "区间包含参数、单个年份冲击以及公布数据误差的不确定性；散点为换算至模型口径的公布数据。",
    ),
    "foot": (
        "Forecasts come from beltcast forecast. This page computes changes with the model and "
        "{draws} draws of the posterior, fitted to {observations} observations.",
        "预测数值来自 beltcast forecast；调整后的变化由本页内置模型以 {draws} 个后验样本计算，"
        "模型拟合了 {observations} 条公布数据。",
    ),
}
"""Texts of the page."""

SHARED: Mapping[str, tuple[str, str]] = {
    "fan": ("Forecast", "预测"),
    "median": ("median", "中位数"),
    "year": ("year", "年份"),
    ", ": (", ", "、"),
    "; ": ("; ", "；"),
    "definition": ("definition", "口径"),
    "line": ("line of the table", "数据表行号"),
    "prior": ("prior alone, 80%", "仅先验，80%"),
    "published": ("published, whole year", "公布值（全年）"),
    "part": ("published, part of a year", "公布值（部分年份）"),
    "loose": ("another statistic, its size fitted", "其他口径（规模由拟合得出）"),
    "mostly prior": ("mostly prior", "主要来自先验"),
    "mostly prior, short": ("mostly prior", "先验为主"),
    "data and prior": ("data and prior", "数据与先验兼有"),
    "mostly data": ("mostly data", "主要来自数据"),
    "undefined": ("undefined", "无法确定"),
    "built in": ("built into the model", "由模型结构决定，并非数据发现"),
    "decided by the data": ("decided by the data", "由数据决定"),
    "left open": (
        "built into the model, left open by the data",
        "模型结构如此设定，但数据未能证实",
    ),
    "reversed": ("reversed by the data", "数据与模型结构相反"),
    "undecided": ("undecided", "数据与模型结构均不能判定"),
    "no effect": ("no effect", "无影响"),
    "too few draws": ("too few draws", "样本过少"),
    "no change": ("no change", "无变化"),
    "unknown": ("unknown", "未知"),
    "complements": ("complement each other", "互为补充"),
    "substitutes": ("substitute for each other", "相互替代"),
    "synergy built in": (
        "The priors alone decide that the drivers {relation}: this is built into the model, not a "
        "finding from the data.",
        "仅凭先验即可判定各驱动力{relation}：这由模型结构决定，并非数据发现。",
    ),
    "synergy left open": (
        "The model assumes that the drivers {relation}, and the data do not confirm it.",
        "模型结构设定各驱动力{relation}，但数据未能证实。",
    ),
    "synergy reversed": (
        "The model assumes that the drivers {relation}, and the data show the opposite.",
        "模型结构设定各驱动力{relation}，而数据显示相反。",
    ),
    "synergy decided by the data": (
        "The data decide that the drivers {relation}; the priors leave it open.",
        "数据判定各驱动力{relation}；仅凭先验无法判定。",
    ),
    "synergy undecided": (
        "Neither the data nor the priors decide it.",
        "数据与先验均不能判定。",
    ),
    "synergy no effect": (
        "The drivers have no joint effect beyond the sum of their own effects.",
        "除各自影响之和外，各驱动力没有共同影响。",
    ),
    "synergy too few draws": (
        "{draws} draws are too few to judge the sign (at least {fewest}).",
        "{draws} 个样本过少，无法判断符号（至少需要 {fewest} 个）。",
    ),
    "synergy size": (
        "Its size is {verdict} (posterior-to-prior sd ratio {ratio:.2f}).",
        "其大小{verdict}（后验与先验标准差之比 {ratio:.2f}）。",
    ),
}
"""Texts that several share; a verdict has as its key the word that the function returns."""

PICTURE: Mapping[str, tuple[str, str]] = {
    "full_bands": ("{name}: median, 50, 80, 90%", "{name}：中位数及 50、80、90% 区间"),
    "one_band": ("{name}: median, 80%", "{name}：中位数及 80% 区间"),
    "lower": ("published as a lower bound", "公布的下限"),
    "upper": ("published as an upper bound", "公布的上限"),
    "a year": ("{unit} a year", "{unit}/年"),
    "fan_note": (
        "On the model's scope, with shocks of single years and the noise of an observation on that "
        "scope. Points are observations\nconverted to it: by the fitted offset and drift of their "
        "statistic, from trade to exports, from parts to whole years.",
        "按模型口径，区间含单个年份的冲击与该口径公布数据的误差。散点为换算至该口径的公布数据：\n"
        "依拟合得出的统计口径偏差与漂移，由进出口换算为出口，由部分年份换算为全年。",
    ),
    "without": ("without", "无驱动力"),
    "with_all": ("with all", "全部"),
    "waterfall": (
        "{place}, {year}: what each driver added, mean and 80% band",
        "{place}，{year} 年：各驱动力的贡献，均值与 80% 区间",
    ),
    "log of": ("log of {what}", "{what}的对数"),
}
"""Texts of charts in files."""

REPORT: Mapping[str, tuple[str, str]] = {
    "h_rests": ("Evidence", "预测的依据"),
    "h_drives": ("Drivers", "驱动力"),
    "h_scenarios": ("Scenarios", "情景"),
    "h_cannot": ("What the data cannot determine", "数据无法说明什么"),
    "h_sources": ("Sources", "来源"),
    "h_how": ("Method", "如何得出"),
    "median_band": ("median (80% band)", "中位数（80% 区间）"),
    "priors_alone": ("the priors alone", "仅凭先验"),
    "ratio_widths": ("ratio of widths", "区间宽度之比"),
    "caption_forecast": ("{what}, scenario '{scenario}'", "{what}，情景：{scenario}"),
    "of": ("{what}, {unit}", "{what}，{unit}"),
    "alt_fan": ("Fan chart: {what}", "扇形图：{what}"),
    "rests": (
        "{own} of the study's {all} published observations are about this place itself. Of {count} "
        "parameters {counts}.",
        "本研究的 {all} 条公布数据中，直接针对该地的有 {own} 条。{count} 个参数中：{counts}。",
    ),
    "caption_observations": ("Observations, by line of {table}", "公布数据（按 {table} 的行号）"),
    "period": ("period", "时段"),
    "quantity": ("quantity", "变量"),
    "kind": ("kind", "类型"),
    "figure": ("value", "数值"),
    "grade": ("grade", "等级"),
    "row": ("line", "行号"),
    "kind level": ("level", "数值"),
    "kind growth": ("growth", "增速"),
    "kind share": ("share", "占比"),
    "kind part-year": ("part-year", "部分年份"),
    "kind over": ("over", "略超"),
    "kind lower": ("lower", "下限"),
    "kind upper": ("upper", "上限"),
    "caption_estimates": (
        "Estimates of the place itself: median (80% band)",
        "该地自身参数的估计：中位数（80% 区间）",
    ),
    "parameter": ("parameter", "参数"),
    "prior_short": ("prior", "先验"),
    "with_data": ("posterior", "结合数据"),
    "ratio": ("ratio", "比值"),
    "caption_drivers": (
        "What each driver added to the log of {what} in {year}: median (80% band)",
        "{year} 年各驱动力对{what}的对数的贡献：中位数（80% 区间）",
    ),
    "driver": ("driver", "驱动力"),
    "shapley": ("Shapley value, log", "沙普利值（对数）"),
    "positive": ("P>0", "为正的概率"),
    "complement": (
        "Do the drivers complement each other ({place}, {year}, in logs)? Synergy {middle:+.3f}; "
        "probability that it is positive {after}, from the priors alone {before}.",
        "各驱动力是否互补（{place}，{year} 年，对数）？协同 {middle:+.3f}；为正的概率 {after}，"
        "仅凭先验 {before}。",
    ),
    "caption_scenarios": (
        "Change against '{first}', draw by draw: median (80% band)",
        "与“{first}”相比的变化（逐样本比较）：中位数（80% 区间）",
    ),
    "place_head": ("place", "地区"),
    "scenario_head": ("scenario", "情景"),
    "more": ("chance of more", "更高的概率"),
    "more_prior": ("prior chance", "先验概率"),
    "what_it_is": ("what it is", "说明"),
    "no_figure": (
        "No observation is about this place itself: its size comes from sums that include it, and "
        "from the prior.",
        "没有直接针对该地的公布数据：其规模来自包含它的合计数以及先验。",
    ),
    "band_is": (
        "The band of {year} is {verdict}: its log width is {ratio:.2f} of that under the priors "
        "alone.",
        "{year} 年的区间{verdict}：其对数宽度是仅凭先验时的 {ratio:.2f}。",
    ),
    "loose_points": (
        "{loose} of the points on the chart are of statistics whose size relative to the model's "
        "scope is itself fitted; {levels} observations of the place are levels.",
        "图中有 {loose} 个点属于其他统计口径，其相对模型口径的规模由拟合得出；"
        "该地有 {levels} 条数据为数值而非增速。",
    ),
    "share_prior": (
        "The share of {driver} is {verdict} (posterior-to-prior sd ratio {ratio:.2f}).",
        "{driver}的贡献{verdict}（后验与先验标准差之比 {ratio:.2f}）。",
    ),
    "structure_decides": (
        "The structure of the model, not the observations, determines the sign of these scenarios: "
        "{titles}.",
        "以下情景带来增加还是减少，取决于模型结构而非数据：{titles}。",
    ),
    "observations_of": ("Of the observations of {place}:", "{place}的数据来源："),
    "observations_of_both": (
        "Of the observations of {place} and of {whole}:",
        "{place}与{whole}的数据来源：",
    ),
    "one_line": ("line {lines}", "第 {lines} 行"),
    "lines": ("lines {lines}", "第 {lines} 行"),
    "draws_of": ("{draws} draws of the {kind}; {versions}", "{draws} 个{kind}样本；{versions}"),
    "posterior": ("posterior", "后验"),
    "to": ("{middle} ({low} to {high})", "{middle}（{low} 至 {high}）"),
    "percent": ("{band} %", "{band}%"),
}
"""Texts of reports."""

WORDS: Mapping[str, tuple[str, str]] = {**SHARED, **PAGE, **PICTURE, **REPORT, **SUMMARY}
"""Key to its text in English and in Chinese."""


def word(key: str, language: Language, **parts: object) -> str:
    """Return a text in a language; a key without a text is returned itself.

    >>> word("place", "en")
    'Place'
    """
    pair = WORDS.get(key)
    text = key if pair is None else pair[language == "zh"]
    return text.format(**parts) if parts else text


_TIMES = {
    "hour": "小时",
    "day": "天",
    "week": "周",
    "month": "月",
    "quarter": "季度",
    "minute": "分钟",
    "second": "秒",
}
_IN_CHINESE = (
    (r"(\{\w+\}|\d+) 年", r"第 \1 {}"),
    ("/年", "/{}"),
    ("每年", "每{}"),
    ("全年", "整个时段"),
    ("(?<=单个|部分)年份", "时段"),
    ("某一年", "某一时点"),
    ("年份", "时间（{}）"),
)


def timed(text: str, language: Language, unit: str) -> str:
    """Adapt a text about years to the unit of time of a model; unchanged if that is years.

    Examples
    --------
    >>> timed("Point at a year", "en", "Day"), timed("{year} 年", "zh", "Day")
    ('Point at a day', '第 {year} 天')
    >>> timed("{year}", "en", "Week"), timed("2035 年", "zh", "Year")
    ('week {year}', '2035 年')
    """
    name = unit.lower().removesuffix("s")
    if name in ("", "year"):
        return text
    if language == "en":
        return f"{name} {text}" if text == "{year}" else re.sub(r"(?<!\{)\byear", name, text)
    for years, times in _IN_CHINESE:
        text = re.sub(years, times.replace("{}", _TIMES.get(name, unit)), text)
    return text


def called(name: str, language: Language, labels: Mapping[str, Label]) -> str:
    """Return a study's label of a variable, element, unit, driver or scenario; else its name.

    >>> called("kt", "zh", {"kt": Label("kilotonnes", "千吨")}), called("catch", "zh", {})
    ('千吨', 'catch')
    """
    return labels[name].text(language) if name in labels else name


def element_called(label: str, language: Language, labels: Mapping[str, Label]) -> str:
    """Return a study's label of ``Name`` or ``Name[Element, ...]``, of both parts.

    >>> own = {"Catch Rate": Label("Catch Rate", "捕捞率"), "Cod": Label("Cod", "鳕鱼")}
    >>> element_called("Catch Rate[Cod]", "zh", own), element_called("Catch Rate", "en", own)
    ('捕捞率[鳕鱼]', 'Catch Rate')
    """
    name, bracket, elements = label.removesuffix("]").partition("[")
    if not bracket:
        return called(label, language, labels)
    own = ", ".join(called(part.strip(), language, labels) for part in elements.split(","))
    return f"{called(name, language, labels)}[{own}]"


def a_year(unit: str, language: Language, labels: Mapping[str, Label]) -> str:
    """Name the unit of a yearly total of a flow; a rate of another unit of time has its own.

    >>> a_year("kt", "en", {"kt": Label("kilotonnes", "千吨")}), a_year("case/Day", "en", {})
    ('kilotonnes a year', 'case/Day')
    """
    name = called(unit, language, labels)
    return name if "/" in unit else word("a year", language, unit=name)


Step = tuple[float, float, str, int]
"""From which size on, by what a number is multiplied, the word after it, decimals."""

_MONEY_ZH: Mapping[str, tuple[Step, ...]] = {
    # Officials count in 亿 and 万亿, never in 十亿.
    "bnCNY": ((1000.0, 0.001, "万亿元", 2), (100.0, 10.0, "亿元", 0), (0.0, 10.0, "亿元", 1)),
    "bnUSD": ((1000.0, 0.001, "万亿美元", 2), (100.0, 10.0, "亿美元", 0), (0.0, 10.0, "亿美元", 1)),
}


def money_steps(unit: str, label: Label) -> list[list[Step]]:
    """Return how amounts are written, in English and in Chinese, the largest step first.

    Parameters
    ----------
    unit : str
        As in the model, of a total or of a rate.
    label : Label
        The study's name of it.

    Examples
    --------
    >>> money_steps("kt", Label("kilotonnes", "千吨"))[1]
    [(0.0, 1.0, '千吨', -1)]
    """
    word_en = "" if label.en in ("Dmnl", "1") else label.en
    word_zh = "" if label.text("zh") in ("Dmnl", "1") else label.text("zh")
    chinese = _MONEY_ZH.get(unit.partition("/")[0].strip())
    return [[(0.0, 1.0, word_en, -1)], list(chinese or [(0.0, 1.0, word_zh, -1)])]


def amount(value: float, unit: str, label: Label, language: Language) -> str:
    """Write an amount with its unit, in the convention of a language.

    Numbers without a fixed number of decimals keep three digits, and at least their whole part.

    Examples
    --------
    >>> yuan = Label("bn CNY")
    >>> amount(5732.4, "bnCNY", yuan, "zh"), amount(325.84, "bnCNY", yuan, "zh")
    ('5.73 万亿元', '3,258 亿元')
    >>> amount(5732.4, "bnCNY", yuan, "en")
    '5,732 bn CNY'
    """
    steps = money_steps(unit, label)[language == "zh"]
    _, factor, word, decimals = next((s for s in steps if abs(value) >= s[0]), steps[-1])
    return f"{digits(factor * value, decimals)} {word}".strip()


FIRST_YEAR = 1000
"""A time before it is no date: the model counts from an origin of its own."""


def period_words(start: float, end: float, language: Language) -> str:
    """Name a period: a year, a half, or its months; a span of years otherwise.

    Parameters
    ----------
    start, end : float  [Year]

    Examples
    --------
    >>> period_words(2024.0, 2024.5, "zh"), period_words(2024.0, 2024.5, "en")
    ('2024年上半年', '2024, first half')
    >>> period_words(2024.0, 2024.75, "en"), period_words(2019.0, 2020.0, "en")
    ('Jan-Sep 2024', '2019')
    >>> period_words(1.0, 2.0, "en"), period_words(1.5, 1.5, "zh")  # a time that is no date
    ('1–2', '1.5')
    >>> period_words(2024.0, 2024.0, "en"), period_words(2022.4167, 2022.4167, "zh")  # instants
    ('end of 2023', '2022年5月')
    """
    instant = end - start < 1e-6
    if abs(start) < FIRST_YEAR:
        return f"{start:g}" if instant else f"{start:g}–{end:g}"
    if instant:
        if abs(start - round(start)) < 1e-3:
            return f"{start - 1:.0f}年末" if language == "zh" else f"end of {start - 1:.0f}"
        # The month that ends then, or that the time lies in.
        start, end = (math.ceil(12 * start - 0.01) - 1) / 12, math.ceil(12 * start - 0.01) / 12
    year = math.floor(start + 1e-6)
    first, last = round(12 * (start - year)) + 1, round(12 * (end - year))
    if (first, last) == (1, 12):
        return f"{year}年" if language == "zh" else str(year)
    if last > 12:
        final = math.ceil(end - 1e-6) - 1
        return f"{year}–{final}年" if language == "zh" else f"{year}–{final}"
    if (first, last) in ((1, 6), (7, 12)):
        half = ("first half", "上半年") if first == 1 else ("second half", "下半年")
        return f"{year}年{half[1]}" if language == "zh" else f"{year}, {half[0]}"
    if language == "zh":
        return f"{year}年{first}月" if last <= first else f"{year}年{first}–{last}月"
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    one, other = months[first - 1], months[max(first, last) - 1]
    return f"{one} {year}" if last <= first else f"{one}-{other} {year}"


def money_unit(unit: str) -> bool:
    """Whether amounts in a unit are written in 亿 and 万亿 in Chinese.

    >>> money_unit("bnCNY/Year"), money_unit("Dmnl")
    (True, False)
    """
    return unit.partition("/")[0].strip() in _MONEY_ZH


def total_unit(unit: str, language: Language, labels: Mapping[str, Label]) -> str:
    """Name the unit of yearly totals if each number may have its own unit.

    >>> total_unit("bnCNY", "zh", {}), total_unit("kt", "zh", {"kt": Label("kilotonnes", "千吨")})
    ('每年', '千吨/年')
    """
    return "每年" if language == "zh" and money_unit(unit) else a_year(unit, language, labels)


def table_unit(unit: str, language: Language, labels: Mapping[str, Label]) -> tuple[float, str]:
    """Return the factor and the unit with which a table writes yearly totals of a flow.

    Official statistics give money in 亿元, so amounts in bn CNY are multiplied by 10.

    >>> table_unit("bnCNY", "zh", {}), table_unit("bnCNY", "en", {})
    ((10.0, '亿元/年'), (1.0, 'bnCNY a year'))
    """
    factor, name = counted_in(unit, language, labels)
    return factor, a_year(name, language, {})


def counted_in(unit: str, language: Language, labels: Mapping[str, Label]) -> tuple[float, str]:
    """Return the factor and the unit with which a table writes amounts.

    >>> counted_in("bnCNY", "zh", {}), counted_in("bnCNY", "en", {"bnCNY": Label("bn CNY")})
    ((10.0, '亿元'), (1.0, 'bn CNY'))
    """
    money = _MONEY_ZH.get(unit.partition("/")[0].strip()) if language == "zh" else None
    return (1.0, called(unit, language, labels)) if money is None else money[-1][1:3]


def locale_language(environment: Mapping[str, str]) -> Language:
    """Return the language of the locale: Chinese for one of ``zh``, else English.

    Parameters
    ----------
    environment : mapping of str to str
        Such as `os.environ`; the first of ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` that is set
        decides, as in POSIX.

    Examples
    --------
    >>> locale_language({"LANG": "zh_CN.UTF-8"}), locale_language({"LANG": "de_DE.UTF-8"})
    ('zh', 'en')
    >>> locale_language({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"})
    'en'
    """
    given = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next(filter(None, given), "").lower().startswith("zh") else "en"


def checked_language(given: str) -> Language:
    """Return a language, or refuse one that does not exist.

    Raises
    ------
    InputError

    Examples
    --------
    >>> checked_language("zh")
    'zh'
    """
    return one_of(given, LANGUAGES, "language")
