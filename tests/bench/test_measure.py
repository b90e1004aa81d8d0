"""Runtimes in processes of their own: turns, failures, crashes, and the verdict on noise."""

import os
import sys
from dataclasses import replace

import pytest

from featherweight.bench import Failure, Measurement, Subject, bench
from featherweight.bench import _measure as measure
from featherweight.bench._process import Worker, WorkerError
from featherweight.cost import latency_of

TINY = Subject(network="lenet5_bn", input_shape=(1, 32, 32))


def test_two_runtimes_two_batches():
    said = []
    found = list(bench([TINY], ["eager", "onnxruntime"], batches=[1, 3], rounds=3, progress=said.append))
    assert [(one.runtime, one.batch) for one in found] == [
        ("eager", 1), ("onnxruntime", 1), ("eager", 3), ("onnxruntime", 3)
    ]  # fmt: skip
    for one in found:
        assert isinstance(one, Measurement)
        assert one.subject.input_shape == (1, 32, 32) and one.threads == 1
        assert one.latency.runs == 3
        assert 0 < one.latency.low_seconds <= one.latency.median_seconds <= one.latency.high_seconds < 1
        assert one.difference < 1e-4 and one.probe_seconds > 0 and one.load_seconds > 0
    assert "lenet5_bn in eager, batch 1: gets ready" in said and "lenet5_bn, batch 3: round 3 of 3" in said


def test_what_a_runtime_cannot_do_is_told_and_the_next_goes_on():
    wrong = Subject(network="lenet5_bn", input_shape=(2, 32, 32))
    first, second = bench([wrong, TINY], ["eager"], rounds=1)
    assert (
        isinstance(first, Failure) and "is for pictures of 1 channels; got 2" in first.reason and first.subject == wrong
    )
    assert isinstance(second, Measurement)


class Scripted(Worker):
    """A child process with a script in place of the worker."""

    script = ""

    def _command(self):
        return [sys.executable, "-c", self.script]


ANSWERS = """
import json, os, sys, time
for line in sys.stdin:
    do = json.loads(line)["do"]
    if do == {when!r}: {then}
    answers = dict(
        load=dict(seconds=0.1, shape=[1, 8, 8], difference=0), warm_up=dict(seconds=0.1),
        time=dict(seconds=[0.01, 0.02], probe=0.001),
    )
    print(json.dumps(answers[do]), flush=True)
"""


@pytest.mark.parametrize("when", ["load", "warm_up", "time"])
@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("os.abort()", "its process died of it: SIGABRT"),
        ("sys.exit(3)", "its process died of it: exit code 3"),
        ("time.sleep(60)", "took longer than 2 s"),
    ],
)
def test_a_crash_takes_nothing_with_it(when, then, reason, monkeypatch):
    class Fragile(Scripted):
        def __init__(self, runtime, threads, timeout_seconds):
            super().__init__(runtime, threads, 2.0 if runtime == "eager" else 60.0)
            self.script = ANSWERS.format(when=when if runtime == "eager" else "", then=then)

    monkeypatch.setattr(measure, "Worker", Fragile)
    bad, good = bench([TINY], ["eager", "folded"], rounds=4)
    assert isinstance(bad, Failure) and reason in bad.reason
    assert isinstance(good, Measurement) and good.latency.median_seconds == pytest.approx(0.015)


def test_a_process_that_died_is_started_anew_by_the_next_network():
    class Once(Scripted):
        script = ANSWERS.format(when="time", then="os.abort()")

    with Once("eager", 1, 10.0) as worker:
        for _ in range(2):
            assert worker.ask(do="load")["shape"] == [1, 8, 8]
            with pytest.raises(WorkerError, match="SIGABRT"):
                worker.ask(do="time")
            with pytest.raises(WorkerError, match="its process has ended"):
                worker.ask(do="time")


def test_a_worker_is_bound_to_as_many_cores_as_it_has_threads():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system binds no processes")
    with Worker("eager", 1, 60.0) as worker:
        worker.ask(do="load", network="lenet5_bn", options={}, batch=1, shape=None)
        assert worker._process is not None
        assert len(os.sched_getaffinity(worker._process.pid)) == 1


def steady(**changes):
    result = Measurement(
        subject=TINY, runtime="eager", threads=1, batch=1, latency=latency_of([1.0] * 10), difference=0.0,
        load_seconds=1.0, outliers=0.0, drift=0.0, probe_seconds=0.001,
    )  # fmt: skip
    return replace(result, **changes)


def test_noise_is_named():
    assert steady().noise == ""
    assert steady(drift=0.04).noise == "drifted by +4%"
    assert steady(drift=-0.04).noise == "drifted by -4%"
    assert steady(outliers=0.25).noise == "25% outliers"
    assert steady(latency=latency_of([0.9, 1.0, 1.1] * 4)).noise == "known to 10.0% only"
    assert steady(latency=latency_of([0.98, 1.0, 1.02] * 4)).noise == "known to 2.0% only"  # another may be as far off
    assert steady(latency=latency_of([0.99, 1.0, 1.01] * 4)).noise == ""
    assert steady(latency=latency_of([1.0] * 5)).noise == "too few turns to tell"


def test_drift_and_outliers_are_found():
    loaded = {"difference": 0.0, "seconds": 1.0, "shape": [1, 32, 32]}
    turns = [[1.0, 1.0, 9.0]] * 4 + [[1.1, 1.1, 1.1]] * 4
    entry = measure.Entry(TINY, Worker("eager", 1, 1.0))
    found, medians = measure._summary(entry, 1, loaded=loaded, turns=turns, probe=0.001)
    assert medians == [1.0] * 4 + [1.1] * 4
    assert found.drift == pytest.approx(0.1) and found.outliers == pytest.approx(4 / 24)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "must be 1 or more"),
        ({"threads": [1, 0]}, "must be 1 or more"),
        ({"batches": [-1]}, "1 or more"),
    ],
)
def test_wrong_numbers(settings, message):
    with pytest.raises(ValueError, match=message):
        next(bench([TINY], ["eager"], **settings))
    with pytest.raises(ValueError, match="no networks"):
        next(bench([]))
