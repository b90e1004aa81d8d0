"""Axes of a chart: where a value lies between the two ends, and which round values get a tick."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_MANTISSAS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis from `low` to `high`.

    Args:
        label: what it shows.
        text: writes a tick's value, with its unit.
        log: equal ratios take equal room; `low` is then above zero.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    text: Callable[[float], str]
    log: bool = False

    def at(self, value: float) -> float:
        """Return where the value lies: 0 at the low end, 1 at the high end.

        Example:
            >>> Axis(label="size", low=1, high=16, ticks=(1, 4, 16), text=str, log=True).at(4)
            0.5
        """
        low, high, value = (math.log(number) if self.log else number for number in (self.low, self.high, value))
        return (value - low) / (high - low)


def linear_axis(
    label: str,
    values: Iterable[float],
    text: Callable[[float], str],
    *,
    floor: float = -math.inf,
    ceiling: float = math.inf,
    steps: int = 4,
) -> Axis:
    """Make an axis that holds all values between round ends.

    Args:
        values: the finite ones count; none at all gives 0 to 1.
        floor: the axis does not reach below it, as 0 for a loss; `ceiling` likewise, as 1 for an accuracy.
        steps: about so many, at most twice as many.

    Example:
        >>> linear_axis("accuracy", [0.934, 0.991], "{:g}".format, ceiling=1).ticks
        (0.92, 0.94, 0.96, 0.98, 1.0)
    """
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if low == high:
        margin = abs(low) / 10 or 1.0
        low, high = max(low - margin, floor), min(high + margin, ceiling)
    step = _round_step((high - low) / steps)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
    ticks = tuple(tick for tick in ticks if floor <= tick <= ceiling)
    return Axis(label=label, low=max(first * step, floor), high=min(last * step, ceiling), ticks=ticks, text=text)


def log_axis(label: str, values: Iterable[float], text: Callable[[float], str]) -> Axis:
    """Make a logarithmic axis that holds all values with a little room on either side.

    Args:
        values: the finite ones above zero count; none at all gives 1 to 10.

    Example:
        >>> log_axis("size", [30e3, 2e6], "{:g}".format).ticks
        (30000.0, 100000.0, 300000.0, 1000000.0)
    """
    known = [value for value in values if 0 < value < math.inf] or [1.0, 10.0]
    room = max((max(known) / min(known)) ** 0.06, 1.1)
    low, high = min(known) / room, max(known) * room
    for mantissas in _MANTISSAS:
        ticks = tuple(_decades(low, high, mantissas))
        if len(ticks) >= 3:
            return Axis(label=label, low=low, high=high, ticks=ticks, text=text, log=True)
    ticks = tuple(tick for tick in linear_axis(label, [low, high], text).ticks if low <= tick <= high)
    return Axis(label=label, low=low, high=high, ticks=ticks, text=text, log=True)


def _decades(low: float, high: float, mantissas: tuple[float, ...]) -> Iterator[float]:
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for mantissa in mantissas:
            tick = float(f"{mantissa}e{exponent}")
            if low <= tick <= high:
                yield tick


def _round_step(rough: float) -> float:
    """Return the smallest of 1, 2, 5 x a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
