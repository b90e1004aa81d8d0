"""A roofline: the rate of each layer over its operations for each byte, under the ceilings of a machine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from featherweight._files import write_atomically
from featherweight._units import format_bytes, format_count, format_percent

from ._axes import Axis, log_axis
from ._charts import COLOURS, MARKERS
from ._svg import add, canvas, to_file

_WIDTH, _HEIGHT = 720, 500
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 64, 430
_LEGEND_STEP = 156
_SMALLEST, _LARGEST = 0.7, 3.0  # of a mark, times its outline
_STYLE = """
.roofline .name { font-size: 15px; font-weight: 650; fill: var(--ink); }
.roofline .ceiling { stroke: var(--ink); stroke-width: 1.6; stroke-opacity: .7; }
.roofline .mark path { fill-opacity: .75; }
"""
_DECADES = 5.5  # below the highest ceiling; what lies lower is drawn at the edge


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One layer of a roofline.

    Args:
        kind: of layer; gives colour and outline.
        intensity: operations for each byte, above 0.
        rate: operations per second, above 0.
        share: of the network's time, from 0 to 1; gives the size.
        title: shown while the pointer rests on it.
    """

    kind: str
    intensity: float
    rate: float
    share: float
    title: str


def write_roofline(
    path: str | Path,
    marks: Sequence[Mark],
    *,
    title: str,
    note: str,
    peaks: Mapping[str, float],
    bandwidths: Mapping[int, float],
) -> Path:
    """Write a roofline as a picture: a mark for each layer, its area by the share of the time that the layer takes.

    Args:
        path: of the file .svg; written whole or not at all.
        marks: the layers that compute.
        title: what is shown; `note` stands under it.
        peaks: type of number -> operations per second at the most.
        bandwidths: bytes -> bytes per second at which so many move; the fastest and the slowest are drawn.
    Raises: ValueError: the path does not end in .svg, or there is no mark.
    """
    if Path(path).suffix != ".svg":
        raise ValueError(f"a roofline is written as .svg; got {str(path)!r}")
    if not marks:
        raise ValueError("nothing to draw: no layer computes anything")
    return write_atomically(path, to_file(draw(marks, title=title, note=note, peaks=peaks, bandwidths=bandwidths)))


def draw(
    marks: Sequence[Mark], *, title: str, note: str, peaks: Mapping[str, float], bandwidths: Mapping[int, float]
) -> ElementTree.Element:
    """Draw the picture."""
    kinds = _kinds(marks)
    rows = math.ceil(len(kinds) * _LEGEND_STEP / (_WIDTH - _LEFT - _RIGHT))
    svg = canvas(_WIDTH, _HEIGHT + 20 * rows, title)
    svg.set("class", "chart roofline")
    add(svg, "style", _STYLE)
    add(svg, "text", title, x=16, y=24, class_="name")
    add(svg, "text", note, x=16, y=42)
    x, y = _axes(marks, peaks)
    _draw_axes(svg, x, y)
    slopes = _slopes(bandwidths)
    for text, peak in peaks.items():
        _draw_peak(svg, x, y, peak, f"{format_count(peak)}/s, {text}", starts=peak / max(slopes.values()))
    for label, bandwidth in slopes.items():
        _draw_slope(svg, x, y, bandwidth, label, ends=max(peaks.values()) / bandwidth)
    for one in sorted(marks, key=lambda mark: -mark.share):
        _draw_mark(svg, one, (_x(x, one.intensity), _y(y, one.rate)), kinds.index(one.kind))
    for number, kind in enumerate(kinds):
        across = (_WIDTH - _LEFT - _RIGHT) // _LEGEND_STEP
        place = (_LEFT + number % across * _LEGEND_STEP, _BOTTOM + 66 + 20 * (number // across))
        group = add(svg, "g", class_="mark", transform=f"translate({place[0]},{place[1]})")
        add(group, "path", d=MARKERS[number % len(MARKERS)], class_=f"s{number % COLOURS}")
        add(group, "text", kind, x=10, y=4)
    return svg


def _kinds(marks: Sequence[Mark]) -> list[str]:
    """List the kinds, that which takes the longest first."""
    shares: dict[str, float] = {}
    for one in marks:
        shares[one.kind] = shares.get(one.kind, 0.0) + one.share
    return sorted(shares, key=lambda kind: -shares[kind])


def _slopes(bandwidths: Mapping[int, float]) -> dict[str, float]:
    """Choose the smallest and the largest set of bytes: the nearest cache and memory."""
    return {
        f"{format_bytes(bandwidths[size])}/s within {format_bytes(size)}": bandwidths[size]
        for size in (min(bandwidths), max(bandwidths))
    }


def _axes(marks: Sequence[Mark], peaks: Mapping[str, float]) -> tuple[Axis, Axis]:
    top = max(*peaks.values(), *(one.rate for one in marks))
    rates = [max(one.rate, top / 10**_DECADES) for one in marks]
    intensities = [one.intensity for one in marks]
    return (
        log_axis("operations for each byte moved", [*intensities, 0.02, 20], "{:g}".format),
        log_axis("operations per second", [*rates, top * 1.3], lambda rate: format_count(rate).replace(" ", "\u202f")),
    )


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.at(value) * (_WIDTH - _RIGHT - _LEFT)


def _y(axis: Axis, value: float) -> float:
    return _BOTTOM - axis.at(max(value, axis.low)) * (_BOTTOM - _TOP)


def _draw_axes(svg: ElementTree.Element, x: Axis, y: Axis) -> None:
    for tick in y.ticks:
        height = _y(y, tick)
        add(svg, "line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=height, y2=height, class_="grid")
        add(svg, "text", y.text(tick), x=_LEFT - 7, y=height + 4, class_="tick end")
    for tick in x.ticks:
        place = _x(x, tick)
        add(svg, "line", x1=place, x2=place, y1=_TOP, y2=_BOTTOM, class_="grid")
        add(svg, "text", x.text(tick), x=place, y=_BOTTOM + 18, class_="tick middle")
    add(svg, "text", y.label, x=_LEFT + 6, y=_TOP + 14, class_="axis")
    add(svg, "text", x.label, x=_WIDTH - _RIGHT, y=_BOTTOM + 38, class_="axis end")


def _draw_peak(svg: ElementTree.Element, x: Axis, y: Axis, peak: float, label: str, *, starts: float) -> None:
    left, height = _x(x, max(starts, x.low)), _y(y, peak)
    add(svg, "line", x1=left, x2=_WIDTH - _RIGHT, y1=height, y2=height, class_="ceiling")
    add(svg, "text", label, x=_WIDTH - _RIGHT - 4, y=height - 6, class_="end")


def _draw_slope(svg: ElementTree.Element, x: Axis, y: Axis, bandwidth: float, label: str, *, ends: float) -> None:
    """Draw what a bandwidth allows, from the picture's edge up to the highest peak."""
    start, end = max(x.low, y.low / bandwidth), min(x.high, ends)
    (x1, y1), (x2, y2) = ((_x(x, at), _y(y, at * bandwidth)) for at in (start, end))
    add(svg, "line", x1=x1, x2=x2, y1=y1, y2=y2, class_="ceiling")
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    share = 0.97
    place = f"translate({x1 + share * (x2 - x1):.1f},{y1 + share * (y2 - y1):.1f}) rotate({angle:.1f})"
    add(svg, "text", label, x=0, y=-6, transform=place, class_="end")


def _draw_mark(svg: ElementTree.Element, one: Mark, place: tuple[float, float], series: int) -> None:
    scale = min(_LARGEST, max(_SMALLEST, 7 * math.sqrt(one.share)))
    group = add(svg, "g", transform=f"translate({place[0]:.1f},{place[1]:.1f})", class_="mark")
    add(group, "title", f"{one.title}, {format_percent(one.share)} of the time")
    add(
        group, "path", d=MARKERS[series % len(MARKERS)], transform=f"scale({scale:.2f})",
        class_=f"s{series % COLOURS}",
    )  # fmt: skip
