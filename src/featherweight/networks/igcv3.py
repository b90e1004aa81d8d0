"""IGCV3, interleaved low-rank group convolutions (Sun et al., BMVC 2018), https://arxiv.org/abs/1806.00178.

IGCV2's sparse products and MobileNetV2's bottlenecks in one block: the 1x1 layers of an inverted residual work in two
groups, with a permutation between them. What is saved pays for twice as many blocks. The condition on paths is asked of
groups of channels, no longer of single channels.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    ImageClassifier,
    InterleavedLowRankGroupConv,
    early_strides,
    strides,
)

from ._registry import Published, register


class Row(NamedTuple):
    """One row of the released network, under MobileNetV2's column letters."""

    t: int  # expansion factor
    c: int  # output channels at width 1
    n: int  # number of blocks at depth 1
    s: int  # stride of the first block; the others have stride 1


# fmt: off
DEEPER = (
    #   t    c  n  s     input
    Row(1,  16, 1, 1),  # 112 x 112 x 32
    Row(6,  24, 4, 2),  # 112 x 112 x 16
    Row(6,  32, 6, 2),  # 56 x 56 x 24
    Row(6,  64, 8, 2),  # 28 x 28 x 32
    Row(6,  96, 6, 1),  # 14 x 14 x 64
    Row(6, 160, 6, 2),  # 14 x 14 x 96
    Row(6, 320, 1, 1),  # 7 x 7 x 160
)
WIDER = (
    Row(1,  32, 1, 1),  # 112 x 112 x 32
    Row(6,  48, 2, 2),  # 112 x 112 x 32
    Row(6,  64, 3, 2),  # 56 x 56 x 48
    Row(6, 128, 4, 2),  # 28 x 28 x 64
    Row(6, 192, 3, 1),  # 14 x 14 x 128
    Row(6, 320, 3, 2),  # 14 x 14 x 192
    Row(6, 640, 1, 1),  # 7 x 7 x 320
)
TABLES = {"D": DEEPER, "W": WIDER}

README = "authors' README (homles11/IGCV3)"
SHUFFLENET = "ShuffleNetV2's Table 8"
COST = "313M multiply-adds by count of the released network; why 318M, is unknown"
NARROW = "2.49M parameters and 167M multiply-adds by count; the paper does not say how its 0.7 is made"
BROAD = "6.02M parameters and 582M multiply-adds by count; the paper does not say how its 1.4 is made"
BLOCKS = "which blocks are left out, the paper does not say; with as large a share of each stage as can be, "
LESS = BLOCKS + "{} by count without the classifier"
SAME = "one number for both data sets; {} by count here, as far as the unreleased network for CIFAR is known"

PUBLISHED = (
    Published(params="3.5M", top1=70.6, top5=89.7, source=f"{README}, before retraining"),
    Published(params="3.5M", top1=72.2, top5=90.5, source=f"{README}, after retraining"),
    Published(params="3.5M", multiply_adds="318M", top1=72.2, source="Table 3", deviation=COST),
    Published(options={"width": 0.7}, params="2.8M", multiply_adds="210M", top1=68.45, source="Table 3",
              deviation=NARROW),
    Published(options={"width": 1.4}, params="7.2M", multiply_adds="610M", top1=74.55, source="Table 3",
              deviation=BROAD),
    Published(multiply_adds="318M", top1=72.2, source=SHUFFLENET, deviation=COST),
    Published(options={"width": 0.7}, multiply_adds="210M", top1=68.5, source=SHUFFLENET, deviation=NARROW),
    Published(options={"width": 1.4}, multiply_adds="610M", top1=74.5, source=SHUFFLENET, deviation=BROAD),
    *(
        Published(options={**options, "depth": depth}, resolution=32, dataset=dataset, params=params, top1=top1,
                  source=source, deviation=deviation)
        for dataset, options, rows in (
            ("CIFAR-10", {"num_classes": 10, "small_input": True}, (
                (0.5, "1.1M", "1.2M", 94.73, LESS.format("1.37M"), BLOCKS + "1.38M by count"),
                (0.7, "1.5M", "1.7M", 94.92, LESS.format("1.67M"), None),
                (1.0, "2.2M", "2.4M", 94.96, None, SAME.format("2.22M")))),
            ("CIFAR-100", {"num_classes": 100, "small_input": True}, (
                (0.5, "1.1M", "1.2M", 77.29, LESS.format("1.37M"), BLOCKS + "1.50M by count"),
                (0.7, "1.5M", "1.7M", 77.83, LESS.format("1.67M"), BLOCKS + "1.80M by count"),
                (1.0, "2.2M", "2.4M", 77.95, "2.21M by count without the classifier, as printed, and 2.34M with it",
                 SAME.format("2.34M")))),
        )
        for depth, paper, readme, top1, paper_deviation, readme_deviation in rows
        for source, params, deviation in (("Table 2, without the classifier", paper, paper_deviation),
                                          (README, readme, readme_deviation))
    ),
)
# fmt: on


@register(
    family="IGCV3",
    paper="https://arxiv.org/abs/1806.00178",
    year=2018,
    published=PUBLISHED,
    builds_on={
        "IGCV2": "a convolution as a product of sparse ones, with permutations between",
        "MobileNetV2": "the linear bottleneck and the layout, made twice as deep",
    },
)
def igcv3(
    *,
    form: str = "D",
    width: float = 1.0,
    depth: float = 1.0,
    groups: tuple[int, int] = (2, 2),
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    head_channels: int | None = None,
    table: Sequence[Row] | None = None,
) -> ImageClassifier:
    """Inverted residuals whose 1x1 layers work in groups.

    As in the released code, the first block of a stage has no shortcut. Differs from the released code: at other widths
    that multiplies the channels before a stage by the width twice; this does not.

    Args:
        form: "D" has twice as many blocks as MobileNetV2, "W" twice as many channels.
        width: multiplies every channel count, but does not shrink the last 1x1 layer; rounded to what divides into the
            groups.
        depth: multiplies the number of blocks in each stage. The paper's factor on CIFAR leaves blocks out, until that
            share of the parameters is left; which, it does not say.
        groups: of the expanding and of the projecting 1x1 layers.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        head_channels: width of the last 1x1 layer; default 1280, or 1280 * width above width 1.
        table: rows in the place of the form's.
    Raises: ValueError: unknown form.
    """
    if form not in TABLES:
        raise ValueError(f"igcv3 has no form {form!r}; known: {', '.join(TABLES)}")
    rows = [Row(*row) for row in (TABLES[form] if table is None else table)]
    expand_groups, project_groups = groups
    divisor = max(2, *groups)
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    channels = _scaled(32 * width, divisor)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride, activation="relu6")
    body: list[nn.Module] = []
    for (t, c, n, _), first_stride in zip(rows, row_strides, strict=True):
        out_channels = _scaled(c * width, divisor)
        for i, stride in enumerate(strides(first_stride, max(1, round(n * depth)))):
            body.append(
                InterleavedLowRankGroupConv(
                    channels, out_channels, hidden_channels=t * channels, stride=stride,
                    groups=(expand_groups, project_groups), residual=i > 0,
                )
            )  # fmt: skip
            channels = out_channels
    head_channels = head_channels or _scaled(1280 * max(1.0, width), divisor)
    body.append(ConvNormAct(channels, head_channels, activation="relu6"))
    head = ClassifierHead(head_channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _scaled(channels: float, divisor: int) -> int:
    """Round to the nearest multiple, at least one."""
    return max(divisor, divisor * round(channels / divisor))
