"""Charts as inline SVG: scatter, lines, confusion matrix.

Pure functions from numbers to text. Colours are CSS classes of the page, so that one chart suits light, dark and print.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ._axes import Axis
from ._svg import add, canvas, titled, to_text

# One unit is about one CSS pixel: 400 are 328 pixels on the smallest phone, where text of 13 is still read.
WIDTH = 400
LEFT, RIGHT = 56, 10
SCATTER_TOP = 40  # a line for the axis's name, one for the limit
_CHARACTER = 7.4  # mean width of a character of the tick labels

# One outline for each family beside its colour, within a box from -5 to 5.
MARKERS = (
    "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0z",
    "M-4,-4h8v8h-8z",
    "M0,-5.2L5,4H-5z",
    "M0,-5.5L5.5,0L0,5.5L-5.5,0z",
    "M0,5.2L5,-4H-5z",
    "M-1.8,-5h3.6v3.2h3.2v3.6h-3.2v3.2h-3.6v-3.2h-3.2v-3.6h3.2z",
)
COLOURS = 8


@dataclass(frozen=True, kw_only=True)
class Point:
    """One mark of a scatter.

    Args:
        y: None where it is not known; such marks stand in a strip below the others.
        series: number of its family, which gives colour and outline.
        title: shown while the pointer rests on it.
        role: "winner", "plain" or "faded".
    """

    x: float
    y: float | None
    series: int
    title: str
    role: str = "plain"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a line chart; a y that is None or not finite leaves a gap, an empty label is not written."""

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    series: int = 0


def scatter(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    title: str,
    x_limit: float | None = None,
    y_limit: float | None = None,
    unknown: str = "not trained",
) -> str:
    """Draw points; the winner ringed and on top, limits dashed with the forbidden side shaded.

    Args:
        title: what the chart shows, for those who do not see it.
        x_limit: largest x allowed; drawn where it lies on the axis.
        y_limit: smallest y allowed.
        unknown: names the strip of points without y; there is none without such points.
    """
    strip = 34 if any(point.y is None for point in points) else 0
    frame = _Frame(x, y, title=title, height=236, top=SCATTER_TOP, strip=strip)
    if x_limit is not None and x.low <= x_limit <= x.high:
        frame.limit_x(x_limit)
    if y_limit is not None and y.low <= y_limit <= y.high:
        frame.limit_y(y_limit)
    if strip:
        add(frame.svg, "line", x1=LEFT, x2=frame.right, y1=frame.floor - 8, y2=frame.floor - 8, class_="grid")
        add(frame.svg, "text", unknown, x=frame.right, y=frame.floor - 17, class_="tick end")
    ranks = {"faded": 0, "plain": 1, "winner": 2}
    for point in sorted(points, key=lambda point: ranks[point.role]):
        height = frame.floor - 8 if point.y is None else frame.y(point.y)
        mark(frame.svg, point, frame.x(point.x), height)
    return to_text(frame.svg)


def mark(parent: ElementTree.Element, point: Point, x: float, y: float) -> None:
    """Draw one point at a place of the picture."""
    group = add(parent, "g", transform=f"translate({x:.1f},{y:.1f})", class_=f"mark {point.role}")
    add(group, "title", point.title)
    if point.role == "winner":
        add(group, "circle", r=10, class_="ring")
    add(group, "path", d=MARKERS[point.series % len(MARKERS)], class_=f"s{point.series % COLOURS}")


def legend_mark(series: int) -> str:
    """Draw the mark of one family alone, for a legend beside the charts."""
    svg = ElementTree.Element("svg", {"viewBox": "-7 -7 14 14", "class": "key", "aria-hidden": "true"})
    add(svg, "path", d=MARKERS[series % len(MARKERS)], class_=f"s{series % COLOURS}")
    return to_text(svg)


def lines(drawn: Sequence[Line], x: Axis, y: Axis, *, title: str) -> str:
    """Draw lines with their names above; a line of one point is a dot."""
    frame = _Frame(x, y, title=title, height=170)
    start = float(frame.right)
    for line in reversed([line for line in drawn if line.label]):
        start -= _CHARACTER * len(line.label) + 30
        add(frame.svg, "line", x1=start, x2=start + 14, y1=12, y2=12, class_=f"line l{line.series}")
        add(frame.svg, "text", line.label, x=start + 19, y=16, class_="tick")
    for line in drawn:
        for run in _runs(line):
            places = [f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in run]
            add(frame.svg, "polyline", points=" ".join(places), class_=f"line l{line.series}")
            if len(run) == 1:
                add(frame.svg, "circle", cx=frame.x(run[0][0]), cy=frame.y(run[0][1]), r=3, class_=f"s{line.series}")
    return to_text(frame.svg)


def heat_map(matrix: Sequence[Sequence[int]], labels: Sequence[str], *, title: str) -> str:
    """Draw a confusion matrix: rows are the truth, columns the answers, right ones on the diagonal.

    A cell's strength is its share of the row, for mistakes its square root, so that a single one is seen. Counts are
    written where they fit.
    """
    cell = max(14, min(36, 320 // len(labels)))
    room = 26 + 7 * min(max(map(len, labels), default=1), 12)
    side = cell * len(labels)
    svg = canvas(room + side + 2, room + side + 2, title)
    svg.set("class", "chart heat")
    svg.set("width", str(room + side + 2))
    add(svg, "text", "answered", x=room + side / 2, y=11, class_="axis middle")
    add(svg, "text", "truth", class_="axis middle", transform=f"translate(11,{room + side / 2}) rotate(-90)")
    for index, label in enumerate(labels):
        centre = room + (index + 0.5) * cell
        short = label if len(label) <= 12 else label[:11] + "…"
        titled(add(svg, "text", short, x=room - 5, y=centre + 4, class_="tick end"), label)
        turned = "" if len(short) * 7 <= cell else " rotate(-90)"
        place = f"translate({centre + (4 if turned else 0):.1f},{room - 5}){turned}"
        titled(add(svg, "text", short, transform=place, class_="tick" if turned else "tick middle"), label)
    add(svg, "rect", x=room, y=room, width=side, height=side, class_="plate")
    for truth, row in enumerate(matrix):
        for answer, count in enumerate(row):
            if count:
                share = count / sum(row)
                group = add(svg, "g", transform=f"translate({room + answer * cell},{room + truth * cell})")
                add(group, "title", f"{labels[truth]} answered as {labels[answer]}: {count} of {sum(row)}")
                if truth == answer:
                    _cell(group, cell, count=count, strength=share, kind="right")
                else:
                    _cell(group, cell, count=count, strength=math.sqrt(share), kind="wrong")
    return to_text(svg)


def _cell(group: ElementTree.Element, side: int, *, count: int, strength: float, kind: str) -> None:
    opacity = 0.3 + 0.7 * strength
    add(group, "rect", x=0.5, y=0.5, width=side - 1, height=side - 1, rx=2, class_=kind, fill_opacity=opacity)
    if side >= 20 and _CHARACTER * len(str(count)) <= side - 2:
        ink = "count dark" if opacity > 0.8 else "count half" if opacity > 0.55 else "count"
        add(group, "text", str(count), x=side / 2, y=side / 2 + 4, class_=ink)


class _Frame:
    """The axes of a chart, drawn; `x` and `y` give the place of a value in the picture."""

    def __init__(self, x: Axis, y: Axis, *, title: str, height: int, top: int = 26, strip: int = 0) -> None:
        self.x_axis, self.y_axis = x, y
        self.top, self.right, self.bottom = top, WIDTH - RIGHT, top + height
        self.floor = self.bottom + 10 + strip
        self.svg = canvas(WIDTH, self.floor + 40, title)
        add(self.svg, "text", y.label, x=0, y=14, class_="axis")
        add(self.svg, "text", x.label, x=self.right, y=self.floor + 36, class_="axis end")
        for tick in y.ticks:
            add(self.svg, "line", x1=LEFT, x2=self.right, y1=self.y(tick), y2=self.y(tick), class_="grid")
            add(self.svg, "text", y.text(tick), x=LEFT - 7, y=self.y(tick) + 4, class_="tick end")
        free_from = -math.inf
        for tick in x.ticks:
            half = _CHARACTER * len(x.text(tick)) / 2
            if free_from <= self.x(tick) - half:
                middle = min(self.x(tick), WIDTH - half)
                add(self.svg, "text", x.text(tick), x=middle, y=self.floor + 17, class_="tick middle")
                free_from = self.x(tick) + half + 8

    def x(self, value: float) -> float:
        return LEFT + self.x_axis.at(value) * (self.right - LEFT)

    def y(self, value: float) -> float:
        return self.bottom - self.y_axis.at(value) * (self.bottom - self.top)

    def limit_x(self, value: float) -> None:
        place, bottom = self.x(value), self.floor
        add(self.svg, "rect", x=place, y=self.top, width=self.right - place, height=bottom - self.top, class_="beyond")
        add(self.svg, "line", x1=place, x2=place, y1=self.top, y2=bottom, class_="limit")
        text = f"limit {self.x_axis.text(value)}"
        side = "end" if place + _CHARACTER * len(text) > self.right else ""
        add(
            self.svg, "text", text, x=place - 4 if side else place + 4, y=self.top - 5, class_=f"tick over-limit {side}"
        )

    def limit_y(self, value: float) -> None:
        place = self.y(value)
        add(self.svg, "rect", x=LEFT, y=place, width=self.right - LEFT, height=self.bottom - place, class_="beyond")
        add(self.svg, "line", x1=LEFT, x2=self.right, y1=place, y2=place, class_="limit")
        add(self.svg, "text", f"at least {self.y_axis.text(value)}", x=LEFT + 4, y=place + 14, class_="tick over-limit")


def _runs(line: Line) -> list[list[tuple[float, float]]]:
    """Cut a line at its gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.x, line.y, strict=True):
        if y is None or not math.isfinite(y):
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run for run in runs if run]
