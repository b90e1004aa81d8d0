"""EfficientNetV2 S, M, L, XL and B0 to B3 (Tan and Le, ICML 2021), https://arxiv.org/abs/2104.00298.

Depthwise layers are slow where pictures are large and channels few. So the first stages have fused blocks, which are
one ordinary 3x3 convolution and a 1x1; the later ones keep EfficientNet's blocks, with smaller expansions and 3x3
kernels only. A search for accuracy, training time and size says which block stands where, and training grows the
pictures and the regularisation together.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    FusedInvertedResidual,
    ImageClassifier,
    InvertedResidual,
    SqueezeExcite,
    early_strides,
    strides,
)

from ._registry import Published, register


class Row(NamedTuple):
    """One stage of Table 4."""

    fused: bool  # F: Fused-MBConv; M: MBConv, with squeeze-excite of a quarter of its input
    t: int  # expansion factor
    k: int  # side of the kernel
    s: int  # stride of the first layer; the others have stride 1
    c: int  # output channels at width 1
    n: int  # number of layers at depth 1


F, M = True, False

# fmt: off
TABLE_4 = (  # S, as the paper prints it
    #      t  k  s    c   n     input at 384 pixels
    Row(F, 1, 3, 1,  24,  2),  # 192 x 192 x 24
    Row(F, 4, 3, 2,  48,  4),  # 192 x 192 x 24
    Row(F, 4, 3, 2,  64,  4),  # 96 x 96 x 48
    Row(M, 4, 3, 2, 128,  6),  # 48 x 48 x 64
    Row(M, 6, 3, 1, 160,  9),  # 24 x 24 x 128
    Row(M, 6, 3, 2, 256, 15),  # 24 x 24 x 160
)
# The others are of the authors' code (google/automl, efficientnetv2, effnetv2_configs.py).
TABLE_M = (
    Row(F, 1, 3, 1,  24,  3),
    Row(F, 4, 3, 2,  48,  5),
    Row(F, 4, 3, 2,  80,  5),
    Row(M, 4, 3, 2, 160,  7),
    Row(M, 6, 3, 1, 176, 14),
    Row(M, 6, 3, 2, 304, 18),
    Row(M, 6, 3, 1, 512,  5),
)
TABLE_L = (
    Row(F, 1, 3, 1,  32,  4),
    Row(F, 4, 3, 2,  64,  7),
    Row(F, 4, 3, 2,  96,  7),
    Row(M, 4, 3, 2, 192, 10),
    Row(M, 6, 3, 1, 224, 19),
    Row(M, 6, 3, 2, 384, 25),
    Row(M, 6, 3, 1, 640,  7),
)
TABLE_XL = (
    Row(F, 1, 3, 1,  32,  4),
    Row(F, 4, 3, 2,  64,  8),
    Row(F, 4, 3, 2,  96,  8),
    Row(M, 4, 3, 2, 192, 16),
    Row(M, 6, 3, 1, 256, 24),
    Row(M, 6, 3, 2, 512, 32),
    Row(M, 6, 3, 1, 640,  8),
)
TABLE_B = (
    Row(F, 1, 3, 1,  16, 1),
    Row(F, 4, 3, 2,  32, 2),
    Row(F, 4, 3, 2,  48, 2),
    Row(M, 4, 3, 2,  96, 3),
    Row(M, 6, 3, 1, 112, 5),
    Row(M, 6, 3, 2, 192, 8),
)


class Released(NamedTuple):
    """What the authors' code sets for one network."""

    table: Sequence[Row]
    stem_channels: int  # at width 1
    resolution: int  # side of the picture in evaluation, in pixels; training has less
    dropout: float
    width: float = 1.0
    depth: float = 1.0


RELEASED = {
    "s":  Released(TABLE_4,  24, 384, 0.2),
    "m":  Released(TABLE_M,  24, 480, 0.3),
    "l":  Released(TABLE_L,  32, 480, 0.4),
    "xl": Released(TABLE_XL, 32, 512, 0.4),
    "b0": Released(TABLE_B,  32, 224, 0.2),
    "b1": Released(TABLE_B,  32, 240, 0.2, 1.0, 1.1),
    "b2": Released(TABLE_B,  32, 260, 0.3, 1.1, 1.2),
    "b3": Released(TABLE_B,  32, 300, 0.3, 1.2, 1.4),
}

README = "authors' README (google/automl, efficientnetv2)"
README_21K = f"{README}: trained on ImageNet-21k first"
TABLE_7 = "Table 7"
TABLE_7_21K = "Table 7: trained on ImageNet-21k first"
TABLE_8 = "Table 8: fine-tuned on it"
TORCHVISION = "torchvision, metadata of its weights: other crops, S and M trained anew"


def _of(
    size: str, source: str, top1: float, *,
    params: str | None = None, multiply_adds: str | None = None, deviation: str | None = None,
) -> Published:
    """One row at the network's own resolution."""
    return Published(resolution=RELEASED[size].resolution, params=params, multiply_adds=multiply_adds, top1=top1,
                     source=source, deviation=deviation)


TRANSFER = (("CIFAR-10", 10), ("CIFAR-100", 100), ("Flowers", 102), ("Cars", 196))


def _transferred(size: str, *top1s: float) -> tuple[Published, ...]:
    """The row of Table 8."""
    return tuple(
        Published(options={"num_classes": classes}, resolution=RELEASED[size].resolution, source=TABLE_8,
                  dataset=dataset, top1=top1)
        for (dataset, classes), top1 in zip(TRANSFER, top1s, strict=True)
    )


PUBLISHED: Mapping[str, tuple[Published, ...]] = {
    "s": (
        _of("s", README, 83.9, params="21.5M", multiply_adds="8.4B"),
        _of("s", README_21K, 84.9),
        _of("s", TABLE_7, 83.9),
        _of("s", TABLE_7_21K, 84.9),
        _of("s", TORCHVISION, 84.228),
        *_transferred("s", 98.7, 91.5, 97.9, 93.8),
    ),
    "m": (
        _of("m", README, 85.2, params="54.1M", multiply_adds="24.7B",
            deviation="24.58B by count, equal to torchvision's and timm's"),
        _of("m", README_21K, 86.2),
        _of("m", TABLE_7, 85.1),
        _of("m", TABLE_7_21K, 86.2),
        _of("m", TORCHVISION, 85.112),
        *_transferred("m", 99.0, 92.2, 98.5, 94.6),
    ),
    "l": (
        _of("l", README, 85.7, params="119.5M", multiply_adds="56.3B",
            deviation="118.5M and 56.08B by count, equal to torchvision's and timm's"),
        _of("l", README_21K, 86.9),
        _of("l", TABLE_7, 85.7),
        _of("l", TABLE_7_21K, 86.8),
        _of("l", TORCHVISION, 85.808),
        *_transferred("l", 99.1, 92.3, 98.8, 95.1),
    ),
    "xl": (
        _of("xl", README_21K, 87.2),
        _of("xl", TABLE_7_21K, 87.3),
    ),
    "b0": (_of("b0", README, 78.7, params="7.1M", multiply_adds="0.72B"),),
    "b1": (_of("b1", README, 79.8, params="8.1M", multiply_adds="1.2B"),),
    "b2": (_of("b2", README, 80.5, params="10.1M", multiply_adds="1.7B"),),
    "b3": (_of("b3", README, 82.1, params="14.4M", multiply_adds="3.0B"),),
}
# fmt: on


def efficientnet_v2(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    resolution: int = 384,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    small_input: bool = False,
    stem_channels: int = 24,
    head_channels: int | None = None,
    table: Sequence[Row] = TABLE_4,
) -> ImageClassifier:
    """Fused blocks first, EfficientNet's blocks later: made to train fast.

    Batch normalisation is PyTorch's, with epsilon 1e-5; the release, torchvision and timm have 1e-3, which belongs to
    their weights: see `load_weights`.

    Args:
        width: multiplies every channel count; rounded to the nearest eight.
        depth: multiplies the layers of each stage; rounded up.
        resolution: side of the input that the network is made for, in pixels. Other sizes work.
        drop_path: probability of leaving out the last layer's branch while training; it grows from 0 at the first.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        stem_channels: output channels of the first layer at width 1.
        head_channels: width of the last 1x1 layer; default 1280 * width.
        table: rows in the place of Table 4.

    Example:
        >>> model = efficientnet_v2(table=[[True, 1, 3, 1, 16, 1], [False, 4, 3, 2, 32, 2]], num_classes=10)
        >>> len(model.body), model.num_features
        (4, 1280)
    """
    rows = [Row(*row) for row in table]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    channels = _round(stem_channels * width)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride, activation="silu")
    repeats = [math.ceil(depth * row.n) for row in rows]
    body: list[nn.Module] = []
    for (fused, t, k, _, c, _), first_stride, repeat in zip(rows, row_strides, repeats, strict=True):
        out_channels = _round(c * width)
        for stride in strides(first_stride, repeat):
            block = FusedInvertedResidual if fused else InvertedResidual
            body.append(
                block(
                    channels, out_channels, hidden_channels=t * channels, kernel_size=k, stride=stride,
                    activation="silu", attention=None if fused else _squeeze_excite(max(1, channels // 4)),
                    drop_path=drop_path * len(body) / sum(repeats),
                )
            )  # fmt: skip
            channels = out_channels
    head_channels = head_channels or _round(1280 * width)
    body.append(ConvNormAct(channels, head_channels, activation="silu"))
    head = ClassifierHead(head_channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels, resolution=resolution)


def _round(channels: float) -> int:
    """The nearest multiple of eight, ties up, at least eight: without the limit of 90 % that `round_channels` has."""
    return max(8, int(channels + 4) // 8 * 8)


def _squeeze_excite(squeeze_channels: int) -> Callable[[int], nn.Module]:
    """Squeeze-excite whose width comes from the block's input: a quarter of it, not of the hidden channels."""
    return lambda hidden_channels: SqueezeExcite(hidden_channels, squeeze_channels, activation="silu", gate="sigmoid")


def _released(size: str) -> Callable[..., ImageClassifier]:
    """Register `efficientnet_v2` with what the authors' code sets for a network as its defaults."""
    released = RELEASED[size]
    taken = "takes its blocks, its head and the scaling of B0 to B3; fuses the blocks of the first stages"

    def build(
        *,
        width: float = released.width,
        depth: float = released.depth,
        resolution: int = released.resolution,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = released.dropout,
        drop_path: float = 0.2,
        small_input: bool = False,
        stem_channels: int = released.stem_channels,
        head_channels: int | None = None,
        table: Sequence[Row] = released.table,
    ) -> ImageClassifier:
        return efficientnet_v2(
            width=width, depth=depth, resolution=resolution, num_classes=num_classes, in_channels=in_channels,
            dropout=dropout, drop_path=drop_path, small_input=small_input, stem_channels=stem_channels,
            head_channels=head_channels, table=table,
        )  # fmt: skip

    build.__name__ = build.__qualname__ = f"efficientnet_v2_{size}"
    build.__doc__ = (
        f"EfficientNetV2-{size.upper()}: width {released.width}, depth {released.depth}, {released.resolution} pixels; "
        "options as `efficientnet_v2`'s."
    )
    entered = register(
        family="EfficientNetV2",
        paper="https://arxiv.org/abs/2104.00298",
        year=2021,
        published=PUBLISHED[size],
        resolution=released.resolution,
        builds_on={"EfficientNet": taken} if size == "s" else None,
    )
    return entered(build)


efficientnet_v2_s = _released("s")
efficientnet_v2_m = _released("m")
efficientnet_v2_l = _released("l")
efficientnet_v2_xl = _released("xl")
efficientnet_v2_b0 = _released("b0")
efficientnet_v2_b1 = _released("b1")
efficientnet_v2_b2 = _released("b2")
efficientnet_v2_b3 = _released("b3")
