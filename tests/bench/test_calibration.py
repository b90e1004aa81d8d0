"""Ceilings of the machine: found by probes, kept, and refused where they are not this machine's."""

import json
from dataclasses import replace

import pytest

from featherweight.bench import CalibrationError, calibrate, calibration_path, load_calibration, save_calibration
from featherweight.bench import _calibration as calibration


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "SETS", (2**18, 2**22))
        patch.setattr(calibration, "SIDES", (256,))
        patch.setattr(calibration.Worker, "ask", lambda self, do: json.loads(json.dumps(calibration.probes())))
        return calibrate()


def test_what_is_found_is_what_a_processor_can_do(found):
    assert set(found.multiply_adds_per_second) == {"float32", "bfloat16", "int8"}
    assert all(1e8 < rate < 1e14 for rate in found.multiply_adds_per_second.values())
    assert set(found.bandwidth_bytes_per_second) == {2**18, 2**22}
    assert all(1e8 < rate < 1e13 for rate in found.bandwidth_bytes_per_second.values())
    assert 1e-8 < found.call_seconds["element-wise"] < found.call_seconds["convolution"] < 1e-2


def test_it_is_kept_for_this_machine_and_number_of_threads(found, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(CalibrationError, match="run `featherweight calibrate --runtimes none --threads 1`"):
        load_calibration()
    assert save_calibration(found) == calibration_path(1)
    assert load_calibration() == found
    assert calibration_path(2) != calibration_path(1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"machine": "another, 64 processors"}, "is of another machine, another, 64 processors; this is "),
        ({"versions": {"torch": "1.0"}}, "was found with PyTorch 1.0; this is "),
    ],
)
def test_what_is_of_another_machine_or_version_is_refused(found, tmp_path, changed, message):
    path = save_calibration(replace(found, **changed), tmp_path / "calibration.json")
    with pytest.raises(CalibrationError, match=message):
        load_calibration(1, path)
    assert path.exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"multiply_adds_per_second": {}},
        {"multiply_adds_per_second": {"float32": -1.0, "bfloat16": 1.0, "int8": 1.0}},
        {"bandwidth_bytes_per_second": {}},
        {"bandwidth_bytes_per_second": {2**20: float("nan")}},
        {"call_seconds": {"element-wise": 1e-6}},
    ],
)
def test_figures_that_are_none_are_damage(found, tmp_path, changed):
    path = save_calibration(replace(found, **changed), tmp_path / "calibration.json")
    with pytest.raises(CalibrationError, match="is damaged"):
        load_calibration(1, path)


def test_another_number_of_threads_is_refused(found, tmp_path):
    path = save_calibration(replace(found, threads=4), tmp_path / "calibration.json")
    with pytest.raises(CalibrationError, match="is for 4 threads; 1 was asked for"):
        load_calibration(1, path)
    assert path.exists()


def test_files_of_another_form_are_refused(found, tmp_path):
    path = save_calibration(found, tmp_path / "calibration.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    with pytest.raises(CalibrationError, match="has version 99; this featherweight reads 2"):
        load_calibration(1, path)
    assert path.exists()


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"version": 2}', '{"version": 2, "bandwidth_bytes_per_second": {"x": 1}}']
)
def test_a_damaged_file_is_set_aside(tmp_path, content):
    path = tmp_path / "calibration.json"
    path.write_text(content)
    with pytest.raises(CalibrationError, match=r"is damaged \(.*\) and is now calibration.json.damaged-"):
        load_calibration(1, path)
    (aside,) = tmp_path.glob("calibration.json.damaged-*")
    assert aside.read_text() == content
