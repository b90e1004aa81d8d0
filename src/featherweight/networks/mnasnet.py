"""MnasNet (Tan et al., CVPR 2019), https://arxiv.org/abs/1807.11626.

A search found this network, and it measured the latency of every candidate on a phone in the place of counting
operations. It chooses kernel, expansion, attention and depth anew for each stage, where earlier searches repeated one
cell throughout; so layers differ along the network, 3x3 beside 5x5, with squeeze-and-excite only where it pays.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    ImageClassifier,
    InvertedResidual,
    SqueezeExcite,
    early_strides,
    round_channels,
    strides,
)

from ._registry import Published, register


class Row(NamedTuple):
    """One row of the layer table: a group of equal blocks."""

    t: int  # expansion factor; 1: no expansion layer (the paper's SepConv)
    k: int  # side of the depthwise kernel
    c: int  # output channels at width 1
    n: int  # number of blocks
    s: int  # stride of the first block; the others have stride 1
    se: float  # width of squeeze-and-excite over the block's input channels; 0 for none


# fmt: off
A1 = (
    #   t  k    c  n  s  SE         input
    Row(1, 3,  16, 1, 1, 0   ),  # 112 x 112 x 32
    Row(6, 3,  24, 2, 2, 0   ),  # 112 x 112 x 16
    Row(3, 5,  40, 3, 2, 0.25),  # 56 x 56 x 24
    Row(6, 3,  80, 4, 2, 0   ),  # 28 x 28 x 40
    Row(6, 3, 112, 2, 1, 0.25),  # 14 x 14 x 80
    Row(6, 5, 160, 3, 2, 0.25),  # 14 x 14 x 112
    Row(6, 3, 320, 1, 1, 0   ),  # 7 x 7 x 160
)
B1 = (
    Row(1, 3,  16, 1, 1, 0),  # 112 x 112 x 32
    Row(3, 3,  24, 3, 2, 0),  # 112 x 112 x 16
    Row(3, 5,  40, 3, 2, 0),  # 56 x 56 x 24
    Row(6, 5,  80, 3, 2, 0),  # 28 x 28 x 40
    Row(6, 3,  96, 2, 1, 0),  # 14 x 14 x 80
    Row(6, 5, 192, 4, 2, 0),  # 14 x 14 x 96
    Row(6, 3, 320, 1, 1, 0),  # 7 x 7 x 192
)
SMALL = (
    Row(1, 3,   8, 1, 1, 0   ),  # 112 x 112 x 8
    Row(3, 3,  16, 1, 2, 0   ),  # 112 x 112 x 8
    Row(6, 3,  16, 2, 2, 0   ),  # 56 x 56 x 16
    Row(6, 5,  32, 4, 2, 0.25),  # 28 x 28 x 16
    Row(6, 3,  32, 3, 1, 0.25),  # 14 x 14 x 32
    Row(6, 5,  88, 3, 2, 0.25),  # 14 x 14 x 32
    Row(6, 3, 144, 1, 1, 0   ),  # 7 x 7 x 88
)

README = "authors' README (tensorflow/tpu, mnasnet)"
MORE = "printed are 1 % to 3 % more than the multiply-adds of convolutions and last layer; what else is not said"

# Not here: A2, A3 and search1 (MobileNetV3's "Mnas-small"), whose layers were not released.

PUBLISHED_A1 = (
    Published(params="3.9M", multiply_adds="312M", top1=75.2, top5=92.5, source="Table 1"),
    Published(options={"width": 0.35}, params="1.7M", multiply_adds="63M", top1=64.1, source="Table 4",
              deviation=f"61.7M multiply-adds by count; {MORE}"),
    *(
        Published(options={"width": width}, resolution=resolution, params=params, multiply_adds=f"{multiply_adds}M",
                  top1=top1, top5=top5, source=README, deviation=MORE)
        for width, params, rows in (
            (1.40, "6.1M", ((224, 591.5, 77.2, 93.5), (192, 435.1, 76.1, 93.0), (160, 302.8, 74.8, 92.1),
                            (128, 194.5, 72.5, 90.6), (96, 110.3, 68.6, 88.1))),
            (1.00, "3.9M", ((224, 315.2, 75.2, 92.5), (192, 232.0, 74.0, 91.6), (160, 161.6, 72.0, 90.5),
                            (128, 104.1, 69.3, 88.9), (96, 59.3, 64.4, 85.8))),
            (0.75, "2.9M", ((224, 226.7, 73.3, 91.3), (192, 166.9, 72.1, 90.5), (160, 116.4, 70.1, 89.3),
                            (128, 75.0, 67.0, 87.3), (96, 42.9, 62.1, 84.0))),
            (0.50, "2.1M", ((224, 105.2, 68.9, 88.4), (192, 77.6, 67.2, 87.4), (160, 54.4, 64.9, 85.8),
                            (128, 35.3, 60.8, 83.0), (96, 20.5, 54.7, 78.1))),
            # 52.3 as printed; the README's other column has 59.3, which fits between its neighbours
            (0.35, "1.7M", ((224, 63.2, 64.1, 85.1), (192, 46.8, 62.4, 83.8), (160, 32.9, 52.3, 81.5),
                            (128, 21.6, 54.8, 78.1), (96, 12.7, 49.3, 73.4))),
        )
        for resolution, multiply_adds, top1, top5 in rows
    ),
    Published(params="3.9M", multiply_adds="315M", top1=75.2, source="MobileNetV3's Table 3",
              deviation="312M by count, and in the paper; 315M is the authors' README's, which counts more"),
)
TORCHVISION = "torchvision, metadata of its weights"
PUBLISHED_B1 = (
    Published(top1=74.4, source="authors' README, an early state: about"),
    *(
        Published(options={"width": width}, params=params, multiply_adds=multiply_adds, top1=top1, top5=top5,
                  source=TORCHVISION)
        for width, params, multiply_adds, top1, top5 in (
            (0.50, "2,218,512", "0.104G", 67.734, 87.49),
            (0.75, "3,170,208", "0.215G", 71.18, 90.496),
            (1.00, "4,383,312", "0.314G", 73.456, 91.51),
            (1.30, "6,282,256", "0.526G", 76.506, 93.522),
        )
    ),
)
PUBLISHED_SMALL = (
    Published(params="2.0M", multiply_adds="68M", top1=66.0, source="Table 4: the second found for 22 ms"),
    Published(params="2.0M", multiply_adds="68M", top1=66.0, source=f"{README}: about"),
)
# fmt: on

FAMILY = partial(register, family="MnasNet", paper="https://arxiv.org/abs/1807.11626", year=2018)


@FAMILY(
    published=PUBLISHED_A1,
    builds_on={
        "MobileNetV2": "inverted residuals and the range of widths and depths that is searched",
        "SENet": "squeeze-and-excite, as one of the choices of a stage",
        "NASNet": "the searching controller; accuracy alone is replaced by accuracy and measured latency",
    },
)
def mnasnet_a1(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.2,
    small_input: bool = False,
    table: Sequence[Row] = A1,
) -> ImageClassifier:
    """Found by search for 75 ms on a phone, with squeeze-and-excite in some stages: the paper's main network.

    Args:
        width: multiplies every channel count but that of the last 1x1 layer, which has 1280 (the code's depth
            multiplier).
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        table: rows in the place of the paper's Fig. 7.
    """
    return _mnasnet(
        table, 32, width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input,
    )  # fmt: skip


@FAMILY(published=PUBLISHED_B1)
def mnasnet_b1(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.2,
    small_input: bool = False,
    table: Sequence[Row] = B1,
) -> ImageClassifier:
    """Found by search without squeeze-and-excite in the space; torchvision's MnasNet.

    Args:
        width, small_input: as `mnasnet_a1`'s.
        table: rows in the place of the released code's.
    """
    return _mnasnet(
        table, 32, width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input,
    )  # fmt: skip


@FAMILY(published=PUBLISHED_SMALL)
def mnasnet_small(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = SMALL,
) -> ImageClassifier:
    """Found by search for 22 ms on a phone.

    Args:
        width, small_input: as `mnasnet_a1`'s.
        table: rows in the place of the released code's.
    """
    return _mnasnet(
        table, 8, width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input,
    )  # fmt: skip


def _mnasnet(
    table: Sequence[Row],
    stem_channels: int,
    *,
    width: float,
    num_classes: int,
    in_channels: int,
    dropout: float,
    small_input: bool,
) -> ImageClassifier:
    rows = [Row(*row) for row in table]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    channels = round_channels(stem_channels * width)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride)
    body: list[nn.Module] = []
    for (t, k, c, n, _, se), first_stride in zip(rows, row_strides, strict=True):
        out_channels = round_channels(c * width)
        for stride in strides(first_stride, n):
            body.append(
                InvertedResidual(
                    channels,
                    out_channels,
                    hidden_channels=t * channels,
                    kernel_size=k,
                    stride=stride,
                    activation="relu",
                    attention=_squeeze_excite(max(1, int(channels * se))) if se else None,
                )
            )
            channels = out_channels
    body.append(ConvNormAct(channels, 1280))
    head = ClassifierHead(1280, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _squeeze_excite(squeeze_channels: int) -> Callable[[int], nn.Module]:
    """Squeeze-excite whose width comes from the block's input: a quarter of it, not of the hidden channels."""
    return lambda hidden_channels: SqueezeExcite(hidden_channels, squeeze_channels, gate="sigmoid")
