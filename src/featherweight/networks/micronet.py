"""MicroNet (Li et al., ICCV 2021), https://arxiv.org/abs/2108.05894.

With a budget of a few million multiply-adds there are none to spare for connections: 1x1 layers become two group
convolutions whose groups are as many as the root of the channels between them, so that each input reaches each output
by one path, and a depthwise kernel becomes a column and a row. What the layers lose in connections, Dynamic Shift-Max
gives back: each channel is joined with one of the next group, weighed by what the picture shows. Depth is traded for
width, so that the few connections are not made fewer still.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ImageClassifier,
    MicroBlockA,
    MicroBlockC,
    MicroExpansion,
    MicroHead,
    MicroStem,
    early_strides,
)

from ._registry import Published, register


class Stem(NamedTuple):
    """The stem: channels behind its column, and how many the row makes from each."""

    p: int
    q: int


class Row(NamedTuple):
    """One block, under the released code's column letters."""

    s: int  # stride
    c: int  # output channels, squeezed
    k: int  # side of the depthwise kernel
    c1: int  # expansion of the column; with g1 of 0
    c2: int  # expansion of the row; with g1 above 0, of the group convolution in front
    g1: int  # groups of the expansion; 0 for Micro-Block A, which has none
    g2: int  # groups of the shuffle behind it
    g3: int  # groups of the squeeze; 0 in the last row, which only expands
    g4: int  # groups of the shuffle behind it
    y: tuple[int, int, int]  # fusions of Dynamic Shift-Max behind expansion, depthwise pair and squeeze; 0 for none
    r: int  # the hidden layers of Dynamic Shift-Max are 8 * r times narrower


# fmt: off
M0 = (
    Stem(2, 2),
    #   s    c  k c1 c2 g1  g2  g3  g4  y1 y2 y3   r
    Row(2,   8, 3, 2, 2,  0,  4,  2,  2, (2, 0, 1), 1),  # 112 x 112
    Row(2,  12, 3, 2, 2,  0,  8,  4,  4, (2, 2, 1), 1),  # 56 x 56
    Row(2,  16, 5, 2, 2,  0, 12,  4,  4, (2, 2, 1), 1),  # 28 x 28
    Row(1,  32, 5, 1, 4,  4,  4,  4,  4, (2, 2, 1), 1),  # 14 x 14
    Row(2,  64, 5, 1, 4,  8,  8,  8,  8, (2, 2, 1), 1),  # 14 x 14
    Row(1,  96, 3, 1, 4,  8,  8,  8,  8, (2, 2, 1), 2),  # 7 x 7
    Row(1, 384, 3, 1, 4, 12, 12,  0,  0, (2, 2, 1), 2),  # 7 x 7
)
M1 = (
    Stem(3, 2),
    Row(2,   8, 3, 2, 2,  0,  6,  2,  2, (2, 0, 1), 1),
    Row(2,  16, 3, 2, 2,  0,  8,  4,  4, (2, 2, 1), 1),
    Row(2,  16, 5, 2, 2,  0, 16,  4,  4, (2, 2, 1), 1),
    Row(1,  32, 5, 1, 6,  4,  4,  4,  4, (2, 2, 1), 1),
    Row(2,  64, 5, 1, 6,  8,  8,  8,  8, (2, 2, 1), 1),
    Row(1,  96, 3, 1, 6,  8,  8,  8,  8, (2, 2, 1), 2),
    Row(1, 576, 3, 1, 6, 12, 12,  0,  0, (2, 2, 1), 2),
)
M2 = (
    Stem(4, 2),
    Row(2,  12, 3, 2, 2,  0,  8,  4,  4, (2, 0, 1), 1),
    Row(2,  16, 3, 2, 2,  0, 12,  4,  4, (2, 2, 1), 1),
    Row(1,  24, 3, 2, 2,  0, 16,  4,  4, (2, 2, 1), 1),
    Row(2,  32, 5, 1, 6,  6,  6,  4,  4, (2, 2, 1), 1),
    Row(1,  32, 5, 1, 6,  8,  8,  4,  4, (2, 2, 1), 2),
    Row(1,  64, 5, 1, 6,  8,  8,  8,  8, (2, 2, 1), 2),
    Row(2,  96, 5, 1, 6,  8,  8,  8,  8, (2, 2, 1), 2),
    Row(1, 128, 3, 1, 6, 12, 12,  8,  8, (2, 2, 1), 2),
    Row(1, 768, 3, 1, 6, 16, 16,  0,  0, (2, 2, 1), 2),
)
M3 = (
    Stem(4, 3),
    Row(2,  16, 3, 2, 2,  0, 12,  4,  4, (0, 2, 0), 1),
    Row(2,  24, 3, 2, 2,  0, 16,  4,  4, (0, 2, 0), 1),
    Row(1,  24, 3, 2, 2,  0, 24,  4,  4, (0, 2, 0), 1),
    Row(2,  32, 5, 1, 6,  6,  6,  4,  4, (0, 2, 0), 1),
    Row(1,  32, 5, 1, 6,  8,  8,  4,  4, (0, 2, 0), 2),
    Row(1,  64, 5, 1, 6,  8,  8,  8,  8, (0, 2, 0), 2),
    Row(1,  80, 5, 1, 6,  8,  8,  8,  8, (0, 2, 0), 2),
    Row(1,  80, 5, 1, 6, 10, 10,  8,  8, (0, 2, 0), 2),
    Row(2, 120, 5, 1, 6, 10, 10, 10, 10, (0, 2, 0), 2),
    Row(1, 120, 5, 1, 6, 12, 12, 10, 10, (0, 2, 0), 2),
    Row(1, 144, 3, 1, 6, 12, 12, 12, 12, (0, 2, 0), 2),
    Row(1, 864, 3, 1, 6, 12, 12,  0,  0, (0, 2, 0), 2),
)

PAPER = "https://arxiv.org/abs/2108.05894"
SOURCE = "Table 7, authors' README"
WEIGHING = "by count convolutions and linear layers only; the print adds the weighing in Dynamic Shift-Max"
PUBLISHED = {
    "m0": (Published(params="1.0M", multiply_adds="4M", top1=46.6, top5=70.6, source=SOURCE,
                     deviation=f"3.4M {WEIGHING}: 4.05M"),),
    "m1": (Published(params="1.8M", multiply_adds="6M", top1=51.4, top5=74.5, source=SOURCE,
                     deviation=f"5.3M {WEIGHING}: 6.12M"),),
    "m2": (Published(params="2.4M", multiply_adds="12M", top1=59.4, top5=80.9, source=SOURCE,
                     deviation=f"10.3M {WEIGHING}: 12.74M"),
           Published(params="2.4M", multiply_adds="12.4M", top1=58.5, top5=80.1, source="Table 2: 300 epochs",
                     deviation=f"10.3M {WEIGHING}: 12.74M")),
    "m3": (Published(params="2.6M", multiply_adds="21M", top1=62.5, top5=83.1, source=SOURCE,
                     deviation=f"18.2M {WEIGHING}: 20.81M"),),
}  # the smaller forms M1# to M3# of Table 7 are not here: what they leave out was not published
# fmt: on


START = (1.0, 0.0, 1.0, 0.0)  # what Dynamic Shift-Max begins near: a_1, b_1, a_2, b_2
START_M3 = (1.0, 0.0, 0.5, 0.5)
BUILDS_ON = {
    "MobileNetV2": "the bottleneck, with 1x1 layers factorized into group convolutions, depthwise kernels into a "
    "column and a row",
    "ShuffleNetV1": "shuffles between group convolutions, with as many groups as join each input and output once",
    "MobileNetV3": "the head of two linear layers with hard swish, and what it is measured against",
}


@register(
    family="MicroNet",
    paper="https://arxiv.org/abs/2108.05894",
    year=2021,
    published=PUBLISHED["m0"],
    builds_on=BUILDS_ON,
)
def micronet_m0(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.05,
    small_input: bool = False,
    head_channels: int | None = None,
    table: Sequence[Sequence[object]] = M0,
) -> ImageClassifier:
    """Group convolutions of as few connections as will do, and Dynamic Shift-Max: 4 million multiply-adds.

    Args:
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        head_channels: width of the head's hidden layer; default 640.
        table: stem and rows in the place of the released code's.
    """
    return _micronet(
        table, head_channels or 640, START, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input,
    )  # fmt: skip


@register(family="MicroNet", paper=PAPER, year=2021, published=PUBLISHED["m1"])
def micronet_m1(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.05,
    small_input: bool = False,
    head_channels: int | None = None,
    table: Sequence[Sequence[object]] = M1,
) -> ImageClassifier:
    """The same for 6 million multiply-adds.

    Args:
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        head_channels: width of the head's hidden layer; default 960.
        table: stem and rows in the place of the released code's.
    """
    return _micronet(
        table, head_channels or 960, START, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input,
    )  # fmt: skip


@register(family="MicroNet", paper=PAPER, year=2021, published=PUBLISHED["m2"])
def micronet_m2(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.1,
    small_input: bool = False,
    head_channels: int | None = None,
    table: Sequence[Sequence[object]] = M2,
) -> ImageClassifier:
    """The same for 12 million multiply-adds.

    Args:
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        head_channels: width of the head's hidden layer; default 1024.
        table: stem and rows in the place of the released code's.
    """
    return _micronet(
        table, head_channels or 1024, START, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input,
    )  # fmt: skip


@register(family="MicroNet", paper=PAPER, year=2021, published=PUBLISHED["m3"])
def micronet_m3(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.1,
    small_input: bool = False,
    head_channels: int | None = None,
    table: Sequence[Sequence[object]] = M3,
) -> ImageClassifier:
    """The same for 21 million multiply-adds, with one Dynamic Shift-Max a block.

    Args:
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        head_channels: width of the head's hidden layer; default 1024.
        table: stem and rows in the place of the released code's.
    """
    return _micronet(
        table, head_channels or 1024, START_M3, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input,
    )  # fmt: skip


def _micronet(
    table: Sequence[Sequence[object]],
    hidden_channels: int,
    start: tuple[float, ...],
    *,
    num_classes: int,
    in_channels: int,
    dropout: float,
    small_input: bool,
) -> ImageClassifier:
    (p, q), *rest = table
    rows = [Row(*row) for row in rest]  # type: ignore[arg-type]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    stem = MicroStem(in_channels, p, q, stem_stride)  # type: ignore[arg-type]
    channels = p * q  # type: ignore[operator]
    body: list[nn.Module] = []
    for row, stride in zip(rows, row_strides, strict=True):
        body.append(_block(channels, row, stride, start))
        channels = row.c
    head = MicroHead(channels, num_classes, hidden_channels=hidden_channels, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _block(channels: int, row: Row, stride: int, start: tuple[float, ...]) -> nn.Module:
    _, y2, y3 = row.y
    reduction = 8 * row.r
    if row.g1 == 0:
        return MicroBlockA(
            channels, row.c, groups=(row.g2, row.g3, row.g4), kernel_size=row.k, stride=stride,
            expansion=(row.c1, row.c2), fusions=(y2, y3), reduction=reduction, start=start,
        )  # fmt: skip
    hidden = channels * row.c1 * row.c2
    if row.g3 == 0:
        if stride != 1 or row.c != hidden:
            raise ValueError(f"a row without squeeze only expands: wanted stride 1 and {hidden} channels; got {row}")
        return MicroExpansion(
            channels, hidden, groups=(row.g1, row.g2), fusions=min(y3, 1), plain=None, reduction=reduction
        )  # fmt: skip
    return MicroBlockC(
        channels, row.c, hidden_channels=hidden, groups=(row.g1, row.g2, row.g3, row.g4), kernel_size=row.k,
        stride=stride, fusions=row.y, reduction=reduction, start=start,
    )  # fmt: skip
