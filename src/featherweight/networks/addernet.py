"""AdderNet (Chen et al., CVPR 2020), https://arxiv.org/abs/1912.13200.

A convolution asks how well a filter and the picture agree, and multiplies to find out; how far they are apart says as
much, and takes additions only. Known networks are taken as they are, with adder layers in the place of all convolutions
but the first and the last. Two changes make that train: a gradient that tells by how much a filter is off, and a step
for each layer that does not depend on how small its gradient is.
"""

from collections.abc import Sequence
from functools import partial

from torch import nn

from featherweight.blocks import (
    AdderConv2d,
    BasicBlock,
    BottleneckBlock,
    GridPool,
    ImageClassifier,
    NormedClassifierHead,
    with_norm,
)

from ._registry import Published, register
from .resnet import TABLE_18, TABLE_50, Row, imagenet_network, residual_network, table_cifar
from .vgg import VGG_SMALL, plain_network, scaled

# fmt: off
README = "AdderNet authors' README"
ATTACKS = f"{README}, table of attacks: without attack"
FIRST_TOO = "twice the multiply-adds by count with the first convolution, which is none of the adder layers"


def _cifar(additions: str, deviation: str, *rows: tuple[str, float, float | None]) -> tuple[Published, ...]:
    """Rows on CIFAR-10 and on CIFAR-100; the first is the paper's, with its count."""
    published = []
    for number, (source, cifar10, cifar100) in enumerate(rows):
        counted = {"additions": additions, "deviation": deviation} if number == 0 else {}
        published.append(Published(resolution=32, dataset="CIFAR-10", top1=cifar10, source=source, **counted))  # type: ignore[arg-type]
        if cifar100 is not None:
            published.append(Published(options={"num_classes": 100}, resolution=32, dataset="CIFAR-100", top1=cifar100,
                                       source=source))
    return tuple(published)


PUBLISHED_20 = _cifar(
    "82.34M", "80.74M by count, 81.63M with the first convolution; what the other 0.7M are is not said",
    ("Table 2", 91.84, 67.60),
    (f"{README}: PKKD", 92.96, 69.93),
    (f"{README}: SLAC", 92.29, 68.31),
    (f"{README}: its trained weights", 91.8, None),
    (ATTACKS, 91.72, None),
    (f"{ATTACKS}, with AWN", 90.55, None),
    ("ShiftAddNet's comparison: 160 epochs", 89.32, None),
)
PUBLISHED_32 = (
    *_cifar(
        "138.24M", f"137.36M by count; printed is {FIRST_TOO}",
        ("Table 2", 93.01, 69.02),
        (f"{README}: PKKD", 93.62, 72.41),
        (f"{README}: SLAC", 93.24, 69.83),
        (ATTACKS, 92.48, None),
        (f"{ATTACKS}, with AWN", 91.25, None),
    ),
    Published(options={"num_classes": 100}, resolution=32, dataset="CIFAR-100", top1=69.17, source=README),
)
PUBLISHED_VGG = _cifar(
    "1.30G", "1.21G by count; the paper has no layer list",
    ("Table 2", 93.72, 72.64),
    (f"{README}: PKKD", 95.03, 76.94),
    (f"{README}: SLAC", 93.96, 73.63),
)
PUBLISHED_18 = (
    Published(additions="3.6G", top1=67.0, top5=87.6, source="Table 3",
              deviation=f"3.4G by count; printed is {FIRST_TOO}"),
    Published(top1=66.8, top5=87.4, source="Section 4.3's text, and arXiv version 1"),
    Published(top1=68.8, top5=88.6, source=f"{README}: PKKD"),
    Published(top1=67.7, top5=87.9, source=f"{README}: SLAC"),
)
PUBLISHED_50 = (
    Published(additions="7.7G", top1=74.9, top5=91.7, source="Table 3",
              deviation="7.9G by count of the authors' code, which has strides in the 3x3 layers; with strides in the "
                        f"first 1x1 layers, 7.7G is {FIRST_TOO}"),
    Published(top1=76.8, top5=93.3, source=f"{README}: PKKD"),
    Published(top1=75.3, top5=92.6, source=f"{README}: SLAC"),
    Published(top1=75.7, top5=92.3, source="Universal Adder Neural Networks, https://arxiv.org/abs/2105.14202"),
)
PUBLISHED_LENET = (
    Published(resolution=32, additions="870K", dataset="MNIST", top1=99.4, source="Section 4.1",
              deviation="833K by count; what the other 37K are is not said"),
    *(
        Published(resolution=32, dataset="MNIST", top1=top1, source=source)
        for source, top1 in (
            ("Table 4: eta 1", 99.26), ("Table 4: eta 0.5", 99.30), ("Table 4: eta 0.2", 99.35),
            ("Table 4: eta 0.1", 99.40), ("Table 4: eta 0.05", 99.32),
            ("Fig. 3: learning rate unchanged", 54.91), ("Fig. 3: learning rate times 100", 98.99),
            ("Fig. 3: sign gradient, learning rate unchanged", 29.26),
            ("Fig. 3: sign gradient, learning rate times 100", 97.72),
            ("Fig. 3: sign gradient, adaptive rate", 97.99),
        )
    ),
)
# fmt: on

ADDERNET = partial(register, family="AdderNet", paper="https://arxiv.org/abs/1912.13200", year=2019)
adder_layer = with_norm(AdderConv2d)
CIFAR_HEAD = partial(NormedClassifierHead, convolution=partial(nn.Conv2d, bias=False))


@ADDERNET(
    published=PUBLISHED_18,
    builds_on={
        "ResNet": "the networks, with distances in the place of products in all layers but the first and the last",
        "VGG": "likewise, in its small form for CIFAR",
        "LeNet": "likewise, in all layers",
    },
)
def adder_resnet18(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = TABLE_18,
) -> ImageClassifier:
    """ResNet-18 of adder layers, those of the shortcuts too; the classifier's scores are normalised.

    Differs from the paper: none known; the released code has it not, but ResNet-50 and ResNet-20.

    Args:
        width: multiplies every channel count.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        table: stages in the place of ResNet's Table 1's column.
    """
    return imagenet_network(
        table, partial(BasicBlock, convolution=AdderConv2d), head=NormedClassifierHead, width=width,
        num_classes=num_classes, in_channels=in_channels, dropout=dropout, small_input=small_input,
    )  # fmt: skip


@ADDERNET(published=PUBLISHED_50)
def adder_resnet50(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = TABLE_50,
) -> ImageClassifier:
    """ResNet-50 of adder layers, with the strides in 3x3 layers (released code); options as `adder_resnet18`'s."""
    return imagenet_network(
        table, partial(BottleneckBlock, convolution=AdderConv2d), head=NormedClassifierHead, width=width,
        num_classes=num_classes, in_channels=in_channels, dropout=dropout, small_input=small_input,
    )  # fmt: skip


@ADDERNET(published=PUBLISHED_20, resolution=32)
def adder_resnet20(
    *,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[Row] = table_cifar(20),
) -> ImageClassifier:
    """ResNet-20 for CIFAR of adder layers, with 1x1 adder layers as shortcuts where shapes change (released code).

    Args:
        width: multiplies every channel count.
        small_input: False puts two reductions in front, for pictures of about 224 x 224.
        table: stages in the place of ResNet's Section 4.2's.
    """
    return residual_network(
        table, partial(BasicBlock, convolution=AdderConv2d), head=CIFAR_HEAD, width=width,
        num_classes=num_classes, in_channels=in_channels, dropout=dropout, small_input=small_input,
    )  # fmt: skip


@ADDERNET(published=PUBLISHED_32, resolution=32)
def adder_resnet32(
    *,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[Row] = table_cifar(32),
) -> ImageClassifier:
    """ResNet-32 for CIFAR of adder layers; options as `adder_resnet20`'s."""
    return adder_resnet20(
        width=width, num_classes=num_classes, in_channels=in_channels, dropout=dropout, small_input=small_input,
        table=table,
    )  # fmt: skip


@ADDERNET(published=PUBLISHED_VGG, resolution=32)
def adder_vgg_small(
    *,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[int | str] = VGG_SMALL,
) -> ImageClassifier:
    """VGG-small for CIFAR of adder layers; first and last layer multiply.

    Differs from the paper: not known, since it has no list of the layers; the classifier, on the 4 x 4 places of the
    last map, is like `vgg_small`'s, with its scores normalised.

    Args:
        width: multiplies every channel count.
        small_input: False puts two reductions in front, for pictures of about 224 x 224.
        table: layers in the place of 128-128-M-256-256-M-512-512-M.
    """
    return plain_network(
        table,
        partial(_grid_head, num_classes=num_classes, dropout=dropout),
        layer=adder_layer,
        width=width,
        in_channels=in_channels,
        reductions_in_front=not small_input,
    )


def _grid_head(channels: int, *, num_classes: int, dropout: float) -> NormedClassifierHead:
    return CIFAR_HEAD(channels, num_classes, dropout=dropout, before=GridPool(4), side=4)


@ADDERNET(published=PUBLISHED_LENET, resolution=32)
def adder_lenet5_bn(
    *,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 1,
    dropout: float = 0.0,
    small_input: bool = True,
) -> ImageClassifier:
    """LeNet-5 with batch normalisation for MNIST's digits on 32 x 32 pixels: every layer adds, to the last.

    Differs from the paper: not known, since it has no list of the layers; batch normalisation stands behind the fully
    connected layers too, because a distance is never above zero.

    Args:
        width: multiplies every channel count.
        small_input: False puts two reductions in front and pads the second layer, for pictures of about 224 x 224.
    """
    channels, more, hidden, last = (scaled(c, width) for c in (6, 16, 120, 84))
    unpadded = with_norm(partial(AdderConv2d, padding=0))
    stem = unpadded(in_channels, channels, kernel_size=5, stride=1 if small_input else 2)
    body: list[nn.Module] = [] if small_input else [nn.MaxPool2d(3, stride=2, padding=1)]
    second = (unpadded if small_input else adder_layer)(channels, more, kernel_size=5)
    body += [nn.MaxPool2d(2), second, nn.MaxPool2d(2)]
    connected = nn.Sequential(
        GridPool(5), unpadded(more, hidden, kernel_size=5), adder_layer(hidden, last, kernel_size=1)
    )
    head = NormedClassifierHead(last, num_classes, dropout=dropout, convolution=AdderConv2d, before=connected)
    return ImageClassifier(stem, body, head, in_channels=in_channels, resolution=32)
