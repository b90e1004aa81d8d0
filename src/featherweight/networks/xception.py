"""Xception (Chollet, CVPR 2017), https://arxiv.org/abs/1610.02357.

Inception modules mix the channels first and then filter groups of them. Taken to its end, a group is one channel, and
the module is a depthwise separable convolution. Xception is a stack of these alone with linear shortcuts, as large as
Inception V3, and better.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    ImageClassifier,
    SeparableConv,
    XceptionBlock,
    early_strides,
    round_channels,
    strides,
)

from ._registry import Published, register


class Row(NamedTuple):
    """Modules of Figure 5 with a shortcut."""

    h: int  # output channels of all separable convolutions but the last, at width 1
    c: int  # output channels of the last
    r: int  # separable convolutions in a module
    n: int  # modules
    s: int  # stride of the first module's max pooling; 1 for none


# fmt: off
FIGURE_5 = (
    #     h     c  r  n  s     input
    Row(128,  128, 2, 1, 2),  # 147 x 147 x 64: entry flow
    Row(256,  256, 2, 1, 2),  # 74 x 74 x 128
    Row(728,  728, 2, 1, 2),  # 37 x 37 x 256
    Row(728,  728, 3, 8, 1),  # 19 x 19 x 728: middle flow
    Row(728, 1024, 2, 1, 2),  # 19 x 19 x 728: exit flow
)

# Not here: the Xception of ShuffleNetV2's Tables 7 and 8, made small by its authors, who do not print its layers.
PUBLISHED = (
    Published(resolution=299, params="22,855,952", top1=79.0, top5=94.5, source="Tables 1 and 3"),
    Published(resolution=299, params="23M", multiply_adds="8.4B", top1=79.0, top5=94.5,
              source="EfficientNet's Table 2"),
)
# fmt: on


@register(
    family="Xception",
    paper="https://arxiv.org/abs/1610.02357",
    year=2016,
    published=PUBLISHED,
    resolution=299,
    builds_on={
        "Inception": "its modules' split of mixing channels and filtering places, taken to one channel a filter",
        "ResNet": "the shortcut around each module",
    },
)
def xception(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.5,
    small_input: bool = False,
    table: Sequence[Row] = FIGURE_5,
) -> ImageClassifier:
    """Separable convolutions with linear shortcuts, the far end of Inception.

    Differs from the paper: the fully connected layers of Figure 5 that are called optional are not here; the paper's
    networks for ImageNet do without. Batch normalisation's epsilon is PyTorch's 1e-5, Keras has 1e-3.

    Args:
        width: multiplies every channel count (not in the paper).
        small_input: keep the first two strides at 1 and pad the first two layers, for pictures of about 32 x 32.
        table: rows in the place of Figure 5's modules with shortcuts.
    """
    rows = [Row(*row) for row in table]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    padding = None if small_input else 0
    hidden, channels = round_channels(32 * width), round_channels(64 * width)
    stem = nn.Sequential(
        ConvNormAct(in_channels, hidden, kernel_size=3, stride=stem_stride, padding=padding),
        ConvNormAct(hidden, channels, kernel_size=3, padding=padding),
    )
    body: list[nn.Module] = []
    for (h, c, r, n, _), first_stride in zip(rows, row_strides, strict=True):
        out_channels = round_channels(c * width)
        for stride in strides(first_stride, n):
            body.append(
                XceptionBlock(
                    channels,
                    out_channels,
                    hidden_channels=round_channels(h * width),
                    repeats=r,
                    stride=stride,
                    activate_first=bool(body),
                )
            )
            channels = out_channels
    for out_channels in (round_channels(1536 * width), round_channels(2048 * width)):
        body.append(SeparableConv(channels, out_channels, activation="relu"))
        channels = out_channels
    head = ClassifierHead(channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels, resolution=299)
