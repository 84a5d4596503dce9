"""The parts that a report is made of, as HTML: a page, tables, lists, links and pictures.

All text is escaped, pictures stand inside as data, and a link goes out only when a reader follows
it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beltcast.schema import Language

__all__ = ["bullets", "document", "link", "picture", "table"]

CSS = """
body { font-family: system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
       line-height: 1.45; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; }
p.under { color: #555; margin-top: .2rem; } figure { margin: 1rem 0; } img { max-width: 100%; }
table { border-collapse: collapse; font-size: .85rem; margin: .8rem 0; width: 100%; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .2rem .7rem .2rem 0;
         border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; white-space: nowrap; overflow-wrap: normal; }
div.wide { overflow-x: auto; } li { margin: .2rem 0; } code { font-size: .8rem; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } a { color: inherit; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; } @page { margin: 18mm; } }
"""


def document(title: str, parts: Iterable[str], language: Language) -> str:
    """A whole page; its parts are HTML, and an empty one leaves no trace."""
    return (
        f"<!DOCTYPE html>\n<html lang='{language}'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body>"
        + "\n".join(part for part in parts if part)
        + "</body></html>\n"
    )


def table(
    name: str,
    title: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int],
) -> str:
    """A table with a caption; ``numbers`` are the columns that stand to the right."""

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in numbers else ''}>{escape(text)}</{tag}>"
            for i, text in enumerate(texts)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f"<div class='wide' tabindex='0' role='region' aria-label='{escape(title)}'>"
        f"<table id='{name}'><caption>{escape(title)}</caption>"
        f"<thead><tr>{cells('th', heads)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def bullets(lines: Iterable[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def link(text: str, url: str) -> str:
    """A link, if the address is one of the web; else the text alone."""
    if not url.startswith(("http://", "https://")):
        return escape(text)
    return f"<a href='{escape(url)}' rel='noreferrer'>{escape(text)}</a>"


def picture(ax: Axes, text: str) -> str:
    """The figure of some axes, with what it shows for those who do not see it."""
    figure = ax.figure
    assert isinstance(figure, Figure)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=150, format="png")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f"<figure><img alt='{escape(text)}' src='data:image/png;base64,{data}'></figure>"
