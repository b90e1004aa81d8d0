"""The steps of quantization, each against what it promises: closed forms, brute force, and what stays the same."""

import numpy as np
import onnx
import onnxruntime
import pytest

from featherweight.compress import QuantizationError, _quantize, _ways, quantize
from featherweight.compress._bias import correct_bias
from featherweight.compress._layers import Graph, channel_means, outputs, run
from featherweight.compress._ranges import choose_ranges, observe
from featherweight.compress._rounding import round_adaptively
from featherweight.compress._sensitivity import measure_sensitivity, noise_of
from featherweight.compress._weights import channel_scales, snap

from .small import copied, pictures, small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("steps") / "model.onnx")


def test_layers_are_named_as_in_the_network(model):
    layers = Graph(model).layers()
    assert [layer.name for layer in layers] == ["stem", "depthwise", "project", "expand", "grouped", "head"]
    assert [layer.groups for layer in layers] == [1, 12, 1, 1, 4, 1]
    assert all(layer.bias for layer in layers)


def test_bias_correction_makes_each_channels_mean_error_zero(model):
    x = pictures()
    layers = Graph(model).layers()
    weights = {}
    for layer in layers:
        weight = Graph(model).constant(layer.weight)
        weights[layer.weight] = snap(weight, channel_scales(weight, layer.axis, 7), layer.axis, 7)
    biases = correct_bias(model, weights, x)
    wanted = channel_means(run(model, x, [layer.output for layer in layers]))
    for layer in layers:  # each alone, given the float input
        alone = copied(model)
        Graph(alone).set_constant(layer.weight, weights[layer.weight])
        off = np.abs(channel_means(run(alone, x, [layer.output]))[layer.output] - wanted[layer.output]).max()
        Graph(alone).set_constant(layer.bias, biases[layer.bias])
        left = np.abs(channel_means(run(alone, x, [layer.output]))[layer.output] - wanted[layer.output]).max()
        assert left < 1e-5
        assert off > 1e-3


def test_fused_kernels_cut_no_sum_off(model, tmp_path):
    bright = copied(model)
    for layer in Graph(bright).layers():  # weights and activations all at their last levels: the largest sums there are
        weight = Graph(bright).constant(layer.weight)
        Graph(bright).set_constant(layer.weight, np.full_like(weight, 1 / weight[0].size))
    onnx.save(bright, tmp_path / "float.onnx")
    x = np.repeat(np.array([2, 3], np.float32), 3 * 8 * 8).reshape(2, 3, 8, 8)
    quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", x, method="minmax", correct_bias=False, equalize=False)
    session = onnxruntime.InferenceSession(tmp_path / "int8.onnx", providers=["CPUExecutionProvider"])
    [fused] = session.run(None, {session.get_inputs()[0].name: x})
    reference = outputs(onnx.load(tmp_path / "int8.onnx"), x)
    assert np.abs(fused - reference).max() < 0.01 * np.abs(reference).max()


def test_adaptive_rounding_lowers_every_layers_error(model):
    x = pictures()
    graph = Graph(model)
    scales = {one.weight: channel_scales(graph.constant(one.weight), one.axis, 7) for one in graph.layers()}
    weights, biases = round_adaptively(model, scales, 4, x)
    best = copied(model)
    for name, values in {**weights, **biases}.items():
        Graph(best).set_constant(name, values)
    shares = []
    before = copied(model)  # as far as the layer before, the same as `best`
    for layer in graph.layers():
        wanted, got = outputs(model, x, layer.output), outputs(best, x, layer.output)
        nearest = copied(before)
        weight = snap(graph.constant(layer.weight), scales[layer.weight], layer.axis, 7)
        Graph(nearest).set_constant(layer.weight, weight)
        off = outputs(nearest, x, layer.output) - wanted
        axes = tuple(axis for axis in range(off.ndim) if axis != 1)
        off -= off.mean(axes, keepdims=True)  # the nearest with its bias corrected
        shares.append(((got - wanted) ** 2).mean() / (off**2).mean())
        assert np.abs((got - wanted).mean(axes)).max() < 1e-4
        whole = weights[layer.weight] / np.expand_dims(
            scales[layer.weight], [a for a in range(weight.ndim) if a != layer.axis]
        )
        assert np.abs(whole - np.rint(whole)).max() < 1e-3
        assert np.abs(np.rint(whole)).max() <= 7
        for name in (layer.weight, layer.bias):
            Graph(before).set_constant(name, {**weights, **biases}[name])
    assert max(shares) < 1.001
    assert min(shares) < 0.7


def test_one_sensitive_layer_is_found(model):
    x = pictures()
    graph = Graph(model)
    weights = {one.weight: graph.constant(one.weight) for one in graph.layers()}
    project = next(one for one in graph.layers() if one.name == "project")
    weights[project.weight] = snap(weights[project.weight], channel_scales(weights[project.weight], 0, 7) * 4, 0, 7)
    ranges = choose_ranges(model, observe(model, x), method="minmax")
    first, *others = measure_sensitivity(model, weights, ranges, x)
    assert first.layer == "project"
    assert first.noise > 10 * others[0].noise > 0
    assert {one.operator for one in others} == {"Conv", "Conv, depthwise", "Gemm"}
    assert first.to_dict()["sqnr_db"] == pytest.approx(-10 * np.log10(first.noise))


@pytest.fixture(scope="module")
def float_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("quantize") / "float.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_the_default_is_the_best_that_was_tried(float_file, tmp_path):
    found = []
    x = pictures()
    path = quantize(float_file, tmp_path / "int8.onnx", x, report=found.append)
    [report] = found
    best = max(report.tried, key=lambda tried: tried.sqnr_db)
    assert (report.method, report.equalized > 0, report.sqnr_db) == (best.method, best.equalize, best.sqnr_db)
    assert {tried.method for tried in report.tried} == {"minmax", "percentile", "mse"}
    assert report.equalized == 4  # the channels were drawn so that it must help
    reference, got = outputs(onnx.load(float_file), x), outputs(onnx.load(path), x)
    assert report.sqnr_db == pytest.approx(-10 * np.log10(noise_of(reference, got)), abs=0.01)
    assert report.to_dict()["path"] == str(path)


def test_layers_stay_in_float_as_planned(float_file, tmp_path):
    found = []
    quantize(float_file, tmp_path / "a.onnx", pictures(), method="mse", keep_float=["head"], report=found.append)
    quantize(float_file, tmp_path / "b.onnx", pictures(), method="mse", keep_float=2, report=found.append)
    wanted = found[1].sqnr_db - 1
    quantize(float_file, tmp_path / "c.onnx", pictures(), method="mse", least_sqnr_db=wanted, report=found.append)
    assert found[0].kept_float == ("head",)
    assert found[1].kept_float == tuple(one.layer for one in found[1].sensitivity[:2])
    assert found[2].sqnr_db >= wanted
    assert len(found[2].kept_float) <= 2
    stored = {t.name: t.data_type for t in onnx.load(tmp_path / "a.onnx").graph.initializer if len(t.dims) > 1}
    assert [name for name, kind in stored.items() if kind == onnx.TensorProto.FLOAT] == ["head.weight"]


def test_between_layers_in_float_nothing_is_rounded(float_file, tmp_path):
    def rounded_after(kept):
        path = quantize(float_file, tmp_path / "a.onnx", pictures(), method="mse", keep_float=kept, keep_names=True)
        graph = onnx.load(path).graph
        return {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}

    layers = {layer.name: layer for layer in Graph(onnx.load(float_file)).layers()}
    between = layers["head"].input
    assert between in rounded_after(["grouped"])
    assert between in rounded_after(["head"]) or layers["grouped"].output in rounded_after(["head"])
    both = rounded_after(["grouped", "head"])
    assert between not in both
    assert layers["grouped"].output not in both
    assert layers["expand"].input in both


def test_a_few_light_layers_stay_in_float_where_that_is_enough(float_file, tmp_path, monkeypatch):
    found = []

    def quantized(**given):
        quantize(float_file, tmp_path / "a.onnx", pictures(), method="mse", report=found.append, **given)
        return found[-1]

    plain = quantized(sensitivity=True)
    assert plain.kept_float == ()
    light = next(one for one in plain.sensitivity if one.weights <= 100)
    monkeypatch.setattr(_ways, "ENOUGH_DB", plain.sqnr_db + 0.01)
    assert quantized().kept_float == (), "none of these layers has only a twentieth of the weights"
    monkeypatch.setattr(_ways, "FEW_WEIGHTS", 100 / sum(one.weights for one in plain.sensitivity))
    assert quantized().kept_float == (light.layer,)
    assert found[-1].sqnr_db >= _ways.ENOUGH_DB
    assert quantized(keep_float=0).kept_float == quantized(bits=6).kept_float == ()
    monkeypatch.setattr(_ways, "ENOUGH_DB", 150.0)
    assert quantized().kept_float == (), "one layer of six is not enough"


def test_weights_are_rounded_adaptively_where_the_nearest_is_too_noisy(float_file, tmp_path, monkeypatch):
    found = []
    for bound in (0.0, 150.0):
        monkeypatch.setattr(_quantize, "NEAR_DB", bound)
        quantize(float_file, tmp_path / "a.onnx", pictures(), method="mse", report=found.append)
    assert [report.adaround for report in found] == [False, True]
    assert found[1].sqnr_db != found[0].sqnr_db
    quantize(float_file, tmp_path / "a.onnx", pictures(), method="mse", adaround=False, report=found.append)
    assert (found[2].adaround, found[2].sqnr_db) == (False, found[0].sqnr_db)


def test_weights_of_few_bits_and_adaptive_rounding(float_file, tmp_path):
    found = []
    for adaround in (False, None):
        path = quantize(
            float_file, tmp_path / "4.onnx", pictures(), method="mse", bits=4, adaround=adaround, report=found.append
        )
    assert [report.adaround for report in found] == [False, True]
    assert found[1].sqnr_db > found[0].sqnr_db + 1
    stored = [t for t in onnx.load(path).graph.initializer if len(t.dims) > 1]
    assert {t.data_type for t in stored} == {onnx.TensorProto.INT4}
    assert all(len(t.raw_data) == -(-np.prod(t.dims) // 2) for t in stored)
    assert max(np.abs(onnx.numpy_helper.to_array(t).astype(int)).max() for t in stored) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 3}, "wanted 4, 5, 6, 8 bits for a weight; got 3"),
        ({"bits": 8.0}, "wanted 4, 5, 6, 8 bits for a weight; got 8.0"),
        ({"method": "percentile", "percentile": 150.0}, "above 0 and at most 100 percent; got 150.0"),
        ({"method": "percentile", "percentile": float("nan")}, "above 0 and at most 100 percent; got nan"),
        ({"keep_float": ["tail"]}, "there is no layer tail; the layers are stem, depthwise"),
        ({"keep_float": "head"}, "names of layers, or how many, an int of 0 or more; got 'head'"),
        ({"keep_float": True}, "an int of 0 or more; got True"),
        ({"keep_float": np.int64(2)}, r"an int of 0 or more; got np.int64\(2\)"),
        ({"keep_float": [2]}, r"an int of 0 or more; got \[2\]"),
        ({"keep_float": 6}, "leaves nothing to quantize: it names 6 of 6 layers"),
        ({"least_sqnr_db": 190.0}, "190 dB cannot be kept: with one layer of 6 in int8"),
        ({"ranges": {"head": (0.0, 1.0)}, "equalize": True}, "equalize cannot scale them"),
        ({"ranges": {"stem": (0.0, 1.0), "head": (2.0, 1.0)}}, r"range of the layer head, .*; got \(2.0, 1.0\)"),
        ({"ranges": {"head": (float("nan"), 1.0)}}, r"got \(nan, 1.0\)"),
        ({"ranges": {"head": (0.0, float("inf"))}}, r"got \(0.0, inf\)"),
        ({"ranges": {"head": (0.5, 1.0)}}, r"got \(0.5, 1.0\)"),
        ({"ranges": {"head": (0.0, 0.0)}}, "not both 0; got"),
        ({"ranges": {"head": 1.0}}, "wanted two finite numbers .* got 1.0"),
    ],
)
def test_choices_that_are_none(float_file, tmp_path, options, message):
    with pytest.raises(QuantizationError, match=message):
        quantize(float_file, tmp_path / "int8.onnx", pictures(), **{"method": "minmax", **options})
    assert list(tmp_path.iterdir()) == []
