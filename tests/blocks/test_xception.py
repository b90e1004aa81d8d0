"""Xception's separable convolution and module."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, max_pool2d, relu

from featherweight.blocks import SeparableConv, XceptionBlock
from featherweight.cost import analyze


def test_nothing_stands_between_depthwise_and_pointwise() -> None:
    layer, x = SeparableConv(6, 8, kernel_size=5, stride=2), torch.randn(2, 6, 9, 7)
    wanted = layer.norm(conv2d(conv2d(x, layer.depthwise.weight, None, 2, 2, 1, 6), layer.pointwise.weight))
    torch.testing.assert_close(layer(x), wanted)
    assert [type(part) for part in layer] == [nn.Conv2d, nn.Conv2d, nn.BatchNorm2d]
    assert isinstance(SeparableConv(6, 8, activation="relu")[-1], nn.ReLU)
    with pytest.raises(ValueError, match="kernel_size must be odd, so that stride 1 keeps the size; got 4"):
        SeparableConv(6, 8, kernel_size=4)


@pytest.mark.parametrize(("in_channels", "stride"), [(8, 1), (8, 2), (6, 2), (6, 1)])
@pytest.mark.parametrize("activate_first", [True, False])
def test_shortcut_reads_the_input_as_it_was(in_channels: int, stride: int, activate_first: bool) -> None:
    block = XceptionBlock(in_channels, 8, hidden_channels=10, stride=stride, activate_first=activate_first).eval()
    x = torch.randn(2, in_channels, 9, 7)
    before = x.clone()
    y = block.branch.conv2(relu(block.branch.conv1(relu(x) if activate_first else x)))
    y = max_pool2d(y, 3, 2, 1) if stride == 2 else y
    shortcut = x if (in_channels, stride) == (8, 1) else block.shortcut(x)
    torch.testing.assert_close(block(x), y + shortcut)
    assert torch.equal(x, before), "the input was changed"


def test_cost_is_the_docstring_s() -> None:
    block = XceptionBlock(6, 8, hidden_channels=10, repeats=3, stride=2)
    wanted = 9 * 7 * sum(9 * a + a * b for a, b in ((6, 10), (10, 10), (10, 8))) + 5 * 4 * 6 * 8
    assert analyze(block, (6, 9, 7)).multiply_adds == wanted
