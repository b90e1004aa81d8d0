import json
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from featherweight.cost import analyze
from featherweight.cost._schedule import schedule
from featherweight.cost._trace import trace


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Conv2d(4, 8, 1), "1x1"),
        (nn.Conv2d(4, 8, 1, groups=2), "grouped 1x1"),
        (nn.Conv2d(4, 8, 3, groups=4), "depthwise"),
        (nn.Conv2d(4, 8, 3, groups=2), "grouped 3x3"),
        (nn.Conv2d(4, 8, 5), "5x5"),
        (nn.Conv2d(4, 8, (1, 7)), "1x7"),
        (nn.ConvTranspose2d(4, 8, 2), "transposed 2x2"),
        (nn.Linear(8, 3), "fully connected"),
        (nn.BatchNorm2d(4), "batch norm"),
        (nn.GroupNorm(2, 4), "normalization"),
        (nn.Hardswish(), "activation"),
        (nn.Softmax(dim=1), "activation"),
        (nn.MaxPool2d(2), "pooling"),
        (nn.AdaptiveAvgPool2d(1), "pooling"),
        (nn.ChannelShuffle(2), "data movement"),
        (nn.ZeroPad2d(1), "data movement"),
    ],
)
def test_kinds_of_layers(layer, kind):
    (row,) = analyze(layer.eval(), (4, 8, 8)).layers
    assert row.kind == kind
    assert row.params == sum(parameter.numel() for parameter in layer.parameters())


def test_a_grey_picture_makes_no_convolution_depthwise():
    (row,) = analyze(nn.Conv2d(1, 8, 3), (1, 8, 8)).layers
    assert row.kind == "3x3"


class Twice(nn.Module):
    """A layer called twice, a parameter of the module itself, and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 1)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.idle = nn.Linear(7, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x)) * self.scale + x


def test_layers_are_listed_once_with_all_their_calls():
    cost = analyze(Twice(), (4, 3, 3))
    assert [(row.name, row.kind, row.params, row.multiply_adds) for row in cost.layers] == [
        ("layer", "1x1", 20, 2 * 4 * 4 * 9),
        ("", "element-wise", 4, 0),
        ("idle", "not read", 8, 0),
    ]
    assert cost.params == 32
    assert cost.layers[0].output_shape == (4, 3, 3)


def test_shared_weights_count_once():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
    model[1].weight = model[0].weight
    cost = analyze(model, (4, 3, 3))
    assert cost.params == 16 + 4 + 4
    assert [row.params for row in cost.layers] == [20, 4]


def test_kinds_and_layers_add_up(tiny):
    cost = analyze(tiny, 16)
    for quantity in ("params", "multiply_adds"):
        assert sum(getattr(row, quantity) for row in cost.layers) == getattr(cost, quantity)
        assert sum(getattr(kind, quantity) for kind in cost.by_kind().values()) == getattr(cost, quantity)
    assert sum(kind.params_share for kind in cost.by_kind().values()) == pytest.approx(1)
    multiplies = cost.multiply_adds > 0
    assert sum(kind.multiply_adds_share for kind in cost.by_kind().values()) == pytest.approx(int(multiplies))
    for name, peak in cost.peak_memory_bytes.items():
        assert sum(row.bytes_moved[name] for row in cost.layers) == cost.bytes_moved[name]
        assert max(row.peak_memory_bytes[name] for row in cost.layers) == peak
    assert cost.model == tiny.name


def test_every_batch_norm_of_every_network_that_follows_a_convolution_is_folded(tiny):
    plan = schedule(trace(tiny, 16))
    ops = [call.op for call in plan.calls if call.op != "empty"]  # PyTorch allocates something between the two
    pairs = list(pairwise(ops))
    assert len(plan.folded) == sum(pairs.count((op, "native_batch_norm")) for op in ("convolution", "addmm"))


def test_a_cost_is_plain_data():
    cost = analyze(Twice(), (4, 3, 3))
    told = json.loads(json.dumps(cost.to_dict()))
    assert told["params"] == cost.params
    assert told["layers"][0]["kind"] == "1x1"
    assert told["operations"]["multiplies"] == cost.operations.multiplies
    assert told["by_kind"][0] == {
        "kind": "1x1", "params": 20, "params_share": 20 / 32, "multiply_adds": 288, "multiply_adds_share": 1.0,
        "bytes_moved": cost.by_kind()["1x1"].bytes_moved,
    }  # fmt: skip


def test_a_cost_reads_well():
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(inplace=True))
    assert str(analyze(model, (3, 32, 32))) == (
        """\
Sequential, input 3 x 32 x 32

quantity                               value
parameters                               448
multiply-adds                        442.4 k
operations, multiplies               442.4 k
operations, additions                458.8 k
operations, comparisons              16.38 k
arithmetic energy at 45 nm, float32  2.06 µJ
arithmetic energy at 45 nm, float16   677 nJ
arithmetic energy at 45 nm, int8      103 nJ
peak activation memory, float32      77.8 kB
peak activation memory, float16      38.9 kB
peak activation memory, int8         19.5 kB
memory traffic, float32               211 kB
memory traffic, float16               105 kB
memory traffic, int8                 52.7 kB

kind        parameters  share  multiply-adds  share  traffic, float32
3x3                448  100 %          442 k  100 %           79.6 kB
activation           0    0 %              0    0 %            131 kB

layer  kind        output        parameters  multiply-adds  traffic, float32  memory in use
0      3x3         16 x 32 x 32         448          442 k           79.6 kB        77.8 kB
1      activation  16 x 32 x 32           0              0            131 kB        65.5 kB"""
    )
