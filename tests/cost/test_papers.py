"""What the papers' tables say of cost, counted."""

import pytest
import torch
from torch import nn

from featherweight.blocks import ConvNormAct, DepthwiseSeparable, InvertedResidual, ShuffleUnitV1
from featherweight.cost import analyze, block_memory
from featherweight.networks import create


def on_meta(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return create(name, **options)


def test_mobilenet_v1_by_kind_is_its_table_2():
    cost = analyze(on_meta("mobilenet_v1"))
    kinds = cost.by_kind()
    multiply_adds = {kind: round(100 * share.multiply_adds_share, 2) for kind, share in kinds.items()}
    # The paper prints 1.19 for the 3x3 layer: digits of 1.91 transposed, for its column then adds up to 100.01.
    printed = {"1x1": 94.86, "depthwise": 3.06, "3x3": 1.91, "fully connected": 0.18}
    assert {kind: multiply_adds[kind] for kind in printed} == printed

    # Its parameters are those without batch norm and without the classifier's biases.
    weights = {kind: kinds[kind].params for kind in printed}
    weights["fully connected"] -= 1000
    total = sum(weights.values())
    assert total == cost.params - kinds["batch norm"].params - 1000
    percent = {kind: round(100 * count / total, 2) for kind, count in weights.items()}
    assert percent == {"1x1": 74.59, "depthwise": 1.06, "3x3": 0.02, "fully connected": 24.33}


@pytest.mark.parametrize(
    ("layer", "side", "multiply_adds", "params"),
    [
        (nn.Conv2d(512, 512, 3, padding=1, bias=False), 14, "462M", "2.36M"),
        (DepthwiseSeparable(512, 512), 14, "52.3M", "0.27M"),
        (DepthwiseSeparable(384, 384), 14, "29.6M", "0.15M"),  # width 0.75
        (DepthwiseSeparable(384, 384), 10, "15.1M", "0.15M"),  # and resolution 0.714
    ],
)
def test_one_layer_is_mobilenet_v1s_table_3(layer, side, multiply_adds, params):
    cost = analyze(layer, (next(layer.parameters()).shape[0], side, side))
    norms = sum(row.params for row in cost.layers if row.kind == "batch norm")
    assert millions(cost.multiply_adds, multiply_adds) == multiply_adds
    assert millions(cost.params - norms, params) == params


def millions(count: int, printed: str) -> str:
    """Write a count with as many decimals as the printed one."""
    return f"{count / 1e6:.{len(printed.rstrip('M').partition('.')[2])}f}M"


@pytest.mark.parametrize(("in_channels", "out_channels", "kernel_size"), [(512, 512, 3), (32, 64, 3), (24, 40, 5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_separable_costs_1_over_c_plus_1_over_k2(in_channels, out_channels, kernel_size, stride):
    ordinary = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)
    separable = DepthwiseSeparable(in_channels, out_channels, kernel_size=kernel_size, stride=stride)
    size = (in_channels, 28, 28)
    ratio = analyze(separable, size).multiply_adds / analyze(ordinary, size).multiply_adds
    assert ratio == pytest.approx(1 / out_channels + 1 / kernel_size**2, rel=1e-12)


# MobileNetV2's Table 3: for each network, side -> channels / kB of 1000 bytes at 16 bit. It leaves 112 x 112 out.
# It prints 199 for MobileNetV1 at 7 x 7, which is nearly what 1024 channels take at 32 bit; at 16 bit it is 100.
# fmt: off
TABLE_3 = {
    "MobileNetV1":     {56: (128, 800), 28: (256, 400), 14: (512, 200), 7: (1024, 100), 1: (1024, 2)},
    "MobileNetV2":     {56: (32, 200),  28: (64, 100),  14: (160, 62),  7: (320, 32),   1: (1280, 2)},
    "ShuffleNet (2x)": {56: (48, 300),  28: (400, 600), 14: (800, 310), 7: (1600, 156), 1: (1600, 3)},
}
ROWS = {  # the modules that are rows of each network's own layer table, and which size that table prints
    "MobileNetV1": ("mobilenet_v1", {}, (ConvNormAct, nn.Linear), "input"),
    "MobileNetV2": ("mobilenet_v2", {}, (InvertedResidual, nn.Linear), "input"),
    # The row says g = 3, which has 480, 960 and 1920 channels at 2x; 400, 800 and 1600 are those of g = 2.
    "ShuffleNet (2x)": ("shufflenet_v1", {"width": 2.0, "groups": 2},
                        (nn.MaxPool2d, ShuffleUnitV1, nn.AdaptiveAvgPool2d), "output"),
}
# fmt: on


@pytest.mark.parametrize("network", TABLE_3)
def test_memory_by_block_is_mobilenet_v2s_table_3(network):
    name, options, block, at = ROWS[network]
    counted = block_memory(on_meta(name, **options), block=block, at=at)
    printed = TABLE_3[network]
    assert {side: counted[side].channels for side in printed} == {side: row[0] for side, row in printed.items()}
    for side, (channels, kilobytes) in printed.items():
        assert counted[side].size_bytes == channels * side * side * 2
        # Printed to one or two digits, by turns rounded and cut off (627 as 600, 2.56 as 2).
        assert abs(counted[side].size_bytes / 1000 - kilobytes) <= max(0.6, 0.05 * kilobytes)
    largest = max(counted[side].size_bytes for side in printed)
    assert largest / 1000 == pytest.approx(max(row[1] for row in printed.values()), rel=0.05)


def test_shufflenet_with_the_groups_that_the_row_names_has_other_channels():
    counted = block_memory(on_meta("shufflenet_v1", width=2.0, groups=3), block=ShuffleUnitV1, at="output")
    assert {side: row.channels for side, row in counted.items()} == {28: 480, 14: 960, 7: 1920}


def test_a_model_without_such_blocks_is_refused():
    with pytest.raises(ValueError, match="Conv2d has no module of the class Linear"):
        block_memory(nn.Conv2d(3, 4, 1), (3, 8, 8), block=nn.Linear, at="input")


def test_channelwise_cost_of_an_inverted_residual_is_its_closed_form():
    """h*w*k*t*(k + 9 + k') of MobileNetV2's Section 3.3, at stride 1."""
    h, k, t, out = 14, 64, 6, 96
    block = InvertedResidual(k, out, hidden_channels=t * k)
    assert analyze(block, (k, h, h)).multiply_adds == h * h * k * t * (k + 9 + out)
