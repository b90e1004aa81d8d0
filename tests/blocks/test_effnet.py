"""EffNet's block: shapes, cost, and what the paper says that it saves."""

import pytest
import torch
from torch import nn

from featherweight.blocks import EffNetBlock
from featherweight.cost import analyze


@pytest.mark.parametrize(("in_channels", "hidden", "multiplier"), [(3, 32, 1), (64, 32, 1), (64, 192, 2)])
def test_cost_is_the_docstring_s(in_channels: int, hidden: int, multiplier: int) -> None:
    block = EffNetBlock(in_channels, 64, hidden_channels=hidden, multiplier=multiplier)
    wide = multiplier * hidden
    wanted = 16 * 12 * in_channels * hidden + 16 * 12 * 3 * wide + 8 * 12 * 3 * wide + 8 * 6 * 2 * wide * 64
    assert analyze(block, (in_channels, 16, 12)).multiply_adds == wanted


def test_the_last_layer_costs_as_much_as_a_1x1_in_its_place() -> None:
    pointwise = nn.Conv2d(32, 64, 1, bias=False)
    expand = EffNetBlock(64, 64).expand.conv
    assert analyze(expand, (32, 8, 16)).multiply_adds == analyze(pointwise, (32, 8, 16)).multiply_adds


def test_the_first_layer_is_cheaper_than_an_ordinary_one() -> None:
    """The paper says about 30 % for its networks."""
    ordinary = analyze(nn.Conv2d(3, 64, 3, padding=1, bias=False), (3, 32, 32)).multiply_adds
    assert 1 - analyze(EffNetBlock(3, 64), (3, 32, 32)).multiply_adds / ordinary == pytest.approx(0.269, abs=5e-4)


def test_each_axis_is_halved_once() -> None:
    block, x = EffNetBlock(4, 12).eval(), torch.randn(1, 4, 9, 7)
    halved = block.pool(block.depthwise1x3(block.squeeze(x)))
    assert halved.shape == (1, 6, 4, 7)
    assert block.depthwise3x1(halved).shape == halved.shape
    assert block(x).shape == (1, 12, 4, 3)


def test_at_least_six_hidden_channels() -> None:
    assert EffNetBlock(3, 8).squeeze.conv.out_channels == 6
