"""Connectivity pictures: which input channels and which pixels reach the outputs of a block, at one glance."""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import torch
from torch import Tensor

from featherweight.blocks import Connectivity, Link

from ._svg import add, canvas, to_file

_SIDE = 216  # of each of the three parts, in pixels
_GAP = 44
_LEFT, _TOP, _FOOT = 16, 58, 48
_COLOURS, _QUIET = 7, 7  # coloured series, and the number of the grey one


def connectivity_picture(connectivity: Connectivity, *, title: str) -> str:
    """Draw what reaches what in a block, as an SVG file: lines from inputs to outputs, the same as a matrix, pixels.

    Channels that are linked to each other, by whatever way, have one colour, so that groups are seen. Links through the
    mean of the picture, as by squeeze-excite, are faint.

    Args:
        connectivity: `featherweight.blocks.connectivity(block, in_channels)`.
        title: what it is of.

    Example:
        >>> from torch import nn
        >>> from featherweight.blocks import connectivity
        >>> connectivity_picture(connectivity(nn.Conv2d(4, 4, 1, groups=2), 4), title="grouped")[:4]
        '<svg'
    """
    width, height = 2 * _LEFT + 3 * _SIDE + 2 * _GAP, _TOP + _SIDE + _FOOT
    svg = canvas(width, height, f"Connectivity of {title}")
    svg.set("class", "chart links")
    add(svg, "text", title, x=_LEFT, y=22, class_="name")
    parts = (_lines, "channels, in to out", _read_channels), (_matrix, "the same as a matrix", _matrix_words)
    for number, (draw, heading, words) in enumerate((*parts, (_pixels, "pixels of one output", _read_pixels))):
        group = add(svg, "g", transform=f"translate({_LEFT + number * (_SIDE + _GAP)},{_TOP})")
        add(group, "text", heading, x=0, y=-12, class_="axis")
        draw(group, connectivity)
        for line, text in enumerate(words(connectivity)):
            add(group, "text", text, x=0, y=_SIDE + 20 + 17 * line)
    return to_file(svg)


def _colours(groups: Sequence[int]) -> list[int]:
    return [group % _COLOURS if group >= 0 else _QUIET for group in groups]


def _cells(links: Tensor) -> Iterator[tuple[int, int, bool]]:
    """Go through the links of a matrix: row, column, whether it is direct; the faint ones first."""
    for kind in (Link.FAINT, Link.DIRECT):
        for row, column in (links == kind).nonzero().tolist():
            yield row, column, kind == Link.DIRECT


def _lines(group: ElementTree.Element, links: Connectivity) -> None:
    outputs, inputs = links.channels.shape
    in_groups, out_groups = links.groups()
    in_colours, out_colours = _colours(in_groups), _colours(out_groups)
    top, bottom = 6.0, _SIDE - 6.0
    for output, channel, direct in _cells(links.channels):
        way = {"x1": _place(channel, inputs), "y1": top, "x2": _place(output, outputs), "y2": bottom}
        add(group, "line", class_=f"link l{in_colours[channel]}" if direct else "faint", **way)
    for count, colours, y in ((inputs, in_colours, top), (outputs, out_colours, bottom)):
        for number, colour in enumerate(colours):
            add(group, "circle", cx=_place(number, count), cy=y, r=min(5.0, 0.36 * _SIDE / count), class_=f"s{colour}")


def _place(number: int, count: int) -> float:
    return (number + 0.5) * _SIDE / count


def _matrix(group: ElementTree.Element, links: Connectivity) -> None:
    outputs, inputs = links.channels.shape
    cell = _SIDE / max(outputs, inputs)
    colours = _colours(links.groups()[0])
    add(group, "rect", width=cell * inputs, height=cell * outputs, class_="plate")
    for output, channel, direct in _cells(links.channels):
        kind = f"s{colours[channel]}" if direct else "faint"
        _square(group, channel, output, cell, kind)


def _pixels(group: ElementTree.Element, links: Connectivity) -> None:
    side = len(links.pixels)
    cell = _SIDE / side
    add(group, "rect", width=_SIDE, height=_SIDE, class_="plate")
    for row, column, direct in _cells(links.pixels):
        _square(group, column, row, cell, "pixel" if direct else "faint")


def _square(group: ElementTree.Element, column: int, row: int, cell: float, kind: str) -> None:
    gap = 0.06 * cell
    x, y, side = column * cell + gap, row * cell + gap, cell - 2 * gap
    add(group, "rect", x=x, y=y, width=side, height=side, rx=cell / 8, class_=kind)


def _read_channels(links: Connectivity) -> list[str]:
    direct = (links.channels == Link.DIRECT).sum(1)
    read = f"an output reads {_between(direct)} of {links.channels.shape[1]} channels"
    return [read, *_faintly(links.channels)]


def _matrix_words(links: Connectivity) -> list[str]:
    outputs, inputs = links.channels.shape
    groups = len(set(links.groups()[0]))
    joined = "all linked" if groups == 1 else f"{groups} groups that do not meet"
    return [f"{inputs} inputs across, {outputs} outputs down;", joined]


def _read_pixels(links: Connectivity) -> list[str]:
    direct = links.pixels == Link.DIRECT
    rows, columns = (int(direct.any(dim).sum()) for dim in (1, 0))
    return [f"an output pixel reads {rows} x {columns} pixels", *_faintly(links.pixels)]


def _faintly(links: Tensor) -> list[str]:
    return ["and faintly all others"] if bool((links == Link.FAINT).any()) else []


def _between(counts: Tensor) -> str:
    low, high = (int(end) for end in torch.aminmax(counts))
    return str(low) if low == high else f"{low} to {high}"
