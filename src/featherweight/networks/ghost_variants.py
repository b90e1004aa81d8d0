"""GhostNet's comparison networks (Han et al., CVPR 2020), https://arxiv.org/abs/1911.11907.

Many feature maps of a trained network look like copies of one another. A ghost module computes only some of them by an
ordinary convolution and makes the others from these by cheap depthwise filters. Here it stands in the place of the
convolutions of VGG-16, ResNet-56 and ResNet-50; GhostNet itself is built from bottlenecks of such modules.
"""

from collections.abc import Sequence
from functools import partial

from featherweight.blocks import BasicBlock, BottleneckBlock, GhostModule, ImageClassifier

from ._registry import Published, register
from .resnet import TABLE_50, Row, imagenet_network, residual_network, table_cifar
from .vgg import TABLE_1_D, cifar_head, plain_network

# fmt: off
COMPARISON = "paper's comparison table"
SWEEP_S, SWEEP_D = "paper's table over s, d = 3", "paper's table over d, s = 2"
CIFAR = partial(Published, resolution=32, dataset="CIFAR-10")

PUBLISHED_VGG_16 = (
    CIFAR(params="7.7M", multiply_adds="158M", top1=93.7, source=COMPARISON),
    CIFAR(options={"ratio": 2}, params="7.7M", multiply_adds="158M", top1=93.7, source=SWEEP_S),
    CIFAR(options={"ratio": 3}, params="5.2M", multiply_adds="107M", top1=93.4, source=SWEEP_S),
    CIFAR(options={"ratio": 4}, params="4.0M", multiply_adds="80M", top1=93.0, source=SWEEP_S),
    CIFAR(options={"ratio": 5}, params="3.3M", multiply_adds="65M", top1=92.9, source=SWEEP_S,
          deviation="65.67M by count: printed cut off"),
    CIFAR(options={"cheap_kernel_size": 1}, params="7.6M", multiply_adds="157M", top1=93.5, source=SWEEP_D),
    CIFAR(options={"cheap_kernel_size": 3}, params="7.7M", multiply_adds="158M", top1=93.7, source=SWEEP_D),
    CIFAR(options={"cheap_kernel_size": 5}, params="7.7M", multiply_adds="160M", top1=93.4, source=SWEEP_D),
    CIFAR(options={"cheap_kernel_size": 7}, params="7.7M", multiply_adds="163M", top1=93.1, source=SWEEP_D,
          deviation="163.6M by count: printed cut off"),
)
PUBLISHED_RESNET_56 = (
    CIFAR(params="0.43M", multiply_adds="63M", top1=92.7, source=COMPARISON,
          deviation="0.438M and 65.3M by count; with cheap_kernel_size=1 it is 0.430M and 63.2M, which agrees"),
)
PUBLISHED_RESNET_50 = (
    Published(params="13.0M", multiply_adds="2.2B", top1=75.0, top5=92.3, source=COMPARISON,
              deviation="13.95M parameters by count, 12.9M if the classifier were halved too; why 13.0M is unknown"),
    Published(options={"ratio": 4}, params="6.5M", multiply_adds="1.2B", top1=74.1, top5=91.9, source=COMPARISON,
              deviation="8.15M parameters by count, 6.6M if the classifier were quartered too; why 6.5M is unknown"),
)
# fmt: on

FAMILY = partial(register, family="GhostNet", paper="https://arxiv.org/abs/1911.11907", year=2019)


@FAMILY(published=PUBLISHED_VGG_16, resolution=32)
def ghost_vgg16(
    *,
    ratio: int = 2,
    cheap_kernel_size: int = 3,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[int | str] = TABLE_1_D,
) -> ImageClassifier:
    """VGG-16 for CIFAR with a ghost module in the place of each convolution, the first one too.

    Args:
        ratio: s, one of so many maps of a module is computed, the others are made from these.
        cheap_kernel_size: d, side of the depthwise kernels that do that, in pixels.
        width: multiplies every channel count, the fully connected layer's too.
        small_input: leave the first two poolings out: 4 x 4 places of a 32 x 32 picture remain.
        table: layers in the place of VGG's Table 1, column D.
    """
    layer = partial(GhostModule, ratio=ratio, cheap_kernel_size=cheap_kernel_size)
    return plain_network(
        table, partial(cifar_head, width=width, num_classes=num_classes, dropout=dropout), width=width,
        in_channels=in_channels, dropped_pools=2 if small_input else 0, layer=layer, stem_layer=layer,
    )  # fmt: skip


@FAMILY(published=PUBLISHED_RESNET_56, resolution=32)
def ghost_resnet56(
    *,
    ratio: int = 2,
    cheap_kernel_size: int = 3,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[Row] = table_cifar(56),
) -> ImageClassifier:
    """ResNet-56 for CIFAR with ghost modules in its blocks; the first convolution is ordinary.

    Args:
        ratio: s, one of so many maps of a module is computed, the others are made from these.
        cheap_kernel_size: d, side of the depthwise kernels that do that, in pixels.
        width: multiplies every channel count.
        small_input: False puts two reductions in front, for pictures of about 224 x 224.
        table: stages in the place of ResNet's Section 4.2.
    """
    layer = partial(GhostModule, ratio=ratio, cheap_kernel_size=cheap_kernel_size)
    return residual_network(
        table, partial(BasicBlock, shortcut="pad", layer=layer), width=width, num_classes=num_classes,
        in_channels=in_channels, dropout=dropout, small_input=small_input,
    )  # fmt: skip


@FAMILY(published=PUBLISHED_RESNET_50)
def ghost_resnet50(
    *,
    ratio: int = 2,
    cheap_kernel_size: int = 3,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Sequence[Row] = TABLE_50,
) -> ImageClassifier:
    """ResNet-50 with ghost modules in its blocks and shortcuts; the first convolution is ordinary.

    Args:
        ratio: s, one of so many maps of a module is computed, the others are made from these.
        cheap_kernel_size: d, side of the depthwise kernels that do that, in pixels.
        width: multiplies every channel count.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        table: stages in the place of ResNet's Table 1.
    """
    layer = partial(GhostModule, ratio=ratio, cheap_kernel_size=cheap_kernel_size)
    return imagenet_network(
        table, partial(BottleneckBlock, layer=layer), width=width, num_classes=num_classes, in_channels=in_channels,
        dropout=dropout, small_input=small_input,
    )  # fmt: skip
