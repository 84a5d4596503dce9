"""Chinese letters in pictures: drawn from a font that has them, where the machine has one."""

from __future__ import annotations

import io

import matplotlib as mpl
import pytest
import xarray as xr
from matplotlib.figure import Figure

from beltcast.display.style import chinese_fonts, house_style
from beltcast.pictures.plots import fan_chart


def test_a_title_in_chinese_is_drawn_without_a_missing_letter(result: xr.Dataset) -> None:
    """Matplotlib warns of a missing letter, and warnings are errors here."""
    if not chinese_fonts():
        pytest.skip("needs a font with Chinese letters: apt-get install fonts-noto-cjk")
    ax = fan_chart(result, "Foshan", title="佛山家具")
    figure = ax.figure
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), format="png")


def test_the_style_of_the_caller_is_left_as_it_was() -> None:
    before = list(mpl.rcParams["font.family"])

    @house_style
    def families() -> list[str]:
        return list(mpl.rcParams["font.family"])

    assert families() == [*before, *chinese_fonts()]
    assert list(mpl.rcParams["font.family"]) == before
