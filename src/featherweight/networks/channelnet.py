"""ChannelNets (Gao et al., NeurIPS 2018), https://arxiv.org/abs/1809.01330.

The 1x1 layers that mix all channels are most of a small network's weights. ChannelNets mix channels by short filters
that slide along the channels, each output seeing only its neighbours, shared over the whole picture. With such filters
between grouped layers (v1), in the place of the last 1x1 layer (v2) and even in the place of the classifier (v3), they
are three sizes of one trunk, MobileNet's.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from featherweight.blocks import (
    ClassifierHead,
    ConvClassifierHead,
    ConvNormAct,
    DepthwiseSeparableChannelWise,
    GroupChannelWiseModule,
    GroupModule,
    ImageClassifier,
    SeparableConv,
    early_strides,
    round_channels,
)

from ._registry import Published, register


class Row(NamedTuple):
    """One row of Table 1."""

    module: str  # DWSConv, DWSCWConv, GM or GCWM
    channels: int  # at width 1
    stride: int
    join: str = ""  # the module's input "add"-ed to its output, or "cat"-enated in front of it


PAPER = "https://arxiv.org/abs/1809.01330"

# fmt: off
TABLE_V1 = (
    Row("DWSConv",   64, 1),         # 112 x 112
    Row("DWSConv",  128, 2),         # 56 x 56
    Row("DWSConv",  128, 1),         # 56 x 56
    Row("DWSConv",  256, 2),         # 28 x 28
    Row("DWSConv",  256, 1),         # 28 x 28
    Row("DWSConv",  512, 2),         # 14 x 14
    Row("GCWM",     512, 1, "add"),  # 14 x 14
    Row("GCWM",     512, 1, "add"),  # 14 x 14
    Row("GM",       512, 1, "add"),  # 14 x 14
    Row("DWSConv", 1024, 2),         # 7 x 7
    Row("DWSConv", 1024, 1),         # 7 x 7
)
TABLE_V2 = (*TABLE_V1[:-1], Row("DWSCWConv", 1024, 1))
RELEASED_V1 = (
    Row("DWSConv",   64, 1, "cat"),  # 112 x 112, 96 channels behind it
    Row("DWSConv",  128, 2),
    Row("DWSConv",  128, 1, "cat"),  # 56 x 56, 256
    Row("DWSConv",  256, 2),
    Row("DWSConv",  256, 1, "cat"),  # 28 x 28, 512
    Row("DWSConv",  512, 2),
    Row("GM",       512, 1, "add"),
    Row("GCWM",     512, 1),
    Row("GCWM",     512, 1, "add"),
    Row("DWSConv", 1024, 2),
    Row("DWSConv", 1024, 1),
)

V1_PUBLISHED = (
    Published(params="3.7M", multiply_adds="407M", top1=70.5, source="authors' README (HongyangGao/ChannelNets)",
              deviation="468M multiply-adds by count with the layers that give the printed parameters; unknown how the "
                        "authors counted"),
)
# Of v2 and v3 we have no printed count: Section 4.5 says only 2.x and 1.x million parameters; ours are 2.65 and 1.63.
# fmt: on

BUILDS_ON = {
    "MobileNetV1": "its trunk of separable convolutions; short filters along the channels save on its 1x1 layers",
    "ResNeXt": "layers in groups; a channel-wise convolution in front lets the groups see each other",
}


@register(family="ChannelNet", paper=PAPER, year=2018, published=V1_PUBLISHED, builds_on=BUILDS_ON)
def channelnet_v1(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0001,
    small_input: bool = False,
    groups: int = 2,
    table: Sequence[Row] = TABLE_V1,
) -> ImageClassifier:
    """Grouped layers with channel-wise convolutions between them.

    Differs from the paper: dropout stands before the last layer only (the paper: behind each 1x1 layer, rate 0.0001).
    Where residuals stand in the paper's three group modules could not be read; here around each.

    Args:
        width: multiplies every channel count.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        groups: of the group modules; channel counts are rounded to multiples of it and of 8.
        table: rows in the place of Table 1. `RELEASED_V1` are those of the released code, which concatenates early
            layers and has the group modules in another order: 3.88M parameters, 535M multiply-adds.
    """
    return _channelnet(
        table, ClassifierHead, width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input, groups=groups,
    )  # fmt: skip


@register(family="ChannelNet", paper=PAPER, year=2018)
def channelnet_v2(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0001,
    small_input: bool = False,
    groups: int = 2,
    table: Sequence[Row] = TABLE_V2,
) -> ImageClassifier:
    """ChannelNet-v1 with a filter of 64 weights in the place of its last 1x1 layer, over a quarter of all its weights.

    Args:
        width: multiplies every channel count.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        groups: of the group modules; channel counts are rounded to multiples of it and of 8.
        table: rows in the place of Table 1.
    """
    return _channelnet(
        table, ClassifierHead, width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input, groups=groups,
    )  # fmt: skip


@register(family="ChannelNet", paper=PAPER, year=2018)
def channelnet_v3(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0001,
    small_input: bool = False,
    groups: int = 2,
    table: Sequence[Row] = TABLE_V2,
) -> ImageClassifier:
    """ChannelNet-v2 with one kernel of 7 x 7 x 25 for all classes in the place of its linear layer of 1.03M weights.

    Args:
        width: multiplies every channel count.
        num_classes: at most as many as the last layer has channels, 1024 at width 1.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        groups: of the group modules; channel counts are rounded to multiples of it and of 8.
        table: rows in the place of Table 1.
    """
    return _channelnet(
        table, ConvClassifierHead, width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input, groups=groups,
    )  # fmt: skip


def _channelnet(
    table: Sequence[Row],
    make_head: Callable[..., nn.Module],
    *,
    width: float,
    num_classes: int,
    in_channels: int,
    dropout: float,
    small_input: bool,
    groups: int,
) -> ImageClassifier:
    rows = [Row(*row) for row in table]
    divisor = math.lcm(8, groups)
    stem_stride, *row_strides = early_strides((2, *(row.stride for row in rows)), small_input=small_input)
    channels = round_channels(32 * width, divisor)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride, activation=None)
    body: list[nn.Module] = []
    for row, stride in zip(rows, row_strides, strict=True):
        out_channels = round_channels(row.channels * width, divisor)
        body.append(_module(row, channels, out_channels, stride, groups))
        channels = out_channels + (channels if row.join == "cat" else 0)
    head = make_head(channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _module(row: Row, in_channels: int, out_channels: int, stride: int, groups: int) -> nn.Module:
    match row:
        case Row("DWSConv", join=""):
            return SeparableConv(in_channels, out_channels, stride=stride, activation="relu6")
        case Row("DWSConv", join="cat"):
            return _InputInFront(SeparableConv(in_channels, out_channels, stride=stride, activation="relu6"))
        case Row("DWSCWConv", join=""):
            return DepthwiseSeparableChannelWise(in_channels, out_channels, stride=stride)
        case Row("GM", stride=1, join="" | "add") if in_channels == out_channels:
            return GroupModule(out_channels, groups=groups, residual=row.join == "add")
        case Row("GCWM", stride=1, join="" | "add") if in_channels == out_channels:
            return GroupChannelWiseModule(out_channels, groups=groups, residual=row.join == "add")
    raise ValueError(
        f"not a row of a ChannelNet: {row} behind {in_channels} channels; DWSConv may be joined by 'cat', GM and GCWM "
        "by 'add', and those keep channels and size"
    )


class _InputInFront(nn.Module):
    """Put a block's input in front of its output: x [N, in, H, W] -> (x, block(x)) [N, in + out, H, W]."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.block(x)), dim=1)
