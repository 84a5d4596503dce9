"""The one place where pictures get their style: fonts with Chinese letters, if there are any.

Matplotlib's own font has no Chinese letters and warns for each.  `house_style` lets a plot function
fall back on the first Chinese font of the machine; without one, the letters show as boxes, as
they do in any other program there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib import font_manager

P = ParamSpec("P")
R = TypeVar("R")

CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # Debian's one file of all CJK letters goes by the name of its first face
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

_FILES = ("notosanscjk-regular", "notosanscjksc-regular", "notosanssc-regular", "wqy-zenhei")


def house_style(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a plot function write Chinese.

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
            return draw(*args, **kwargs)

    return styled


@cache
def chinese_fonts() -> tuple[str, ...]:
    """Name the first font with Chinese letters that Matplotlib can use, if there is one."""
    known = set(font_manager.fontManager.get_font_names())
    for path in [] if known.intersection(CHINESE) else font_manager.findSystemFonts():
        # Matplotlib's list is made once and does not know fonts that were installed later.
        if Path(path).stem.lower() in _FILES:
            font_manager.fontManager.addfont(path)
    known = set(font_manager.fontManager.get_font_names())
    return tuple(name for name in CHINESE if name in known)[:1]
