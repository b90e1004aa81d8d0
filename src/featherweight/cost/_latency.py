"""Latency, measured fairly: candidates take turns, so that a slow moment of the machine meets all of them."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import comb
from statistics import median

CONFIDENCE = 0.95  # of an interval that is shown


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Time of one call.

    Args:
        median_seconds: of all runs.
        low_seconds: lower end of the confidence interval of the median.
        high_seconds: upper end.
        confidence: probability that the interval holds the true median, if the runs are independent; at least 0.95
            from 6 runs on. It assumes no shape of distribution.
        runs: how many were timed.
    """

    median_seconds: float
    low_seconds: float
    high_seconds: float
    confidence: float
    runs: int


def measure_latency(
    callables: Mapping[str, Callable[[], object]], *, rounds: int = 50, max_seconds: float | None = None
) -> dict[str, Latency]:
    """Time functions against each other.

    After a warm-up that lasts until a function no longer gets faster, each round calls every function once; every
    round starts with another one. Garbage collection is off meanwhile.

    Args:
        callables: name -> function that does the work once and waits for it.
        rounds: timed runs of each function.
        max_seconds: for all of it together; rounds that would not fit are left out, but each function is warmed up
            once and timed once. Default: no limit.
    Raises: ValueError: nothing to measure, or rounds is not positive.

    Example:
        >>> latency = measure_latency({"sum": lambda: sum(range(1000)), "nothing": lambda: None}, rounds=20)
        >>> latency["sum"].median_seconds > latency["nothing"].median_seconds
        True
        >>> latency["sum"].runs
        20
    """
    if not callables:
        raise ValueError("nothing to measure: callables is empty")
    if rounds < 1:
        raise ValueError(f"rounds must be 1 or more; got {rounds}")
    end = time.perf_counter() + (float("inf") if max_seconds is None else max_seconds)
    times: dict[str, list[float]] = {name: [] for name in callables}
    names = list(callables)
    gc.collect()
    with no_garbage_collection():
        # The warm-up may take a quarter of the time, shared equally.
        share = (end - time.perf_counter()) / 4 / len(names)
        for function in callables.values():
            _warm_up(function, share)
        for turn in range(rounds):
            start = time.perf_counter()
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                times[name].append(_timed(callables[name]))
            if time.perf_counter() + (time.perf_counter() - start) > end:
                break
    return {name: latency_of(seconds) for name, seconds in times.items()}


def latency_of(seconds: list[float]) -> Latency:
    """Summarize timed runs by their median and its confidence interval from the order of the runs.

    The k-th smallest and the k-th largest of n runs hold the median between them unless fewer than k runs fell on one
    side of it, which is a question of n fair coins.

    Example:
        >>> latency_of([3.0, 1.0, 2.0, 9.0, 4.0, 5.0, 6.0, 7.0])
        Latency(median_seconds=4.5, low_seconds=1.0, high_seconds=9.0, confidence=0.9921875, runs=8)
    """
    ordered, n = sorted(seconds), len(seconds)
    k, outside = 1, 2 / 2**n  # `outside`: probability that fewer than k runs fall on one of the two sides
    while 2 * (k + 1) <= n and outside + 2 * comb(n, k) / 2**n <= 1 - CONFIDENCE:
        outside += 2 * comb(n, k) / 2**n
        k += 1
    return Latency(
        median_seconds=median(ordered),
        low_seconds=ordered[k - 1],
        high_seconds=ordered[n - k],
        confidence=max(0.0, 1 - outside),
        runs=n,
    )


def _warm_up(function: Callable[[], object], seconds: float, least: int = 5, most: int = 100) -> None:
    """Call until the best of the last `least` calls is no faster than the best before them by more than 2 %."""
    end = time.perf_counter() + seconds
    times: list[float] = []
    while len(times) < most:
        times.append(_timed(function))
        if time.perf_counter() > end:
            return
        if len(times) >= 2 * least and min(times[-least:]) >= 0.98 * min(times[:-least]):
            return


def _timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Put garbage collection off meanwhile; afterwards it is as it was, whatever happens.

    Example:
        >>> with no_garbage_collection():
        ...     gc.isenabled()
        False
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
