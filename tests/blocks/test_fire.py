"""The fire module against its equations."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, relu

from featherweight.blocks import Fire
from featherweight.cost import analyze


def fire(in_channels: int, *, bypass: bool = False) -> Fire:
    return Fire(in_channels, squeeze_channels=4, expand1x1_channels=6, expand3x3_channels=10, bypass=bypass)


@pytest.mark.parametrize(("in_channels", "bypass"), [(8, False), (16, False), (16, True), (8, True)])
def test_squeezes_expands_and_joins(in_channels: int, bypass: bool) -> None:
    block, x = fire(in_channels, bypass=bypass), torch.randn(2, in_channels, 7, 5)
    before = x.clone()
    squeezed = relu(conv2d(x, block.squeeze.weight, block.squeeze.bias))
    one = relu(conv2d(squeezed, block.expand1x1.weight, block.expand1x1.bias))
    three = relu(conv2d(squeezed, block.expand3x3.weight, block.expand3x3.bias, padding=1))
    wanted = torch.cat((one, three), 1)
    if bypass:  # added behind the ReLU; none follows
        wanted = wanted + (x if in_channels == 16 else conv2d(x, block.bypass.weight, block.bypass.bias))
    torch.testing.assert_close(block(x), wanted)
    assert torch.equal(x, before), "the input was changed"


def test_paper_s_fire2_has_its_parameters() -> None:
    block = Fire(96, squeeze_channels=16, expand1x1_channels=64, expand3x3_channels=64)
    assert sum(parameter.numel() for parameter in block.parameters()) == 11_920


@pytest.mark.parametrize(("in_channels", "bypass"), [(8, False), (16, True), (8, True)])
def test_cost_is_the_docstring_s(in_channels: int, bypass: bool) -> None:
    wanted = 7 * 5 * (in_channels * 4 + 4 * 6 + 9 * 4 * 10)
    if bypass and in_channels != 16:
        wanted += 7 * 5 * in_channels * 16
    assert analyze(fire(in_channels, bypass=bypass), (in_channels, 7, 5)).multiply_adds == wanted


def test_bypass_has_a_convolution_only_where_channels_differ() -> None:
    assert fire(8).bypass is None
    assert isinstance(fire(16, bypass=True).bypass, nn.Identity)
    assert isinstance(fire(8, bypass=True).bypass, nn.Conv2d)
