"""EfficientNet B0 to B7 (Tan and Le, ICML 2019), https://arxiv.org/abs/1905.11946.

Depth, width and resolution are scaled up together, by fixed powers of one number, because each of them alone soon
brings little. The powers come from a small search on the base network B0, which itself was found by a search for
accuracy at a given count of operations. B1 to B7 are B0, scaled.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import nn

from featherweight.blocks import (
    ClassifierHead,
    ConvNormAct,
    ImageClassifier,
    InvertedResidual,
    SqueezeExcite,
    early_strides,
    round_channels,
    strides,
)

from ._registry import Published, register


class Row(NamedTuple):
    """One stage of Table 1; the strides, which it does not give, are the released code's."""

    t: int  # expansion factor: MBConv1 or MBConv6
    k: int  # side of the depthwise kernel
    s: int  # stride of the first layer; the others have stride 1
    c: int  # output channels at width 1
    n: int  # number of layers at depth 1


# fmt: off
TABLE_1 = (
    #   t  k  s    c  n     input
    Row(1, 3, 1,  16, 1),  # 112 x 112 x 32
    Row(6, 3, 2,  24, 2),  # 112 x 112 x 16
    Row(6, 5, 2,  40, 2),  # 56 x 56 x 24
    Row(6, 3, 2,  80, 3),  # 28 x 28 x 40
    Row(6, 5, 1, 112, 3),  # 14 x 14 x 80
    Row(6, 5, 2, 192, 4),  # 14 x 14 x 112
    Row(6, 3, 1, 320, 1),  # 7 x 7 x 192
)


class Scaling(NamedTuple):
    """What makes a network of B0: layers per stage and channels times a factor, and the side of the input in pixels."""

    depth: float
    width: float
    resolution: int


RELEASED = (
    Scaling(1.0, 1.0, 224),  # B0
    Scaling(1.1, 1.0, 240),  # B1
    Scaling(1.2, 1.1, 260),  # B2
    Scaling(1.4, 1.2, 300),  # B3
    Scaling(1.8, 1.4, 380),  # B4
    Scaling(2.2, 1.6, 456),  # B5
    Scaling(2.6, 1.8, 528),  # B6
    Scaling(3.1, 2.0, 600),  # B7
)
DROPOUT = (0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5)  # B0 to B7

TABLE_2 = (
    Published(params="5.3M", multiply_adds="0.39B", top1=77.1, top5=93.3, resolution=224, source="Table 2"),
    Published(params="7.8M", multiply_adds="0.70B", top1=79.1, top5=94.4, resolution=240, source="Table 2",
              deviation="0.687B by count, equal to torchvision's and timm's"),
    Published(params="9.2M", multiply_adds="1.0B", top1=80.1, top5=94.9, resolution=260, source="Table 2",
              deviation="9.11M by count, equal to torchvision's and timm's"),
    Published(params="12M", multiply_adds="1.8B", top1=81.6, top5=95.7, resolution=300, source="Table 2"),
    Published(params="19M", multiply_adds="4.2B", top1=82.9, top5=96.4, resolution=380, source="Table 2",
              deviation="4.39B by count at the released resolution"),
    Published(params="30M", multiply_adds="9.9B", top1=83.6, top5=96.7, resolution=456, source="Table 2",
              deviation="10.27B by count at the released resolution; 9.9B fits an input of 448"),
    Published(params="43M", multiply_adds="19B", top1=84.0, top5=96.8, resolution=528, source="Table 2"),
    Published(params="66M", multiply_adds="37B", top1=84.3, top5=97.0, resolution=600, source="Table 2",
              deviation="37.75B by count; printed cut off"),
)
README = {  # top-1 accuracy in the authors' README (tensorflow/tpu), B0 to B7 as far as given
    "baseline preprocessing":       (76.7, 78.7, 79.8, 81.1, 82.5, 83.1, None, None),
    "AutoAugment":                  (77.1, 79.1, 80.1, 81.6, 82.9, 83.6, 84.0, 84.3),
    "RandAugment":                  (None, None, None, None, None, 83.7, None, 84.7),
    "AdvProp and AutoAugment":      (77.6, 79.6, 80.5, 81.9, 83.3, 84.3, 84.8, 85.2),
    "NoisyStudent and RandAugment": (78.8, 81.5, 82.4, 84.1, 85.3, 86.1, 86.4, 86.9),
    "first version of the paper":   (76.3, 78.8, 79.8, 81.1, 82.6, 83.3, None, None),
}
ONLY_ONE_FACTOR = " by count; the paper does not say what else it changed to come to the printed figure"
OTHERS = {  # by the network's number
    0: (
        Published(multiply_adds="0.4B", top1=77.3, source="Table 7"),
        Published(options={"depth": 4.0}, multiply_adds="1.8B", top1=79.0, source="Table 7, d=4",
                  deviation="1.58B" + ONLY_ONE_FACTOR),
        Published(options={"width": 2.0}, multiply_adds="1.8B", top1=78.9, source="Table 7, w=2",
                  deviation="1.45B" + ONLY_ONE_FACTOR),
        Published(resolution=448, multiply_adds="1.9B", top1=79.1, source="Table 7, r=2",
                  deviation="1.54B" + ONLY_ONE_FACTOR),
        Published(options={"depth": 1.4, "width": 1.2}, resolution=291, multiply_adds="1.8B", top1=81.1,
                  source="Table 7, compound: d=1.4, w=1.2, r=1.3"),
    ),
    1: (Published(resolution=240, top1=78.8, source="Table 4"),),
    7: (
        Published(resolution=600, top1=84.4, source="Table 4"),
        Published(resolution=600, top1=84.4, top5=97.1, source="Section 1"),
    ),
}
# Not here: B8 and L2 of the README, which are not of the paper's eight; other families' networks scaled in Table 3.
# fmt: on

BUILDS_ON = {
    "MnasNet": "its search space and kind of search, for operations in the place of latency",
    "MobileNetV2": "inverted residuals",
    "SENet": "squeeze-and-excite in every block",
}


def equation_3(phi: float) -> tuple[float, float, float]:
    """Depth, width and resolution as factors of B0's, by the paper's equation 3.

    Depth 1.2 ** phi, width 1.1 ** phi, resolution 1.15 ** phi: constants found by a grid search at phi = 1, under which
    the multiply-adds grow about 2 ** phi times.

    Example:
        >>> [round(factor, 3) for factor in equation_3(2)]
        [1.44, 1.21, 1.322]
    """
    return 1.2**phi, 1.1**phi, 1.15**phi


def compound_scaling(phi: float) -> Scaling:
    """Depth, width and resolution of EfficientNet B`phi`, for any real phi.

    At 0 to 7 these are the released networks. Between two of them, each coefficient goes geometrically from one to the
    other; below 0 and above 7 it goes on by equation 3's factors 1.2, 1.1 and 1.15 per unit. The paper says that the
    networks follow from equation 3, but the released coefficients are rounded by hand, and no choice of constants and
    rounding was found that gives them all:

    ====  =====================  ===========================
    phi   released (d, w, side)  equation 3 (d, w, 224 * r)
    ====  =====================  ===========================
    0     1.0, 1.0, 224          1.00, 1.00, 224
    1     1.1, 1.0, 240          1.20, 1.10, 258
    2     1.2, 1.1, 260          1.44, 1.21, 296
    3     1.4, 1.2, 300          1.73, 1.33, 341
    4     1.8, 1.4, 380          2.07, 1.46, 392
    5     2.2, 1.6, 456          2.49, 1.61, 451
    6     2.6, 1.8, 528          2.99, 1.77, 518
    7     3.1, 2.0, 600          3.58, 1.95, 596
    ====  =====================  ===========================

    Source: Section 3.3 of the paper; coefficients of the released code (tensorflow/tpu, models/official/efficientnet).

    Example:
        >>> compound_scaling(3)
        Scaling(depth=1.4, width=1.2, resolution=300)
        >>> compound_scaling(-1).resolution
        195
    """
    nearest = min(max(phi, 0), len(RELEASED) - 1)
    below = RELEASED[math.floor(nearest)]
    above = RELEASED[math.ceil(nearest)]
    part = nearest % 1
    depth, width, resolution = (
        low ** (1 - part) * high**part * growth
        for low, high, growth in zip(below, above, equation_3(phi - nearest), strict=True)
    )
    return Scaling(depth, width, round(resolution))


def efficientnet(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    resolution: int = 224,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    small_input: bool = False,
    head_channels: int | None = None,
    table: Sequence[Row] = TABLE_1,
) -> ImageClassifier:
    """MobileNetV2's blocks with squeeze-excite, found by a search, and scaled in depth, width and resolution together.

    Batch normalisation is PyTorch's, with epsilon 1e-5, as in torchvision's B0 to B4; the release, torchvision's B5 to
    B7 and timm's `tf_` networks have 1e-3, which belongs to their weights: see `load_weights`.

    Args:
        width: multiplies every channel count; rounded to eights.
        depth: multiplies the layers of each stage; rounded up.
        resolution: side of the input that the network is made for, in pixels. Other sizes work.
        drop_path: probability of leaving out the last layer's branch while training; it grows from 0 at the first.
        small_input: keep the first two strides at 1, for pictures of about 32 x 32.
        head_channels: width of the last 1x1 layer; default 1280 * width.
        table: rows in the place of Table 1.

    Example:
        >>> model = efficientnet(**compound_scaling(2.5)._asdict())  # between B2 and B3
        >>> model.resolution, len(model.body)
        (279, 25)
    """
    rows = [Row(*row) for row in table]
    stem_stride, *row_strides = early_strides((2, *(row.s for row in rows)), small_input=small_input)
    channels = round_channels(32 * width)
    stem = ConvNormAct(in_channels, channels, kernel_size=3, stride=stem_stride, activation="silu")
    repeats = [math.ceil(depth * row.n) for row in rows]
    body: list[nn.Module] = []
    for (t, k, _, c, _), first_stride, repeat in zip(rows, row_strides, repeats, strict=True):
        out_channels = round_channels(c * width)
        for stride in strides(first_stride, repeat):
            body.append(
                InvertedResidual(
                    channels,
                    out_channels,
                    hidden_channels=t * channels,
                    kernel_size=k,
                    stride=stride,
                    activation="silu",
                    attention=_squeeze_excite(max(1, channels // 4)),
                    drop_path=drop_path * len(body) / sum(repeats),
                )
            )
            channels = out_channels
    head_channels = head_channels or round_channels(1280 * width)
    body.append(ConvNormAct(channels, head_channels, activation="silu"))
    head = ClassifierHead(head_channels, num_classes, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels, resolution=resolution)


def _squeeze_excite(squeeze_channels: int) -> Callable[[int], nn.Module]:
    """Squeeze-excite whose width comes from the block's input: a quarter of it, not of the hidden channels."""
    return lambda hidden_channels: SqueezeExcite(hidden_channels, squeeze_channels, activation="silu", gate="sigmoid")


def _published(number: int) -> tuple[Published, ...]:
    """Every printed row on EfficientNet B`number`."""
    trained = tuple(
        Published(resolution=RELEASED[number].resolution, top1=top1s[number], source=f"authors' README, {training}")
        for training, top1s in README.items()
        if top1s[number] is not None
    )
    return (TABLE_2[number], *OTHERS.get(number, ()), *trained)


def _released(number: int) -> Callable[..., ImageClassifier]:
    """Register `efficientnet` with the coefficients of B`number` as its defaults."""
    scaling = compound_scaling(number)

    def build(
        *,
        width: float = scaling.width,
        depth: float = scaling.depth,
        resolution: int = scaling.resolution,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = DROPOUT[number],
        drop_path: float = 0.2,
        small_input: bool = False,
        head_channels: int | None = None,
        table: Sequence[Row] = TABLE_1,
    ) -> ImageClassifier:
        return efficientnet(
            width=width, depth=depth, resolution=resolution, num_classes=num_classes, in_channels=in_channels,
            dropout=dropout, drop_path=drop_path, small_input=small_input, head_channels=head_channels, table=table,
        )  # fmt: skip

    build.__name__ = build.__qualname__ = f"efficientnet_b{number}"
    build.__doc__ = (
        f"EfficientNet B{number}: width {scaling.width}, depth {scaling.depth}, {scaling.resolution} pixels; "
        "options as `efficientnet`'s."
    )
    entered = register(
        family="EfficientNet",
        paper="https://arxiv.org/abs/1905.11946",
        year=2019,
        published=_published(number),
        resolution=scaling.resolution,
        builds_on=BUILDS_ON if number == 0 else None,
    )
    return entered(build)


(
    efficientnet_b0,
    efficientnet_b1,
    efficientnet_b2,
    efficientnet_b3,
    efficientnet_b4,
    efficientnet_b5,
    efficientnet_b6,
    efficientnet_b7,
) = (_released(number) for number in range(8))
