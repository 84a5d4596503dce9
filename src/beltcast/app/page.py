"""The page: one HTML file with the model, its draws and its texts inside, which loads nothing else.

``page.js`` and ``page.css`` are built from ``web/`` and ship with the package.  The policy of the
page allows these two by their hashes, WebAssembly and the worker, and forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

import xarray as xr

from beltcast.app.page_data import page_data, squeezed
from beltcast.inference.sampling.draws_file import KeptFit
from beltcast.reports.place_report import place_sections
from beltcast.schema import LANGUAGES, Language
from beltcast.study.study import Study

LARGEST_PAGE = 1_500_000
"""Largest size of a page in bytes: it is sent by mail and opened on a phone."""


def page(study: Study, kept: KeptFit, forecast: xr.Dataset) -> str:
    """Write the page of a fitted study.

    Parameters
    ----------
    study : Study
    kept : KeptFit
    forecast : xarray.Dataset
        As `beltcast.forecasting.forecast_file.open_forecast` returns them.

    Returns
    -------
    str
        Self-contained HTML.

    Raises
    ------
    UnsupportedConstruct
        The model uses what a page cannot compute.

    Examples
    --------
    >>> from beltcast.app.page import page
    >>> from beltcast.forecasting.forecast_file import open_forecast
    >>> html = page(*open_forecast())
    >>> html.startswith("<!DOCTYPE html>") and "connect-src" not in html
    True
    """
    sections: Mapping[Language, Mapping[str, str]] = {
        language: place_sections(study, kept, forecast, language) for language in LANGUAGES
    }
    return joined_html(study, page_data(study, kept, forecast, sections=sections))


def joined_html(study: Study, data: Mapping[str, Any]) -> str:
    """Put data, script and style into one file."""
    script, style = asset("page.js"), asset("page.css")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_sha256(script)}' 'wasm-unsafe-eval'",
            f"style-src '{_sha256(style)}'",
            "worker-src blob:",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(study.title)}</title><style>{style}</style></head>\n"
        '<body><main id="page"><noscript>This page needs JavaScript. 此页面需要启用 JavaScript。'
        "</noscript></main>\n"
        f'<script type="application/octet-stream" id="data">{squeezed(text)}</script>\n'
        f"<script>{script}</script></body></html>\n"
    )


def asset(name: str) -> str:
    """Read a built asset of the page."""
    return files("beltcast.app").joinpath("assets", name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
