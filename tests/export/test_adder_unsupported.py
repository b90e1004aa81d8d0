"""What a runner in bytes lacks: refused by name, with nothing written; what changes nothing is read through."""

import numpy as np
import pytest
import torch
from torch import nn

from featherweight.blocks import AdderConv2d, GridPool, with_norm
from featherweight.export import adder_int8
from featherweight.export.adder_int8 import UnsupportedError
from featherweight.ops._native import native

pytestmark = pytest.mark.skipif(native is None, reason="featherweight._native is not installed: there is no runner")

layer = with_norm(AdderConv2d)


class Do(nn.Module):
    """A function as a layer; of the input and of what `module` makes of it, where there is one."""

    def __init__(self, function, module=None):
        super().__init__()
        self.function, self.module = function, module

    def forward(self, x):
        return self.function(x) if self.module is None else self.function(x, self.module(x))


def stem(**options):
    return nn.Conv2d(1, 4, **{"kernel_size": 3, "padding": 1, **options})


def tail():
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)


def adder(**options):
    return AdderConv2d(4, 4, **{"kernel_size": 3, **options})


def block():
    return layer(4, 4, kernel_size=3)


REFUSED = {
    "activation": ([stem(), nn.SiLU(), adder()], "has no aten.silu.default"),
    "activation behind a flattening": ([stem(), nn.SiLU(), nn.Flatten(), nn.Linear(256, 3)], "has no aten.silu"),
    "convolution": ([stem(), block(), nn.Conv2d(4, 4, 3), nn.Flatten()], "convolutions only before all adder"),
    "end": ([stem(), block(), nn.AdaptiveAvgPool2d(1), nn.Flatten()], "ends with"),
    "only a convolution": ([stem(padding=0, kernel_size=8), nn.Flatten()], "ends with"),
    "reshape": ([stem(), block(), Do(lambda x: x.reshape(x.shape[0], 4, 4, 16)), block(), *tail()], "no aten.reshape"),
    "view": ([stem(), block(), Do(lambda x: x.view(x.shape[0], 8, 4, 8)), *tail()[:1], nn.Flatten(), nn.Linear(8, 3)],
             "no aten.view"),
    "rows only": ([stem(), block(), nn.Flatten(2), Do(lambda x: x.mean(2)), nn.Linear(4, 3)], "no aten.mean"),
    "swapped rows": (
        [stem(), block(), Do(lambda x: torch.cat((x[:, :, 4:], x[:, :, :4]), 2)), block(), *tail()], "no aten.cat"
    ),
    "mean over rows": ([stem(), block(), Do(lambda x: x.mean(2, keepdim=True)), block(), *tail()], "no aten.mean"),
    "mean of all": ([stem(), block(), Do(lambda x: x.mean() + x.mean((2, 3)))], "sums only of maps of one shape"),
    "scores of several pixels": ([stem(), block(), adder(kernel_size=8, padding=1), nn.Flatten()], "the whole map"),
    "scores in groups": ([stem(), block(), adder(kernel_size=8, padding=0, groups=2), nn.Flatten()], "the whole map"),
    "scores with a stride": ([stem(), block(), adder(stride=8), nn.Flatten()], "the whole map"),
    "no row": ([stem(), block(), adder(kernel_size=8, padding=0)], r"gives \[2, 4, 1, 1\]"),
    "padding in words": ([stem(padding="same"), block(), *tail()], "paddings in pixels; conv2d says 'same'"),
    "broadcast": ([stem(), Do(lambda x, y: y + nn.functional.max_pool2d(x, 8), adder()), *tail()], "of one shape"),
    "linear on maps": ([stem(), block(), nn.Linear(8, 3), nn.Flatten()], r"takes \[2, 4, 8, 8\]"),
    "no statistics": ([stem(), adder(), nn.BatchNorm2d(4, track_running_stats=False), *tail()], "running statistics"),
    "norm of pixels": ([stem(), adder(kernel_size=8, padding=0), nn.Flatten(), nn.BatchNorm1d(4), nn.ReLU(),
                        Do(lambda x: x[:, :, None, None].mean((2, 3))), nn.Linear(4, 3)], "no aten.unsqueeze"),
    "parametrised": ([stem(), nn.utils.parametrizations.weight_norm(adder()), *tail()], "from aten._weight_norm"),
    "mean, then an adder layer": (
        [stem(), block(), nn.AdaptiveAvgPool2d(1), adder(kernel_size=1), nn.Flatten()], "only a linear layer behind a"
    ),
    "random": ([stem(), block(), Do(nn.functional.dropout), block(), *tail()], "no aten.dropout"),
    "two tensors": ([stem(), block(), *tail(), Do(lambda x: (x, x))], "gives a tuple"),
    "a dictionary": ([stem(), block(), *tail(), Do(lambda x: {"logits": x})], "gives a dict"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_runner_lacks_is_named(tmp_path, case):
    layers, message = REFUSED[case]
    path = tmp_path / "m.safetensors"
    path.write_text("what was there")
    pictures = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32)
    with pytest.raises(UnsupportedError, match=message):
        adder_int8.export(nn.Sequential(*layers), path, pictures)
    assert path.read_text() == "what was there"


def test_a_network_that_would_not_load_is_not_written(tmp_path):
    """What reading the graph lets pass is held against the runner itself: here a sum of rows as long as each other."""
    summed = Do(lambda x, y: y.flatten(1) + x.flatten(1), AdderConv2d(1, 4, 3, stride=2))
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), summed, nn.Linear(64, 3))
    with pytest.raises(UnsupportedError, match="no such network: the shortcut is not as large as the output"):
        adder_int8.export(model, tmp_path / "m.safetensors", np.ones((2, 1, 8, 8), np.float32))
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    "nothing",
    [
        nn.Identity(), nn.Dropout2d(), GridPool(8), nn.AdaptiveAvgPool2d(8), Do(lambda x: x.reshape(x.shape)),
        Do(lambda x: torch.cat((x[:, :3], x[:, 3:]), 1)), Do(lambda x: x.contiguous().clone()),
    ],
)  # fmt: skip
def test_what_changes_nothing_is_read_through(tmp_path, nothing):
    torch.manual_seed(0)
    layers = [stem(), nn.ReLU(), block(), nn.Flatten(), nn.Linear(256, 3)]
    pictures = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32)
    for name, chain in (("with", [*layers[:3], nothing, *layers[3:]]), ("without", layers)):
        adder_int8.export(nn.Sequential(*chain), tmp_path / name, pictures)
    runners = [adder_int8.load(tmp_path / name) for name in ("with", "without")]
    assert runners[0].steps == runners[1].steps
    assert np.array_equal(*(runner(pictures) for runner in runners))


def test_equal_values_of_other_shapes_are_not_taken_for_one_another(tmp_path):
    """Calibrated on a picture of one line, rows that are swapped give what there was; on others they do not."""
    flipped = Do(lambda x: torch.cat((x[:, :, 4:], x[:, :, :4]), 2))
    model = nn.Sequential(stem(padding=0, kernel_size=1), flipped, block(), *tail())
    line = np.broadcast_to(np.linspace(0, 1, 8, dtype=np.float32), (2, 1, 8, 8)).copy()
    with pytest.raises(UnsupportedError, match=r"no aten\.cat"):
        adder_int8.export(model, tmp_path / "m.safetensors", line)
