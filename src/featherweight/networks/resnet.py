"""ResNet (He et al., CVPR 2016), https://arxiv.org/abs/1512.03385.

A block computes what is to be added to its input, not its output: doing nothing is then easy to learn, and a gradient
reaches the first layers undiminished. So networks of a hundred layers can be trained, where plain ones of thirty got
worse with depth. Here they are not the lightweight networks but what those are compared with.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

from torch import nn

from featherweight.blocks import BasicBlock, BottleneckBlock, ClassifierHead, ConvNormAct, ImageClassifier, strides

from ._registry import Published, register


class Row(NamedTuple):
    """One stage of the paper's Table 1, or of its networks for CIFAR."""

    c: int  # output channels of the blocks at width 1
    n: int  # number of blocks
    s: int  # stride of the first block; the others have stride 1


# fmt: off
TABLE_18 = (
    Row( 64, 2, 1),  # 56 x 56 x 64
    Row(128, 2, 2),  # 56 x 56 x 64
    Row(256, 2, 2),  # 28 x 28 x 128
    Row(512, 2, 2),  # 14 x 14 x 256
)
TABLE_50 = (
    Row( 256, 3, 1),  # 56 x 56 x 64
    Row( 512, 4, 2),  # 56 x 56 x 256
    Row(1024, 6, 2),  # 28 x 28 x 512
    Row(2048, 3, 2),  # 14 x 14 x 1024
)


def table_cifar(depth: int) -> tuple[Row, ...]:
    """Return the stages of the network for CIFAR with so many layers: 6 n + 2 (the paper's Section 4.2)."""
    n = (depth - 2) // 6
    return (
        Row(16, n, 1),  # 32 x 32 x 16
        Row(32, n, 2),  # 32 x 32 x 16
        Row(64, n, 2),  # 16 x 16 x 32
    )


TORCHVISION = "torchvision's documentation"
ADDERNET = "AdderNet's tables, as an ordinary network"
PROJECTION = {"shortcut": "projection"}  # as in AdderNet's code

PUBLISHED_18 = (
    Published(multiply_adds="1.8G", source="Table 1"),
    Published(params="11,689,512", multiply_adds="1.81G", top1=69.758, top5=89.078, source=TORCHVISION),
    Published(multiply_adds="1,818M", top1=69.8, source="CondenseNet authors' README",
              deviation="1,814M by count; the authors' counter also adds 1 for each ReLU and a window for each pool"),
    Published(params="11.151M", multiply_adds="1.8G", top1=68.94, top5=88.62, source="IGCV1 authors' README: C = 64",
              deviation="11.69M parameters by count; 11.16M in convolutions without the first and the last layer"),
    Published(options={"width": 69 / 64}, params="11.333M", multiply_adds="2.1G", top1=69.42, top5=89.23,
              source="IGCV1 authors' README: C = 69",
              deviation="13.54M parameters by count, and 12.97M in convolutions without the first and the last layer"),
    Published(multiply_adds="1.8G", top1=69.8, top5=89.1, source=ADDERNET),
)
PUBLISHED_50 = (
    Published(options={"stride_first": True}, multiply_adds="3.8G", top1=77.15, top5=93.29,
              source="Tables 1 and 3: ten crops", deviation="3.86G by count: printed cut off"),
    Published(params="25,557,032", multiply_adds="4.09G", top1=76.13, top5=92.862, source=TORCHVISION),
    Published(top1=80.858, top5=95.434, source=f"{TORCHVISION}: second recipe"),
    Published(params="25.6M", multiply_adds="4.1B", top1=75.3, top5=92.2, source="GhostNet's comparison table"),
    Published(multiply_adds="3.9G", top1=76.2, top5=92.9, source=ADDERNET,
              deviation="4.09G by count as in the authors' code; 3.86G with the stride in the first 1x1 layer"),
)


def _cifar(depth: int, *rows: Published) -> tuple[Published, ...]:
    params, error = {20: ("0.27M", 8.75), 32: ("0.46M", 7.51), 56: ("0.85M", 6.97)}[depth]
    own = Published(resolution=32, params=params, dataset="CIFAR-10", top1=round(100 - error, 2), source="Table 6")
    return (own, *rows)


def _addernet(multiply_adds: str, cifar10: float, cifar100: float, readme: float, why: str | None) -> list[Published]:
    return [
        Published(options=PROJECTION, resolution=32, multiply_adds=multiply_adds, dataset="CIFAR-10", top1=cifar10,
                  source=ADDERNET, deviation=why),
        Published(options={**PROJECTION, "num_classes": 100}, resolution=32, dataset="CIFAR-100", top1=cifar100,
                  source=ADDERNET),
        Published(options=PROJECTION, resolution=32, dataset="CIFAR-10", top1=readme,
                  source="AdderNet authors' README, table of attacks: without attack"),
    ]


PUBLISHED_20 = _cifar(20, *_addernet("41.17M", 92.25, 68.14, 92.68,
                                     "40.81M by count; the same tables' 69.12M for 32 layers is our count"))
PUBLISHED_32 = _cifar(32, *_addernet("69.12M", 93.29, 69.74, 92.78, None))
PUBLISHED_56 = _cifar(56, Published(resolution=32, params="0.85M", multiply_adds="125M", dataset="CIFAR-10", top1=93.0,
                                    source="GhostNet's comparison table"))
# fmt: on

FAMILY = partial(register, family="ResNet", paper="https://arxiv.org/abs/1512.03385", year=2015, reference=True)
CIFAR = partial(FAMILY, resolution=32)


def residual_network(
    table: Sequence[Row],
    block: Callable[..., nn.Module],
    *,
    width: float,
    num_classes: int,
    in_channels: int,
    dropout: float,
    small_input: bool,
    stem_channels: int = 16,
    stem_kernel_size: int = 3,
    head: Callable[..., nn.Module] = ClassifierHead,
    resolution: int = 32,
) -> ImageClassifier:
    """Build a residual network of any blocks: stem, (pooling,) stages, head; the defaults are those for CIFAR.

    Args:
        table: stages.
        block: called block(in_channels, out_channels, stride=), such as `partial(BasicBlock, convolution=...)`.
        small_input: the stem has stride 1 and no pooling follows; else stride 2 and a 3x3 max pooling of stride 2.
        stem_channels: of the first layer at width 1, which is an ordinary convolution.
        head: called head(channels, num_classes, dropout=).
    """
    channels = scaled(stem_channels, width)
    stem = ConvNormAct(in_channels, channels, kernel_size=stem_kernel_size, stride=1 if small_input else 2)
    body: list[nn.Module] = [] if small_input else [nn.MaxPool2d(3, stride=2, padding=1)]
    for c, n, s in table:
        out_channels = scaled(c, width)
        for stride in strides(s, n):
            body.append(block(channels, out_channels, stride=stride))
            channels = out_channels
    return ImageClassifier(
        stem, body, head(channels, num_classes, dropout=dropout), in_channels=in_channels, resolution=resolution
    )


imagenet_network = partial(residual_network, stem_channels=64, stem_kernel_size=7, resolution=224)


def scaled(channels: int, width: float) -> int:
    """Scale a channel count, to the nearest whole number and at least 1."""
    return max(1, round(channels * width))


@FAMILY(
    published=PUBLISHED_18,
    builds_on={"VGG": "3x3 kernels, twice the channels where the side halves; adds shortcuts around pairs of layers"},
)
def resnet18(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = TABLE_18,
) -> ImageClassifier:
    """Residual network of 18 layers for ImageNet, equal to torchvision's.

    Args:
        width: multiplies every channel count.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        table: stages in the place of Table 1's column.
    """
    return imagenet_network(
        table, BasicBlock, width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input,
    )  # fmt: skip


@FAMILY(published=PUBLISHED_50)
def resnet50(
    *,
    width: float = 1.0,
    stride_first: bool = False,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = TABLE_50,
) -> ImageClassifier:
    """Residual network of 50 layers in bottlenecks for ImageNet, equal to torchvision's (called v1.5).

    Args:
        width: multiplies every channel count.
        stride_first: strides are in the first 1x1 layer of a block, as in the paper, not in the 3x3 layer.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        table: stages in the place of Table 1's column.
    """
    return imagenet_network(
        table, partial(BottleneckBlock, stride_first=stride_first), width=width, num_classes=num_classes,
        in_channels=in_channels, dropout=dropout, small_input=small_input,
    )  # fmt: skip


@CIFAR(published=PUBLISHED_20)
def resnet20(
    *,
    width: float = 1.0,
    shortcut: Literal["pad", "projection"] = "pad",
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[Row] = table_cifar(20),
) -> ImageClassifier:
    """Residual network of 20 layers for CIFAR.

    Args:
        width: multiplies every channel count.
        shortcut: where shapes change: "pad" with zeros as in the paper, or "projection" by a 1x1 layer.
        small_input: False puts two reductions in front, for pictures of about 224 x 224.
        table: stages in the place of Section 4.2's.
    """
    return residual_network(
        table, partial(BasicBlock, shortcut=shortcut), width=width, num_classes=num_classes, in_channels=in_channels,
        dropout=dropout, small_input=small_input,
    )  # fmt: skip


@CIFAR(published=PUBLISHED_32)
def resnet32(
    *,
    width: float = 1.0,
    shortcut: Literal["pad", "projection"] = "pad",
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[Row] = table_cifar(32),
) -> ImageClassifier:
    """Residual network of 32 layers for CIFAR; options as `resnet20`'s."""
    return resnet20(
        width=width, shortcut=shortcut, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input, table=table,
    )  # fmt: skip


@CIFAR(published=PUBLISHED_56)
def resnet56(
    *,
    width: float = 1.0,
    shortcut: Literal["pad", "projection"] = "pad",
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[Row] = table_cifar(56),
) -> ImageClassifier:
    """Residual network of 56 layers for CIFAR; options as `resnet20`'s."""
    return resnet20(
        width=width, shortcut=shortcut, num_classes=num_classes, in_channels=in_channels, dropout=dropout,
        small_input=small_input, table=table,
    )  # fmt: skip
