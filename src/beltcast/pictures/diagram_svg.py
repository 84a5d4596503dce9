"""Draw a stock-flow diagram as SVG from the positions of its parts.

All text is escaped; nothing refers to anything outside the file.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from xml.sax.saxutils import escape, quoteattr

Point = tuple[float, float]
Links = frozenset[tuple[str, str]]

INK, FAINT, PIPE, LOOP, INPUT = "#222222", "#9AA5B1", "#5B7FA6", "#D55E00", "#00664B"


@dataclass(frozen=True)
class TextBox:
    """A name and the space around it; ``x`` and ``y`` are the centre  [px]."""

    text: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Route:
    """The path of a pipe, from corner to corner  [px]; its valve is in the middle."""

    name: str
    points: tuple[Point, ...]
    source: str | None
    sink: str | None

    @property
    def valve(self) -> Point:
        """Middle of the path."""
        i = len(self.points) // 2
        (x1, y1), (x2, y2) = self.points[i - 1], self.points[i]
        return (x1 + x2) / 2, (y1 + y2) / 2


@dataclass(frozen=True)
class Drawing:
    """Positions of all parts of a drawing."""

    boxes: Mapping[str, TextBox] = field(default_factory=dict)
    routes: Mapping[str, Sequence[Route]] = field(default_factory=dict)
    names: Mapping[str, TextBox] = field(default_factory=dict)
    inputs: frozenset[str] = frozenset()
    width: float = 0.0
    height: float = 0.0

    def joined(
        self,
        boxes: Mapping[str, TextBox],
        routes: Mapping[str, Sequence[Route]],
        names: Mapping[str, TextBox],
    ) -> Drawing:
        """Return this drawing with further parts."""
        return replace(
            self,
            boxes={**self.boxes, **boxes},
            routes={**self.routes, **routes},
            names={**self.names, **names},
        )

    def sized(self, width: float, height: float) -> Drawing:
        """Return the drawing with its size."""
        return replace(self, width=width, height=height)

    def place(self, name: str) -> TextBox:
        """End points of arrows to and from a variable."""
        if name in self.boxes:
            return self.boxes[name]
        if name in self.names:
            return self.names[name]
        x, y = self.routes[name][0].valve
        return TextBox(name, x, y, 22, 22)


def as_svg(
    drawing: Drawing,
    links: Links,
    loop: Links,
    title: str,
    names: Mapping[str, str] | None = None,
) -> str:
    """Write a drawing.

    Parameters
    ----------
    drawing : Drawing
    links : frozenset of (source, target)
        Drawn as arrows.
    loop : frozenset of (source, target)
        Drawn in colour.
    title : str
    names : mapping of str to str, optional
        What to write for a variable; its own name by default.  The element of a variable carries
        that name as ``data-name``.
    """
    width, height = f"{drawing.width:.0f}", f"{drawing.height:.0f}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif" '
        f'font-size="12" role="img" aria-label={quoteattr(title)}>',
        "<defs>",
        *(_marker(name, colour) for name, colour in (("faint", FAINT), ("loop", LOOP))),
        # A marker scales with its line.
        *(_marker(name, colour, 3) for name, colour in (("pipe", PIPE), ("pipe-loop", LOOP))),
        "</defs>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="20" y="28" font-size="16" fill="{INK}">{escape(title)}</text>',
    ]
    said = names or {}
    # Faint arrows first, so that the important parts lie on top.
    plain = sorted(links - loop)
    lines += [_arrow(drawing, pair, FAINT, 0.9, "faint") for pair in plain]
    lines += [
        part for ways in drawing.routes.values() for way in ways for part in _pipe(way, loop, said)
    ]
    drawn = [pair for pair in sorted(loop) if pair in links]
    lines += [_arrow(drawing, pair, LOOP, 2.4, "loop") for pair in drawn]
    on_loop = {name for pair in loop for name in pair}
    for name, box in drawing.boxes.items():
        lines += _box(box, LOOP if name in on_loop else INK, said)
    for name, label in drawing.names.items():
        colour = LOOP if name in on_loop else INPUT if name in drawing.inputs else INK
        lines += _text(label, colour, said)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _marker(name: str, colour: str, size: float = 6) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="{size}" '
        f'markerHeight="{size}" orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="{colour}"/>'
        "</marker>"
    )


def _box(box: TextBox, colour: str, said: Mapping[str, str]) -> list[str]:
    x, y = box.x - box.width / 2, box.y - box.height / 2
    return [
        f'<rect data-box={quoteattr(box.text)} x="{x:.1f}" y="{y:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" '
        f'fill="#F4F6F8" stroke="{colour}" stroke-width="1.6"/>',
        *_text(box, colour, said, weight="bold"),
    ]


def _text(
    label: TextBox,
    colour: str,
    said: Mapping[str, str],
    weight: str = "normal",
) -> list[str]:
    """Break a long name into at most two lines."""
    text = said.get(label.text, label.text)
    # About 6.5 pixels per letter at this size, 12 per Chinese character.
    letter = 12.0 if any(ord(c) > 0x2E80 for c in text) else 6.5
    width = max(8, int(label.width / letter))
    lines = textwrap.wrap(text, width, max_lines=2, placeholder="…")
    top = label.y - 6.5 * (len(lines) - 1) + 4
    around = ' stroke="white" stroke-width="3" paint-order="stroke"'
    return [
        f'<text data-name={quoteattr(label.text)} x="{label.x:.1f}" y="{top + 13 * i:.1f}" '
        f'text-anchor="middle" font-weight="{weight}" fill="{colour}"{around}>{escape(line)}'
        f"<title>{escape(text)}</title></text>"
        for i, line in enumerate(lines)
    ]


def _pipe(route: Route, loop: Links, said: Mapping[str, str]) -> Iterator[str]:
    ends = {(route.name, route.sink), (route.source, route.name)}
    stocks = {s for s in (route.source, route.sink) if s}
    on_loop = bool(ends & loop) or any((route.name, stock) in loop for stock in stocks)
    colour = LOOP if on_loop else PIPE
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in route.points)
    marker = "pipe-loop" if on_loop else "pipe"
    yield (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="4" '
        f'stroke-linejoin="round" marker-end="url(#{marker})"/>'
    )
    for end, point in ((route.source, route.points[0]), (route.sink, route.points[-1])):
        if end is None:
            yield (
                f'<ellipse cx="{point[0]:.1f}" cy="{point[1]:.1f}" rx="13" ry="9" fill="white" '
                f'stroke="{PIPE}" stroke-dasharray="3 2"/>'
            )
    x, y = route.valve
    yield (
        f'<path d="M{x - 8:.1f},{y - 7:.1f} L{x + 8:.1f},{y + 7:.1f} L{x + 8:.1f},{y - 7:.1f} '
        f'L{x - 8:.1f},{y + 7:.1f} z" fill="white" stroke="{colour}" stroke-width="1.5"/>'
    )
    if not route.name.startswith("change of "):
        yield from _text(TextBox(route.name, x, y - 15, 130, 12), colour, said)


def _arrow(drawing: Drawing, pair: tuple[str, str], colour: str, width: float, marker: str) -> str:
    """A curve from the edge of one label to the edge of the other, bent to its right."""
    one, two = drawing.place(pair[0]), drawing.place(pair[1])
    dx, dy = two.x - one.x, two.y - one.y
    # Over a long distance, a bend in proportion would leave the picture.
    bend = min(0.14, 45.0 / max(1.0, math.hypot(dx, dy)))
    middle = ((one.x + two.x) / 2 - bend * dy, (one.y + two.y) / 2 + bend * dx)
    x1, y1 = _edge(one, middle)
    x2, y2 = _edge(two, middle)
    return (
        f"<path data-from={quoteattr(pair[0])} data-to={quoteattr(pair[1])} "
        f'd="M{x1:.1f},{y1:.1f} Q{middle[0]:.1f},{middle[1]:.1f} {x2:.1f},{y2:.1f}" '
        f'fill="none" stroke="{colour}" stroke-width="{width}" marker-end="url(#{marker})"/>'
    )


def _edge(label: TextBox, towards: Point) -> Point:
    """Point where the line from the centre of a label leaves the space around it."""
    dx, dy = towards[0] - label.x, towards[1] - label.y
    if not dx and not dy:
        return label.x, label.y
    wide = label.width / 2 / abs(dx) if dx else math.inf
    high = label.height / 2 / abs(dy) if dy else math.inf
    part = min(1.0, wide, high)
    return label.x + part * dx, label.y + part * dy
