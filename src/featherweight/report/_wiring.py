"""A block drawn layer by layer: a row of channels for each step, lines to the channels that they are made from."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from featherweight.blocks import Row, levels

from ._svg import add

COLOURS, QUIET = 7, 7  # coloured series, and the number of the grey one
_APART = 2.0  # room between two rows side by side, in channels
_MARGIN = 6.0  # above the first and below the last row, in pixels


class _Strip(NamedTuple):
    """A row on one level: the one where it is made, or one that it only passes on its way to a later step."""

    row: int
    channels: tuple[int, ...]
    passing: bool


Places = dict[tuple[int, int], dict[int, float]]  # by row and level: the x of each channel


def draw_wiring(
    parent: ElementTree.Element, rows: Sequence[Row], first_colours: Sequence[int], *, width: float, height: float
) -> None:
    """Draw a block's rows from its input, on top, to its output.

    A line has the colour of the channel that it comes from; a channel that is made from several colours is grey.

    Args:
        rows: `featherweight.blocks.wiring(block, in_channels)`.
        first_colours: of the input's channels.
        width, height: of the drawing, in pixels.
    """
    level = levels(rows)
    strips = [list(_strips(rows, level, at)) for at in range(max(level) + 1)]
    unit = width / max(sum(len(strip.channels) + _APART for strip in those) - _APART for those in strips)
    unit = min(unit, width / 12)
    places = _place(strips, rows, unit, width / 2)
    colours = _colour(rows, first_colours)
    step = (height - 2 * _MARGIN) / max(level)
    for at, those in enumerate(strips):
        for strip in those:
            y = _MARGIN + at * step
            for source, channel, target in _lines(rows, strip):
                x = places[source, at - 1][channel]
                kind = f"link l{colours[source][channel]}{' passing' if strip.passing else ''}"
                add(parent, "line", x1=x, y1=y - step, x2=places[strip.row, at][target], y2=y, class_=kind)
    radius = min(4.5, 0.36 * unit)
    for number, at in enumerate(level):
        for channel, x in places[number, at].items():
            y = _MARGIN + at * step
            add(parent, "circle", cx=x, cy=y, r=radius, class_=f"s{colours[number][channel]}")
    for at in range(1, len(strips)):
        words = [rows[strip.row].words for strip in strips[at] if not strip.passing]
        for line, text in enumerate(words):
            y = _MARGIN + (at - 0.5) * step + 4 + 15 * (line - (len(words) - 1) / 2)
            add(parent, "text", text, x=-14, y=y, class_="end")


def _strips(rows: Sequence[Row], level: Sequence[int], at: int) -> Iterator[_Strip]:
    """Find what stands on a level."""
    for number, row in enumerate(rows):
        later = [
            reader.reads[number]
            for reader, there in zip(rows, level, strict=True)
            if there > at and number in reader.reads
        ]
        if level[number] == at:
            yield _Strip(number, tuple(range(row.channels)), passing=False)
        elif level[number] < at and later:
            wanted = {channel for links in later for channel in links.any(0).nonzero().flatten().tolist()}
            yield _Strip(number, tuple(sorted(wanted)), passing=True)


def _lines(rows: Sequence[Row], strip: _Strip) -> Iterator[tuple[int, int, int]]:
    """Go through the lines that end in a strip: row and channel on the level above, and the strip's channel."""
    if strip.passing:
        yield from ((strip.row, channel, channel) for channel in strip.channels)
    else:
        for source, links in rows[strip.row].reads.items():
            yield from ((source, channel, target) for target, channel in links.nonzero().tolist())


def _place(strips: Sequence[list[_Strip]], rows: Sequence[Row], unit: float, middle: float) -> Places:
    """Give every channel of every strip its place; side by side, strips stand in the order of what they come from."""
    places: Places = {}
    for at, those in enumerate(strips):
        if at:
            those.sort(key=lambda strip: (_origin(strip, rows, places, at), not strip.passing))
        x = middle - unit * (sum(len(strip.channels) + _APART for strip in those) - _APART) / 2
        for strip in those:
            places[strip.row, at] = {channel: x + (i + 0.5) * unit for i, channel in enumerate(strip.channels)}
            x += unit * (len(strip.channels) + _APART)
    return places


def _origin(strip: _Strip, rows: Sequence[Row], places: Places, at: int) -> float:
    """Return the middle of the channels above that a strip comes from."""
    above = [places[source, at - 1][channel] for source, channel, _ in _lines(rows, strip)]
    return round(sum(above) / len(above), 3) if above else 0.0


def _colour(rows: Sequence[Row], first_colours: Sequence[int]) -> list[list[int]]:
    colours = [list(first_colours)]
    for row in rows[1:]:
        made_from: list[set[int]] = [set() for _ in range(row.channels)]
        for source, links in row.reads.items():
            for target, channel in links.nonzero().tolist():
                made_from[target].add(colours[source][channel])
        colours.append([those.pop() if len(those) == 1 else QUIET for those in made_from])
    return colours
