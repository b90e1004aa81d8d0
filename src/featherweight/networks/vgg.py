"""VGG (Simonyan and Zisserman, ICLR 2015), https://arxiv.org/abs/1409.1556.

Depth out of one brick: 3x3 convolutions, two of which see as much as one of 5x5 at less cost, and pooling that halves
the side while the channels double. So plain that it became the network that others are measured against, and at
138 million parameters the one that compression is shown on.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

from featherweight.blocks import ClassifierHead, ConvNormAct, FullyConnectedHead, ImageClassifier

from ._registry import Published, register

M = "M"  # max pooling, 2x2 with stride 2

# fmt: off
TABLE_1_D = (
    64, 64, M,         # 224 x 224
    128, 128, M,       # 112 x 112
    256, 256, 256, M,  # 56 x 56
    512, 512, 512, M,  # 28 x 28
    512, 512, 512, M,  # 14 x 14
)
VGG_SMALL = (
    128, 128, M,  # 32 x 32
    256, 256, M,  # 16 x 16
    512, 512, M,  # 8 x 8
)

PUBLISHED_16 = (
    Published(params="138M", top1=74.4, top5=91.9, source="Tables 2 and 3: 384 pixels"),
    Published(params="138,357,544", multiply_adds="15.47G", top1=71.592, top5=90.382,
              source="torchvision's documentation"),
    Published(params="138M", multiply_adds="15300M", top1=71.5, source="MobileNetV1's Table 8",
              deviation="15,470M by count, 15,347M without the fully connected layers"),
    Published(multiply_adds="15,300M", top1=71.5, source="CondenseNet authors' README",
              deviation="15,470M by count, 15,347M without the fully connected layers"),
    Published(top1=71.5, top5=90.1, source="Xception's Table 1"),
)
PUBLISHED_16_CIFAR = (
    Published(resolution=32, params="15M", multiply_adds="313M", dataset="CIFAR-10", top1=93.6,
              source="GhostNet's comparison table"),
)
PUBLISHED_SMALL = (
    Published(resolution=32, multiply_adds="0.65G", dataset="CIFAR-10", top1=93.80,
              source="AdderNet's tables, as an ordinary network",
              deviation="0.61G by count; the paper has no layer list"),
    Published(resolution=32, options={"num_classes": 100}, dataset="CIFAR-100", top1=72.73,
              source="AdderNet's tables, as an ordinary network"),
)
# fmt: on

FAMILY = partial(register, family="VGG", year=2014, reference=True)
VGG_PAPER = "https://arxiv.org/abs/1409.1556"


def plain_network(
    table: Sequence[int | str],
    head: Callable[[int], nn.Module],
    *,
    width: float,
    in_channels: int,
    dropped_pools: int = 0,
    reductions_in_front: bool = False,
    layer: Callable[..., nn.Module] = ConvNormAct,
    stem_layer: Callable[..., nn.Module] = ConvNormAct,
    resolution: int = 32,
) -> ImageClassifier:
    """Build a network of 3x3 layers and poolings, one after the other.

    Args:
        table: output channels of each layer at width 1; "M" for 2x2 max pooling of stride 2.
        head: called with the channels of the last layer.
        dropped_pools: so many of the first poolings are left out, for small pictures.
        reductions_in_front: the stem has stride 2 and a 3x3 max pooling of stride 2 follows, for large pictures.
        layer: makes all layers but the first, called layer(in_channels, out_channels, kernel_size=3, stride=1), with
            norm and activation inside: `ConvNormAct`, `GhostModule`, `with_norm(...)`.
        stem_layer: makes the first.
    """
    first, *rest = table
    channels = scaled(int(first), width)
    stem = stem_layer(in_channels, channels, kernel_size=3, stride=2 if reductions_in_front else 1)
    body: list[nn.Module] = [nn.MaxPool2d(3, stride=2, padding=1)] if reductions_in_front else []
    for c in rest:
        if c != M:
            out_channels = scaled(int(c), width)
            body.append(layer(channels, out_channels, kernel_size=3, stride=1))
            channels = out_channels
        elif dropped_pools:
            dropped_pools -= 1
        else:
            body.append(nn.MaxPool2d(2))
    return ImageClassifier(stem, body, head(channels), in_channels=in_channels, resolution=resolution)


def scaled(channels: int, width: float) -> int:
    """Scale a channel count, to the nearest whole number and at least 1."""
    return max(1, round(channels * width))


def _conv_relu(in_channels: int, out_channels: int, *, kernel_size: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2)
    return nn.Sequential(conv, nn.ReLU(inplace=True))


@FAMILY(
    paper=VGG_PAPER,
    published=PUBLISHED_16,
    builds_on={"AlexNet": "its frame and fully connected layers; many 3x3 kernels in the place of few large ones"},
)
def vgg16(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.5,
    small_input: bool = False,
    table: Sequence[int | str] = TABLE_1_D,
) -> ImageClassifier:
    """Thirteen convolutions and three fully connected layers, without batch normalisation, equal to torchvision's.

    Args:
        width: multiplies every channel count, the fully connected layers' too.
        small_input: leave the first two poolings out, for pictures of about 32 x 32.
        table: layers in the place of Table 1's column D.
    """
    hidden = scaled(4096, width)
    return plain_network(
        table,
        partial(_head, num_classes=num_classes, side=7, hidden_channels=(hidden, hidden), dropout=dropout),
        width=width,
        in_channels=in_channels,
        dropped_pools=2 if small_input else 0,
        layer=_conv_relu,
        stem_layer=_conv_relu,
        resolution=224,
    )


def _head(channels: int, **options: object) -> nn.Module:
    return FullyConnectedHead(channels, **options)  # type: ignore[arg-type]


@FAMILY(paper=VGG_PAPER, published=PUBLISHED_16_CIFAR, resolution=32)
def vgg16_cifar(
    *,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[int | str] = TABLE_1_D,
) -> ImageClassifier:
    """VGG-16 as it is used on CIFAR: batch normalisation, and fully connected layers of 512 and the classes.

    Its five poolings leave one place of a 32 x 32 picture.

    Args:
        width: multiplies every channel count, the fully connected layer's too.
        small_input: leave the first two poolings out: 4 x 4 places of a 32 x 32 picture remain.
        table: layers in the place of Table 1's column D.
    """
    return plain_network(
        table, partial(cifar_head, width=width, num_classes=num_classes, dropout=dropout), width=width,
        in_channels=in_channels, dropped_pools=2 if small_input else 0,
    )  # fmt: skip


def cifar_head(channels: int, *, width: float, num_classes: int, dropout: float) -> nn.Module:
    """Make the head of VGG-16 for CIFAR: mean, 512 hidden, classes."""
    return ClassifierHead(channels, num_classes, hidden_channels=scaled(512, width), dropout=dropout)


@FAMILY(paper="https://arxiv.org/abs/1702.00953", published=PUBLISHED_SMALL, resolution=32)
def vgg_small(
    *,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[int | str] = VGG_SMALL,
) -> ImageClassifier:
    """Six convolutions and one fully connected layer for CIFAR, the usual test of quantized and adder networks.

    Source: Cai et al. 2017 (HWGQ), https://arxiv.org/abs/1702.00953, whom AdderNet cites for it. Differs from the
    paper: not known; the layers are those that networks under this name usually have.

    Args:
        width: multiplies every channel count.
        small_input: False puts two reductions in front, for pictures of about 224 x 224.
        table: layers in the place of 128-128-M-256-256-M-512-512-M.
    """
    return plain_network(
        table,
        partial(_head, num_classes=num_classes, side=4, dropout=dropout),
        width=width,
        in_channels=in_channels,
        reductions_in_front=not small_input,
    )
