"""GhostNet (Han et al., CVPR 2020), https://arxiv.org/abs/1911.11907.

Many feature maps of a trained network look like copies of one another. A ghost module computes only some of them by
an ordinary convolution and makes the others from these by cheap depthwise filters. A ghost bottleneck is two such
modules, one that widens and one that narrows, with a shortcut around them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    GhostBottleneck,
    ImageClassifier,
    SqueezeExcite,
    early_strides,
    round_channels,
)

from ._registry import Published, register


class Row(NamedTuple):
    """One bottleneck of the layer table."""

    k: int  # side of the depthwise kernels
    exp: int  # hidden channels at width 1
    out: int  # output channels at width 1
    se: bool  # with squeeze-excite
    s: int  # stride


# fmt: off
TABLE_1 = (
    #   k  exp  out   se    s     input
    Row(3,  16,  16, False, 1),  # 112 x 112 x 16
    Row(3,  48,  24, False, 2),  # 112 x 112 x 16
    Row(3,  72,  24, False, 1),  # 56 x 56 x 24
    Row(5,  72,  40, True,  2),  # 56 x 56 x 24
    Row(5, 120,  40, True,  1),  # 28 x 28 x 40
    Row(3, 240,  80, False, 2),  # 28 x 28 x 40
    Row(3, 200,  80, False, 1),  # 14 x 14 x 80
    Row(3, 184,  80, False, 1),  # 14 x 14 x 80
    Row(3, 184,  80, False, 1),  # 14 x 14 x 80
    Row(3, 480, 112, True,  1),  # 14 x 14 x 80
    Row(3, 672, 112, True,  1),  # 14 x 14 x 112
    Row(5, 672, 160, True,  2),  # 14 x 14 x 112
    Row(5, 960, 160, False, 1),  # 7 x 7 x 160
    Row(5, 960, 160, True,  1),  # 7 x 7 x 160
    Row(5, 960, 160, False, 1),  # 7 x 7 x 160
    Row(5, 960, 160, True,  1),  # 7 x 7 x 160
)

# Ghost modules inside VGG-16, ResNet-56 and ResNet-50 are in ghost_variants.py.
PAPER = "paper's table"
PUBLISHED = (
    Published(options={"width": 0.5}, params="2.6M", multiply_adds="42M", top1=66.2, top5=86.6, source=PAPER),
    Published(options={"width": 1.0}, params="5.2M", multiply_adds="141M", top1=73.9, top5=91.4, source=PAPER),
    Published(options={"width": 1.1}, multiply_adds="164M", source="paper's table of detection on COCO, as a backbone",
              deviation="167.0M by count at 224 pixels; whether the backbone's print leaves out the last layers is not "
                        "said"),
    Published(options={"width": 1.3}, params="7.3M", multiply_adds="226M", top1=75.7, top5=92.7, source=PAPER,
              deviation="7.36M and 227.0M by count, equal to the released code's; printed cut off"),
    Published(options={"width": 1.0}, multiply_adds="142M", top1=73.98, top5=91.46,
              source="authors' README (PyTorch)", deviation="141.15M by count, and 141M in the paper"),
    Published(options={"width": 1.0}, multiply_adds="141M", top1=73.934, top5=91.386,
              source="authors' README (TensorFlow)"),
)
# fmt: on


@register(
    family="GhostNet",
    paper="https://arxiv.org/abs/1911.11907",
    year=2019,
    published=PUBLISHED,
    builds_on={
        "MobileNetV3": "its layer table, with ghost bottlenecks in the place of inverted residuals",
        "ResNet": "the basic block of two layers with a shortcut, each now a ghost module",
        "SENet": "squeeze-and-excite in some bottlenecks",
    },
)
def ghostnet(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.2,
    small_input: bool = False,
    head_channels: int | None = None,
    table: Sequence[Row] = TABLE_1,
) -> ImageClassifier:
    """Bottlenecks in which half of the feature maps are made from the others by cheap depthwise layers.

    Args:
        width: multiplies every channel count but that of the hidden layer before the classifier; rounded to fours.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        head_channels: width of the hidden layer before the classifier; default 1280.
        table: rows in the place of the paper's layer table.
    """
    rows = [Row(*row) for row in table]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    channels = round_channels(16 * width, 4)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride)
    body: list[nn.Module] = []
    for (k, exp, out, se, _), stride in zip(rows, row_strides, strict=True):
        out_channels = round_channels(out * width, 4)
        body.append(
            GhostBottleneck(
                channels,
                out_channels,
                hidden_channels=round_channels(exp * width, 4),
                kernel_size=k,
                stride=stride,
                attention=_squeeze_excite if se else None,
            )
        )
        channels = out_channels
    last_channels = round_channels(rows[-1].exp * width, 4)
    body.append(ConvNormAct(channels, last_channels))
    head = ClassifierHead(last_channels, num_classes, hidden_channels=head_channels or 1280, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _squeeze_excite(channels: int) -> SqueezeExcite:
    """Squeeze-excite of a quarter of the hidden channels, rounded to fours."""
    return SqueezeExcite(channels, round_channels(channels / 4, 4))
