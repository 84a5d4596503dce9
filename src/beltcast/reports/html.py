"""Templates of reports and of the page's sections, and images embedded in a file.

Templates escape all text; nothing is requested unless a reader follows a link.
"""

from __future__ import annotations

import base64
import io
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beltcast.schema import Language


def rendered(template: str, language: Language, **values: Any) -> str:
    """Fill in a template of ``reports/templates``.

    Parameters
    ----------
    template : str
    language : 'en' or 'zh'
    **values : object
    """
    style = _text("report.css") + _text("facts.css")
    lang = "zh-CN" if language == "zh" else "en"
    return _templates().get_template(template).render(css=style, lang=lang, **values)


def sections_html(parts: list[dict[str, Any]]) -> str:
    """Return the sections of a place as HTML, to stand inside a page."""
    module: Any = _templates().get_template("sections.html.j2").module
    return str(module.facts(parts))


def picture(ax: Axes, text: str) -> dict[str, str]:
    """Return the figure of some axes as embedded data, with a text alternative."""
    figure = ax.figure
    assert isinstance(figure, Figure)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=150, format="png")
    return {"text": text, "data": base64.b64encode(stream.getvalue()).decode("ascii")}


def web_address(url: str) -> str:
    """Return a web address, or nothing for any other text."""
    return url if url.startswith(("http://", "https://")) else ""


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
    )


def _text(name: str) -> str:
    folder = files("beltcast.reports").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")
