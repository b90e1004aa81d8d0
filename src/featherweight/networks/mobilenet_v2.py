"""MobileNetV2 (Sandler et al., CVPR 2018), https://arxiv.org/abs/1801.04381.

A block carries few channels from one to the next and is wide only inside: a 1x1 convolution expands, a depthwise 3x3
filters, a 1x1 projects back. The projection has no activation, because ReLU would destroy what a narrow layer holds.
The shortcut joins the narrow ends, so that the wide tensors need never be kept.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    ImageClassifier,
    InvertedResidual,
    early_strides,
    round_channels,
    strides,
)

from ._registry import Published, register


class Row(NamedTuple):
    """One row of Table 2, under the paper's own column letters."""

    t: int  # expansion factor
    c: int  # output channels at width 1
    n: int  # number of blocks
    s: int  # stride of the first block; the others have stride 1


# fmt: off
TABLE_2 = (
    #   t    c  n  s     input
    Row(1,  16, 1, 1),  # 112 x 112 x 32
    Row(6,  24, 2, 2),  # 112 x 112 x 16
    Row(6,  32, 3, 2),  # 56 x 56 x 24
    Row(6,  64, 4, 2),  # 28 x 28 x 32
    Row(6,  96, 3, 1),  # 14 x 14 x 64
    Row(6, 160, 3, 2),  # 14 x 14 x 96
    Row(6, 320, 1, 1),  # 7 x 7 x 160
)

README = "authors' README (tensorflow/models, slim, mobilenet)"
WITHOUT_NORM = "the README counts parameters without batch norm's scale and shift"
CUT = "301M multiply-adds by count: printed cut off"
PAPER = "3.47M parameters by count without batch norm, 3.50M with it: printed cut off; 301M multiply-adds likewise"
README_DEVIATIONS = {
    (1.0, 224): f"{WITHOUT_NORM}; {CUT}",
}

PUBLISHED = (
    Published(params="3.4M", multiply_adds="300M", top1=72.0, source="Table 4", deviation=PAPER),
    Published(options={"width": 1.4}, params="6.9M", multiply_adds="585M", top1=74.7, source="Table 4",
              deviation="the authors' README has 6.06M and 582M, our count without batch norm"),
    *(
        Published(options={"width": width}, resolution=resolution, params=params, multiply_adds=multiply_adds,
                  top1=top1, top5=top5, source=README,
                  deviation=README_DEVIATIONS.get((width, resolution), WITHOUT_NORM))
        for width, params, rows in (
            (1.40, "6.06M", ((224, "582M", 75.0, 92.5),)),
            (1.30, "5.34M", ((224, "509M", 74.4, 92.1),)),
            (1.00, "3.47M", ((224, "300M", 71.8, 91.0), (192, "221M", 70.7, 90.1), (160, "154M", 68.8, 89.0),
                             (128, "99M", 65.3, 86.9), (96, "56M", 60.3, 83.2))),
            (0.75, "2.61M", ((224, "209M", 69.8, 89.6), (192, "153M", 68.7, 88.9), (160, "107M", 66.4, 87.3),
                             (128, "69M", 63.2, 85.3), (96, "39M", 58.8, 81.6))),
            (0.50, "1.95M", ((224, "97M", 65.4, 86.4), (192, "71M", 63.9, 85.4), (160, "50M", 61.0, 83.2),
                             (128, "32M", 57.7, 80.8), (96, "18M", 51.2, 75.8))),
            (0.35, "1.66M", ((224, "59M", 60.3, 82.9), (192, "43M", 58.2, 81.2), (160, "30M", 55.7, 79.1),
                             (128, "20M", 50.8, 75.0), (96, "11M", 45.5, 70.4))),
        )
        for resolution, multiply_adds, top1, top5 in rows
    ),
    Published(params="3.4M", multiply_adds="300M", top1=72.0, source="MobileNetV3's Table 3", deviation=PAPER),
    Published(options={"width": 0.35}, params="1.6M", multiply_adds="59.2M", top1=60.8, source="MobileNetV3's Table 3",
              deviation="1.66M parameters by count without batch norm and 59.29M multiply-adds: printed cut off"),
    Published(top1=70.9, source="MobileNetV3's Table 4: 8-bit"),
    Published(options={"width": 0.35}, top1=57.2, source="MobileNetV3's Table 4: 8-bit"),
    Published(multiply_adds="0.3B", top1=72.0, source="EfficientNet's Table 3"),
    Published(options={"width": 2.0}, multiply_adds="1.1B", top1=76.4, source="EfficientNet's Table 3"),
    Published(resolution=448, multiply_adds="1.2B", top1=74.8, source="EfficientNet's Table 3"),
)
# fmt: on


@register(
    family="MobileNetV2",
    paper="https://arxiv.org/abs/1801.04381",
    year=2018,
    published=PUBLISHED,
    builds_on={
        "MobileNetV1": "depthwise separable convolutions, now between narrow ends",
        "ResNet": "bottlenecks with a shortcut, turned inside out: the ends are narrow and the middle is wide",
    },
)
def mobilenet_v2(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.2,
    small_input: bool = False,
    head_channels: int | None = None,
    table: Sequence[Row] = TABLE_2,
) -> ImageClassifier:
    """Inverted residuals with linear bottlenecks.

    Args:
        width: multiplies every channel count, but does not shrink the last 1x1 layer (as the released code).
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        head_channels: width of the last 1x1 layer; default 1280, or 1280 * width above width 1.
        table: rows in the place of Table 2.
    """
    rows = [Row(*row) for row in table]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    channels = round_channels(32 * width)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride, activation="relu6")
    body: list[nn.Module] = []
    for (t, c, n, _), first_stride in zip(rows, row_strides, strict=True):
        out_channels = round_channels(c * width)
        for stride in strides(first_stride, n):
            body.append(InvertedResidual(channels, out_channels, hidden_channels=t * channels, stride=stride))
            channels = out_channels
    head_channels = head_channels or round_channels(1280 * max(1.0, width))
    body.append(ConvNormAct(channels, head_channels, activation="relu6"))
    head = ClassifierHead(head_channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)
