"""Words of the page in English and Chinese, and the sentences that are made from an answer.

Numbers come from results only.  Names of belts in Chinese are in the study's table of places;
titles of the shipped scenarios are here, and a scenario without one keeps its own title.
"""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from beltcast.app.results import Answer, Opened
from beltcast.app.state import Language, Question
from beltcast.bands import chance, quantiles
from beltcast.drivers.attribute import who_speaks
from beltcast.scenarios import Scenario
from beltcast.schema import PLACE, QUANTILE, SCENARIO, YEAR

WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("Industrial belts in cross-border e-commerce", "跨境电商产业带预测"),
    "place": ("Belt", "产业带"),
    "scenario": ("Scenario", "情景"),
    "compare": ("Compare with", "对比情景"),
    "horizon": ("Up to the year", "预测至"),
    "levers": ("Levers, phased in from 2026", "政策与市场杠杆（2026 年起逐步生效）"),
    "support": ("Government: support of the pilot zones", "政府：综试区政策支持"),
    "brand": ("Market: brand investment", "市场：品牌投入"),
    "tilt": ("Platform: traffic tilt to brands", "平台：流量向品牌倾斜"),
    "threshold": ("Platform: entry threshold", "平台：入驻门槛"),
    "reset": ("Levers back to the scenario", "恢复该情景的设定"),
    "moved": ("levers moved", "已调整"),
    "download": ("Download", "下载"),
    "csv": ("Table (CSV)", "数据表 (CSV)"),
    "netcdf": ("Results (NetCDF)", "全部结果 (NetCDF)"),
    "png": ("Picture (PNG)", "图片 (PNG)"),
    "toml": ("Scenario (TOML)", "情景文件 (TOML)"),
    "upload": ("Scenarios of your own (.toml)", "上传自己的情景 (.toml)"),
    "uploaded": (
        "Read from {file}: {names}. A link does not carry them.",
        "已读入 {file}：{names}。链接中不包含上传的情景。",
    ),
    "link": ("The address of this page restores what it shows.", "复制本页地址即可还原当前视图。"),
    "refused": (
        "The link asks for what is not here; left out: {what}.",
        "链接中有无法识别的内容，已忽略：{what}。",
    ),
    "fan": ("Forecast", "预测"),
    "median": ("median", "中位数"),
    "band": ("50, 80, 90% bands", "50、80、90% 区间"),
    "band80": ("80% band", "80% 区间"),
    "prior": ("prior alone, 80%", "仅先验，80%"),
    "published": ("published, whole year", "公布值（全年）"),
    "part": ("published, part of a year", "公布值（部分年份）"),
    "loose": ("another statistic, its size fitted", "其他口径（规模由拟合得出）"),
    "bound": ("published as a bound", "公布的上限或下限"),
    "year": ("year", "年份"),
    "source": ("source", "来源"),
    "definition": ("definition", "口径"),
    "printed": ("as published", "公布数值"),
    "here": ("on this scope", "换算至本口径"),
    "line": ("line of the table", "数据表行号"),
    "unit": ("bn CNY a year", "十亿元/年"),
    "numbers": ("The numbers of the chart", "图中数值"),
    "tiers": ("Tiers of sellers: share of output", "卖家层级：占产出份额"),
    "traffic": ("Traffic: share of platform visits", "流量：占平台访问份额"),
    "Brand": ("Brand sellers", "品牌卖家"),
    "Factory": ("Strong factories", "实力工厂"),
    "Distributor": ("Distributors", "铺货卖家"),
    "Own sites": ("Own sites", "独立站"),
    "drivers": ("What the drivers added", "三股力量各贡献多少"),
    "drivers_note": (
        "Shapley values over the runs with and without each driver, mean over the draws.",
        "对各驱动力开与关的全部组合计算沙普利值，取各样本均值。",
    ),
    "Government": ("Government", "政府"),
    "Market": ("Market", "市场"),
    "Platform": ("Platform", "平台"),
    "diagram": ("Stock-flow diagram of the model", "模型的存量流量图"),
    "share": ("share", "份额"),
    "scope": (
        "Bands hold the uncertainty of the parameters, of single years and of published figures. "
        "Points are published figures brought to the model's scope.",
        "区间包含参数、单个年份冲击以及公布数据误差的不确定性；散点为换算至模型口径的公布数据。",
    ),
    "foot": (
        "{draws} draws of the posterior, fitted to {figures} published figures.",
        "{draws} 个后验样本，拟合 {figures} 条公布数据。",
    ),
    "token": (
        "This address needs its token: open the link that the terminal printed.",
        "此地址需要令牌：请打开终端中显示的链接。",
    ),
}

SCENARIOS_ZH: Mapping[str, str] = {
    "baseline": "基准情景",
    "zones-stop": "2019 年起停批综试区",
    "support-fades": "政策支持逐步退出",
    "belt-deepening": "跨境电商与产业带深度融合",
    "brand-push": "加大品牌投入",
    "tilt-up": "平台流量更多向品牌倾斜",
    "tilt-back": "平台重回低价导向",
    "threshold-up": "入驻门槛提高",
    "de-minimis-ends": "美国取消小额免税",
    "tariff-shock": "关税冲击",
    "ad-cost-up": "广告成本上升",
    "combined-drive": "三力合推",
    "headwinds": "多重逆风",
    "demand-low": "海外需求低 20%",
}

_SPEAKS_ZH: Mapping[str, str] = {
    "the structure speaks": "由模型结构决定，并非数据发现",
    "the figures speak": "由数据决定",
    "the figures leave open what the structure says": "模型结构如此设定，但数据未能证实",
    "the figures speak against the structure": "数据与模型结构相反",
    "neither speaks": "数据与模型结构均不能判定",
}


def word(key: str, language: Language, **parts: object) -> str:
    """A text of the page; a key that has none stands for itself.

    >>> word("place", "en")
    'Belt'
    """
    pair = WORDS.get(key)
    text = key if pair is None else pair[language == "zh"]
    return text.format(**parts) if parts else text


def place_name(opened: Opened, place: str, language: Language) -> str:
    """What a place is called."""
    titles = opened.study.titles_zh if language == "zh" else opened.study.titles
    return titles.get(place, place)


def scenario_name(scenario: Scenario, language: Language) -> str:
    """What a scenario is called."""
    if language == "zh" and scenario.name in SCENARIOS_ZH:
        return SCENARIOS_ZH[scenario.name]
    return scenario.title


def headline(opened: Opened, question: Question, found: Answer) -> str:
    """Say the forecast of the last year that is shown, and what it rests on."""
    place, year = question.place, question.horizon
    low, middle, high = _three(found.published.sel({PLACE: place, YEAR: year}))
    before = _three(opened.base["prior_quantile"].sel({PLACE: place, YEAR: year}))
    figures = int(opened.base["figures"].sel({PLACE: place}))
    unit = word("unit", question.language)
    if question.language == "zh":
        return (
            f"{year} 年：{middle:,.0f} {unit}（80% 区间 {low:,.0f}–{high:,.0f}）；"
            f"仅凭先验为 {before[1]:,.0f}（{before[0]:,.0f}–{before[2]:,.0f}）。"
            f"该地直接公布的数据有 {figures} 条。"
        )
    own = "1 published figure speaks" if figures == 1 else f"{figures} published figures speak"
    return (
        f"{year}: {middle:,.0f} {unit} (80% band {low:,.0f}–{high:,.0f}); the priors alone, in the "
        f"first scenario, give {before[1]:,.0f} ({before[0]:,.0f}–{before[2]:,.0f}). {own} of this "
        "place itself."
    )


def comparison(question: Question, found: Answer, other: Answer) -> str:
    """Say how two scenarios differ in the last year that is shown, draw by draw."""
    at = {PLACE: question.place, YEAR: question.horizon}
    ratio = found.output.sel(at) / other.output.sel(at)
    low, middle, high = (100.0 * (v - 1.0) for v in _three(quantiles(ratio)))
    more = 100.0 * float(chance(ratio > 1.0, ratio.notnull()))
    if question.language == "zh":
        return (
            f"与对比情景相比，{question.horizon} 年 {middle:+.1f}%"
            f"（80% 区间 {low:+.1f}% 至 {high:+.1f}%）；{more:.0f}% 的样本更高。"
        )
    return (
        f"Against the other scenario, {question.horizon}: {middle:+.1f} % (80% band {low:+.1f} to "
        f"{high:+.1f} %), draw by draw; more in {more:.0f} % of the draws."
    )


def synergy(attribution: xr.Dataset, question: Question, year: int) -> str:
    """Say whether the drivers add up to more than their sum, and who says so."""
    at = {PLACE: question.place, YEAR: year}
    after = float(attribution["synergy_log_chance"].sel(at))
    before = float(attribution["prior_synergy_log_chance"].sel(at))
    speaker = who_speaks(after, before)
    if question.language == "zh":
        return (
            f"{year} 年三股力量是否互补：协同为正的概率 {after:.2f}，仅凭先验 {before:.2f}——"
            f"{_SPEAKS_ZH[speaker]}。"
        )
    return (
        f"Do the drivers complement each other ({year})? Chance that they do {after:.2f}, from the "
        f"priors alone {before:.2f}: {speaker}."
    )


def foot(opened: Opened, language: Language) -> str:
    """What the page rests on."""
    figures = len(opened.study.observations)
    return word("foot", language, draws=len(opened.draws), figures=figures)


def first_scenario(opened: Opened) -> str:
    """Name of the scenario that the base was made with."""
    return str(opened.base[SCENARIO].values[0])


def _three(values: xr.DataArray) -> tuple[float, float, float]:
    low, middle, high = (float(values.sel({QUANTILE: q})) for q in (0.1, 0.5, 0.9))
    return low, middle, high
