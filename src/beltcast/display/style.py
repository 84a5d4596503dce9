"""Style shared by all charts: fonts with Chinese characters, and labels of logarithmic axes.

Matplotlib's own font has no Chinese characters and warns about each.  `house_style` makes a plot
function fall back to the first Chinese font of the machine; without one, the characters appear as
boxes.  A logarithmic axis with a label is marked as logarithmic.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # Debian's single file of all CJK characters has the name of its first face
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
)
"""Families with simplified Chinese, best first."""

LOG_SCALE = (" (log scale)", "（对数坐标）")
"""Suffix of the label of a logarithmic axis, in English and in Chinese."""

_FILES = ("notosanscjk-regular", "notosanscjksc-regular", "notosanssc-regular", "wqy-zenhei")


def house_style(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a plot function draw Chinese text, and mark its logarithmic axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from beltcast.display.style import house_style
    >>> @house_style
    ... def title(text):
    ...     return Figure().suptitle(text)
    >>> title("佛山").get_text()
    '佛山'
    """

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context({"font.family": [*mpl.rcParams["font.family"], *chinese_fonts()]}):
            drawn = draw(*args, **kwargs)
        _name_logarithms(drawn, LOG_SCALE[kwargs.get("language") == "zh"])
        return drawn

    return styled


def _name_logarithms(drawn: object, words: str) -> None:
    """Add a few words to the label of each logarithmic axis of axes or of a figure."""
    many = drawn.axes if isinstance(drawn, Figure) else [drawn]
    for ax in many:
        for axis in (ax.xaxis, ax.yaxis) if isinstance(ax, Axes) else ():
            said = axis.get_label_text()
            if axis.get_scale() == "log" and said and words not in said:
                axis.set_label_text(said + words)


@cache
def chinese_fonts() -> tuple[str, ...]:
    """Return the name of the first font with Chinese characters that Matplotlib can use, if any."""
    known = set(font_manager.fontManager.get_font_names())
    for path in [] if known.intersection(CHINESE) else font_manager.findSystemFonts():
        # Matplotlib builds its list once and does not see fonts that were installed later.
        if Path(path).stem.lower() in _FILES:
            font_manager.fontManager.addfont(path)
    known = set(font_manager.fontManager.get_font_names())
    return tuple(name for name in CHINESE if name in known)[:1]
