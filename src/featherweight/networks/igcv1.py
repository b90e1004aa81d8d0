"""IGCV1, interleaved group convolutions (Zhang et al., ICCV 2017), https://arxiv.org/abs/1707.02725.

A dense convolution is replaced by two sparse ones. The first filters in groups; the second is a 1x1 convolution whose
groups each take one channel from every group of the first, so that together each output channel sees each input
channel once. At the same number of weights the layers become wider than dense ones.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    BasicBlock,
    ClassifierHead,
    ConvNormAct,
    ImageClassifier,
    InterleavedGroupConv,
    early_strides,
    strides,
)

from ._registry import Published, register

PAPER = "https://arxiv.org/abs/1707.02725"


class Row(NamedTuple):
    """One stage of a released model: `n` residual blocks of two interleaved convolutions of L * M channels."""

    L: int  # primary partitions, and groups of the projecting shortcut
    M: int  # secondary partitions
    n: int  # residual blocks
    s: int  # stride of the first


class Form(NamedTuple):
    """A released model: channels of the first layer, and the stages behind it."""

    stem: int
    rows: tuple[Row, ...]


# fmt: off
FORMS = {
    "L4M32":  Form(128, (Row(4, 32, 2, 1), Row(4, 64, 2, 2), Row(4, 128, 2, 2), Row(4, 256, 2, 2))),
    "L16M16": Form(256, (Row(16, 16, 2, 1), Row(16, 32, 2, 2), Row(16, 64, 2, 2), Row(16, 128, 2, 2))),
    "L100M2": Form(100, (Row(100, 2, 2, 1), Row(200, 2, 2, 2), Row(400, 2, 2, 2), Row(800, 2, 2, 2))),
}

README = "authors' README (hellozting/InterleavedGroupConvolutions)"
SUMMARY = "a summary of the paper by others, which does not say the number of layers"

PUBLISHED = (
    Published(options={"form": "L4M32"}, params="11.205M", multiply_adds="1.9G", top1=69.23, top5=89.01,
              source=f"{README}: IGC-L4M32+Ident.",
              deviation="12.25M by count of the released model file, and 11.21M without the classifier and batch norm"),
    Published(options={"form": "L16M16"}, params="11.329M", multiply_adds="2.2G", top1=70.60, top5=89.68,
              source=f"{README}: IGC-L16M16+Ident.",
              deviation="13.53M and 2.27G by count of the released model file; the README's parameters seem to leave "
                        "out the classifier (11.44M then), its multiply-adds seem cut off"),
    Published(params="8.61M", multiply_adds="1.3G", top1=73.05, top5=91.08, source=f"{README}: IGC-L100M2+Ident.",
              deviation="8.64M by count, 8.61M without batch norm's scale and shift"),
)
CIFAR_PUBLISHED = (
    Published(resolution=32, dataset="CIFAR-10", top1=95.15, source=f"IGC-L24M2+Ident. in {SUMMARY}"),
    Published(options={"num_classes": 100}, resolution=32, dataset="CIFAR-100", top1=76.15,
              source=f"IGC-L24M2+Ident. in {SUMMARY}"),
)
PLAIN_PUBLISHED = (
    Published(resolution=32, dataset="CIFAR-10", top1=94.95, source=f"RegConv-W18+Ident. in {SUMMARY}"),
    Published(options={"num_classes": 100}, resolution=32, dataset="CIFAR-100", top1=75.30,
              source=f"RegConv-W18+Ident. in {SUMMARY}"),
)
# fmt: on


@register(
    family="IGCV1",
    paper=PAPER,
    year=2017,
    published=PUBLISHED,
    builds_on={"Xception": "channel-wise filtering and a dense 1x1 layer, the special case of one channel to a group"},
)
def igcv1(
    *,
    form: str = "L100M2",
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    table: Form | None = None,
) -> ImageClassifier:
    """Interleaved group convolutions in the frame of a residual network of 18 layers, for ImageNet.

    Args:
        form: "L4M32", "L16M16" or "L100M2": primary and secondary partitions of the first stage. The first two double
            M from stage to stage, the last doubles L.
        width: multiplies the one that doubles, and the first layer with it.
        small_input: stem with stride 1 and no pooling, for pictures of about 32 x 32.
        table: first layer and stages in the place of the form's.
    Raises: ValueError: unknown form.
    """
    if form not in FORMS:
        raise ValueError(f"igcv1 has no form {form!r}; known: {', '.join(FORMS)}")
    stem_channels, rows = Form(*(FORMS[form] if table is None else table))
    rows = tuple(Row(*row) for row in rows)
    primary = _scaled([row.L for row in rows], width)
    secondary = _scaled([row.M for row in rows], width)
    stem_stride, pool_stride, *row_strides = early_strides((2, 2, *(row.s for row in rows)), small_input=small_input)
    channels = stem_channels * primary[0] * secondary[0] // (rows[0].L * rows[0].M)
    stem = ConvNormAct(in_channels, channels, kernel_size=7, stride=stem_stride)
    body: list[nn.Module] = [] if small_input else [nn.MaxPool2d(3, stride=pool_stride, padding=1)]
    for row, partitions, crossing, first_stride in zip(rows, primary, secondary, row_strides, strict=True):
        for stride in strides(first_stride, row.n):
            layer = _interleaved(partitions, crossing)
            body.append(BasicBlock(channels, partitions * crossing, stride=stride, layer=layer))
            channels = partitions * crossing
    head = ClassifierHead(channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels)


def _scaled(partitions: Sequence[int], width: float) -> list[int]:
    """Scale those that grow from stage to stage, keeping how much; leave those that are the same in all stages."""
    if len(set(partitions)) == 1:
        return list(partitions)
    first = max(1, round(partitions[0] * width))
    return [first * each // partitions[0] for each in partitions]


def _interleaved(primary: int, secondary: int | None = None) -> Callable[..., nn.Module]:
    """Make the layers of a residual block: interleaved ones, and a projection in groups.

    Without `secondary` there are as many secondary partitions as a primary one has channels before the layer.
    """

    def layer(
        channels: int, out_channels: int, *, kernel_size: int, stride: int = 1, activation: str | None = "relu"
    ) -> nn.Module:
        if kernel_size == 1:
            return ConvNormAct(channels, out_channels, stride=stride, groups=primary, activation=activation)
        return InterleavedGroupConv(
            channels, out_channels, kernel_size=kernel_size, stride=stride, activation=activation,
            primary_partitions=primary, secondary_partitions=secondary or channels // primary,
        )  # fmt: skip

    return layer


@register(family="IGCV1", paper=PAPER, year=2017, published=CIFAR_PUBLISHED, resolution=32)
def igcv1_cifar(
    *,
    layers: int = 38,
    primary_partitions: int = 24,
    secondary_partitions: int = 2,
    residual: bool = True,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
) -> ImageClassifier:
    """Interleaved group convolutions for CIFAR, with shortcuts ("+Ident.") or without.

    Three stages; the secondary partitions double from one to the next. Where channels double inside a residual block,
    the first convolution still has the partitions of the stage before, as in the released code.

    Args:
        layers: the first, the classifier, and 3 * n interleaved convolutions between; with shortcuts 6 * n. The
            default is the one in the authors' README.
        primary_partitions: L, in all stages.
        secondary_partitions: M, in the first stage.
        residual: shortcuts around two convolutions each.
        small_input: False puts a stride in the first layer and a pooling behind it, for pictures of about 224 x 224.
    Raises: ValueError: the number of layers does not make three equal stages.
    """

    def convolution(channels: int, stage: int, stride: int) -> nn.Module:
        secondary = secondary_partitions * 2**stage
        out_channels = primary_partitions * secondary
        if residual:
            return BasicBlock(channels, out_channels, stride=stride, layer=_interleaved(primary_partitions))
        layer = _interleaved(primary_partitions, secondary)
        return layer(channels, out_channels, kernel_size=3, stride=stride)

    stem_channels = primary_partitions * secondary_partitions
    return _three_stages(
        convolution, stem_channels, layers=layers, residual=residual, num_classes=num_classes, in_channels=in_channels,
        dropout=dropout, small_input=small_input,
    )  # fmt: skip


@register(family="IGCV1", paper=PAPER, year=2017, published=PLAIN_PUBLISHED, resolution=32, reference=True)
def regconv_cifar(
    *,
    layers: int = 38,
    channels: int = 18,
    residual: bool = True,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
) -> ImageClassifier:
    """Ordinary 3x3 convolutions in the place of the interleaved ones: what IGCV1 is compared with on CIFAR (RegConv).

    Args:
        layers: as of igcv1_cifar.
        channels: of the first stage, the paper's W; they double from stage to stage.
        residual: shortcuts around two convolutions each.
        small_input: False puts a stride in the first layer and a pooling behind it, for pictures of about 224 x 224.
    Raises: ValueError: the number of layers does not make three equal stages.
    """

    def convolution(before: int, stage: int, stride: int) -> nn.Module:
        if residual:
            return BasicBlock(before, channels * 2**stage, stride=stride)
        return ConvNormAct(before, channels * 2**stage, kernel_size=3, stride=stride)

    return _three_stages(
        convolution, channels, layers=layers, residual=residual, num_classes=num_classes, in_channels=in_channels,
        dropout=dropout, small_input=small_input,
    )  # fmt: skip


def _three_stages(
    convolution: Callable[[int, int, int], nn.Module],
    channels: int,
    *,
    layers: int,
    residual: bool,
    num_classes: int,
    in_channels: int,
    dropout: float,
    small_input: bool,
) -> ImageClassifier:
    """Build the frame of both CIFAR networks around `convolution(channels before, stage, stride)`."""
    step = 6 if residual else 3
    if layers < step + 2 or (layers - 2) % step:
        raise ValueError(f"layers must be 2 more than a multiple of {step}; got {layers}")
    stem_stride, pool_stride, *stage_strides = early_strides((2, 2, 1, 2, 2), small_input=small_input)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride)
    body: list[nn.Module] = [] if small_input else [nn.MaxPool2d(3, stride=pool_stride, padding=1)]
    for stage, first_stride in enumerate(stage_strides):
        for i, stride in enumerate(strides(first_stride, (layers - 2) // step)):
            before = channels * 2 ** (stage - 1) if i == 0 and stage > 0 else channels * 2**stage
            body.append(convolution(before, stage, stride))
    head = ClassifierHead(channels * 4, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels, resolution=32)
