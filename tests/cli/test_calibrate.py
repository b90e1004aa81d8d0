"""`featherweight calibrate`: a table, and a file for each number of threads."""

import json

import pytest

from featherweight.bench import _calibration as calibration
from featherweight.bench import calibration_path, load_calibration


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(calibration, "SETS", (2**18,))
    monkeypatch.setattr(calibration, "SIDES", (64,))
    monkeypatch.setattr(calibration, "SECONDS", 0.01)
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
    assert found == json.loads(json.dumps(found)) and found["threads"] == 1


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
