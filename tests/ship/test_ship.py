"""One network as several files: what is written, proven, measured, and held to bounds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from featherweight._exports import Sources
from featherweight.compress import QuantizationReport, _ways, quantize
from featherweight.export import TARGETS, ParityError, TargetError, c99, load
from featherweight.export._memory import MeasurementError, peak_memory_bytes
from featherweight.ship import Bounds, Pictures, Shipped, measured, of_pytorch, write_files

METADATA = {"labels": list("abcd"), "preprocessing": {"channels": 1, "resolution": 16}}
ONNX = TARGETS["onnx"]


def network(hidden: int = 8) -> nn.Module:
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, hidden),
        nn.Linear(hidden, 4),
    )
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return network()


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    draw = np.random.default_rng(0)
    test, calibration = (draw.standard_normal((24, 1, 16, 16), dtype=np.float32) for _ in range(2))
    return Pictures(test, draw.integers(0, 4, 24), calibration)


@pytest.fixture(scope="module")
def written(model, pictures, tmp_path_factory) -> list[Shipped]:
    folder = tmp_path_factory.mktemp("shipped") / "new"
    files = [(ONNX, "float32", folder / "model.onnx"), (ONNX, "int8", folder / "model-int8.onnx")]
    return list(write_files(model, files, pictures, metadata=METADATA))


def test_a_layer_in_float_is_not_for_microcontrollers(model, pictures, tmp_path, monkeypatch) -> None:
    found: list[QuantizationReport] = []
    plain = Sources(model, tmp_path, METADATA, pictures.calibration)
    quantize(plain.onnx, tmp_path / "plain.onnx", pictures.calibration, report=found.append)
    monkeypatch.setattr(_ways, "ENOUGH_DB", found[0].sqnr_db + 0.01)
    for bound in ("FEW_LAYERS", "FEW_WEIGHTS"):
        monkeypatch.setattr(_ways, bound, 1.0)
    assert plain.of(ONNX.form("int8")) == plain.int8_onnx
    whole = plain.of(TARGETS["c99"].form("int8"))
    assert whole.read_bytes() == (tmp_path / "plain.onnx").read_bytes() != plain.int8_onnx.read_bytes()
    with pytest.raises(c99.UnsupportedError, match=r"stayed in float; wanted all layers in int8: .* keep_float=0"):
        c99.export(plain.int8_onnx, tmp_path / "refused")
    assert c99.export(whole, tmp_path / "source").is_dir()


def test_float_is_proven_and_int8_compared(model, pictures, written) -> None:
    exact, small = written
    accuracy = of_pytorch(model, exact.file, pictures).accuracy
    for one in written:
        found = load(one.file)(pictures.test).argmax(1)
        assert one.accuracy == (found == pictures.labels).mean()
        assert one.loss == pytest.approx(accuracy - one.accuracy)
        assert one.bytes == one.file.stat().st_size
    assert (exact.agreement, exact.loss) == (1, 0)
    assert exact.max_logit_difference <= exact.allowed_logit_difference
    assert small.allowed_logit_difference is None


def test_without_labels_there_is_no_accuracy(model, pictures, tmp_path) -> None:
    (one,) = write_files(model, [(ONNX, "float32", tmp_path / "m.onnx")], Pictures(pictures.test), metadata=METADATA)
    assert (one.accuracy, one.loss, one.agreement) == (None, None, 1)


def test_what_fails_for_one_file_does_not_stop_the_others(model, pictures, tmp_path) -> None:
    files = [(ONNX, "int8", tmp_path / "int8.onnx"), (ONNX, "float32", tmp_path / "float.onnx")]
    refused, made = write_files(model, files, Pictures(pictures.test), metadata=METADATA)
    assert (refused.file, refused.good) == (None, False)
    assert "needs training pictures" in refused.error
    assert made.good and made.file.is_file()
    assert not (tmp_path / "int8.onnx").exists()


def test_a_file_whose_bytes_cannot_be_told_does_not_stop_the_others(model, pictures, tmp_path, monkeypatch) -> None:
    def shipped_bytes(path: Path) -> int:
        if path.name == "half.onnx":
            raise c99.CompilerError("there is no size here")
        return 7

    monkeypatch.setattr(ONNX.code(), "shipped_bytes", shipped_bytes, raising=False)
    files = [(ONNX, "float16", tmp_path / "half.onnx"), (ONNX, "float32", tmp_path / "float.onnx")]
    refused, made = write_files(model, files, pictures, metadata=METADATA)
    assert (refused.good, refused.error) == (False, "there is no size here")
    assert (made.good, made.bytes) == (True, 7)


def test_a_single_failure_is_raised(model, pictures, tmp_path) -> None:
    lacking = ONNX._replace(packages=("no_such_package",))
    with pytest.raises(TargetError, match="'no_such_package' is not installed"):
        list(write_files(model, [(lacking, "float32", tmp_path / "m.onnx")], pictures, metadata=METADATA))


def test_a_file_that_disagrees_is_not_kept(model, pictures, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("featherweight.ship._ship.logits_of", lambda *_: np.eye(24, 4, dtype=np.float32))
    (tmp_path / "m.onnx").write_bytes(b"what was there")
    with pytest.raises(ParityError, match="disagrees"):
        list(write_files(model, [(ONNX, "float32", tmp_path / "m.onnx")], pictures, metadata=METADATA))
    assert (tmp_path / "m.onnx").read_bytes() == b"what was there"


def test_measured_files_are_held_to_the_bounds(pictures, written) -> None:
    exact, small = written
    bounds = Bounds(bytes=(exact.bytes + small.bytes) // 2, latency_seconds=60.0, memory_bytes=1)
    large, fine = measured(written, pictures.test[:1], bounds=bounds, memory=False)
    assert large.broken.keys() == {"bytes"}
    assert (fine.broken, fine.good) == ({}, True)
    assert 0 < fine.latency_seconds < 60
    assert large.to_dict()["latency_seconds"] == large.latency.median_seconds


def test_what_is_not_there_is_not_measured(pictures) -> None:
    gone = Shipped(target="onnx", precision="float32", error="no such operator")
    assert measured([gone], pictures.test[:1], bounds=Bounds(latency_seconds=1e-9)) == [gone]


def test_a_larger_network_needs_more_memory(tmp_path, pictures, written) -> None:
    hidden = 1 << 14  # a matrix of 17 MB
    (one,) = write_files(network(hidden), [(ONNX, "float32", tmp_path / "m.onnx")], pictures, metadata=METADATA)
    small, large = (peak_memory_bytes(ONNX, file, 1) for file in (written[0].file, one.file))
    assert small + 4 * 256 * hidden < large < small + 8 * 4 * 256 * hidden


def test_a_process_that_cannot_measure_says_why(tmp_path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(MeasurementError, match=r"m.onnx: .* is not an ONNX model"):
        peak_memory_bytes(ONNX, tmp_path / "m.onnx", 1)


def test_what_a_runtime_prints_is_no_measurement(tmp_path, monkeypatch, written) -> None:
    (tmp_path / "loud.py").write_text("print('hello')")
    (tmp_path / "late.py").write_text("import atexit; atexit.register(print, 'bye')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert peak_memory_bytes(ONNX._replace(packages=("loud",)), written[0].file, 1) > 0
    with pytest.raises(MeasurementError, match=r"model\.onnx: .* ended with 'bye'; wanted bytes"):
        peak_memory_bytes(ONNX._replace(packages=("late",)), written[0].file, 1)


@pytest.mark.parametrize(
    ("bound", "complaint"), [({"bytes": 0}, "above 0"), ({"loss": 1.5}, "share in 0..1"), ({"accuracy": -1}, "share")]
)
def test_bounds_that_make_no_sense(bound, complaint) -> None:
    with pytest.raises(ValueError, match=complaint):
        Bounds(**bound)


def test_files_have_names_of_their_own() -> None:
    from featherweight.cli._exporting import usual_name

    names = [usual_name(target, precision) for target in TARGETS.values() for precision in target.precisions]
    assert len(set(names)) == len(names)
    assert all(Path(name).name == name for name in names)


def test_a_file_that_fails_later_does_not_lose_the_others(pictures, written, tmp_path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    damaged = Shipped(target="openvino", precision="float32", file=tmp_path / "m.onnx")
    bad, good = measured([damaged, written[0]], pictures.test[:1], memory=False)
    assert "is not an ONNX model" in bad.error
    assert (good.error, good.latency is None) == (None, False)


@pytest.mark.parametrize("defect", [TypeError, KeyError, AttributeError, AssertionError])
def test_a_defect_of_ours_is_no_row_of_the_table(model, pictures, tmp_path, monkeypatch, defect) -> None:
    def broken(*_, **__):
        raise defect("here")

    monkeypatch.setattr("featherweight.ship._ship.write_proven", broken)
    files = [(ONNX, precision, tmp_path / f"{precision}.onnx") for precision in ("float32", "int8")]
    with pytest.raises(defect, match="here"):
        list(write_files(model, files, pictures, metadata=METADATA))
