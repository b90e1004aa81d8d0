import gc
import random
import time
from math import comb

import pytest

from featherweight.cost import measure_latency
from featherweight.cost._latency import latency_of, no_garbage_collection


class Clock:
    """A clock that only moves when a function says that time passed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def task(self, name: str, seconds: float) -> object:
        def run() -> None:
            self.calls.append(name)
            self.now += seconds

        return run


def test_medians_are_those_of_the_work(monkeypatch):
    clock = Clock(monkeypatch)
    latency = measure_latency({"quick": clock.task("quick", 0.001), "slow": clock.task("slow", 0.01)}, rounds=30)
    assert latency["quick"].median_seconds == pytest.approx(0.001)
    assert latency["slow"].median_seconds == pytest.approx(0.01)
    assert latency["slow"].runs == 30
    assert latency["slow"].confidence >= 0.95


def test_functions_take_turns_and_each_begins_in_turn(monkeypatch):
    clock = Clock(monkeypatch)
    measure_latency({"a": clock.task("a", 1), "b": clock.task("b", 1)}, rounds=4)
    assert "".join(clock.calls[-8:]) == "abbaabba"
    assert "".join(clock.calls[:-8]) == "a" * 10 + "b" * 10


def test_the_warm_up_lasts_until_no_run_is_faster(monkeypatch):
    clock = Clock(monkeypatch)
    left = [1.0 / (n + 1) for n in range(30)]

    def improving() -> None:
        clock.calls.append("run")
        clock.now += left.pop(0) if left else 1 / 30

    latency = measure_latency({"improving": improving}, rounds=10)
    assert latency["improving"].high_seconds == pytest.approx(1 / 30)
    assert len(clock.calls) > 40


@pytest.mark.parametrize(("limit", "runs"), [(10.0, None), (0.0, 1)])
def test_time_is_limited(monkeypatch, limit, runs):
    clock = Clock(monkeypatch)
    latency = measure_latency({"a": clock.task("a", 1), "b": clock.task("b", 1)}, rounds=1000, max_seconds=limit)
    if runs is None:
        assert clock.now <= limit
        assert latency["a"].runs == latency["b"].runs >= 2
    else:
        assert latency["a"].runs == latency["b"].runs == runs


def test_garbage_collection_rests_and_is_on_again():
    seen = []

    def fail() -> None:
        seen.append(gc.isenabled())
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        measure_latency({"fail": fail})
    assert seen == [False]
    assert gc.isenabled()


def test_who_had_garbage_collection_off_has_it_off_afterwards():
    gc.disable()
    try:
        with no_garbage_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_nothing_to_measure_is_an_error():
    with pytest.raises(ValueError, match="nothing to measure"):
        measure_latency({})
    with pytest.raises(ValueError, match="rounds must be 1 or more; got 0"):
        measure_latency({"a": lambda: None}, rounds=0)


@pytest.mark.parametrize("runs", [1, 2, 5, 6, 7, 10, 25, 100])
def test_the_interval_has_the_probability_of_coins(runs):
    latency = latency_of([float(n) for n in range(1, runs + 1)])
    below = int(latency.low_seconds) - 1  # so many runs lie outside on each side
    outside = 2 * sum(comb(runs, heads) for heads in range(below + 1)) / 2**runs
    assert latency.high_seconds == runs - below
    assert latency.confidence == pytest.approx(max(0.0, 1 - outside))
    assert latency.confidence >= 0.95 or below == 0
    wider = outside + 2 * comb(runs, below + 1) / 2**runs
    assert wider > 0.05 or 2 * (below + 2) > runs  # the next narrower one would not do


def test_the_interval_holds_the_median_as_often_as_it_says():
    random.seed(1)
    held = 0
    for _ in range(2000):
        latency = latency_of([random.expovariate(1.0) for _ in range(21)])
        held += latency.low_seconds <= 0.6931471805599453 <= latency.high_seconds
    assert held / 2000 == pytest.approx(latency.confidence, abs=0.015)
