"""IGCV2, interleaved structured sparse convolutions (Xie et al., CVPR 2018), https://arxiv.org/abs/1804.06202.

IGCV1's product of two grouped convolutions becomes a product of several: a channel-wise one, then 1x1 convolutions in
small groups with a permutation between each two. If the sizes of the groups multiply to the number of channels, each
pair of channels has exactly one path; if the sizes are equal, the weights are the fewest.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    ImageClassifier,
    InterleavedSparseConv,
    early_strides,
    round_channels,
    strides,
)

from ._registry import Published, register

PAPER = "https://arxiv.org/abs/1804.06202"
K = 8  # channels in each group of the 1x1 convolutions, at every width


class Row(NamedTuple):
    """One stage: `n` interleaved convolutions of `x` channels."""

    x: int  # channels at width 1
    n: int  # convolutions
    s: int  # stride of the first; the others have stride 1


# fmt: off
MOBILENET_V1 = (  # the frame only: see igcv2
    Row(64,   1, 1),  # 112 x 112
    Row(128,  2, 2),  # 56 x 56
    Row(256,  2, 2),  # 28 x 28
    Row(512,  6, 2),  # 14 x 14
    Row(1024, 2, 2),  # 7 x 7
)
C416 = (
    Row(416,  6, 1),  # 32 x 32
    Row(832,  6, 2),  # 16 x 16
    Row(1664, 6, 2),  # 8 x 8
)

OURS = "the paper's layer table was not at hand; our own network by its rule has {} by count"
SHUFFLENET = "ShuffleNetV2's Table 8"
TABLE_7 = "Table 7: IGCV2*-C416, 20 layers"

PUBLISHED = (
    Published(multiply_adds="564M", top1=70.7, source=SHUFFLENET, deviation=OURS.format("96M multiply-adds")),
    Published(options={"width": 0.5}, multiply_adds="156M", top1=65.5, source=SHUFFLENET,
              deviation=OURS.format("44M multiply-adds")),
    Published(options={"width": 0.25}, multiply_adds="46M", top1=54.9, source=SHUFFLENET,
              deviation=OURS.format("21M multiply-adds")),
)
CIFAR_PUBLISHED = (
    Published(resolution=32, dataset="CIFAR-10", params="0.65M", top1=94.51, source=TABLE_7,
              deviation=OURS.format("0.76M parameters")),
    Published(options={"num_classes": 100}, resolution=32, dataset="CIFAR-100", params="0.65M", top1=77.05,
              source=TABLE_7, deviation=OURS.format("0.91M parameters")),
    Published(options={"num_classes": 200}, resolution=64, dataset="Tiny ImageNet", params="0.65M", top1=61.19,
              source=TABLE_7, deviation=OURS.format("1.08M parameters")),
    Published(resolution=32, dataset="CIFAR-10", params="2.4M", top1=94.76, source="IGCV3's README: IGCV2",
              deviation="which network of IGCV2's paper this is, the README does not say; C416 has 0.76M by count"),
    Published(options={"num_classes": 100}, resolution=32, dataset="CIFAR-100", params="2.4M", top1=77.45,
              source="IGCV3's README: IGCV2",
              deviation="which network of IGCV2's paper this is, the README does not say; C416 has 0.91M by count"),
)
# fmt: on


@register(
    family="IGCV2",
    paper=PAPER,
    year=2018,
    published=PUBLISHED,
    builds_on={
        "IGCV1": "the product of two grouped convolutions, cut again into more and smaller ones",
        "MobileNetV1": "what the networks for ImageNet are compared with, at the same widths",
    },
)
def igcv2(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = MOBILENET_V1,
) -> ImageClassifier:
    """Interleaved sparse convolutions in MobileNetV1's frame: not the paper's network for ImageNet, but after its rule.

    Differs from the paper: its layer table was not at hand. Stated are the widths 1, 0.5 and 0.25 and the comparison
    with MobileNetV1; from that we take MobileNetV1's channels and strides. The convolutions follow the paper's rule:
    channel-wise 3x3, then as many 1x1 layers in groups of 8 channels as it takes for 8 ** layers to reach the number of
    channels. This network is far smaller than the printed ones: theirs must be wider or otherwise laid out.

    Args:
        width: multiplies every channel count; the first row's is rounded to a multiple of 16, and the others follow.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        table: rows in the place of MobileNetV1's. Each row's channels are a multiple of those of the row before.
    """
    rows = [Row(*row) for row in table]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    first = round_channels(rows[0].x * width, 2 * K)
    stem = ConvNormAct(in_channels, first // 2, kernel_size=3, stride=stem_stride)
    body, channels = _stages(rows, row_strides, first // 2, first)
    head = ClassifierHead(channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


@register(family="IGCV2", paper=PAPER, year=2018, published=CIFAR_PUBLISHED, resolution=32)
def igcv2_cifar(
    *,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[Row] = C416,
) -> ImageClassifier:
    """Interleaved sparse convolutions for CIFAR: 20 layers, 416 channels in the first stage.

    Differs from the paper: its layer table was not at hand. Stated are the 20 layers, "C416", groups of 8 channels and
    the rule for the number of 1x1 layers (see igcv2); that there are three stages, in which the channels double as in
    IGCV1, is inferred. With three 1x1 layers in every stage there would be 0.64M parameters, which is nearer to the
    printed 0.65M than the rule's 0.76M; what the star in the paper's "IGCV2*" stands for, we do not know.

    Args:
        width: multiplies every channel count; the first row's is rounded to a multiple of 8, and the others follow.
        small_input: False puts a stride in the first layer and a pooling behind it, for pictures of about 224 x 224.
        table: rows in the place of the default's. Each row's channels are a multiple of those of the row before.
    """
    rows = [Row(*row) for row in table]
    stem_stride, pool_stride, *row_strides = early_strides((2, 2, *(row.s for row in rows)), small_input=small_input)
    first = round_channels(rows[0].x * width, K)
    stem = ConvNormAct(in_channels, first, kernel_size=3, stride=stem_stride)
    pool: list[nn.Module] = [] if small_input else [nn.MaxPool2d(3, stride=pool_stride, padding=1)]
    body, channels = _stages(rows, row_strides, first, first)
    head = ClassifierHead(channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, pool + body, head, in_channels=in_channels, resolution=32)


def _stages(rows: Sequence[Row], row_strides: Sequence[int], channels: int, first: int) -> tuple[list[nn.Module], int]:
    """Make the convolutions of all rows, with `first` channels in the first; returns them and the channels at last."""
    body: list[nn.Module] = []
    for row, first_stride in zip(rows, row_strides, strict=True):
        out_channels = first * row.x // rows[0].x
        for stride in strides(first_stride, row.n):
            body.append(
                InterleavedSparseConv(
                    channels,
                    out_channels,
                    stride=stride,
                    group_sizes=group_sizes(out_channels),
                    nearly_complementary=True,
                )
            )
            channels = out_channels
    return body, channels


def group_sizes(channels: int) -> tuple[int, ...]:
    """Choose the 1x1 layers for so many channels: as few groupings by 8 as reach every channel.

    Source: the rule L = ceil(log_K x) + 1 in the paper's network table, with K = 8.

    Example:
        >>> group_sizes(64), group_sizes(128), group_sizes(512)
        ((8, 8), (8, 8, 8), (8, 8, 8))
    """
    layers = 1
    while K**layers < channels:
        layers += 1
    return (K,) * layers
