"""OpenVINO's own files: written in float32, float16 and int8, run, and held against ONNX Runtime."""

import json
import os

import numpy as np
import onnx
import openvino_telemetry
import pytest
import torch

from featherweight import create
from featherweight.compress import fold_batch_norm, quantize
from featherweight.export import ModelFileError, compare, load, openvino, probe, prove
from featherweight.export._targets import HALF_TOLERANCE

METADATA = {"labels": ["a\"<b>&'", "три\n", "c"], "preprocessing": {"resolution": 16, "channels": 3}}
MULTIPLYING = ("Convolution", "GroupConvolution", "FullyConnected", "MatMul")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).normal(size=(8, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(calibrated, pictures, tmp_path_factory):
    """A folder with float.onnx and int8.onnx, of a network with channel shuffles."""
    folder = tmp_path_factory.mktemp("openvino")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = calibrated(create("shufflenet_v2", width=0.5, num_classes=3, small_input=True), (3, 16, 16))
        (folder / "float.onnx").write_bytes(probe(fold_batch_norm(model), (3, 16, 16), batch=len(pictures)))
    quantize(folder / "float.onnx", folder / "int8.onnx", pictures)
    return folder


def test_nothing_is_sent_over_the_network(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("CI", "false")  # as on a user's machine
    imported, require = [], openvino.require
    monkeypatch.setattr(openvino, "require", lambda *a, **k: imported.append(os.environ["CI"]) or require(*a, **k))
    openvino.load(openvino.export(folder / "float.onnx", tmp_path / "ir", metadata=METADATA))
    assert os.environ["CI"] == "false"
    assert set(imported) == {"true"}
    assert openvino_telemetry.Telemetry().consent is False


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float16", HALF_TOLERANCE)])
def test_float_files_give_the_same_logits(folder, pictures, tmp_path, precision, tolerance):
    path = openvino.export(folder / "float.onnx", tmp_path / "ir", precision=precision, metadata=METADATA)
    assert {file.name for file in path.iterdir()} == {"model.xml", "model.bin"}
    runner, expected = openvino.load(path), load(folder / "float.onnx")(pictures)
    assert prove(expected, runner(pictures), np.zeros(8, np.int64), tolerance=tolerance).agreement == 1
    assert runner.labels == tuple(METADATA["labels"])
    assert runner.preprocessing == METADATA["preprocessing"]
    assert (runner.input_shape, runner.num_classes) == ((3, 16, 16), 3)
    weights = sum(tensor.ByteSize() for tensor in onnx.load(folder / "float.onnx").graph.initializer)
    assert path.joinpath("model.bin").stat().st_size == pytest.approx(
        weights if precision == "float32" else weights / 2, rel=0.05
    )


def test_int8_stays_int8(folder, pictures, tmp_path):
    path = openvino.export(folder / "int8.onnx", tmp_path / "ir", precision="int8")
    assert path.joinpath("model.bin").stat().st_size < 0.35 * (folder / "float.onnx").stat().st_size
    runner = openvino.load(path, counters=True)
    got = runner(pictures)
    ran = [node.exec_type for node in runner.request.profiling_info if node.node_type in MULTIPLYING]
    layers = sum(node.op_type in ("Conv", "Gemm") for node in onnx.load(folder / "float.onnx").graph.node)
    assert len(ran) >= layers, "none is merged away or left out of the count"
    assert all(kind.endswith("I8") for kind in ran)
    # The logits are not rounded, and the converter multiplies scales beforehand, which can send a tie the other way.
    as_onnx = openvino.load(folder / "int8.onnx")(pictures)
    written = onnx.load(folder / "int8.onnx").graph
    last = next(node for node in written.node if written.output[0].name in node.output)
    step = next(onnx.numpy_helper.to_array(one) for one in written.initializer if one.name == last.input[1])
    assert np.abs(got - as_onnx).max() <= 2.01 * step
    assert (np.abs(got - as_onnx) > 0.51 * step).mean() <= 0.1
    assert compare(load(folder / "float.onnx")(pictures), got, np.zeros(8, np.int64)).agreement > 0.5
    assert runner.metadata["network"]["name"] == "shufflenet_v2"


def test_an_int8_graph_keeps_nothing_of_the_converter(pictures, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.Hardswish(), torch.nn.Conv2d(8, 4, 14), torch.nn.Flatten()
        )
    (tmp_path / "float.onnx").write_bytes(probe(network.eval(), (3, 16, 16), batch=len(pictures)))
    quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", pictures, method="minmax")
    text = openvino.export(tmp_path / "int8.onnx", tmp_path / "ir", precision="int8").joinpath("model.xml").read_text()
    assert 'type="HSwish"' in text
    assert "HardSigmoid" not in text
    assert 'element_type="i32"' not in text  # biases
    assert text.count('type="FakeQuantize"') == 4  # the input, two layers, hard-swish
    wanted = load(tmp_path / "float.onnx")(pictures)
    error = ((openvino.load(tmp_path / "ir")(pictures) - wanted) ** 2).mean()
    assert error <= ((load(tmp_path / "int8.onnx")(pictures) - wanted) ** 2).mean() * 1.1


def test_what_cannot_be_written(folder, tmp_path):
    for name, precision, complaint in (
        ("int8", "float32", "is int8; it cannot become float32"),
        ("float", "int8", "is float32; it cannot become int8"),
        ("float", "bfloat16", "openvino has no bfloat16; it has float32, float16, int8"),
    ):
        with pytest.raises(ValueError, match=complaint):
            openvino.export(folder / f"{name}.onnx", tmp_path / "ir", precision=precision)
    with pytest.raises(ModelFileError, match="cannot read"):
        (tmp_path / "text.onnx").write_text("no model")
        openvino.export(tmp_path / "text.onnx", tmp_path / "ir")
    assert not (tmp_path / "ir").exists()


def test_files_that_cannot_be_read(folder, tmp_path):
    path = openvino.export(folder / "float.onnx", tmp_path / "ir")
    whole = (path / "model.bin").read_bytes()
    (path / "model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match=r"OpenVINO cannot read .*ir: (.|\n)*Incorrect weights"):
        load(path)
    (path / "model.xml").write_text("<net>")
    with pytest.raises(ModelFileError, match=r"OpenVINO cannot read"):
        load(path / "model.xml")
    proto = onnx.load(folder / "float.onnx")
    del proto.metadata_props[:]
    with pytest.raises(ModelFileError, match="is a model, but not one that featherweight exported"):
        openvino.load(proto.SerializeToString())
    proto.metadata_props.add(key="featherweight", value=json.dumps({"labels": ["a"]}))
    with pytest.raises(ModelFileError, match="wanted 3 labels"):
        openvino.load(proto.SerializeToString()).labels  # noqa: B018
