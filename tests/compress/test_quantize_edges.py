"""Quantization at the edges: other axes than two of places, constants, few pictures, values that are not finite."""

import numpy as np
import onnx
import pytest
import torch
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from torch import nn

from featherweight.compress import QuantizationError, quantize
from featherweight.compress._layers import Graph, outputs
from featherweight.compress._ranges import observe
from featherweight.compress._rounding import _by_group, _Inputs
from featherweight.export import probe


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def quantized(network, x, folder, *, batch=None, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        path = folder / "float.onnx"
        path.write_bytes(probe(network().eval(), x.shape[1:], batch or len(x)))
    found = []
    quantize(path, folder / "int8.onnx", x, report=found.append, **options)
    return found[0]


def single(node, x, weight):
    """Build a model of one operator with this weight."""
    rank = [None] * x.ndim
    graph = make_graph(
        [node], "g", [make_tensor_value_info("x", 1, ["N", *x.shape[1:]])], [make_tensor_value_info("y", 1, rank)],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )  # fmt: skip
    return make_model(graph, opset_imports=[make_opsetid("", 20)], ir_version=10)


def series():
    return nn.Sequential(
        nn.Conv1d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 8, 3, stride=2, groups=8), nn.ReLU(),
        nn.Conv1d(8, 6, 2, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(30, 4),
    )  # fmt: skip


def volumes():
    return nn.Sequential(
        nn.Conv3d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv3d(6, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 4)
    )


@pytest.mark.parametrize(("network", "shape"), [(series, (3, 16)), (volumes, (2, 4, 4, 4))])
def test_convolutions_along_one_axis_and_three(network, shape, tmp_path):
    assert quantized(network, drawn(8, *shape), tmp_path).sqnr_db > 25
    assert quantized(network, drawn(8, *shape), tmp_path, equalize=True).equalized > 0
    nearest = quantized(network, drawn(8, *shape), tmp_path, bits=4, adaround=False)
    assert quantized(network, drawn(8, *shape), tmp_path, bits=4).sqnr_db > nearest.sqnr_db


@pytest.mark.parametrize(
    ("sides", "given"),
    [
        ([9], {"pads": [2, 0], "strides": [2], "dilations": [3]}),
        ([7, 9], {"pads": [0, 1, 2, 3], "strides": [2, 1], "dilations": [1, 2]}),
        ([5, 6, 7], {"pads": [0, 1, 2, 3, 0, 1], "strides": [1, 2, 1]}),
        ([7, 9], {}),
    ],
)
def test_adaptive_rounding_sees_what_a_convolution_sees(sides, given):
    x, weight = drawn(2, 4, *sides), drawn(6, 2, 3, 2, 2)[..., *[0] * (3 - len(sides))]
    node = make_node("Conv", ["x", "weight"], ["y"], group=2, **given)
    model = single(node, x, weight)
    [layer] = Graph(model).layers()
    got = _by_group(weight, layer) @ _Inputs(layer, node, weight)._columns(x).numpy()
    wanted = np.moveaxis(outputs(model, x), 0, 1)
    assert got.reshape(wanted.shape) == pytest.approx(wanted, abs=1e-5)


class Stacked(nn.Module):
    """A product with as many matrices as the pictures have channels."""

    def __init__(self):
        super().__init__()
        self.matrices = nn.Parameter(torch.randn(3, 6, 7))
        self.head = nn.Linear(42, 4)

    def forward(self, x):
        return self.head((x @ self.matrices).flatten(1))


def test_a_product_with_several_matrices_keeps_the_nearest_numbers(tmp_path):
    assert quantized(Stacked, drawn(8, 3, 2, 6), tmp_path, bits=4).adaround


def small(*, classes=3, stem=None):
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Hardswish(), nn.Flatten(),
        nn.Linear(32, classes),
    )  # fmt: skip
    if stem is not None:
        nn.init.zeros_(network[0].weight)
        nn.init.constant_(network[0].bias, stem)
    return network


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(
    ("options", "count"),
    [({"classes": 1}, 8), ({}, 1), ({"classes": 1}, 1), ({"stem": -1.0}, 8), ({"stem": 1.0}, 8)],
    ids=["one class", "one picture", "one class, one picture", "an activation of zeros", "a constant activation"],
)
def test_one_class_one_picture_and_constants(options, count, bits, tmp_path):
    report = quantized(lambda: small(**options), drawn(count, 3, 6, 6), tmp_path, bits=bits, sensitivity=True)
    assert report.sqnr_db > 20
    assert len(report.sensitivity) == 3


def test_a_model_of_a_fixed_batch_is_given_that_many_pictures(tmp_path):
    assert quantized(small, drawn(6, 3, 6, 6), tmp_path, batch=2).sqnr_db > 25
    with pytest.raises(QuantizationError, match=r"with N a multiple of 2; got float32 \[5, 3, 6, 6\]"):
        quantized(small, drawn(5, 3, 6, 6), tmp_path, batch=2)


class First(nn.Module):
    """One number for each picture, on no axis of its own."""

    def __init__(self):
        super().__init__()
        self.network = small()

    def forward(self, x):
        return self.network(x)[:, 0]


def test_a_model_without_classes(tmp_path):
    with pytest.raises(QuantizationError, match=r"\[N, classes, ...\]; .* of the shapes \[\[4, 3, 6, 6\], \[4\]\]"):
        quantized(First, drawn(4, 3, 6, 6), tmp_path)


class Root(nn.Module):
    """Its roots of negative numbers are none."""

    def __init__(self):
        super().__init__()
        self.network = small()

    def forward(self, x):
        return self.network(x.sqrt())


@pytest.mark.parametrize("options", [{}, {"method": "minmax"}, {"equalize": True}])
def test_an_activation_that_is_not_finite(options, tmp_path):
    with pytest.raises(QuantizationError, match=r"activation /Sqrt_output_0 is not finite .* from nan to nan"):
        quantized(Root, drawn(4, 3, 6, 6), tmp_path, **options)


def test_one_batch_that_is_not_finite():
    x = np.abs(drawn(64, 4))
    model = onnx.shape_inference.infer_shapes(single(make_node("Sqrt", ["x"], ["y"]), x, drawn(1)))
    assert observe(model, x).ends["y"].lowest > 0
    x[40, 1] = -1  # in the second batch
    with pytest.raises(QuantizationError, match="activation y is not finite"):
        observe(model, x)


@pytest.mark.parametrize("content", [b"no model", b""])
def test_a_file_that_is_no_model(tmp_path, content):
    (tmp_path / "float.onnx").write_bytes(content)
    with pytest.raises(
        QuantizationError, match=r"float.onnx is not an ONNX model|wanted a model of one input .* got 0"
    ):
        quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", drawn(1, 3, 6, 6))


def test_an_output_whose_name_is_a_number_keeps_it(tmp_path):
    x = drawn(4, 3, 1, 1)
    node = make_node("Conv", ["x", "weight"], ["y"])
    model = single(node, x, drawn(5, 3, 1, 1))
    node = model.graph.node[0]
    node.output[0] = model.graph.output[0].name = "0"
    onnx.save(model, tmp_path / "float.onnx")
    int8 = onnx.load(quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", x, keep_float=0))
    assert [output.name for output in int8.graph.output] == ["0"]
    made = [name for node in int8.graph.node for name in node.output]
    assert len(made) == len(set(made)) > 1


def test_an_old_opset_is_refused(tmp_path):
    x = drawn(4, 3, 1, 1)
    model = single(make_node("Conv", ["x", "weight"], ["y"]), x, drawn(5, 3, 1, 1))
    model.opset_import[0].version = 9
    onnx.save(model, tmp_path / "float.onnx")
    with pytest.raises(QuantizationError, match="needs opset 13 of ONNX; the model is of 9"):
        quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", x)
