"""Int8 files: really int8, close to float, the same twice; and what cannot be quantized."""

import numpy as np
import onnx
import onnxruntime.quantization
import pytest
import torch

from featherweight import create
from featherweight.compress import QuantizationError, fold_batch_norm, quantize
from featherweight.compress._compact import compact
from featherweight.compress._qdq import demand_int8
from featherweight.export import compare, export, load

METADATA = {"labels": list("abcde"), "preprocessing": {"resolution": 16, "channels": 1}}


def pictures(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 1, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def float_file(calibrated, tmp_path_factory):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        options = {"num_classes": 5, "in_channels": 1, "small_input": True, "head_channels": 64}
        model = calibrated(create("mobilenet_v2", width=0.35, **options), (1, 16, 16))
    path = tmp_path_factory.mktemp("quantize") / "model.onnx"
    return export(fold_batch_norm(model), path, metadata=METADATA)


@pytest.fixture(scope="module")
def int8_file(float_file):
    return quantize(float_file, float_file.with_name("model-int8.onnx"), pictures(64))


def test_weights_and_activations_are_8_bit(float_file, int8_file):
    proto = onnx.load(int8_file)
    onnx.checker.check_model(proto, full_check=True)
    types = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    quantized = [node for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantized) > 50
    assert {types[node.input[2]] for node in quantized} == {onnx.TensorProto.UINT8}
    weights = [tensor for tensor in proto.graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    assert sum(np.prod(tensor.dims) for tensor in weights) > 200_000
    assert int8_file.stat().st_size < 0.5 * float_file.stat().st_size


def test_the_answers_are_close(float_file, int8_file):
    x = pictures(200, seed=1)
    reference, got = load(float_file)(x), load(int8_file)(x)
    noise = ((got - reference) ** 2).mean() / (reference**2).mean()
    assert noise < 0.3  # drawn weights pass rounding on louder than trained ones
    assert compare(reference, got, reference.argmax(1)).agreement > 0.7
    assert np.abs(got - reference).max() > 0  # the same to the last bit would be the float model


def test_metadata_and_names_are_carried_over(float_file, int8_file):
    was, now = onnx.load(float_file), onnx.load(int8_file)
    assert now.metadata_props == was.metadata_props
    assert now.producer_name == "featherweight"
    assert [(entry.domain, entry.version) for entry in now.opset_import] == [("", 20)]
    assert (now.graph.input, now.graph.output) == (was.graph.input, was.graph.output)
    assert load(int8_file).labels == tuple("abcde")


def test_the_same_input_gives_the_same_bytes_and_no_word(float_file, int8_file, tmp_path, capfd):
    again = quantize(float_file, tmp_path / "again.onnx", pictures(64))
    assert again.read_bytes() == int8_file.read_bytes()
    assert list(tmp_path.iterdir()) == [again]
    assert capfd.readouterr() == ("", "")


def test_percentiles_cut_outliers_off(float_file, int8_file, tmp_path, capfd):
    x = pictures(40)  # not a whole number of batches
    way = {"method": "percentile", "percentile": 95, "adaround": False, "keep_float": ()}
    cut = quantize(float_file, tmp_path / "cut.onnx", x, **way)
    assert input_scale(cut) < 0.7 * input_scale(int8_file)
    assert capfd.readouterr() == ("", "")


def input_scale(path):
    proto = onnx.load(path)
    [name] = [
        node.input[1] for node in proto.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "input"
    ]
    [scale] = [onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer if tensor.name == name]
    return float(scale)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (pictures(4).astype(np.float64), r"float32 \['N', 1, 16, 16\] with N at least 1; got float64 \[4, 1, 16, 16\]"),
        (pictures(4)[:, :, :8], r"got float32 \[4, 1, 8, 16\]"),
        (pictures(4)[:0], r"got float32 \[0, 1, 16, 16\]"),
        (pictures(1).tolist(), "as an array of float32; got list"),
        (pictures(4) * np.inf, "values that are not finite"),
    ],
)
def test_wrong_calibration_pictures(float_file, tmp_path, calibration, message):
    with pytest.raises(QuantizationError, match=message):
        quantize(float_file, tmp_path / "int8.onnx", calibration)
    assert list(tmp_path.iterdir()) == []


def test_an_int8_model_is_not_quantized_again(int8_file, tmp_path):
    with pytest.raises(QuantizationError, match="the model is quantized already"):
        quantize(int8_file, tmp_path / "int8.onnx", pictures(4))


def test_an_unknown_method(float_file, tmp_path):
    with pytest.raises(QuantizationError, match="unknown calibration method 'mean'; known: auto, minmax, percentile"):
        quantize(float_file, tmp_path / "int8.onnx", pictures(4), method="mean")


def test_a_layer_left_in_float_is_an_error(float_file, int8_file, tmp_path, monkeypatch):
    proto = onnx.load(float_file)
    with pytest.raises(QuantizationError, match=r"left \d+ layers in float: node_conv2d"):
        demand_int8(proto)
    monkeypatch.setattr(onnxruntime.quantization.QDQQuantizer, "quantize_model", lambda *_: proto)
    with pytest.raises(QuantizationError, match="layers in float"):
        quantize(float_file, tmp_path / "int8.onnx", pictures(4), method="minmax")
    assert list(tmp_path.iterdir()) == []
    demand_int8(onnx.load(int8_file))


def test_the_file_is_compact(int8_file):
    graph = onnx.load(int8_file).graph
    contents = [(t.data_type, tuple(t.dims), onnx.numpy_helper.to_array(t).tobytes()) for t in graph.initializer]
    assert len(set(contents)) == len(contents)
    assert "body.0.project.conv.weight" in {tensor.name for tensor in graph.initializer}
    numbers = sum(len(content) for _, _, content in contents)
    assert int8_file.stat().st_size - numbers < 0.25 * numbers


def test_compacting_changes_no_number(float_file):
    proto = onnx.load(float_file)
    before = load(proto.SerializeToString())(pictures(3))
    compact(proto.graph)
    assert np.array_equal(load(proto.SerializeToString())(pictures(3)), before)
