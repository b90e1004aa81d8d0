"""MobileNetV3 (Howard et al., ICCV 2019), https://arxiv.org/abs/1905.02244.

The layers were found by a search for latency on a phone and then trimmed layer by layer by NetAdapt. Some blocks gain
squeeze-and-excite, 5x5 kernels and the activation h-swish, which approximates swish without an exponential. The
first and the last layers, which the search left as they were, were redesigned by hand: the last 1x1 layers work on one
averaged pixel instead of 7x7.
"""

from collections.abc import Sequence
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
)

from ._registry import Published, register


class Row(NamedTuple):
    """One bottleneck row of Table 1 or 2."""

    k: int  # side of the depthwise kernel
    exp: int  # expanded channels at width 1
    out: int  # output channels at width 1
    se: bool  # squeeze-and-excite
    nl: str  # RE: ReLU, HS: h-swish
    s: int  # stride


SE, RE, HS = True, "relu", "hard_swish"
__ = False

# fmt: off
TABLE_1 = (
    # k   exp  out  SE  NL  s     input
    Row(3,  16,  16, __, RE, 1),  # 112 x 112 x 16
    Row(3,  64,  24, __, RE, 2),  # 112 x 112 x 16
    Row(3,  72,  24, __, RE, 1),  # 56 x 56 x 24
    Row(5,  72,  40, SE, RE, 2),  # 56 x 56 x 24
    Row(5, 120,  40, SE, RE, 1),  # 28 x 28 x 40
    Row(5, 120,  40, SE, RE, 1),  # 28 x 28 x 40
    Row(3, 240,  80, __, HS, 2),  # 28 x 28 x 40
    Row(3, 200,  80, __, HS, 1),  # 14 x 14 x 80
    Row(3, 184,  80, __, HS, 1),  # 14 x 14 x 80
    Row(3, 184,  80, __, HS, 1),  # 14 x 14 x 80
    Row(3, 480, 112, SE, HS, 1),  # 14 x 14 x 80
    Row(3, 672, 112, SE, HS, 1),  # 14 x 14 x 112
    Row(5, 672, 160, SE, HS, 2),  # 14 x 14 x 112
    Row(5, 960, 160, SE, HS, 1),  # 7 x 7 x 160
    Row(5, 960, 160, SE, HS, 1),  # 7 x 7 x 160
)
TABLE_2 = (
    # k   exp  out SE  NL  s     input
    Row(3,  16, 16, SE, RE, 2),  # 112 x 112 x 16
    Row(3,  72, 24, __, RE, 2),  # 56 x 56 x 16
    Row(3,  88, 24, __, RE, 1),  # 28 x 28 x 24
    Row(5,  96, 40, SE, HS, 2),  # 28 x 28 x 24
    Row(5, 240, 40, SE, HS, 1),  # 14 x 14 x 40
    Row(5, 240, 40, SE, HS, 1),  # 14 x 14 x 40
    Row(5, 120, 48, SE, HS, 1),  # 14 x 14 x 40
    Row(5, 144, 48, SE, HS, 1),  # 14 x 14 x 48
    Row(5, 288, 96, SE, HS, 2),  # 14 x 14 x 48
    Row(5, 576, 96, SE, HS, 1),  # 7 x 7 x 96
    Row(5, 576, 96, SE, HS, 1),  # 7 x 7 x 96
)

README = "authors' README (tensorflow/models, slim, mobilenet)"
CUT = "5.48M parameters by count, 5.46M without batch norm: the authors cut digits off"
SMALL = {"head_channels": 1280}  # the paper's Table 2; the released code has 1024
SMALL_COUNT = "57M multiply-adds by count, with the paper's last layers and with the released code's"
SMALL_MINIMALISTIC_COUNT = "52M multiply-adds by count"

LARGE_PUBLISHED = (
    Published(params="5.4M", multiply_adds="219M", top1=75.2, source="Table 3",
              deviation=f"{CUT}; 217M multiply-adds by count and in the authors' README"),
    Published(options={"width": 0.75}, params="4.0M", multiply_adds="155M", top1=73.3, source="Table 3"),
    Published(top1=73.8, source="Table 4: 8-bit"),
    Published(params="5.4M", multiply_adds="217M", top1=75.2, source=README, deviation=CUT),
    Published(params="5.4M", multiply_adds="217M", top1=73.9, source=f"{README}, 8-bit", deviation=CUT),
    Published(options={"width": 0.75}, params="4.0M", multiply_adds="155M", top1=73.3, source=README),
    Published(options={"minimalistic": True}, params="3.9M", multiply_adds="209M", top1=72.3, source=README),
    Published(options={"minimalistic": True}, params="3.9M", multiply_adds="209M", top1=71.3,
              source=f"{README}, 8-bit"),
)
SMALL_PUBLISHED = (
    Published(options=SMALL, params="2.9M", multiply_adds="66M", top1=67.4, source="Table 3", deviation=SMALL_COUNT),
    Published(options={"width": 0.75, **SMALL}, params="2.4M", multiply_adds="44M", top1=65.4, source="Table 3"),
    Published(options=SMALL, top1=64.9, source="Table 4: 8-bit"),
    Published(options=SMALL, params="2.9M", multiply_adds="66M", top1=67.5, source=README, deviation=SMALL_COUNT),
    Published(options=SMALL, params="2.9M", multiply_adds="66M", top1=64.9, source=f"{README}, 8-bit",
              deviation=SMALL_COUNT),
    Published(options={"width": 0.75, **SMALL}, params="2.4M", multiply_adds="44M", top1=65.4, source=README),
    Published(options={"minimalistic": True}, params="2.0M", multiply_adds="65M", top1=61.9, source=README,
              deviation=SMALL_MINIMALISTIC_COUNT),
)
# fmt: on


@register(
    family="MobileNetV3",
    paper="https://arxiv.org/abs/1905.02244",
    year=2019,
    published=LARGE_PUBLISHED,
    builds_on={
        "MobileNetV2": "inverted residuals",
        "MnasNet": "the search for latency on a phone, and its first result as the large network's seed",
        "SENet": "squeeze-and-excite, with a quarter of the expanded width and a piecewise linear gate",
    },
)
def mobilenet_v3_large(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.2,
    small_input: bool = False,
    minimalistic: bool = False,
    head_channels: int | None = None,
    table: Sequence[Row] = TABLE_1,
) -> ImageClassifier:
    """Inverted residuals with squeeze-and-excite and h-swish, found by search: the larger network.

    Args:
        width: multiplies every channel count, but does not shrink the hidden layer of the head (as the released code).
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        minimalistic: no squeeze-and-excite, 3x3 kernels only, ReLU only (released code).
        head_channels: width of the head's hidden layer; default 1280, or 1280 * width above width 1.
        table: rows in the place of Table 1.
    """
    return _mobilenet_v3(
        table, 1280, width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input, minimalistic=minimalistic, head_channels=head_channels,
    )  # fmt: skip


@register(family="MobileNetV3", paper="https://arxiv.org/abs/1905.02244", year=2019, published=SMALL_PUBLISHED)
def mobilenet_v3_small(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.2,
    small_input: bool = False,
    minimalistic: bool = False,
    head_channels: int | None = None,
    table: Sequence[Row] = TABLE_2,
) -> ImageClassifier:
    """Inverted residuals with squeeze-and-excite and h-swish, found by search: the smaller network.

    Differs from the paper: Table 2 has 1280 channels in the head's hidden layer and squeeze-and-excite on the last
    1x1 layer; the released code, and torchvision and timm after it, have 1024 and none. So has this.

    Args:
        width: multiplies every channel count, but does not shrink the hidden layer of the head (as the released code).
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        minimalistic: no squeeze-and-excite, 3x3 kernels only, ReLU only (released code).
        head_channels: width of the head's hidden layer; default 1024, or 1024 * width above width 1.
        table: rows in the place of Table 2.
    """
    return _mobilenet_v3(
        table, 1024, width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input, minimalistic=minimalistic, head_channels=head_channels,
    )  # fmt: skip


def _mobilenet_v3(
    table: Sequence[Row],
    default_head_channels: int,
    *,
    width: float,
    num_classes: int,
    in_channels: int,
    dropout: float,
    small_input: bool,
    minimalistic: bool,
    head_channels: int | None,
) -> ImageClassifier:
    rows = [Row(*row) for row in table]
    if minimalistic:
        rows = [row._replace(k=3, se=False, nl=RE) for row in rows]
    swish = RE if minimalistic else HS
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    unscaled, channels = 16, round_channels(16 * width)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride, activation=swish)
    body: list[nn.Module] = []
    for (k, exp, out, se, nl, _), stride in zip(rows, row_strides, strict=True):
        out_channels = round_channels(out * width)
        body.append(
            InvertedResidual(
                channels,
                out_channels,
                hidden_channels=round_channels(channels * exp / unscaled),  # the code scales by the ratio, then rounds
                kernel_size=k,
                stride=stride,
                activation=nl,
                attention=_squeeze_excite if se else None,
            )
        )
        unscaled, channels = out, out_channels
    last_channels = round_channels(6 * unscaled * width)
    body.append(ConvNormAct(channels, last_channels, activation=swish))
    head = ClassifierHead(
        last_channels,
        num_classes,
        hidden_channels=head_channels or round_channels(default_head_channels * max(1.0, width)),
        activation=swish,
        dropout=dropout,
    )
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _squeeze_excite(channels: int) -> nn.Module:
    return SqueezeExcite(channels, round_channels(channels / 4))
