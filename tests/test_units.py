"""Quantities are written with the unit that suits them and read back without guessing."""

import pytest

from featherweight._units import (
    format_bytes,
    format_count,
    format_percent,
    format_seconds,
    parse_bytes,
    parse_percent,
    parse_seconds,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1 kB"), (300_000, "300 kB"), (999_600, "1 MB"), (2_500_000_000, "2.5 GB")],
)
def test_bytes_are_thousands(count: float, text: str) -> None:
    assert format_bytes(count) == text


def test_more_digits_tell_two_sizes_apart() -> None:
    assert format_bytes(300_400) == format_bytes(300_000) == "300 kB"
    assert format_bytes(300_400, digits=4) == "300.4 kB"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (640, "640"), (68_230, "68.2 k"), (3.4e6, "3.4 M"), (1.234e9, "1.23 G")]
)
def test_counts(count: float, text: str) -> None:
    assert format_count(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (5e-9, "5 ns"),
        (4e-6, "4 µs"),
        (0.000142, "0.142 ms"),
        (0.00213, "2.13 ms"),
        (0.9996, "1 s"),
        (59.99, "60 s"),
        (99.96, "1 min 40 s"),
        (119.6, "2 min"),
        (3599.6, "1 h"),
        (9000, "2 h 30 min"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("fraction", "text"), [(0, "0 %"), (0.97, "97 %"), (0.98472, "98.47 %"), (0.999999, "99.99 %"), (1, "100 %")]
)
def test_percent_is_100_only_for_all(fraction: float, text: str) -> None:
    assert format_percent(fraction) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [("300kB", 300_000), ("300 KB", 300_000), ("1MB", 10**6), ("0.1kb", 100), ("512KiB", 524_288), (7, 7), ("9b", 9)],
)
def test_sizes_are_read(text: str | int, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.3ms", 0.0003), ("300us", 0.0003), ("90s", 90), ("10min", 600), ("1h30m", 5400), ("1 h 30 min", 5400), (2, 2)],
)
def test_times_are_read(text: str | int, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "fraction"), [("97%", 0.97), ("98.5 %", 0.985), ("0.97", 0.97), (0.97, 0.97), (1, 1), (0, 0), ("100%", 1)]
)
def test_shares_are_read(text: str | float, fraction: float) -> None:
    assert parse_percent(text) == fraction


@pytest.mark.parametrize("text", ["", "kB", "3 bananas", "1kB2", "1kB 2kB", "-3kB", "1e3kB", "nan"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a size: '.*understood: 300kB, 1\.5MB or 512KiB") as error:
        parse_bytes(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["", "ms", "90", "1h30", "2 fortnights", "-1s", "1s!"])
def test_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a time: '.*understood: 2ms") as error:
        parse_seconds(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("share", ["", "%", "97", "101%", 97, -0.5, "most", float("nan")])
def test_not_a_share(share: str | float) -> None:
    with pytest.raises(ValueError, match=r"^not a share: .*understood: 97%") as error:
        parse_percent(share)
    assert repr(share) in str(error.value)


@pytest.mark.parametrize("number", [-1, float("nan"), float("inf")])
def test_numbers_out_of_range(number: float) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_bytes(number)
    with pytest.raises(ValueError, match="not a time"):
        parse_seconds(number)


@pytest.mark.parametrize("value", [1, 12, 300_000, 1_230_000])
def test_what_is_written_is_read_back(value: int) -> None:
    assert parse_bytes(format_bytes(value)) == value
    assert parse_seconds(format_seconds(value / 1000)) == pytest.approx(value / 1000, rel=5e-3)
