"""A picture of named values as bars, one under the other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from featherweight._files import write_atomically

from ._axes import linear_axis
from ._svg import add, canvas, to_file

_ROW, _TOP, _BOTTOM, _CHARACTER = 18, 34, 12, 7.0
_WIDTH, _RIGHT = 420, 60  # of the bars, and of the values written behind them


class Bar(NamedTuple):
    """One bar; those of equal `series` have one colour. The title is shown while the pointer rests on it."""

    name: str
    value: float
    series: int
    title: str


def write_bars(
    path: Path, bars: Sequence[Bar], *, label: str, text: Callable[[float], str], legend: Sequence[str]
) -> Path:
    """Write bars from zero on as an SVG file.

    Args:
        label: what the values are.
        text: writes a value with its unit.
        legend: what each series is.
    """
    axis = linear_axis(label, [0, *(bar.value for bar in bars)], text)
    left = max((len(bar.name) for bar in bars), default=0) * _CHARACTER + 12
    svg = canvas(left + _WIDTH + _RIGHT, _TOP + _ROW * len(bars) + _BOTTOM, label)
    add(svg, "text", label, x=left, y=20, class_="axis")
    place = left + _CHARACTER * len(label) + 40
    for series, name in enumerate(legend):
        add(svg, "rect", x=place, y=11, width=10, height=10, class_=f"s{series}")
        add(svg, "text", name, x=place + 16, y=20, class_="tick")
        place += 16 + _CHARACTER * len(name) + 24
    zero = left + axis.at(0) * _WIDTH
    for number, bar in enumerate(bars):
        end = left + axis.at(bar.value) * _WIDTH
        group = add(svg, "g", class_="mark", transform=f"translate(0,{_TOP + _ROW * number})")
        add(group, "title", bar.title)
        add(group, "text", bar.name, x=left - 8, y=12, class_="tick end")
        add(group, "rect", x=min(zero, end), y=2, width=abs(end - zero), height=_ROW - 6, class_=f"s{bar.series}")
        add(group, "text", text(bar.value), x=max(zero, end) + 6, y=12, class_="tick")
    return write_atomically(path, to_file(svg))
