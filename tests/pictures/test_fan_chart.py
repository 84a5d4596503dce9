"""The fan chart shows all that it draws, and says how to read it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from beltcast.pictures.plots import fan_chart


def lifted(result: xr.Dataset, scenario: str, by: float) -> xr.Dataset:
    """A forecast in which the bands of one scenario lie higher."""
    own = (result["scenario"] == scenario).astype(float)
    return result.assign(
        {
            name: result[name] * (1.0 + (by - 1.0) * own)
            for name in ("published_quantile", "output_quantile")
        }
    )


def test_the_band_of_a_compared_scenario_is_not_clipped(result: xr.Dataset) -> None:
    high = lifted(result, "belt-deepening", 20.0)
    ax = fan_chart(high, "China", compare="belt-deepening")
    top = high["published_quantile"].sel(scenario="belt-deepening", place="China", quantile=0.9)
    assert ax.get_ylim()[1] > float(top.max())
    low = lifted(result, "belt-deepening", 0.02)
    ax = fan_chart(low, "China", compare="belt-deepening")
    base = low["published_quantile"].sel(scenario="belt-deepening", place="China", quantile=0.1)
    later = base.values[np.asarray(ax.lines[-1].get_xdata()).size * -1 :]
    assert ax.get_ylim()[0] < float(later.min())


def test_a_legend_names_scenarios_by_their_titles(result: xr.Dataset) -> None:
    legend = fan_chart(result, "China", compare="tilt-up").get_legend()
    assert legend is not None
    said = " ".join(entry.get_text() for entry in legend.get_texts())
    for name in ("baseline", "tilt-up"):
        assert str(result["title"].sel(scenario=name).item()) in said
        assert name not in said


def test_a_logarithmic_axis_says_that_it_is_one(result: xr.Dataset) -> None:
    assert fan_chart(result, "China").get_ylabel().endswith("a year (log scale)")
    assert fan_chart(result, "China", language="zh").get_ylabel().endswith("（对数坐标）")


def test_a_chinese_axis_has_round_amounts_without_decimals(result: xr.Dataset) -> None:
    shown = fan_chart(result, "China", language="zh").yaxis.get_major_formatter()
    assert [shown(value) for value in (1.0, 50.0, 200.0, 1500.0)] == [
        "10 亿元",
        "500 亿元",
        "2,000 亿元",
        "1.50 万亿元",
    ]
