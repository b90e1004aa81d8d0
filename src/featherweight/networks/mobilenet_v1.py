"""MobileNetV1 (Howard et al., 2017), https://arxiv.org/abs/1704.04861.

An ordinary convolution filters and mixes channels at once; here a depthwise 3x3 convolution filters each channel and
a 1x1 convolution mixes them, at about a ninth of the cost. The whole network is a plain chain of such pairs. Two
numbers, a width multiplier for the channels and the resolution of the input, trade accuracy for cost.
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
    """One row of Table 1: a depthwise and a 1x1 layer."""

    c: int  # output channels at width 1
    n: int  # how many of them
    s: int  # stride of the first


# fmt: off
TABLE_1 = (
    #     c  n  s     input
    Row(64,   1, 1),  # 112 x 112 x 32
    Row(128,  1, 2),  # 112 x 112 x 64
    Row(128,  1, 1),  # 56 x 56 x 128
    Row(256,  1, 2),  # 56 x 56 x 128
    Row(256,  1, 1),  # 28 x 28 x 256
    Row(512,  1, 2),  # 28 x 28 x 256
    Row(512,  5, 1),  # 14 x 14 x 512
    Row(1024, 1, 2),  # 14 x 14 x 512
    Row(1024, 1, 1),  # 7 x 7 x 1024; the paper prints stride 2 beside an output of 7 x 7, the released code has 1
)

README = "authors' README (tensorflow/models, slim, mobilenet_v1)"
CUT = "printed cut off, not rounded"
DOGS = "Table 10: 120 classes"
DOGS_COUNT = "the multiply-adds printed are those with 1000 classes"
THREE_PER_NORM = "the README's parameters are met with three batch norm values a channel; training has two"
WIDTH_075 = "the README's multiply-adds at width 0.75 are below any count; the paper's own tables have the count"
README_DEVIATIONS = {
    **{(1.0, resolution): THREE_PER_NORM for resolution in (224, 192, 160, 128)},
    **{(0.75, resolution): WIDTH_075 for resolution in (224, 192, 160, 128)},
    **{(0.5, resolution): THREE_PER_NORM for resolution in (192, 160, 128)},
    (0.5, 224): f"{THREE_PER_NORM}; 149.497M multiply-adds by count, and 149M in the paper",
    (0.25, 192): "30M multiply-adds by count; 34M fits no rounding",
}

PUBLISHED = (
    Published(params="4.2M", multiply_adds="569M", top1=70.6, source="Tables 4, 6, 7, 8"),
    Published(options={"width": 0.75}, params="2.6M", multiply_adds="325M", top1=68.4, source="Tables 5, 6"),
    Published(options={"width": 0.5}, params="1.3M", multiply_adds="149M", top1=63.7, source="Table 6"),
    Published(options={"width": 0.25}, params="0.5M", multiply_adds="41M", top1=50.6, source="Table 6"),
    Published(resolution=192, params="4.2M", multiply_adds="418M", top1=69.1, source="Table 7"),
    Published(resolution=160, params="4.2M", multiply_adds="290M", top1=67.2, source="Table 7", deviation=CUT),
    Published(resolution=128, params="4.2M", multiply_adds="186M", top1=64.4, source="Table 7"),
    Published(options={"width": 0.5}, resolution=160, params="1.32M", multiply_adds="76M", top1=60.2,
              source="Table 9", deviation=CUT),
    Published(options={"depthwise": False}, params="29.3M", multiply_adds="4866M", top1=71.7, source="Table 4",
              deviation="4867M by count, 4866M without the fully connected layer"),
    Published(options={"shallow": True}, params="2.9M", multiply_adds="307M", top1=65.3, source="Table 5"),
    Published(options={"num_classes": 120}, params="3.3M", multiply_adds="569M", top1=83.3,
              dataset="Stanford Dogs", source=DOGS, deviation=DOGS_COUNT),
    Published(options={"num_classes": 120, "width": 0.75}, params="1.9M", multiply_adds="325M", top1=81.9,
              dataset="Stanford Dogs", source=DOGS),
    Published(options={"num_classes": 120}, resolution=192, params="3.3M", multiply_adds="418M", top1=81.9,
              dataset="Stanford Dogs", source=DOGS, deviation=DOGS_COUNT),
    Published(options={"num_classes": 120, "width": 0.75}, resolution=192, params="1.9M", multiply_adds="239M",
              top1=80.5, dataset="Stanford Dogs", source=DOGS),
    Published(params="4.2M", multiply_adds="575M", top1=70.6, source="MobileNetV2's Table 4",
              deviation="569M multiply-adds by count and in the network's own paper"),
    Published(params="4.2M", multiply_adds="574M", resolution=227, top1=67.5, top5=86.59,
              source="SqueezeNext's Table 3, trained by its recipe",
              deviation="645M multiply-adds by count at 227 pixels, 569M at 224"),
    Published(multiply_adds="0.6B", top1=70.6, source="EfficientNet's Table 3"),
    Published(options={"width": 2.0}, multiply_adds="2.2B", top1=74.2, source="EfficientNet's Table 3"),
    Published(resolution=448, multiply_adds="2.2B", top1=72.7, source="EfficientNet's Table 3", deviation=CUT),
    *(
        Published(options={"width": width}, resolution=resolution, params=params, multiply_adds=multiply_adds,
                  top1=top1, top5=top5, source=f"{README}{bits}", deviation=README_DEVIATIONS.get((width, resolution)))
        for width, params, rows in (
            (1.00, "4.24M", ((224, "569M", (70.9, 89.9), (69.7, 89.5)), (192, "418M", (70.0, 89.2), (69.0, 88.9)),
                             (160, "291M", (68.0, 87.7), (67.3, 87.7)), (128, "186M", (65.2, 85.8), (64.0, 85.5)))),
            (0.75, "2.59M", ((224, "317M", (68.4, 88.2), (67.9, 88.1)), (192, "233M", (67.2, 87.3), (66.2, 87.1)),
                             (160, "162M", (65.3, 86.0), (63.9, 85.5)), (128, "104M", (62.1, 83.9), (59.8, 82.8)))),
            (0.50, "1.34M", ((224, "150M", (63.3, 84.9), (62.2, 84.5)), (192, "110M", (61.7, 83.6), (60.4, 83.2)),
                             (160, "77M", (59.1, 81.9), (57.7, 81.3)), (128, "49M", (56.3, 79.4), (54.9, 78.9)))),
            (0.25, "0.47M", ((224, "41M", (49.8, 74.2), (48.2, 73.8)), (192, "34M", (47.7, 72.3), (45.8, 71.9)),
                             (160, "21M", (45.5, 70.3), (43.5, 69.1)), (128, "14M", (41.5, 66.3), (39.9, 65.8)))),
        )
        for resolution, multiply_adds, *accuracies in rows
        for bits, (top1, top5) in zip(("", ", 8-bit"), accuracies, strict=True)
    ),
)
# fmt: on


@register(
    family="MobileNetV1",
    paper="https://arxiv.org/abs/1704.04861",
    year=2017,
    published=PUBLISHED,
    builds_on={
        "Xception": "depthwise separable convolutions throughout, without its shortcuts, in a small plain network",
    },
)
def mobilenet_v1(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.001,
    small_input: bool = False,
    activation: str = "relu6",
    depthwise: bool = True,
    shallow: bool = False,
    table: Sequence[Row] = TABLE_1,
) -> ImageClassifier:
    """A plain stack of depthwise separable convolutions.

    Args:
        width: multiplies every channel count; the result is cut off to an integer of at least 8.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        activation: "relu6" as the released code; the paper says "relu".
        depthwise: False puts an ordinary 3x3 convolution in the place of each separable one (Table 4).
        shallow: leave out the rows that stand for several layers, the five of 14 x 14 x 512 (Table 5).
        table: rows in the place of Table 1.
    """
    rows = [Row(*row) for row in table]
    if shallow:
        rows = [row for row in rows if row.n == 1]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    channels = _scale(32, width)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride, activation=activation)
    body: list[nn.Module] = []
    for row, first_stride in zip(rows, row_strides, strict=True):
        out_channels = _scale(row.c, width)
        for stride in strides(first_stride, row.n):
            body.append(
                DepthwiseSeparable(channels, out_channels, stride=stride, activation=activation)
                if depthwise
                else ConvNormAct(channels, out_channels, kernel_size=3, stride=stride, activation=activation)
            )
            channels = out_channels
    head = ClassifierHead(channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _scale(channels: int, width: float) -> int:
    return max(int(channels * width), 8)
