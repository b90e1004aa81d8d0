"""ShuffleNet V2 (Ma et al., ECCV 2018), https://arxiv.org/abs/1807.11164.

Speed is not the count of multiply-adds: memory access, many small parts and element-wise operations cost time as well.
From measurements come four rules (equal channel widths, few groups, little fragmentation, few element-wise operations)
and a unit that follows them: half of the channels pass by, the others go through 1x1, depthwise and 1x1 layers of
equal width, and joining and shuffling take the place of adding.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import ClassifierHead, ConvNormAct, ImageClassifier, ShuffleUnitV2, early_strides, strides

from ._registry import Published, register


class Row(NamedTuple):
    """One stage of Table 5."""

    repeat: int  # units; the first has stride 2
    channels: Mapping[float, int]  # output channels, by the width


# fmt: off
TABLE_5 = (
    Row(4, {0.5:  48, 1.0: 116, 1.5: 176, 2.0: 244}),  # stage 2, 28 x 28
    Row(8, {0.5:  96, 1.0: 232, 1.5: 352, 2.0: 488}),  # stage 3, 14 x 14
    Row(4, {0.5: 192, 1.0: 464, 1.5: 704, 2.0: 976}),  # stage 4, 7 x 7
)

README = "authors' README (megvii-model/ShuffleNet-Series, ShuffleNetV2)"
ROUNDED_UP = "40.48M by count, in all readings of the paper; printed rounded up"

# Not here: "Large", "ExLarge" and "V2+" of the README, which have layer tables of their own; for the networks of 50 and
# 164 layers (Table 6) see shufflenet_deep.py.
PUBLISHED = (
    Published(options={"width": 0.5}, params="1.4M", multiply_adds="41M", top1=60.3, source="Tables 5 and 8",
              deviation=ROUNDED_UP),
    Published(options={"width": 1.0}, params="2.3M", multiply_adds="146M", top1=69.4, source="Tables 5 and 8"),
    Published(options={"width": 1.5}, params="3.5M", multiply_adds="299M", top1=72.6, source="Tables 5 and 8"),
    Published(options={"width": 2.0}, params="7.4M", multiply_adds="591M", top1=74.9, source="Tables 5 and 8"),
    Published(options={"width": 2.0, "squeeze_excite": True}, multiply_adds="597M", top1=75.4, source="Table 8",
              deviation="591M by count: the paper says neither where squeeze-excite stands nor how narrow it is"),
    Published(options={"width": 0.5}, params="1.4M", multiply_adds="41M", top1=61.1, top5=82.6, source=README,
              deviation=ROUNDED_UP),
    Published(options={"width": 1.0}, params="2.3M", multiply_adds="146M", top1=69.4, top5=88.9, source=README),
    Published(options={"width": 1.5}, params="3.5M", multiply_adds="299M", top1=72.6, top5=90.6, source=README),
    Published(options={"width": 2.0}, params="7.4M", multiply_adds="591M", top1=75.0, top5=92.4, source=README),
)
# fmt: on


@register(
    family="ShuffleNetV2",
    paper="https://arxiv.org/abs/1807.11164",
    year=2018,
    published=PUBLISHED,
    builds_on={
        "ShuffleNetV1": "the channel shuffle and the depthwise unit; a split of the channels replaces the groups",
    },
)
def shufflenet_v2(
    *,
    width: float = 1.0,
    split: str = "released",
    squeeze_excite: bool = False,
    classifier_bias: bool = False,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    head_channels: int | None = None,
    table: Sequence[Row] = TABLE_5,
) -> ImageClassifier:
    """Split, work on one half, shuffle: made for few bytes moved rather than for few multiply-adds.

    Args:
        width: 0.5, 1, 1.5 and 2 are columns of the table; others scale the column of width 1 to even numbers. The first
            layer has 24 channels; below width 0.5 it shrinks in proportion.
        split: how a unit with stride 2 divides its output. "released": the shortcut keeps its input's channels, the
            branch makes the others, which alone gives the printed multiply-adds; "equal": halves, as in torchvision.
            At the published widths they differ in the first unit only.
        squeeze_excite: weigh the channels at the end of each unit's branch (Table 8).
        classifier_bias: the released code has none; torchvision has one.
        dropout: the released code has 0.2 at width 2 only.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        head_channels: width of the last 1x1 layer; default 1024, or 2048 from width 2 up.
        table: stages in the place of Table 5.
    Raises: ValueError: unknown split, or a width below 0.05, where stages would have no channels to divide.
    """
    if width < 0.05:
        raise ValueError(f"the width of shufflenet_v2 must be at least 0.05; got {width}")
    if split not in ("released", "equal"):
        raise ValueError(f"split must be 'released' or 'equal'; got {split!r}")
    rows = [
        Row(repeat, {float(key): c for key, c in columns.items()}) for repeat, columns in table
    ]  # JSON has text keys
    stem_stride, pool_stride, *row_strides = early_strides((2, 2, *(2 for _ in rows)), small_input=small_input)
    channels = 24 if width >= 0.5 else _even(48 * width)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride)
    body: list[nn.Module] = [] if small_input else [nn.MaxPool2d(3, stride=pool_stride, padding=1)]
    for row, first_stride in zip(rows, row_strides, strict=True):
        out_channels = row.channels[width] if width in row.channels else _even(row.channels[1.0] * width)
        for stride in strides(first_stride, row.repeat):
            kept = channels if split == "released" and stride == 2 else None
            body.append(
                ShuffleUnitV2(channels, out_channels, stride=stride, shortcut_channels=kept,
                              squeeze_excite=squeeze_excite)
            )  # fmt: skip
            channels = out_channels
    head_channels = head_channels or (2048 if width >= 2 else 1024)
    body.append(ConvNormAct(channels, head_channels))
    head = ClassifierHead(head_channels, num_classes, dropout=dropout, bias=classifier_bias)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _even(channels: float) -> int:
    """The nearest even number of channels, at least 2."""
    return max(2, 2 * round(channels / 2))
