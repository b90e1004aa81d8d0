"""SqueezeNext (Gholami et al., CVPR Workshops 2018), https://arxiv.org/abs/1803.10615.

SqueezeNet's 1x1 squeeze is done twice, and the 3x3 convolution behind it is taken apart into 3x1 and 1x3: cheap without
depthwise layers, which would leave an accelerator's multipliers idle. Shortcuts as in ResNet let it be deep, and 128
channels before the classifier spare most of its weights. A simulated accelerator then says which stages deserve the
blocks: versions 2 to 5 have a smaller first kernel, and blocks moved to where they keep it busy.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    ImageClassifier,
    SqNxtBlock,
    early_strides,
    round_channels,
    strides,
)

from ._registry import Published, register


class Row(NamedTuple):
    """One stage."""

    c: int  # output channels at width 1
    n: int  # blocks
    s: int  # stride of the first block; the others have stride 1


class Version(NamedTuple):
    """What the end of a name stands for, as v5 in 1.0-SqNxt-23v5."""

    depth: tuple[int, int, int, int]  # Table 3: blocks in each stage, at depth 1
    k: int = 7  # side of the first kernel
    behind_projection: bool = False  # what the first block of a stage reads: see `SqNxtBlock`

    @property
    def table(self) -> tuple[Row, ...]:
        """The stages, of 55, 28, 14 and 7 pixels."""
        return tuple(Row(c, n, s) for c, n, s in zip((32, 64, 128, 256), self.depth, (1, 2, 2, 2), strict=True))


VERSIONS = {
    "1": Version((6, 6, 8, 1)),
    "2": Version((6, 6, 8, 1), k=5, behind_projection=True),
    "3": Version((4, 8, 8, 1), k=5, behind_projection=True),
    "4": Version((2, 10, 8, 1), k=5, behind_projection=True),
    "5": Version((2, 4, 14, 1), k=5, behind_projection=True),
}

AUGMENTED = "Table 2, in brackets: with data augmentation and tuning"
NORMS = "multiply-adds by count; the printed number is met if each scaling by a batch norm counts as one more"
NEARLY = "229M multiply-adds by count with each scaling by a batch norm, 225M without"
FILE = "parameters by count, and by the authors' file"
INFERRED = "parameters by count, of blocks per stage that are inferred: the paper does not print them"
GRAPH = "parameters by count: the graph is inferred"

# Not here: the -IDA networks of Table 1, whose tree of blocks the paper does not lay down.
# fmt: off
PUBLISHED = tuple(
    Published(options={"width": width, "depth": depth, "version": version, "grouped": grouped}, resolution=227,
              params=params, multiply_adds=multiply_adds, top1=top1, top5=top5, source=source, deviation=deviation)
    for source, width, depth, version, grouped, params, multiply_adds, top1, top5, deviation in (
        ("Table 1", 1.0, 1.0, "1", False, "0.72M", None, 59.05, 82.60, None),
        ("Table 1", 1.0, 1.0, "1", True, "0.54M", None, 57.16, 80.23, None),
        ("Table 1", 1.0, 1.5, "1", False, "1.0M", None, 61.39, 84.31, f"1.05M {INFERRED}"),
        ("Table 1", 1.0, 2.0, "1", False, "1.2M", None, 62.64, 85.15, None),
        ("Table 2", 1.5, 1.0, "1", False, "1.4M", None, 63.52, 85.66, None),
        ("Table 2", 1.5, 1.5, "1", False, "2.1M", None, 66.00, 87.40, f"2.16M {INFERRED}"),
        ("Table 2", 1.5, 2.0, "1", False, "2.6M", None, 67.28, 88.15, None),
        ("Table 2", 2.0, 1.0, "1", False, "2.4M", None, 67.18, 88.17, None),
        ("Table 2", 2.0, 1.5, "1", False, "3.8M", None, 68.46, 88.78, f"3.69M {INFERRED}"),
        ("Table 2", 2.0, 2.0, "1", False, "4.4M", None, 69.59, 89.53, None),
        ("Table 2", 2.0, 1.0, "5", False, "3.2M", None, 67.44, 88.20, None),
        (AUGMENTED, 2.0, 1.0, "5", False, "3.2M", None, 69.80, 89.50, None),
        ("Table 3", 1.0, 1.0, "1", False, "0.72M", "282M", 59.05, 82.60, f"278M {NORMS}"),
        ("Table 3", 1.0, 1.0, "2", False, "0.74M", "228M", 58.55, 82.09, f"0.73M {GRAPH}; {NEARLY}"),
        ("Table 3", 1.0, 1.0, "3", False, "0.74M", "228M", 58.18, 81.96, f"0.75M {GRAPH}; {NEARLY}"),
        ("Table 3", 1.0, 1.0, "4", False, "0.77M", "228M", 59.09, 82.41, f"0.76M {GRAPH}; 225M {NORMS}"),
        ("Table 3", 1.0, 1.0, "5", False, "0.94M", "228M", 59.24, 82.41, f"0.93M {FILE}; 225M {NORMS}"),
        ("Table 3", 2.0, 1.0, "1", False, "2.4M", "749M", 67.18, 88.17, f"742M {NORMS}"),
        ("Table 3", 2.0, 1.0, "4", False, "2.56M", "708M", 66.95, 87.89,
         "709M multiply-adds by count with each scaling by a batch norm, 703M without; the graph is inferred"),
        ("Table 3", 2.0, 1.0, "5", False, "3.23M", "708M", 67.44, 88.20, f"3.22M {FILE}; 703M {NORMS}"),
    )
)
# fmt: on


@register(
    family="SqueezeNext",
    paper="https://arxiv.org/abs/1803.10615",
    year=2018,
    published=PUBLISHED,
    resolution=227,
    builds_on={
        "SqueezeNet": "the squeeze before the expensive convolution, done twice, and no 3x3 convolution behind it",
        "ResNet": "the shortcut around each block",
    },
)
def squeezenext(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    version: str = "1",
    grouped: bool = False,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] | None = None,
) -> ImageClassifier:
    """Two squeezes and a separable pair of convolutions in each block, without depthwise layers.

    The paper's name 2.0-SqNxt-23v5 is `width=2.0, version="5"` here; 1.0-G-SqNxt-23 is `grouped=True`.

    Differs from the paper: none in the networks that the authors released (version 1 at depth 1, with groups or
    without, and version 5). The others are inferred. Of depths 34 and 44 the paper prints no blocks per stage; ours are
    those of 23, 1.5 and 2 times, and have its parameters nearly. Of versions 2 to 4 it does not say whether a stage's
    first block reads the projection's output; the parameters say that it does, as in version 5.

    Args:
        width: multiplies the channels of the stages; those of the first (64) and last (128) convolution stay.
        depth: multiplies the blocks of each stage, rounded up: 1.0 for the paper's 23 layers, 1.5 for 34, 2.0 for 44.
        version: "1" of the paper's Table 1, or "2" to "5", fitted to an accelerator step by step (Table 3).
        grouped: two groups in the first 1x1 and the separable layers of each block: the paper's G.
        small_input: the first layer has stride 1 and padding, and no pooling follows, for pictures of about 32 x 32.
        table: stages in the place of the version's.
    Raises: ValueError: unknown version.
    """
    if version not in VERSIONS:
        raise ValueError(f"version must be one of {', '.join(VERSIONS)}; got {version!r}")
    chosen = VERSIONS[version]
    rows = [Row(*row) for row in (chosen.table if table is None else table)]
    stem_stride, pool_stride, *row_strides = early_strides((2, 2, *(row.s for row in rows)), small_input=small_input)
    channels, tall_first = 64, True
    padding = None if small_input else 0
    stem = ConvNormAct(in_channels, channels, kernel_size=chosen.k, stride=stem_stride, padding=padding)
    body: list[nn.Module] = [] if small_input else [nn.MaxPool2d(3, pool_stride, ceil_mode=True)]
    for row, first_stride in zip(rows, row_strides, strict=True):
        out_channels = round_channels(row.c * width)
        for i, stride in enumerate(strides(first_stride, ceil(row.n * depth))):
            body.append(
                SqNxtBlock(
                    channels,
                    out_channels,
                    stride=stride,
                    groups=2 if grouped else 1,
                    tall_first=tall_first,
                    projection=i == 0,
                    behind_projection=chosen.behind_projection,
                )
            )
            channels, tall_first = out_channels, not tall_first
    body.append(ConvNormAct(channels, 128))
    head = ClassifierHead(128, num_classes, dropout=dropout, bias=False)
    return ImageClassifier(stem, body, head, in_channels=in_channels, resolution=227)
