"""The fused inverted residual against its equation, its cost, and the block that it fuses."""

import pytest
import torch
from torch import nn
from torch.nn.functional import silu

from featherweight.blocks import FusedInvertedResidual, SqueezeExcite
from featherweight.cost import analyze


@pytest.mark.parametrize("hidden_channels", [8, 32])
@pytest.mark.parametrize(("out_channels", "stride"), [(8, 1), (8, 2), (12, 1)])
@torch.no_grad()
def test_expands_projects_and_adds(hidden_channels: int, out_channels: int, stride: int) -> None:
    block = FusedInvertedResidual(8, out_channels, hidden_channels=hidden_channels, stride=stride).eval()
    x = torch.randn(2, 8, 7, 5)
    before = x.clone()
    if hidden_channels == 8:
        wanted = silu(block.project.norm(block.project.conv(x)))
    else:
        wanted = block.project.norm(block.project.conv(silu(block.expand.norm(block.expand.conv(x)))))
    if stride == 1 and out_channels == 8:
        wanted = wanted + x
    torch.testing.assert_close(block(x), wanted)
    assert torch.equal(x, before), "the input was changed"


@pytest.mark.parametrize(("hidden_channels", "stride", "kernel_size"), [(8, 1, 3), (32, 1, 3), (32, 2, 5), (8, 2, 3)])
def test_cost_is_the_docstring_s(hidden_channels: int, stride: int, kernel_size: int) -> None:
    block = FusedInvertedResidual(8, 12, hidden_channels=hidden_channels, stride=stride, kernel_size=kernel_size)
    pixels = {1: 7 * 5, 2: 4 * 3}[stride]
    wanted = pixels * 8 * 12 * kernel_size**2
    if hidden_channels != 8:
        wanted = pixels * (8 * hidden_channels * kernel_size**2 + hidden_channels * 12)
    assert analyze(block, (8, 7, 5)).multiply_adds == wanted


@pytest.mark.parametrize("activation", ["silu", "relu", "hard_swish"])
@pytest.mark.parametrize("hidden_channels", [8, 16])
def test_every_activation_can_be_trained(activation: str, hidden_channels: int) -> None:
    block = FusedInvertedResidual(
        8, 8, hidden_channels=hidden_channels, activation=activation, attention=lambda c: SqueezeExcite(c, 2)
    )
    block(torch.randn(4, 8, 5, 5)).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in block.parameters())


def test_drops_the_branch_only_where_there_is_a_way_around() -> None:
    assert FusedInvertedResidual(8, 12, hidden_channels=8, drop_path=0.5).drop_path is None
    block = FusedInvertedResidual(8, 8, hidden_channels=16, drop_path=0.5).train()
    nn.init.constant_(block.project.norm.bias, 1.0)
    x = torch.randn(64, 8, 3, 3)
    kept = (block(x) != x).flatten(1).any(1)
    assert 16 < kept.sum() < 48


def test_wrong_strides_and_kernels_are_named() -> None:
    with pytest.raises(ValueError, match="stride must be 1 or 2; got 3"):
        FusedInvertedResidual(8, 8, hidden_channels=8, stride=3)
    with pytest.raises(ValueError, match=r"kernel_size must be odd.*got 4"):
        FusedInvertedResidual(8, 8, hidden_channels=8, kernel_size=4)
