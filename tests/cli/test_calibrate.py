"""`featherweight calibrate`: a table, and a file for each number of threads."""

import json

import pytest

from featherweight.bench import _calibration as calibration
from featherweight.bench import calibration_path, load_calibration
from featherweight.predictor import load_predictor, predictor_path


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(calibration, "SETS", (2**18,))
    monkeypatch.setattr(calibration, "SIDES", (64,))
    monkeypatch.setattr(calibration, "TURN_SECONDS", 0.001)
    monkeypatch.setattr(calibration.Worker, "ask", lambda self, do: json.loads(json.dumps(calibration.probes())))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def test_a_column_and_a_file_for_each_number_of_threads(featherweight):
    done = featherweight("calibrate", "--runtimes", "none", "--threads", "1,2")
    assert done.code == 0, done.err
    assert "1 thread" in done.out and "2 threads" in done.out
    assert "multiply-adds, int8" in done.out and "copying within 262 kB" in done.out
    assert str(calibration_path(2)) in done.err and load_calibration(2).threads == 2


def test_json(featherweight):
    (found,) = featherweight("calibrate", "--runtimes", "none", "--json").json["calibrations"]
    assert found["multiply_adds_per_second"] == load_calibration(1).multiply_adds_per_second
    assert found["threads"] == 1


@pytest.fixture
def learning(monkeypatch):
    """Learning takes no time, and its predictor is one for a runtime; of those in the list, it is interrupted."""
    from featherweight import predictor as package
    from featherweight.predictor._predictor import Baseline, LatencyPredictor, Whole

    interrupted: list[str] = []

    def learn(runtime, ceilings, *, seconds, progress):
        progress(31, 1.0)
        found = LatencyPredictor(
            runtime=runtime, threads=ceilings.threads, machine=ceilings.machine, versions=ceilings.versions,
            date=ceilings.date, networks=31, reference_seconds=1e-3, models={},
            baseline=Baseline(multiply_adds_per_second=1e9, bytes_per_second=1e9, call_seconds=1e-6),
            whole=Whole(share=1.0, seconds=0.0, deviation=0.03, usual=0.04, width=2.0),
        )  # fmt: skip
        if runtime in interrupted:
            raise package.LearningInterrupted(found)
        return found

    monkeypatch.setattr(package, "learn", learn)
    return interrupted


def test_each_runtime_is_learned_and_kept(featherweight, learning):
    done = featherweight("calibrate", "--runtimes", "eager,onnxruntime")
    assert done.code == 0, done.err
    assert "31 networks" in done.out and "/ 1.11 to x 1.11" in done.out  # exp(2 * hypot(0.03, 0.04))
    assert load_predictor("eager", 1).networks == load_predictor("onnxruntime", 1).networks == 31


def test_an_interrupt_keeps_what_there_is_and_ends_the_command(featherweight, learning):
    learning.append("onnxruntime")
    done = featherweight("calibrate", "--runtimes", "eager,onnxruntime,openvino", "--json")
    assert done.code == 130
    assert [one["runtime"] for one in done.json["predictors"]] == ["eager", "onnxruntime"]
    assert load_predictor("onnxruntime", 1).networks == 31
    assert not predictor_path("openvino", 1).exists()


def test_wrong_words(featherweight):
    done = featherweight("calibrate", "--threads", "all")
    assert done.code == 2 and "--threads: 'all' is no list of numbers" in done.err


@pytest.mark.parametrize(
    ("runtimes", "complaint"),
    [("compile", "compile does not tell what its operators take"), ("abacus", "no runtime is called 'abacus'")],
)
def test_runtimes_that_cannot_be_learned(featherweight, runtimes, complaint):
    done = featherweight("calibrate", "--runtimes", runtimes)
    assert done.code == 2 and complaint in done.err
