"""Residual blocks against torchvision's, and with other convolutions in the place of the ordinary."""

from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import resnet

from featherweight.blocks import BasicBlock, BottleneckBlock, CompConv, GhostModule, PadShortcut, with_norm
from featherweight.cost import analyze


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    return nn.Sequential(resnet.conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))


@pytest.mark.parametrize(("in_channels", "stride"), [(16, 1), (8, 1), (16, 2)])
@torch.no_grad()
def test_blocks_are_torchvisions(in_channels: int, stride: int) -> None:
    downsample = None if (in_channels, stride) == (16, 1) else projection(in_channels, 16, stride)
    x = torch.randn(2, in_channels, 9, 7)
    for ours, theirs in (
        (BasicBlock(in_channels, 16, stride=stride), resnet.BasicBlock(in_channels, 16, stride, downsample)),
        (BottleneckBlock(in_channels, 16, stride=stride), resnet.Bottleneck(in_channels, 4, stride, downsample)),
    ):
        ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
        before = x.clone()
        torch.testing.assert_close(ours(x), theirs(x))
        assert torch.equal(x, before), "the input was changed"


def test_costs_are_the_docstrings() -> None:
    h, w, into, out, hidden = 9, 7, 8, 16, 4
    half = 5 * 4

    def cost(block: nn.Module) -> int:
        return analyze(block, (into, h, w)).multiply_adds

    assert cost(BasicBlock(into, out, stride=2)) == half * (9 * into * out + 9 * out * out + into * out)
    assert cost(BasicBlock(into, out, stride=2, shortcut="pad")) == half * (9 * into * out + 9 * out * out)
    wide = half * (9 * hidden * hidden + hidden * out + into * out)
    assert cost(BottleneckBlock(into, out, stride=2)) == h * w * into * hidden + wide
    assert cost(BottleneckBlock(into, out, stride=2, stride_first=True)) == half * into * hidden + wide


def test_pad_keeps_every_second_place_and_adds_zeros() -> None:
    x = torch.randn(2, 3, 5, 4)
    y = PadShortcut(3, 7, stride=2)(x)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert y.shape == (2, 7, 3, 2) and not y[:, 3:].any()


@pytest.mark.parametrize("block", [BasicBlock, BottleneckBlock])
def test_every_convolution_can_be_another(block: type[nn.Module]) -> None:
    made = []

    def convolution(in_channels: int, out_channels: int, *, kernel_size: int, stride: int) -> nn.Module:
        made.append((kernel_size, stride))
        return nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2)

    replaced = block(16, 32, stride=2, convolution=convolution)
    assert len(made) == sum(isinstance(module, nn.Conv2d) for module in replaced.modules())
    assert (1, 2) in made, "the shortcut's too"
    assert replaced(torch.zeros(1, 16, 8, 8)).shape == (1, 32, 4, 4)
    assert replaced.state_dict().keys() >= block(16, 32, stride=2).state_dict().keys()


def test_layers_with_their_own_norm_replace_all_of_it() -> None:
    block = BasicBlock(16, 32, stride=2, layer=partial(GhostModule, ratio=4))
    assert [type(module) for module in (block.first, block.second, block.shortcut)] == [GhostModule] * 3
    assert hasattr(block.first.primary, "act") and not hasattr(block.second.primary, "act")
    assert [name for name, _ in with_norm(CompConv)(16, 32, kernel_size=3).named_children()] == ["conv", "norm", "act"]


def test_errors_say_what_came() -> None:
    with pytest.raises(ValueError, match="shortcut must be 'projection' or 'pad'; got 'none'"):
        BasicBlock(8, 8, shortcut="none")
    with pytest.raises(ValueError, match="zeros can only be added: 16 channels in, 8 out"):
        BasicBlock(16, 8, shortcut="pad")
