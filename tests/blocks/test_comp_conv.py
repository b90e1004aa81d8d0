"""CompConv against the paper's formulas, and channel by channel against what its recursion says."""

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from featherweight.blocks import CompConv


def multiply_adds(module: nn.Module, *shape: int) -> int:
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(("channels", "out", "k", "stride"), [(64, 64, 3, 1), (48, 96, 5, 2), (96, 47, 1, 2)])
def test_cost_is_the_papers(channels: int, out: int, depth: int, k: int, stride: int) -> None:
    block = CompConv(channels, out, kernel_size=k, stride=stride, depth=depth)
    p = math.ceil(out / sum(2**i for i in range(1, depth + 1)))
    kernels = channels * p + sum((2**i * p) ** 2 for i in range(1, depth)) + 2 ** (depth - 1) * p
    pixels = math.ceil(9 / stride) * math.ceil(7 / stride)
    assert multiply_adds(block, channels, 9, 7) == pixels * k * k * kernels
    assert sum(parameter.numel() for parameter in block.parameters()) == k * k * kernels
    assert block(torch.zeros(1, channels, 9, 7)).shape == (1, out, math.ceil(9 / stride), math.ceil(7 / stride))


@pytest.mark.parametrize(("channels", "percent"), [(64, 20.5), (128, 20.3), (256, 18.6), (512, 17.7)])
def test_share_of_the_ordinary_convolution_at_depth_3(channels: int, percent: float) -> None:
    with torch.device("meta"):
        block, ordinary = CompConv(channels, channels, depth=3), nn.Conv2d(channels, channels, 3, bias=False)
    share = sum(parameter.numel() for parameter in block.parameters()) / ordinary.weight.numel()
    assert round(100 * share, 1) == percent


def test_share_tends_to_17_3_percent_and_its_tail() -> None:
    channels = 14 * 1000  # no ceiling
    with torch.device("meta"):
        block = CompConv(channels, channels, depth=3)
    tail = block.tail.weight.numel()
    others = sum(parameter.numel() for parameter in block.parameters()) - tail
    assert others / (9 * channels**2) == pytest.approx(1 / 14 + 20 / 196)
    assert round(100 * others / (9 * channels**2), 1) == 17.3
    assert tail == 9 * 4 * channels / 14


def test_depth_0_is_the_ordinary_convolution() -> None:
    block, ordinary = CompConv(6, 9, stride=2, depth=0), nn.Conv2d(6, 9, 3, 2, 1, bias=False)
    ordinary.load_state_dict({"weight": block.compute[0].weight})
    x = torch.randn(2, 6, 7, 8)
    assert torch.equal(block(x), ordinary(x))
    assert multiply_adds(block, 6, 7, 8) == multiply_adds(ordinary, 6, 7, 8)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("out", [64, 61])
def test_parts_are_what_the_recursion_says(depth: int, stride: int, out: int) -> None:
    block = CompConv(24, out, stride=stride, depth=depth)
    x = torch.randn(2, 24, 7, 6)
    y = block(x)
    if out % 2 == 0:  # undo the shuffle of two groups
        y = torch.cat((y[:, 0::2], y[:, 1::2]), dim=1)
    p = math.ceil(out / (2 * (2**depth - 1)))
    sampled = x[:, :, ::stride, ::stride]
    computed = block.compute[0](x)
    begin = copied = 0
    for level in range(1, depth):
        size = 2 ** (level - 1) * p
        part = sampled[:, copied : copied + size]
        assert torch.equal(y[:, begin : begin + size], part)
        assert torch.equal(y[:, begin + size : begin + 2 * size], computed)
        computed = block.compute[level](torch.cat((part, computed), dim=1))
        begin, copied = begin + 2 * size, copied + size
    size = 2 ** (depth - 1) * p
    assert torch.equal(y[:, begin : begin + size], computed)
    assert torch.equal(y[:, begin + size :], block.tail(computed)[:, : out - begin - size])


def test_copied_channels_reach_their_outputs_one_to_one() -> None:
    block = CompConv(28, 28, depth=3)  # p = 2: 2 + 4 channels are copied
    x = torch.randn(1, 28, 5, 5)
    outputs = block(x)
    places = [0, 1, 4, 5, 6, 7]  # before the shuffle: A, B of 2 channels, A, B of 4 channels, ...
    for channel, place in enumerate(places):
        assert torch.equal(outputs[:, 2 * (place % 14) + place // 14], x[:, channel])


def test_depth_follows_the_papers_rule() -> None:
    def depths(base: int) -> list[int]:
        return [CompConv(c, 64, base_channels=base).depth for c in (3, 64, 128, 255, 256, 511, 512, 2048)]

    assert depths(128) == [1, 1, 1, 1, 2, 2, 3, 3]
    assert depths(512) == [1, 1, 1, 1, 1, 1, 1, 3]
    with torch.device("meta"):
        params = [sum(p.numel() for p in CompConv(256, 256, depth=depth).parameters()) for depth in range(4)]
    assert params == sorted(params, reverse=True)


def test_gradients_reach_all_parameters_and_the_bias_is_of_what_is_computed() -> None:
    block = CompConv(32, 60, depth=3, bias=True)
    block(torch.randn(2, 32, 6, 6)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in block.parameters())
    assert sum(p.numel() for name, p in block.named_parameters() if name.endswith("bias")) == 5 + 10 + 20 + 20


def test_exported_program_agrees() -> None:
    block = CompConv(32, 32, depth=3, stride=2).eval()
    x = torch.randn(2, 32, 7, 7)
    assert torch.equal(torch.export.export(block, (x,)).module()(x), block(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 4}, r"kernel_size must be odd.*got 4"),
        ({"depth": 4}, "depth must be from 0 to 3; got 4"),
        ({"in_channels": 8, "depth": 3}, "depth 3 copies 15 channels of the input, which has 8"),
        ({"out_channels": 10, "depth": 3}, "depth 3 leaves no channel of 10 for the depthwise part"),
    ],
)
def test_errors_say_what_came(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompConv(**{"in_channels": 64, "out_channels": 64, **arguments})
