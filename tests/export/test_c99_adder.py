"""AdderNets as C99 source: the bits of their runner, under sanitizers."""

import numpy as np
import pytest
from torch import Tensor, nn
from torch.nn import functional as F

from featherweight.blocks import AdderConv2d
from featherweight.data import Preprocessing, digits
from featherweight.export import adder_int8, c99
from featherweight.export._c99._layers import KERNELS
from featherweight.ops._native import native

BATCH = 32
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

pytestmark = pytest.mark.skipif(c99.missing() is not None, reason=str(c99.missing()))


def pictures(count: int) -> np.ndarray:
    """Real digits of 16 x 16 pixels."""
    preprocessing = Preprocessing(resolution=16, channels=1, mean=(0.3,), std=(0.4,))
    return preprocessing.normalize(digits().at(preprocessing)[:count].permute(0, 2, 3, 1).numpy())


def adders(inputs: int, outputs: int, **options: int) -> nn.Module:
    return nn.Sequential(AdderConv2d(inputs, outputs, **options), nn.BatchNorm2d(outputs))


class Adders(nn.Module):
    """An AdderNet: a shortcut, two strides, groups and a pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.same, self.wide = adders(8, 8, kernel_size=3), adders(8, 12, kernel_size=3, stride=2, groups=2)
        self.last = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.max_pool2d(F.relu(x + self.same(x)), 3, 2, 1)
        return self.last(F.relu(self.wide(x)).mean((2, 3)))


class AdderScores(nn.Module):
    """Adder layers from the picture to the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = adders(1, 6, kernel_size=3, stride=4), adders(6, 10, kernel_size=4, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.first(x))).flatten(1)


class AdderFlat(nn.Module):
    """A fully connected layer of all bytes behind an adder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = adders(1, 6, kernel_size=3, stride=4), nn.Linear(6 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.first(x)).flatten(1))


@pytest.mark.skipif(native is None, reason="featherweight._native is not installed: there is no runner")
def test_addernets_have_the_bits_of_their_runner(calibrated, tmp_path):
    x, tried = pictures(BATCH), set()
    for number, network in enumerate((Adders(), AdderScores(), AdderFlat())):
        file = adder_int8.export(calibrated(network, (1, 16, 16)), tmp_path / f"{number}.safetensors", x)
        folder = c99.export(file, tmp_path / f"{number}")
        want = adder_int8.load(file)(x)
        slow = c99.load(folder, flags=SANITIZERS)
        np.testing.assert_array_equal(slow(x), want)
        assert (
            min(slow.seconds(x[:1], runs=5)) > 0
        )  # a picture of so tiny a network takes less than the program's start
        assert len(np.unique(want)) > 20
        tried |= {kernel for kernel in KERNELS if f"model_{kernel}(" in (folder / "model.c").read_text()}
    assert tried == {"float_conv", "float_picture", "adder", "max_pool", "mean", "unpack", "linear", "scores"}
