"""Blocks drawn at random: each maker fits one to the channels before it."""

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from torch import nn

from featherweight import blocks as b

ACTIVATIONS = ("relu", "relu", "relu6", "silu", "silu", "hard_swish", "hard_swish", "leaky_relu")
COMMON = {"inverted": 4, "fused": 2, "separable": 2, "convolution": 2}  # times as likely as any other sort of block


class Drawn(NamedTuple):
    """A block, and the channels that it gives."""

    module: nn.Module
    channels: int


class Draw:
    """What the blocks of one network draw from."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.activation = rng.choice(ACTIVATIONS)
        self.attends = rng.random() < 0.4
        self.kernels = rng.choice([(3,), (3,), (3, 5), (5, 7)])

    def hidden(self, channels: float, ratios: tuple[float, ...] = (1, 2, 3, 4, 6)) -> int:
        return rounded(channels * self.rng.choice(ratios))

    def attention(self) -> Callable[[int], nn.Module] | None:
        if not self.attends:
            return None
        gate = self.rng.choice(["hard_sigmoid", "sigmoid"])
        return lambda channels: b.SqueezeExcite(channels, max(4, channels // 4), gate=gate)

    def groups(self, *choices: int) -> int:
        return self.rng.choice(choices)


Maker = Callable[[Draw, int, int, int], Drawn]  # of a block for (in, out, stride); ValueError where it does not fit


def rounded(channels: float, divisor: int = 8) -> int:
    """Round to a multiple, at least one.

    Example:
        >>> rounded(37.0), rounded(2.0), rounded(50, 12)
        (40, 8, 48)
    """
    return max(1, round(channels / divisor)) * divisor


def _convolution(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    kernels: list[int | tuple[int, int]] = [1, 3, 3, 5, (1, 3), (3, 1)]
    kernel = draw.rng.choice(kernels)
    return Drawn(b.ConvNormAct(before, after, kernel, stride, activation=draw.activation), after)


def _biased(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    """As in the networks before batch norm; strides are poolings' work."""
    layers: list[nn.Module] = [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
    pool = draw.rng.choice([nn.MaxPool2d(2), nn.MaxPool2d(3, 2), nn.AvgPool2d(2)])
    return Drawn(nn.Sequential(*layers, *([pool] if stride > 1 else [])), after)


def _grouped(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    groups = draw.groups(2, 3, 4, 8, 16)
    after = rounded(after, 4 * groups)
    kernel = draw.rng.choice([1, 1, 3, 3, 5])
    return Drawn(b.ConvNormAct(before, after, kernel, stride, groups=groups, activation=draw.activation), after)


def _separable(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    kernel = draw.rng.choice(draw.kernels)
    return Drawn(b.DepthwiseSeparable(before, after, kernel, stride, activation=draw.activation), after)


def _inverted(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    made = b.InvertedResidual(
        before, after, hidden_channels=draw.hidden(before), kernel_size=draw.rng.choice(draw.kernels), stride=stride,
        activation=draw.activation, attention=draw.attention(),
    )  # fmt: skip
    return Drawn(made, after)


def _fused(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    made = b.FusedInvertedResidual(
        before, after, hidden_channels=draw.hidden(before, (1, 2, 4)), stride=stride, activation=draw.activation,
        attention=draw.attention(),
    )  # fmt: skip
    return Drawn(made, after)


def _basic(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    padded = after >= before and draw.rng.random() < 1 / 3
    return Drawn(b.BasicBlock(before, after, stride=stride, shortcut="pad" if padded else "projection"), after)


def _adder(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    return Drawn(b.BasicBlock(before, after, stride=stride, convolution=b.AdderConv2d), after)


def _bottleneck(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    hidden = rounded(after / draw.rng.choice([1, 2, 4]))
    return Drawn(b.BottleneckBlock(before, after, hidden_channels=hidden, stride=stride), after)


def _fire(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    half = rounded(after / 2)
    fire = b.Fire(
        before, squeeze_channels=rounded(after / draw.rng.choice([4, 8])),
        expand1x1_channels=half, expand3x3_channels=half,
    )  # fmt: skip
    return Drawn(fire if stride == 1 else nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), fire), 2 * half)


def _shuffle_v1(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    groups = draw.groups(1, 2, 3, 4, 8)
    after = before if stride == 1 else rounded(max(after, before + 8 * groups), 4 * groups)
    first = groups if before % groups == 0 else 1
    return Drawn(b.ShuffleUnitV1(before, after, groups=groups, stride=stride, reduce_groups=first), after)


def _shuffle_v2(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    after = before if stride == 1 else rounded(after, draw.groups(4, 8, 16))
    return Drawn(b.ShuffleUnitV2(before, after, stride=stride, squeeze_excite=draw.attends), after)


def _ghost(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    made = b.GhostBottleneck(
        before, after, hidden_channels=draw.hidden(before, (1, 2, 3, 6)), kernel_size=draw.groups(3, 5), stride=stride,
        attention=draw.attention(),
    )  # fmt: skip
    return Drawn(made, after)


def _squeezenext(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    return Drawn(b.SqNxtBlock(before, after, stride=stride, tall_first=draw.rng.random() < 0.5), after)


def _effnet(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    if stride == 1:
        raise ValueError("EffNet's block halves the sides")
    return Drawn(b.EffNetBlock(before, after, multiplier=draw.groups(1, 2)), after)


def _xception(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    return Drawn(b.XceptionBlock(before, after, repeats=draw.groups(2, 3), stride=stride), after)


def _interleaved(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    after = rounded(after, 2 * (primary := draw.groups(2, 4, 8, before // 2)))
    made = b.InterleavedGroupConv(
        before, after, stride=stride, primary_partitions=primary, secondary_partitions=before // primary,
        activation=draw.activation,
    )  # fmt: skip
    return Drawn(made, after)


def _low_rank(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    hidden = draw.hidden(before, (1, 2, 6))
    made = b.InterleavedLowRankGroupConv(before, after, hidden_channels=hidden, stride=stride, groups=(2, 2))
    return Drawn(made, after)


def _sparse(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    sizes = b.balanced_group_sizes(before, 2)
    return Drawn(b.InterleavedSparseConv(before, before, stride=stride, group_sizes=sizes), before)


def _channel_wise(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    match draw.groups(1, 2, 3):
        case 1:
            return Drawn(
                b.DepthwiseSeparableChannelWise(before, after, 3, stride, channel_kernel_size=draw.groups(8, 64)), after
            )
        case 2:
            return Drawn(b.GroupChannelWiseModule(before, groups=2), before)
    return Drawn(b.GroupModule(before, groups=2), before)


def _condense(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    growth = rounded(after / 4, 8)
    layer = b.CondenseLayer(before, growth, groups=draw.groups(4, 8), converted=draw.rng.random() < 0.5)
    pool = [nn.AvgPool2d(2)] if stride > 1 else []
    return Drawn(nn.Sequential(*pool, layer), before + growth)


def _micro(draw: Draw, before: int, after: int, stride: int) -> Drawn:
    hidden, g = draw.hidden(before, (2, 4, 6)), draw.groups(2, 4)
    made = b.MicroBlockC(before, after, hidden_channels=hidden, groups=(g, g, g, g), stride=stride)
    return Drawn(made, after)


MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        "adder": _adder, "convolution": _convolution, "biased": _biased, "grouped": _grouped, "separable": _separable,
        "inverted": _inverted, "fused": _fused, "basic": _basic, "bottleneck": _bottleneck, "fire": _fire,
        "shuffle_v1": _shuffle_v1, "shuffle_v2": _shuffle_v2, "ghost": _ghost, "squeezenext": _squeezenext,
        "effnet": _effnet, "xception": _xception, "interleaved": _interleaved, "low_rank": _low_rank,
        "sparse": _sparse, "channel_wise": _channel_wise, "condense": _condense, "micro": _micro,
    }
)  # fmt: skip
