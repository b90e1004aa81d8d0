"""What this machine can do at the most, found by short probes: the ceilings of a roofline."""

import json
import math
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from featherweight._files import make_folder, set_aside, write_atomically
from featherweight._machine import native

from ._process import Worker
from ._store import machine, machine_path, versions

VERSION = 2
SIDES = (256, 512, 1024)  # of matrices whose product shows the rate of multiply-adds
SETS = tuple(2**power for power in range(18, 29))  # bytes that a copy reads and writes: 256 KiB to 256 MiB
ROUNDS, TURN_SECONDS = 12, 0.01  # each round gives every probe a turn of so long: at its best, it had the machine alone


class CalibrationError(RuntimeError):
    """A stored calibration is missing, of another machine or version, or damaged; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Ceilings of this machine, with so many threads.

    Args:
        machine, versions, date: where, with what and when they were found.
        threads: of the processor.
        multiply_adds_per_second: type of number -> the best rate of a matrix product.
        bandwidth_bytes_per_second: bytes that a copy, or an operator that works in place, reads and writes -> the best
            rate; small ones lie in caches.
        call_seconds: kind of operator -> time of a call that has next to nothing to do.
        caches: level, kind and bytes of each, as the processor tells.
    """

    machine: str
    versions: dict[str, str]
    date: str
    threads: int
    multiply_adds_per_second: dict[str, float]
    bandwidth_bytes_per_second: dict[int, float]
    call_seconds: dict[str, float]
    caches: list[dict[str, Any]]

    def bandwidth(self, working_set_bytes: float) -> float:
        """Return the rate at which so many bytes move: that of the next larger set that was measured.

        Example:
            >>> rates = {1000: 8.0, 2000: 5.0}
            >>> found = Calibration(machine="", versions={}, date="", threads=1, multiply_adds_per_second={},
            ...                     bandwidth_bytes_per_second=rates, call_seconds={}, caches=[])
            >>> found.bandwidth(10), found.bandwidth(1500), found.bandwidth(10**9)
            (8.0, 5.0, 5.0)
        """
        sizes = sorted(self.bandwidth_bytes_per_second)
        return self.bandwidth_bytes_per_second[sizes[min(bisect_left(sizes, working_set_bytes), len(sizes) - 1)]]


def calibrate(threads: int = 1, *, timeout_seconds: float = 300.0) -> Calibration:
    """Probe this machine, in a process bound to as many cores as there are threads; it takes about ten seconds.

    Products of matrices show the rate of multiply-adds, copies of growing sets of bytes that of memory and caches, and
    operators on a single number what a call costs. All take turns, and the best turn counts.

    Args:
        threads: of the processor.
        timeout_seconds: the longest that it may take.
    Raises: WorkerError: the process failed or took longer.
    """
    with Worker("eager", threads, timeout_seconds) as worker:
        found = worker.ask(do="calibrate")
    return Calibration(
        machine=machine(),
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        threads=threads,
        multiply_adds_per_second=found["multiply_adds_per_second"],
        bandwidth_bytes_per_second={int(size): rate for size, rate in found["bandwidth_bytes_per_second"].items()},
        call_seconds=found["call_seconds"],
        caches=native().get("caches", []),
    )


def calibration_path(threads: int) -> Path:
    """Return where this machine's calibration is kept: one file for each machine and number of threads."""
    return machine_path("calibration", f"{threads}.json")


def save_calibration(calibration: Calibration, path: str | os.PathLike[str] | None = None) -> Path:
    """Write a calibration as JSON; default: where `load_calibration` looks."""
    target = Path(path) if path is not None else calibration_path(calibration.threads)
    make_folder(target.parent)
    return write_atomically(target, json.dumps({"version": VERSION, **asdict(calibration)}, indent=2) + "\n")


def load_calibration(threads: int = 1, path: str | os.PathLike[str] | None = None) -> Calibration:
    """Read this machine's calibration.

    Args:
        threads: of the processor.
        path: of another file than the one that `save_calibration` chooses.
    Raises: CalibrationError: there is none, it is of another machine, of other versions of PyTorch or of this file's
        form, or it is damaged, and then set aside under another name.
    """
    source = Path(path) if path is not None else calibration_path(threads)
    again = f"run `featherweight calibrate --runtimes none --threads {threads}`"
    if not source.is_file():
        raise CalibrationError(f"there is no {source}: {again}")
    try:
        found = json.loads(source.read_text(encoding="utf-8"))
        version = found.pop("version")
        calibration = _read(found) if version == VERSION else None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        aside = set_aside(source).name
        raise CalibrationError(f"{source} is damaged ({error}) and is now {aside}: {again}") from error
    if calibration is None:
        raise CalibrationError(f"{source} has version {version}; this featherweight reads {VERSION}: {again}")
    if calibration.threads != threads:
        raise CalibrationError(f"{source} is for {calibration.threads} threads; {threads} was asked for: {again}")
    if calibration.machine != machine():
        raise CalibrationError(f"{source} is of another machine, {calibration.machine}; this is {machine()}: {again}")
    then, now = calibration.versions.get("torch"), versions().get("torch")
    if then != now:
        raise CalibrationError(f"{source} was found with PyTorch {then}; this is {now}: {again}")
    return calibration


def _read(found: dict[str, Any]) -> Calibration:
    """Make a calibration of what a file holds. Raises: ValueError, KeyError, TypeError, AttributeError: it is none."""
    rates = {int(size): float(rate) for size, rate in found.pop("bandwidth_bytes_per_second").items()}
    calibration = Calibration(bandwidth_bytes_per_second=rates, **found)
    figures = {
        "multiply_adds_per_second": [calibration.multiply_adds_per_second[name] for name in _PRODUCTS],
        "bandwidth_bytes_per_second": list(rates.values()),
        "call_seconds": [calibration.call_seconds[name] for name in ("element-wise", "convolution")],
    }
    for name, numbers in figures.items():
        if not numbers or not all(math.isfinite(number) and number > 0 for number in numbers):
            raise ValueError(f"{name} must be numbers above 0, got {numbers}")
    return calibration


def calibrated(threads: int = 1, *, tell: Callable[[str], None] = lambda words: None) -> Calibration:
    """Read this machine's calibration; where there is none that can be used, probe, and keep what is found.

    Args:
        threads: of the processor.
        tell: is told why the machine is probed, and where the calibration is kept.
    Raises: WorkerError: the probes failed.
    """
    try:
        return load_calibration(threads)
    except CalibrationError as error:
        tell(f"{error}; its probes run now, about ten seconds")
    found = calibrate(threads)
    tell(f"kept in {save_calibration(found)}")
    return found


def probes() -> dict[str, Any]:
    """Run all probes in this process; `calibrate` asks for them in a process of their own."""
    import torch

    runs: dict[tuple[str, Any], Callable[[], object]] = {
        ("call", "element-wise"): _in_place(4),
        ("call", "convolution"): _tiny_convolution(),
        ("copy", 0): _copy(8),
        **{("copy", size): _copy(size) for size in SETS},
        **{("in place", size): _in_place(size // 2) for size in SETS},
        **{(name, side): product(side) for name, product in _PRODUCTS.items() for side in SIDES},
    }
    with torch.inference_mode():
        best = _best_seconds(runs)
    return {
        "multiply_adds_per_second": {name: max(side**3 / best[name, side] for side in SIDES) for name in _PRODUCTS},
        "bandwidth_bytes_per_second": {
            size: size / min(best[what, size] - best[nothing] for what, nothing in _MOVES) for size in SETS
        },
        "call_seconds": {name: best["call", name] for name in ("element-wise", "convolution")},
    }


_MOVES = (("copy", ("copy", 0)), ("in place", ("call", "element-wise")))  # and the same of next to nothing


def _best_seconds(runs: Mapping[Any, Callable[[], object]]) -> dict[Any, float]:
    """Time each function in turns with the others; return the seconds of a call in the best turn."""
    calls = {}
    for key, run in runs.items():
        run()
        calls[key] = max(1, int(TURN_SECONDS / min(_timed(run, 1) for _ in range(3))))
    best = dict.fromkeys(runs, math.inf)
    for _ in range(ROUNDS):
        for key, run in runs.items():
            best[key] = min(best[key], _timed(run, calls[key]) / calls[key])
    return best


def _tiny_convolution() -> Callable[[], object]:
    import torch

    x, weight = torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    return lambda: torch.nn.functional.conv2d(x, weight)


def _copy(size: int) -> Callable[[], object]:
    """Read and write so many bytes, in two places."""
    import torch

    source = torch.rand(size // 8)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _in_place(size: int) -> Callable[[], object]:
    """Read and write so many bytes each, in one place."""
    import torch

    return torch.zeros(size // 4).neg_


def _product(dtype: str) -> Callable[[int], Callable[[], object]]:
    def of(side: int) -> Callable[[], object]:
        import torch

        if dtype == "int8":
            a, b = (torch.randint(-8, 8, (side, side), dtype=torch.int8) for _ in range(2))
            return lambda: torch._int_mm(a, b)
        x, y = (torch.randn(side, side, dtype=getattr(torch, dtype)) for _ in range(2))
        return lambda: x @ y

    return of


_PRODUCTS = {name: _product(name) for name in ("float32", "bfloat16", "int8")}


def _timed(function: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return time.perf_counter() - start
