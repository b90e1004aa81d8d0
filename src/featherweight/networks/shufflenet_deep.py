"""ShuffleNets of 50 and 164 layers (Ma et al., ECCV 2018, appendix), https://arxiv.org/abs/1807.11164.

Half of the channels pass each unit by, and a shuffle mixes them with the other half, which was worked on. No 1x1 layer
is grouped and every layer has as many channels out as in: both save bytes moved, which is what time is spent on.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    ImageClassifier,
    ShuffleUnitV1,
    ShuffleUnitV2,
    early_strides,
    strides,
)

from ._registry import Published, register

PAPER = "https://arxiv.org/abs/1807.11164"


class Row(NamedTuple):
    """One stage of the appendix's table."""

    w: int  # channels of a unit at width 1, both halves together
    n: int  # units at depth 1
    s: int  # stride of the first


# fmt: off
V1_50 = (
    Row(360,  3, 1),  # conv2_x, 56 x 56
    Row(720,  4, 2),  # conv3_x, 28 x 28
    Row(1440, 6, 2),  # conv4_x, 14 x 14
    Row(2880, 3, 2),  # conv5_x, 7 x 7
)
V2_50 = (
    Row(244,  3, 1),  # conv2_x, 56 x 56
    Row(488,  4, 2),  # conv3_x, 28 x 28
    Row(976,  6, 2),  # conv4_x, 14 x 14
    Row(1952, 3, 2),  # conv5_x, 7 x 7
)
V2_164 = (
    Row(340,  10, 1),  # conv2_x, 56 x 56
    Row(680,  10, 2),  # conv3_x, 28 x 28
    Row(1360, 23, 2),  # conv4_x, 14 x 14
    Row(2720, 10, 2),  # conv5_x, 7 x 7
)

V1_PUBLISHED = (
    Published(multiply_adds="2.3G", top1=74.8, source="Table 6: ShuffleNet v1-50, the authors' own implementation",
              deviation="1.21G by count with bottlenecks of a quarter, as in ShuffleNetV1's paper; the table does not "
                        "say how wide they are here"),
)
V2_50_PUBLISHED = (Published(multiply_adds="2.3G", top1=77.2, source="Table 6: ShuffleNet v2-50"),)
# Not here: "Large" and "ExLarge" of the authors' README, which have other layers (3x3 in 8 groups, and more 1x1).
V2_164_PUBLISHED = (
    Published(multiply_adds="12.7G", top1=81.44, source="Table 6: SE-ShuffleNet v2-164 with residual",
              deviation="12.54G by count of the appendix's table; how wide squeeze-excite is, it does not say, and "
                        "even at full width our count is below the printed one"),
)
# fmt: on


@register(family="ShuffleNetV1", paper=PAPER, year=2018, published=V1_PUBLISHED)
def shufflenet_v1_50(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = V1_50,
) -> ImageClassifier:
    """ShuffleNet with 3 groups, 50 layers deep, as ShuffleNetV2's authors compare with it.

    Differs from the paper: its table does not say how wide a unit's bottleneck is; here a quarter, as in ShuffleNetV1's
    paper, which is about half of the printed cost. Nor does it say how the first unit widens 64 channels to 360 without
    a stride: it makes 296, which do not divide into 3 groups. Here neither of that unit's 1x1 layers is grouped.

    Args:
        width: multiplies every channel count, rounded to what divides into the groups.
        depth: multiplies the number of units in each stage.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        table: stages in the place of the appendix's.
    """
    rows, row_strides, body = _early(table, small_input)
    channels = max(3, round(64 * width))
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=1 if small_input else 2)
    for row, first_stride in zip(rows, row_strides, strict=True):
        out_channels = 12 * max(1, round(rows[0].w * width / 12)) * row.w // rows[0].w
        for i, stride in enumerate(strides(first_stride, _units(row.n, depth))):
            groups = 1 if row is rows[0] and i == 0 else 3
            body.append(ShuffleUnitV1(channels, out_channels, groups=groups, stride=stride))
            channels = out_channels
    head = ClassifierHead(channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


@register(family="ShuffleNetV2", paper=PAPER, year=2018, published=V2_50_PUBLISHED)
def shufflenet_v2_50(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = V2_50,
) -> ImageClassifier:
    """ShuffleNetV2, 50 layers deep. A unit that widens makes half of its channels in each branch.

    Args:
        width: multiplies every channel count, rounded to even numbers.
        depth: multiplies the number of units in each stage.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        table: stages in the place of the appendix's.
    """
    channels = _even(64 * width)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=1 if small_input else 2)
    return _v2(
        stem, channels, table, excite=False, width=width, depth=depth, num_classes=num_classes,
        in_channels=in_channels, dropout=dropout, small_input=small_input,
    )  # fmt: skip


@register(family="ShuffleNetV2", paper=PAPER, year=2018, published=V2_164_PUBLISHED)
def shufflenet_v2_164(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = V2_164,
) -> ImageClassifier:
    """ShuffleNetV2, 164 layers deep, with squeeze-excite and residuals in its units.

    Differs from the paper: how narrow squeeze-excite is, it does not say; here 1/16, as in the work that it is from.
    The authors' released "Large" carries the accuracy of this row but has other layers.

    Args:
        width: multiplies every channel count, rounded to even numbers.
        depth: multiplies the number of units in each stage.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        table: stages in the place of the appendix's.
    """
    half, channels = _even(64 * width), _even(128 * width)
    stem = nn.Sequential(
        ConvNormAct(in_channels, half, kernel_size=3, stride=1 if small_input else 2),
        ConvNormAct(half, half, kernel_size=3),
        ConvNormAct(half, channels, kernel_size=3),
    )
    return _v2(
        stem, channels, table, excite=True, width=width, depth=depth, num_classes=num_classes,
        in_channels=in_channels, dropout=dropout, small_input=small_input,
    )  # fmt: skip


def _v2(
    stem: nn.Module,
    channels: int,
    table: Sequence[Row],
    *,
    excite: bool,
    width: float,
    depth: float,
    num_classes: int,
    in_channels: int,
    dropout: float,
    small_input: bool,
) -> ImageClassifier:
    """Build what stands behind the stem; `excite` is for residuals too."""
    rows, row_strides, body = _early(table, small_input)
    for row, first_stride in zip(rows, row_strides, strict=True):
        out_channels = _even(row.w * width)
        for stride in strides(first_stride, _units(row.n, depth)):
            body.append(ShuffleUnitV2(channels, out_channels, stride=stride, residual=excite, squeeze_excite=excite))
            channels = out_channels
    head_channels = _even(2048 * width)
    body.append(ConvNormAct(channels, head_channels))
    head = ClassifierHead(head_channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _early(table: Sequence[Row], small_input: bool) -> tuple[list[Row], tuple[int, ...], list[nn.Module]]:
    """Return the rows, the strides of their first units, and what stands before them."""
    rows = [Row(*row) for row in table]
    _, pool_stride, *row_strides = early_strides((2, 2, *(row.s for row in rows)), small_input=small_input)
    return rows, tuple(row_strides), [] if small_input else [nn.MaxPool2d(3, stride=pool_stride, padding=1)]


def _units(units: int, depth: float) -> int:
    return max(1, round(units * depth))


def _even(channels: float) -> int:
    """The nearest even number of channels, at least 2."""
    return max(2, 2 * round(channels / 2))
