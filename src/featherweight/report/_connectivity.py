"""Connectivity pictures: which input channels and which pixels reach the outputs of a block, at one glance."""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import torch
from torch import Tensor, nn

from featherweight.blocks import Connectivity, Link, Row, connectivity, levels, wiring

from ._svg import add, canvas, to_file
from ._wiring import COLOURS, QUIET, draw_wiring

_SIDE = 216  # of the matrix and of the pixels, in pixels
_WORDS, _WIDE = 176, 300  # of the drawing layer by layer: its words, the drawing itself
_LEVEL = 46  # height of one layer, where there are many
_GAP = 44
_LEFT, _TOP, _FOOT = 16, 58, 48


def connectivity_picture(block: nn.Module, in_channels: int, *, title: str) -> str:
    """Draw what reaches what in a block, as an SVG file: channels layer by layer, from end to end, and pixels.

    On the left each step has a row of channels, with lines to those that it is made from; in the middle are the links
    from input to output that come of it, on the right the input pixels that one output pixel hangs on. Links through
    the mean of the picture, as by squeeze-excite, are faint.

    Args:
        block: maps [N, in_channels, H, W] to [N, out_channels, H', W']; with few channels, as in `GALLERY`.
        title: what it is.

    Example:
        >>> from torch import nn
        >>> connectivity_picture(nn.Conv2d(4, 4, 1, groups=2), 4, title="grouped")[:4]
        '<svg'
    """
    return to_file(draw_connectivity(block, in_channels, title=title))


def draw_connectivity(block: nn.Module, in_channels: int, *, title: str) -> ElementTree.Element:
    """Draw the picture of `connectivity_picture` as part of a page."""
    rows, links = wiring(block, in_channels), connectivity(block, in_channels)
    tall = max(_SIDE, _LEVEL * max(levels(rows)))
    x_matrix = _LEFT + _WORDS + _WIDE + _GAP
    x_pixels = x_matrix + _SIDE + _GAP
    svg = canvas(x_pixels + _SIDE + _LEFT, _TOP + tall + _FOOT, f"Connectivity of {title}")
    svg.set("class", "chart links")
    add(svg, "text", title, x=_LEFT, y=22, class_="name")
    part = _part(svg, _LEFT + _WORDS, "channels, step by step", [])
    draw_wiring(part, rows, _first_colours(rows), width=_WIDE, height=tall)
    _matrix(_part(svg, x_matrix, "inputs (across) to outputs", _read_channels(links)), links)
    _pixels(_part(svg, x_pixels, "input pixels of one output", _read_pixels(links)), links)
    return svg


def _part(svg: ElementTree.Element, x: float, heading: str, words: Sequence[str]) -> ElementTree.Element:
    """Begin one of the three parts."""
    group = add(svg, "g", transform=f"translate({x},{_TOP})")
    add(group, "text", heading, x=0, y=-12, class_="axis")
    for line, text in enumerate(words):
        add(group, "text", text, x=0, y=_SIDE + 20 + 17 * line)
    return group


def _first_colours(rows: Sequence[Row]) -> list[int]:
    """Colour the input by the groups of the first step that has any."""
    for row in rows[1:]:
        if row.reads.keys() == {0}:
            links = Connectivity(channels=row.reads[0].long() * Link.DIRECT, pixels=row.reads[0])
            if max(links.groups()[0]) > 0:
                return _colours(links)
    return [0] * rows[0].channels


def _colours(links: Connectivity) -> list[int]:
    """Give the input channels the colours of their groups."""
    return [group % COLOURS if group >= 0 else QUIET for group in links.groups()[0]]


def _cells(links: Tensor) -> Iterator[tuple[int, int, bool]]:
    """Go through the links of a matrix: row, column, whether it is direct; the faint ones first."""
    for kind in (Link.FAINT, Link.DIRECT):
        for row, column in (links == kind).nonzero().tolist():
            yield row, column, kind == Link.DIRECT


def _matrix(group: ElementTree.Element, links: Connectivity) -> None:
    outputs, inputs = links.channels.shape
    cell = _SIDE / max(outputs, inputs)
    colours = _colours(links)
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
    groups = 1 + max(links.groups()[0])
    read = f"an output reads {_between(direct)} of {links.channels.shape[1]}"
    apart = [f"{groups} groups that do not meet"] if groups > 1 else []
    return [read, *(_faintly(links.channels) or apart)]


def _read_pixels(links: Connectivity) -> list[str]:
    direct = links.pixels == Link.DIRECT
    rows, columns = (int(direct.any(dim).sum()) for dim in (1, 0))
    return [f"an output reads {rows} x {columns}", *_faintly(links.pixels)]


def _faintly(links: Tensor) -> list[str]:
    return ["and faintly all others"] if bool((links == Link.FAINT).any()) else []


def _between(counts: Tensor) -> str:
    low, high = (int(end) for end in torch.aminmax(counts))
    return str(low) if low == high else f"{low} to {high}"
