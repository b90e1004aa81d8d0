"""Quantities as people write and read them: `300 kB`, `2.13 ms`, `3.4 M`, `97 %`.

Inside the package every quantity is in its SI unit; these functions stand at the border. 1 kB is 1000 bytes everywhere,
1 KiB is 1024 bytes and understood, never printed.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

# (from this value on, size of the unit, unit), the largest first
_BYTES = ((1e12, 1e12, "TB"), (1e9, 1e9, "GB"), (1e6, 1e6, "MB"), (1e3, 1e3, "kB"), (0.0, 1.0, "B"))
_COUNTS = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e3, 1e3, "k"), (0.0, 1.0, ""))
_SECONDS = ((1.0, 1.0, "s"), (1e-5, 1e-3, "ms"), (1e-7, 1e-6, "µs"), (1e-12, 1e-9, "ns"), (0.0, 1.0, "s"))
_JOULES = ((1.0, 1.0, "J"), (1e-3, 1e-3, "mJ"), (1e-6, 1e-6, "µJ"), (1e-9, 1e-9, "nJ"), (0.0, 1e-12, "pJ"))

# fmt: off
_BYTES_IN = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}
_SECONDS_IN = {
    "ns": Decimal("1e-9"), "us": Decimal("1e-6"), "µs": Decimal("1e-6"), "ms": Decimal("1e-3"),
    "s": Decimal(1), "m": Decimal(60), "min": Decimal(60), "h": Decimal(3600),
}
# fmt: on
_COUNTS_IN = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_UNDERSTOOD_COUNT = "3M, 300k, 1.5G or 640"
_UNDERSTOOD_BYTES = "300kB, 1.5MB or 512KiB (1 kB = 1000 bytes, 1 KiB = 1024)"
_UNDERSTOOD_SECONDS = "2ms, 300us, 90s, 10min or 1h30m"
_UNDERSTOOD_PERCENT = "97%, 98.5% or 0.97"
_TERM = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]*)\s*", re.IGNORECASE)


def format_bytes(count: float, *, digits: int = 3) -> str:
    """Write a number of bytes with the unit that suits it.

    Args:
        digits: significant digits, for example more when two sizes must be told apart.

    Example:
        >>> format_bytes(300_000), format_bytes(1_234_567), format_bytes(512)
        ('300 kB', '1.23 MB', '512 B')
    """
    return _scaled(count, _BYTES, digits)


def format_count(count: float, *, digits: int = 3) -> str:
    """Write a large number (parameters, multiply-adds) with k, M, G or T.

    Example:
        >>> format_count(3.4e6), format_count(68_230), format_count(640)
        ('3.4 M', '68.2 k', '640')
    """
    return _scaled(count, _COUNTS, digits)


def format_seconds(seconds: float, *, digits: int = 3) -> str:
    """Write a time. Milliseconds reach down to 0.01 ms, so that latencies stand in one unit; minutes begin at 100 s.

    Example:
        >>> format_seconds(0.00213), format_seconds(0.000142), format_seconds(4e-6)
        ('2.13 ms', '0.142 ms', '4 µs')
        >>> format_seconds(90), format_seconds(605), format_seconds(9_000)
        ('90 s', '10 min 5 s', '2 h 30 min')
    """
    if abs(_rounded(seconds, digits)) >= 100:
        return _clock(seconds)
    return _scaled(seconds, _SECONDS, digits)


def format_joules(joules: float, *, digits: int = 3) -> str:
    """Write an energy.

    Example:
        >>> format_joules(0.00139), format_joules(3.7e-12), format_joules(0)
        ('1.39 mJ', '3.7 pJ', '0 pJ')
    """
    return _scaled(joules, _JOULES, digits)


def format_percent(fraction: float, *, decimals: int = 2) -> str:
    """Write a fraction in percent. Only what is everything is printed as 100 %.

    Example:
        >>> format_percent(0.97), format_percent(0.98472), format_percent(0.99999), format_percent(1)
        ('97 %', '98.47 %', '99.99 %', '100 %')
    """
    percent = fraction * 100
    if fraction < 1 and round(percent, decimals) >= 100:
        percent = 100 - 10.0**-decimals
    return f"{_strip(f'{percent:.{decimals}f}')} %"


def parse_bytes(size: str | float) -> int:
    """Read a size; a number is bytes, a text needs a unit, whose capitals do not matter.

    Raises: ValueError: not a size; the message says what came and what is understood.

    Example:
        >>> parse_bytes("300kB"), parse_bytes("1.5 MB"), parse_bytes("512KiB"), parse_bytes(2000)
        (300000, 1500000, 524288, 2000)
        >>> parse_bytes("300 bananas")
        Traceback (most recent call last):
        ...
        ValueError: not a size: '300 bananas'; understood: 300kB, 1.5MB or 512KiB (1 kB = 1000 bytes, 1 KiB = 1024)
    """
    if not isinstance(size, str):
        return round(_checked(size, "size", _UNDERSTOOD_BYTES))
    terms = _terms(size, _BYTES_IN, "size", _UNDERSTOOD_BYTES)
    if len(terms) != 1:
        raise ValueError(f"not a size: {size!r}; understood: {_UNDERSTOOD_BYTES}")
    return round(terms[0])


def parse_count(count: str | float) -> int:
    """Read a number of parameters or multiply-adds; the unit may be left out, and B is the papers' word for G.

    Raises: ValueError: not a count; the message says what came and what is understood.

    Example:
        >>> parse_count("3M"), parse_count("1.5 G"), parse_count("640"), parse_count(2e6)
        (3000000, 1500000000, 640, 2000000)
        >>> parse_count("3 apples")
        Traceback (most recent call last):
        ...
        ValueError: not a count: '3 apples'; understood: 3M, 300k, 1.5G or 640
    """
    if not isinstance(count, str):
        return round(_checked(count, "count", _UNDERSTOOD_COUNT))
    match = _TERM.fullmatch(count)
    if not match or match[2].lower() not in _COUNTS_IN:
        raise ValueError(f"not a count: {count!r}; understood: {_UNDERSTOOD_COUNT}")
    return round(Decimal(match[1]) * _COUNTS_IN[match[2].lower()])


def parse_seconds(time: str | float) -> float:
    """Read a time; a number is seconds, a text needs a unit.

    Raises: ValueError: not a time; the message says what came and what is understood.

    Example:
        >>> parse_seconds("2ms"), parse_seconds("90s"), parse_seconds("1h30m"), parse_seconds(0.5)
        (0.002, 90.0, 5400.0, 0.5)
        >>> parse_seconds("90")
        Traceback (most recent call last):
        ...
        ValueError: not a time: '90' has no unit; understood: 2ms, 300us, 90s, 10min or 1h30m
    """
    if not isinstance(time, str):
        return _checked(time, "time", _UNDERSTOOD_SECONDS)
    return float(sum(_terms(time, _SECONDS_IN, "time", _UNDERSTOOD_SECONDS), Decimal()))


def parse_percent(share: str | float) -> float:
    """Read a share as a fraction: a text with a percent sign, or a number from 0 to 1.

    Raises: ValueError: not a share, or not between 0 and 1; the message says what came and what is understood.

    Example:
        >>> parse_percent("97%"), parse_percent("98.5 %"), parse_percent(0.97), parse_percent("0.97")
        (0.97, 0.985, 0.97, 0.97)
        >>> parse_percent("97")
        Traceback (most recent call last):
        ...
        ValueError: not a share: '97' is not between 0 and 1; understood: 97%, 98.5% or 0.97
    """
    text = str(share).strip()
    number = text.removesuffix("%").strip()
    if not re.fullmatch(r"\d+(\.\d*)?(e-?\d+)?|\.\d+", number):
        raise ValueError(f"not a share: {share!r}; understood: {_UNDERSTOOD_PERCENT}")
    fraction = Decimal(number) / (100 if text.endswith("%") else 1)
    if fraction > 1:
        between = "0 % and 100 %" if text.endswith("%") else "0 and 1"
        raise ValueError(f"not a share: {share!r} is not between {between}; understood: {_UNDERSTOOD_PERCENT}")
    return float(fraction)


def _terms(text: str, units: Mapping[str, int | Decimal], what: str, understood: str) -> list[Decimal]:
    """Read `1h30m` as [3600, 1800]; the error says why it cannot be read."""
    terms: list[Decimal] = []
    position = 0
    while match := _TERM.match(text, position):
        number, unit = match.groups()
        if not unit:
            raise ValueError(f"not a {what}: {text!r} has no unit; understood: {understood}")
        if unit.lower() not in units:
            break
        terms.append(Decimal(number) * units[unit.lower()])
        position = match.end()
    if not terms or position != len(text):
        raise ValueError(f"not a {what}: {text!r}; understood: {understood}")
    return terms


def _checked(number: float, what: str, understood: str) -> float:
    if not 0 <= number < float("inf"):
        raise ValueError(f"not a {what}: {number!r}; understood: {understood}")
    return float(number)


def _scaled(value: float, units: Sequence[tuple[float, float, str]], digits: int) -> str:
    rounded = abs(_rounded(value, digits))
    size, unit = next((size, unit) for start, size, unit in units if rounded >= start)
    return f"{_plain(value / size, digits)} {unit}".rstrip()


def _clock(seconds: float) -> str:
    """Write whole minutes and seconds, or from an hour on hours and minutes."""
    whole = round(seconds)
    if whole < 3600:
        large, small, names = whole // 60, whole % 60, ("min", "s")
    else:
        large, small, names = round(seconds / 60) // 60, round(seconds / 60) % 60, ("h", "min")
    return f"{large} {names[0]} {small} {names[1]}" if small else f"{large} {names[0]}"


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _plain(value: float, digits: int) -> str:
    """Write with so many significant digits, without exponent and without trailing zeros."""
    return _strip(format(Decimal(f"{value:.{digits}g}"), "f"))


def _strip(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
