"""What `fit` leaves unmeasured because this machine was calibrated."""

from types import SimpleNamespace

import pytest

from featherweight._fit import _choose, _foresight
from featherweight._fit._choose import NothingFitsError, Probed, contenders
from featherweight.predictor import save_predictor
from featherweight.search import Budget, candidates


@pytest.fixture(scope="module")
def few():
    within, over = candidates(
        num_classes=10, channels=1, native_side=32, budget=Budget(), names=["mobilenet_v2", "shufflenet_v2"]
    )
    return within, over


@pytest.fixture
def measured(monkeypatch):
    """Which candidates are measured: each takes a nanosecond for each multiply-add."""
    asked: list[str] = []

    def measure(few, learner, threads):
        assert few, "there is nothing to measure, and the real one divides by how many there are"
        asked.extend(one.id for one in few)
        return Probed({one.id: one.multiply_adds * 1e-9 for one in few}, 0.1)

    monkeypatch.setattr(_choose, "measure", measure)
    monkeypatch.setattr(_choose, "training_rate", lambda learner, candidate: 1e11)
    return asked


def chosen(few, budget, foresee):
    return contenders(
        *few, SimpleNamespace(training_count=1000), budget, threads=1, training_seconds=60.0, foresee=foresee
    )  # fmt: skip


def test_what_is_foreseen_to_be_too_slow_is_not_measured(few, measured):
    budget = Budget(latency_seconds=1e-3)
    found, _, _ = chosen(few, budget, lambda one: one.multiply_adds * 0.9e-9)
    sizes = {one.id: one.multiply_adds for one in few[0]}
    assert measured and max(sizes[name] for name in measured) * 0.9e-9 <= 1e-3 * _choose.INT8_GAIN
    assert any(one.status != "over budget" for one in found)


def test_a_wrong_foresight_does_not_leave_one_with_nothing(few, measured):
    found, _, _ = chosen(few, Budget(latency_seconds=1e-3), lambda one: 1.0)
    assert measured and any(one.status != "over budget" for one in found)


def test_where_all_is_foreseen_and_is_too_slow_the_nearest_is_named(few, measured):
    with pytest.raises(NothingFitsError, match=r"the limit that binds is the latency. Nearest: "):
        chosen(few, Budget(latency_seconds=1e-9), lambda one: 1.0)
    assert measured


def test_without_limit_or_calibration_all_is_measured(monkeypatch, tmp_path, predictor):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    said: list[str] = []
    assert _foresight.foresight(Budget(latency_seconds=1e-3), 1, said.append) is None
    monkeypatch.setattr(_foresight, "RUNTIME", "eager")
    save_predictor(predictor)
    assert _foresight.foresight(Budget(), 1, said.append) is None
    assert said == []


def test_a_calibrated_machine_foresees_its_own_times(monkeypatch, tmp_path, predictor, few):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(_foresight, "RUNTIME", "eager")
    save_predictor(predictor)
    said: list[str] = []
    foresee = _foresight.foresight(Budget(latency_seconds=1e-3), 1, said.append)
    assert foresee is not None and "by the calibration of" in said[0]
    small, large = sorted(few[0], key=lambda one: one.multiply_adds)[:: len(few[0]) - 1]
    assert 0 < foresee(small) < foresee(large)


def test_nothing_is_foreseen_of_what_cannot_be_predicted(monkeypatch, tmp_path, predictor):
    """That predictor has seen no adder layers."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(_foresight, "RUNTIME", "eager")
    save_predictor(predictor)
    foresee = _foresight.foresight(Budget(latency_seconds=1e-3), 1, lambda line: None)
    adders = SimpleNamespace(network="adder_resnet20", options={}, resolution=32)
    assert foresee is not None and foresee(adders) == 0  # so it is measured


def test_a_damaged_calibration_is_told_and_does_not_stop_the_run(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    path = _foresight.predictor_path("onnxruntime", 1)
    path.parent.mkdir()
    path.write_bytes(b"nonsense")
    said: list[str] = []
    assert _foresight.foresight(Budget(latency_seconds=1e-3), 1, said.append) is None
    assert "latency is measured only" in said[0] and "is damaged" in said[0]
