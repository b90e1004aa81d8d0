"""`featherweight calibrate`: what this machine can do at the most."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ._errors import usage
from ._output import Json, note, print_json, print_table
from .bench import numbers
from .cost import table

if TYPE_CHECKING:
    from featherweight.bench import Calibration


def calibrate(
    *,
    threads: Annotated[str, typer.Option(help="Processor threads, such as 1 or 1,2.")] = "1",
    as_json: Json = False,
) -> None:
    """Find what this machine can do at the most, and keep it.

    Short probes, some ten seconds for each number of threads: products of matrices show the rate of multiply-adds for
    each type of number, copies of growing sets of bytes that of caches and memory, and operators with nothing to do
    what a call costs. One file for each machine and number of threads is kept in your home.

    \b
    Examples:
      featherweight calibrate
      featherweight calibrate --threads 1,2
    """
    from featherweight.bench import calibrate as probe
    from featherweight.bench import save_calibration

    with usage():
        counts = numbers(threads, "--threads")
    found = []
    for count in counts:
        note(f"probing with {count} thread{'s' if count > 1 else ''}")
        found.append(probe(count))
        note(f"kept in {save_calibration(found[-1])}")
    if as_json:
        print_json({"calibrations": [asdict(one) for one in found]})
    else:
        print_table(table(f"{found[0].machine}: at the most", _rows(found), left=()))


def _rows(found: "list[Calibration]") -> list[list[str]]:
    from featherweight._units import format_bytes, format_count, format_seconds

    rows = [["", *(f"{one.threads} thread{'s' if one.threads > 1 else ''}" for one in found)]]
    for name in found[0].multiply_adds_per_second:
        rates = (f"{format_count(one.multiply_adds_per_second[name])}/s" for one in found)
        rows.append([f"multiply-adds, {name}", *rates])
    for size in found[0].bandwidth_bytes_per_second:
        copies = (f"{format_bytes(one.bandwidth_bytes_per_second[size])}/s" for one in found)
        rows.append([f"copying within {format_bytes(size)}", *copies])
    for name in found[0].call_seconds:
        rows.append([f"a call, {name}", *(format_seconds(one.call_seconds[name]) for one in found)])
    return rows
