"""FD-MobileNet (Qin et al., ICIP 2018), https://arxiv.org/abs/1802.03750.

MobileNet's layers in another order: the picture is reduced 32 times within the first twelve layers, where MobileNet
takes its time. Layers on small maps are cheap, so that the same budget, when it is tiny, buys more of them and more
channels.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    DepthwiseSeparable,
    ImageClassifier,
    early_strides,
    strides,
)

from ._registry import Published, register


class Row(NamedTuple):
    """One row of the layer table: depthwise separable convolutions."""

    c: int  # output channels at width 1
    n: int  # how many of them
    s: int  # stride of the first


# fmt: off
TABLE = (
    #     c  n  s     input
    Row(64,   1, 2),  # 112 x 112 x 32
    Row(128,  1, 2),  # 56 x 56 x 64
    Row(128,  1, 1),  # 28 x 28 x 128
    Row(256,  1, 2),  # 28 x 28 x 128
    Row(256,  1, 1),  # 14 x 14 x 256
    Row(512,  1, 2),  # 14 x 14 x 256
    Row(512,  4, 1),  # 7 x 7 x 512
    Row(1024, 1, 1),  # 7 x 7 x 512
)

README = "authors' README (clavichord93/FD-MobileNet)"

PUBLISHED = (
    Published(multiply_adds="144M", top1=65.3, source=README),
    Published(options={"width": 0.5}, multiply_adds="40M", top1=56.3, source=README),
    Published(options={"width": 0.25}, multiply_adds="12M", top1=45.1, source=README),
)
# fmt: on


@register(
    family="FD-MobileNet",
    paper="https://arxiv.org/abs/1802.03750",
    year=2018,
    published=PUBLISHED,
    builds_on={"MobileNetV1": "its depthwise separable layers, with all reductions moved to the front"},
)
def fd_mobilenet(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = TABLE,
) -> ImageClassifier:
    """A plain stack of depthwise separable convolutions that reduces the picture at once.

    Args:
        width: multiplies every channel count; the result is cut off to an integer of at least 8.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        table: rows in the place of the paper's.
    """
    rows = [Row(*row) for row in table]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    channels = _scale(32, width)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride)
    body: list[nn.Module] = []
    for row, first_stride in zip(rows, row_strides, strict=True):
        out_channels = _scale(row.c, width)
        for stride in strides(first_stride, row.n):
            body.append(DepthwiseSeparable(channels, out_channels, stride=stride, activation="relu"))
            channels = out_channels
    head = ClassifierHead(channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _scale(channels: int, width: float) -> int:
    return max(int(channels * width), 8)
