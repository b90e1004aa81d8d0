"""What is taken out of an int8 network's OpenVINO graph: it runs in bytes as the ONNX file, and the answers stay."""

import numpy as np
import pytest
import torch
from torch import nn

from featherweight.compress import quantize
from featherweight.export import load, openvino, probe

MULTIPLYING = ("Convolution", "GroupConvolution", "FullyConnected", "MatMul")


class Excited(nn.Module):
    """A squeeze-excite behind an activation."""

    def __init__(self, activation):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), activation)
        self.gate = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 4, 14)

    def forward(self, x):
        x = self.stem(x)
        return self.last(x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))).flatten(1)


def as_many_channels_as_classes():
    return nn.Sequential(nn.Conv2d(3, 10, 3), nn.Conv2d(10, 10, 1), nn.Flatten(), nn.Linear(1960, 10))


class Shuffle(nn.Module):
    def forward(self, x):
        return x.reshape(x.shape[0], 2, 4, *x.shape[2:]).transpose(1, 2).reshape(x.shape)


def shuffled():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), Shuffle(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 7), nn.Flatten())


class Ghost(nn.Module):
    """A Ghost module: what one layer makes goes into another one, and beside what that makes."""

    def __init__(self):
        super().__init__()
        self.primary, self.cheap = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Conv2d(16, 4, 14)

    def forward(self, x):
        x = self.primary(x).relu()
        return self.last(torch.cat([x, self.cheap(x).relu()], 1)).flatten(1)


class Averaged(nn.Module):
    """The end of most networks."""

    def __init__(self):
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x):
        return self.last(self.stem(x).relu().mean((2, 3), keepdim=True).flatten(1))


@pytest.fixture
def files(tmp_path):
    """Write a network for OpenVINO and see that its layers run in bytes; return its text, and what runs in float."""

    def written(network):
        pictures = np.random.default_rng(0).normal(size=(8, 3, 16, 16)).astype(np.float32)
        (tmp_path / "float.onnx").write_bytes(probe(network.eval(), (3, 16, 16), batch=len(pictures)))
        quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", pictures, keep_float=0)
        path = openvino.export(tmp_path / "int8.onnx", tmp_path / "ir", precision="int8")
        runner = openvino.load(path, counters=True)
        answers = {"openvino": runner(pictures)}
        answers |= {name: load(tmp_path / f"{name}.onnx")(pictures) for name in ("float", "int8")}
        ran = [node for node in runner.request.profiling_info if "NOT_RUN" not in str(node.status)]
        kinds = [node.exec_type for node in ran if node.node_type in MULTIPLYING]
        assert kinds
        assert all(kind.endswith("I8") for kind in kinds)
        noise = {name: float(((answers[name] - answers["float"]) ** 2).mean()) for name in ("openvino", "int8")}
        assert noise["openvino"] <= 1.3 * noise["int8"]
        in_float = [node.node_type for node in ran if node.exec_type.endswith("f32")]
        return path.joinpath("model.xml").read_text(), in_float

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield written


def test_no_layer_falls_back_to_float(files) -> None:
    assert 'type="Subtract"' not in files(as_many_channels_as_classes())[0], "zero points of weights"


def test_a_shuffle_is_not_rounded_on_its_way(files) -> None:
    assert files(shuffled())[0].count('type="FakeQuantize"') == 3  # the input, behind ReLU, in front of Flatten


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.ReLU()])
def test_squeeze_excite_is_in_float_but_a_relu_stays(files, activation) -> None:
    # The input; in front of SiLU, or ReLU; the means, the gate's layer, the product, the last layer.
    assert files(Excited(activation))[0].count('type="FakeQuantize"') == 6


@pytest.mark.parametrize("network", [Ghost, Averaged])
def test_what_a_layer_makes_is_rounded_along_with_it(files, network) -> None:
    assert len(files(network())[1]) == 1  # the pictures
