"""Adder layers in ONNX files: of standard operators only, and the same layers."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from featherweight import create
from featherweight.blocks import AdderConv2d
from featherweight.export import load
from featherweight.export.onnx import export
from featherweight.ops import adder2d_p

LAYERS: dict[str, dict[str, Any]] = {
    "3x3": {"padding": 1},
    "one place": {"kernel": (1, 1)},
    "one place, with a stride": {"kernel": (1, 1), "stride": 2},
    "all settings": {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2},
    "depthwise": {"groups": 4, "bias": False},
    "squares": {"p": 2.0},
    "between": {"p": 1.5, "groups": 2, "bias": False},
    "weight worked out": {"kernel": (9, 8), "shared": True},
}


class Layer(AdderConv2d):
    """One adder layer, with settings that the operator has and the layer has not; its weight may be worked out."""

    def __init__(
        self, kernel: tuple[int, int] = (3, 3), *, groups: int = 1, p: float = 1.0, bias: bool = True,
        shared: bool = False, **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(4, 8, kernel_size=1)
        self.weight = nn.Parameter(torch.randn(8, 4 // groups, *kernel))
        self.bias = nn.Parameter(torch.randn(8)) if bias else None
        self.register_buffer("places", torch.randint(8, (self.weight.numel(),)) if shared else None)
        self.settings = {**settings, "groups": groups, "p": p}

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.places is not None:
            weight = weight.flatten()[self.places].reshape(weight.shape)
        return adder2d_p(x, weight, self.bias, **self.settings).flatten(2).mean(2)


class Beside(nn.Module):
    """Layers with the same input: written as one file, since writing one takes seconds."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x) for layer in self.layers], 1)


def both(model: nn.Module, path: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Export; return what PyTorch and the file answer."""
    export(model.eval(), path, metadata={}, input_size=x.shape[1:])
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    assert expected.std(0).mean() > 0.01, "the answers do not depend on the picture"
    return expected, load(path)(x)


def test_layers_are_the_same_in_standard_operators(tmp_path) -> None:
    layers = [Layer(**settings) for settings in LAYERS.values()]
    expected, got = both(Beside(layers), tmp_path / "layers.onnx", np.random.randn(3, 4, 9, 8).astype(np.float32))
    for number, name in enumerate(LAYERS):
        own = slice(8 * number, 8 * number + 8)
        np.testing.assert_allclose(got[:, own], expected[:, own], rtol=1e-5, err_msg=name)
    layers_in_onnx = load(tmp_path / "layers.onnx")
    assert layers_in_onnx(np.zeros((0, 4, 9, 8), np.float32)).shape == (0, 8 * len(LAYERS))
    proto = onnx.load(tmp_path / "layers.onnx")
    assert {entry.domain for entry in proto.opset_import} == {""}
    assert {node.domain for node in proto.graph.node} == {""}


class Reshaped(nn.Module):
    """Takes the batch from the picture's shape, which PyTorch's exporter allows in one of the ways that it tries."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(int(x.shape[0]), -1)


@pytest.mark.parametrize("size", [1.0, 1e5], ids=["usual weights", "weights that float16 does not hold"])
def test_in_half_precision_too(size, tmp_path) -> None:
    layer = Layer(padding=1)
    with torch.no_grad():
        layer.weight.mul_(size)
    x = np.random.randn(3, 4, 9, 8).astype(np.float32)
    expected, _ = both(layer, tmp_path / "float.onnx", x)
    export(layer, tmp_path / "half.onnx", metadata={}, input_size=(4, 9, 8), precision="float16")
    runner = load(tmp_path / "half.onnx")
    np.testing.assert_allclose(runner(x), expected, atol=1e-2 * np.abs(expected).max())
    kept = runner.metadata["in_float32"]
    assert len(kept) == (9 if size > 1 else 0) and all(kept)


def test_constants_of_a_branch_stay(tmp_path) -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Layer()

        def forward(self, x: Tensor) -> Tensor:
            y = self.layer(x)
            return torch.cond(y.sum() > 0, lambda a: a * 2.5, lambda a: a + 7.25, (y,))

    expected, got = both(Choosing(), tmp_path / "choosing.onnx", np.random.randn(3, 4, 9, 8).astype(np.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_networks_without_adder_layers_go_all_of_pytorchs_ways(tmp_path) -> None:
    expected, got = both(Reshaped(), tmp_path / "reshaped.onnx", np.random.randn(4, 4, 3, 2).astype(np.float32))
    np.testing.assert_array_equal(got, expected)


def test_a_network_is_the_same_and_each_weight_stands_once(calibrated, tmp_path) -> None:
    model = calibrated(create("adder_resnet20", width=0.25, num_classes=5, small_input=True), (3, 16, 16))
    expected, got = both(model, tmp_path / "model.onnx", np.random.randn(3, 3, 16, 16).astype(np.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    graph = onnx.load(tmp_path / "model.onnx").graph
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert sum(np.prod(entry.dims) for entry in graph.initializer) < 1.1 * weights
    names = [value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)]
    assert names == ["batch", "batch"]
