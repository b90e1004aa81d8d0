"""The picture of the field: a box for each family, years from top to bottom, an edge to each that it builds on."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from featherweight._files import write_atomically
from featherweight.networks import Edge, Family, History

from ._layers import Layout, lay_out
from ._page import environment
from ._svg import add, canvas, to_file, to_text

_BOX = 32  # height of a box, in pixels
_ROW = 66  # from one row to the next inside a year
_YEAR = 88  # from the last row of a year to the first of the next
_LEFT, _TOP, _RIGHT = 88, 64, 24
_CHARACTER = 7.7  # mean width of a character of a box's name
_PORT = 11  # between the ends of two edges at one box
_COLOURS, _QUIET = 7, 7  # coloured series, and the number of the grey one


def write_history(history: History, path: str | Path) -> Path:
    """Write the picture of the field: a file .svg, or a page .html that also says in words what is taken from whom.

    Args:
        history: `featherweight.networks.history()`.
        path: of the file; written whole or not at all.
    Raises:
        ValueError: the path ends neither in .svg nor in .html.
        MissingExtraError: jinja2, which the page needs, is not installed.
    """
    match Path(path).suffix:
        case ".svg":
            return write_atomically(path, to_file(draw(history, link=lambda family: family.paper)))
        case ".html":
            return write_atomically(path, _page(history))
    raise ValueError(f"the history is written as .svg or .html; got {str(path)!r}")


def _page(history: History) -> str:
    numbers = {family.name: number for number, family in enumerate(history.families)}
    text: str = (
        environment()
        .get_template("history.html")
        .render(
            picture=to_text(draw(history, link=lambda family: f"#family-{numbers[family.name]}")),
            years=[(year, list(families)) for year, families in groupby(history.families, lambda family: family.year)],
            numbers=numbers,
            led_to={
                family.name: [edge.target for edge in history.edges if edge.source == family.name]
                for family in history.families
            },
        )
    )
    return text


def draw(history: History, *, link: Callable[[Family], str]) -> ElementTree.Element:
    """Draw the picture; each box leads to where `link` says."""
    rows = history.rows
    layout = lay_out(
        [[family.name for family in row] for row in rows],
        [(edge.source, edge.target) for edge in history.edges],
        width=_width, gap=26,
    )  # fmt: skip
    heights = _heights(rows)
    numbers = {family.name: number for number, family in enumerate(history.families)}
    series = colours(history)
    svg = canvas(_LEFT + layout.width + _RIGHT, heights[-1] + _BOX + 16, "Which family of networks builds on which")
    svg.set("class", "chart history")
    add(svg, "style", "".join(_highlight(number) for number in numbers.values()))
    _draw_years(svg, rows, heights, _LEFT + layout.width + _RIGHT)
    ways = _ways(history, rows, layout, heights)
    for edge in sorted(history.edges, key=lambda edge: edge.source in series):
        group = add(svg, "g", class_=f"edge e{numbers[edge.source]} e{numbers[edge.target]}")
        _draw_edge(group, edge, ways[edge.source, edge.target], series.get(edge.source, _QUIET))
    for row, y in zip(rows, heights, strict=True):
        for family in row:
            group = add(svg, "a", href=link(family), id=f"box-{numbers[family.name]}", class_=_kind(family))
            _draw_box(group, family, _LEFT + layout.x[family.name], y, series.get(family.name, _QUIET))
    _draw_legend(svg)
    return svg


def colours(history: History) -> dict[str, int]:
    """Give each lightweight family that others build on a colour, which its edges share.

    Ancestors and references have none, nor has a family that nobody builds on yet.
    """
    sources = {edge.source for edge in history.edges}
    coloured = [one for one in history.families if one.name in sources and not (one.ancestor or one.reference)]
    return {family.name: number % _COLOURS for number, family in enumerate(coloured)}


def _width(name: str) -> float:
    return _CHARACTER * len(name) + 26


def _heights(rows: Sequence[Sequence[Family]]) -> list[float]:
    """Return the middle of each row."""
    heights = [float(_TOP + _BOX)]
    for above, row in pairwise(rows):
        heights.append(heights[-1] + (_ROW if above[0].year == row[0].year else _YEAR))
    return heights


Way = list[tuple[float, float]]  # points; straight down at each


def _ways(
    history: History, rows: Sequence[Sequence[Family]], layout: Layout, heights: Sequence[float]
) -> Mapping[tuple[str, str], Way]:
    """Return the way of each edge: from a port below its source, past the rows between, to a port above its target."""
    row_of = {family.name: number for number, row in enumerate(rows) for family in row}
    out, into = _ports(history, layout)
    ways = {}
    for source, target in ((edge.source, edge.target) for edge in history.edges):
        way = [(_LEFT + out[source, target], heights[row_of[source]] + _BOX / 2)]
        for row, x in layout.routes[source, target]:
            way += [(_LEFT + x, heights[row] - _BOX / 2), (_LEFT + x, heights[row] + _BOX / 2)]
        ways[source, target] = [*way, (_LEFT + into[source, target], heights[row_of[target]] - _BOX / 2)]
    return ways


class _End(NamedTuple):
    """One end of an edge: where it comes from or goes to, and which edge it is."""

    x: float
    edge: tuple[str, str]


def _ports(history: History, layout: Layout) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
    """Return where each edge leaves its source and meets its target: side by side, in the order of where they lead."""
    leaving: dict[str, list[_End]] = {}
    arriving: dict[str, list[_End]] = {}
    for edge in ((edge.source, edge.target) for edge in history.edges):
        source, target = edge
        places = [x for _, x in layout.routes[edge]]
        leaving.setdefault(source, []).append(_End((*places, layout.x[target])[0], edge))
        arriving.setdefault(target, []).append(_End((layout.x[source], *places)[-1], edge))
    found = []
    for ends in (leaving, arriving):
        ports = {}
        for box, those in ends.items():
            places = sorted({end.x for end in those})
            step = min(_PORT, (_width(box) - 24) / max(1, len(places) - 1))
            for end in those:
                ports[end.edge] = layout.x[box] + (places.index(end.x) - (len(places) - 1) / 2) * step
        found.append(ports)
    return found[0], found[1]


def _draw_years(
    svg: ElementTree.Element, rows: Sequence[Sequence[Family]], heights: Sequence[float], width: float
) -> None:
    drawn = 0
    for row, y in zip(rows, heights, strict=True):
        if row[0].year != drawn:
            drawn = row[0].year
            top = y - _YEAR / 2
            add(svg, "line", x1=0, x2=width, y1=top, y2=top, class_="grid")
            add(svg, "text", str(drawn), x=16, y=y + 6, class_="year")


def _draw_edge(group: ElementTree.Element, edge: Edge, way: Way, series: int) -> None:
    x, y = way[-1]
    path = f"M{way[0][0]:.1f},{way[0][1]:.1f}"
    for (x0, y0), (x1, y1) in zip(way, [*way[1:-1], (x, y - 5)], strict=False):
        middle = (y0 + y1) / 2
        path += f"C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"
    add(group, "title", f"{edge.target} builds on {edge.source}: {edge.reason}")
    add(group, "path", d=path, class_="hit")
    add(group, "path", d=path, class_=f"line l{series}")
    add(group, "path", d=f"M{x - 4:.1f},{y - 8:.1f}h8L{x:.1f},{y - 0.5:.1f}z", class_=f"s{series}")


def _draw_box(group: ElementTree.Element, family: Family, x: float, y: float, series: int) -> None:
    width = _width(family.name)
    reasons = (f"from {source}: {reason}" for source, reason in family.builds_on.items())
    add(group, "title", "\n".join([f"{family.name}, {family.year}", *([family.idea] if family.idea else []), *reasons]))
    radius = 2 if family.reference else _BOX / 2
    add(group, "rect", x=x - width / 2, y=y - _BOX / 2, width=width, height=_BOX, rx=radius, class_=f"l{series}")
    add(group, "text", family.name, x=x, y=y + 5, class_="middle")


def _draw_legend(svg: ElementTree.Element) -> None:
    x = 16.0
    for kind, radius, text in (
        ("box", 9, "lightweight family"),
        ("box reference", 2, "plain network, to compare with"),
        ("box ancestor", 9, "ancestor, not in this library"),
    ):
        group = add(svg, "g", class_=kind)
        add(group, "rect", x=x, y=14, width=28, height=18, rx=radius, class_="l0")
        add(svg, "text", text, x=x + 36, y=28)
        x += 36 + 6.6 * len(text) + 28


def _kind(family: Family) -> str:
    return "box ancestor" if family.ancestor else "box reference" if family.reference else "box"


def _highlight(number: int) -> str:
    """While the pointer rests on a box, let the edges of others step back."""
    return f".history:has(#box-{number}:hover) .edge:not(.e{number}){{opacity:.1}}"
