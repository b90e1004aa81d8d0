"""ShuffleNet (Zhang et al., CVPR 2018), https://arxiv.org/abs/1707.01083.

Once the 3x3 convolutions are depthwise, nearly all of the cost is in the 1x1 convolutions, so these work in groups too.
Groups learn nothing of each other; a channel shuffle between two grouped layers, which costs no arithmetic, deals the
channels of each group out to all. The saved operations are spent on more channels.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import ClassifierHead, ConvNormAct, ImageClassifier, ShuffleUnitV1, early_strides, strides

from ._registry import Published, register


class Row(NamedTuple):
    """One stage of Table 1."""

    repeat: int  # units; the first has stride 2
    channels: Mapping[int, int]  # output channels at width 1, by the number of groups


# fmt: off
TABLE_1 = (
    Row(4, {1: 144, 2: 200, 3: 240, 4:  272, 8:  384}),  # stage 2, 28 x 28
    Row(8, {1: 288, 2: 400, 3: 480, 4:  544, 8:  768}),  # stage 3, 14 x 14
    Row(4, {1: 576, 2: 800, 3: 960, 4: 1088, 8: 1536}),  # stage 4, 7 x 7
)

README = "authors' README (megvii-model/ShuffleNet-Series, ShuffleNetV1)"
NO_FC = "Table 1 leaves the fully connected layer out; without it our count rounds to the printed digits"
CLASS = "the paper prints one complexity for all of about this size; "
ROUNDED = "the paper does not say how it rounds channels that do not divide into the groups; here bottlenecks round up"

# Not here: the "shallow" 0.5x network of Table 5 (half the units, 40M multiply-adds), because its channels, which must
# be more than 0.5x gives (22M), are not stated; nor other authors' units in ShuffleNet's frame (Table 4).
PUBLISHED = (
    Published(options={"groups": 1}, multiply_adds="143M", top1=66.4, source="Tables 1 and 2"),
    Published(options={"groups": 2}, multiply_adds="140M", top1=67.3, source="Tables 1 and 2", deviation=NO_FC),
    Published(options={"groups": 3}, multiply_adds="137M", top1=67.4, source="Tables 1 and 2"),
    Published(options={"groups": 4}, multiply_adds="133M", top1=67.2, source="Tables 1 and 2", deviation=NO_FC),
    Published(options={"groups": 8}, multiply_adds="137M", top1=67.6, source="Tables 1 and 2", deviation=NO_FC),
    *(
        Published(options={"groups": groups, "width": width}, multiply_adds=multiply_adds, top1=top1, source="Table 2",
                  deviation=deviation)
        for width, multiply_adds, rows in (
            (0.50, "38M", ((1, 54.9, CLASS + "38.5M by count"), (2, 55.6, ROUNDED), (3, 56.8, None),
                           (4, 58.4, ROUNDED), (8, 57.7, CLASS + "40.5M by count, and 40M in the authors' README"))),
            (0.25, "13M", ((1, 42.9, None), (2, 43.2, ROUNDED), (3, 45.0, None), (4, 45.8, ROUNDED),
                           (8, 47.3, CLASS + "15.7M by count, with 16 channels in the first layer"))),
        )
        for groups, top1, deviation in rows
    ),
    *(
        Published(options={"groups": groups, "width": width, "shuffle": False}, top1=top1,
                  source="Table 3, without shuffle")
        for groups, width, top1 in ((3, 1.0, 65.5), (8, 1.0, 62.4), (3, 0.5, 54.3), (8, 0.5, 51.9), (3, 0.25, 43.7),
                                    (8, 0.25, 43.5))
    ),
    Published(options={"width": 2.0}, multiply_adds="524M", top1=73.7, source="Table 5"),
    Published(options={"width": 2.0, "squeeze_excite": True}, multiply_adds="527M", top1=75.3, source="Table 5",
              deviation="526.5M by count: the paper says neither where squeeze-excite stands nor how narrow it is"),
    Published(options={"width": 1.5}, multiply_adds="292M", top1=71.5, source="Table 5"),
    Published(options={"groups": 8}, multiply_adds="140M", top1=67.6, source="Table 5",
              deviation=CLASS + "138M by count and in the authors' README"),
    Published(options={"groups": 4, "width": 0.5}, multiply_adds="38M", top1=58.4, source="Table 5", deviation=ROUNDED),
    Published(options={"width": 1.5}, params="3.4M", multiply_adds="292M", top1=71.5, source="MobileNetV2's Table 4"),
    Published(options={"width": 2.0}, params="5.4M", multiply_adds="524M", top1=73.7, source="MobileNetV2's Table 4"),
    *(
        Published(options={"groups": groups, "width": width}, params=params, multiply_adds=multiply_adds, top1=top1,
                  top5=top5, source=README, deviation=deviation)
        for width, groups, params, multiply_adds, top1, top5, deviation in (
            (2.0, 3, "5.4M", "524M", 74.1, 91.4, None),
            (2.0, 8, "6.5M", "522M", 72.9, 90.8, None),
            (1.5, 3, "3.4M", "292M", 71.6, 90.2, None),
            (1.5, 8, "4.3M", "290M", 71.0, 89.6, None),
            (1.0, 3, "1.9M", "138M", 67.8, 87.7, "137.46M by count"),
            (1.0, 8, "2.4M", "138M", 68.0, 86.4, None),
            (0.5, 3, "0.7M", "38M", 57.3, 80.0, None),
            (0.5, 8, "1.0M", "40M", 58.8, 81.0, None),
        )
    ),
)
# fmt: on


@register(
    family="ShuffleNetV1",
    paper="https://arxiv.org/abs/1707.01083",
    year=2017,
    published=PUBLISHED,
    builds_on={
        "ResNeXt": "grouped convolutions in a bottleneck, here in its 1x1 layers",
        "Xception": "depthwise convolutions, here in the narrow middle of a bottleneck",
        "ResNet": "the bottleneck with a shortcut",
    },
)
def shufflenet_v1(
    *,
    groups: int = 3,
    width: float = 1.0,
    shuffle: bool = True,
    squeeze_excite: bool = False,
    classifier_bias: bool = False,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = TABLE_1,
) -> ImageClassifier:
    """Grouped 1x1 convolutions, and a shuffle of the channels that lets information cross the groups.

    Args:
        groups: of the 1x1 layers: 1, 2, 3, 4 or 8; more groups have more channels at about the same cost.
        width: multiplies the channels of the stages, which must then divide into the groups. The first layer goes in
            steps, as in the released code: 24 channels, 48 from width 2 up, below width 1 12 (16 with 8 groups).
        shuffle: False leaves the channel shuffle out (Table 3).
        squeeze_excite: weigh the channels at the end of each unit's branch (Table 5).
        classifier_bias: the released code has none.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        table: stages in the place of Table 1.
    Raises: ValueError: the table has no such number of groups, or the width gives a stage channels that do not divide
    into the groups or are too few; the message gives the nearest widths that fit.
    """
    rows = [Row(repeat, {int(key): c for key, c in columns.items()}) for repeat, columns in table]  # JSON has text keys
    columns = sorted(set.intersection(*(set(row.channels) for row in rows)))
    if groups not in columns:
        raise ValueError(f"shufflenet_v1 has no column for {groups} groups; known: {', '.join(map(str, columns))}")
    stem_stride, pool_stride, *row_strides = early_strides((2, 2, *(2 for _ in rows)), small_input=small_input)
    channels = _stem_channels(width, groups)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride)
    body: list[nn.Module] = [] if small_input else [nn.MaxPool2d(3, stride=pool_stride, padding=1)]
    for row, first_stride in zip(rows, row_strides, strict=True):
        out_channels = _scale(row.channels[groups], width, groups, channels)
        for stride in strides(first_stride, row.repeat):
            is_first = stride == 2 and row is rows[0]  # few channels come in: not grouped
            body.append(
                ShuffleUnitV1(channels, out_channels, groups=groups, stride=stride, shuffle=shuffle,
                              reduce_groups=1 if is_first else groups, squeeze_excite=squeeze_excite)
            )  # fmt: skip
            channels = out_channels
    head = ClassifierHead(channels, num_classes, dropout=dropout, bias=classifier_bias)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _stem_channels(width: float, groups: int) -> int:
    """Channels of the first layer: as released, and so that what the first unit adds divides into the groups."""
    if width >= 1:
        return 48 if width >= 2 else 24
    return 16 if groups % 8 == 0 else 12


def _scale(row_channels: int, width: float, groups: int, before: int) -> int:
    """Channels of a stage at that width; raises where they do not divide into the groups or do not exceed `before`."""
    scaled = round(row_channels * width)
    if scaled % groups or scaled <= before:
        below = max(scaled, before + 1) // groups * groups
        fits = [f"{fit} (width {fit / row_channels:.4g})" for fit in (below, below + groups) if fit > before]
        raise ValueError(
            f"shufflenet_v1 with width {width} would have {scaled} channels in the stage of {row_channels}; they must "
            f"divide into {groups} groups and be more than {before}; the nearest that fit: {' or '.join(fits)}"
        )
    return scaled
