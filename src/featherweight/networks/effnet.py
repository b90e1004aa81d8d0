"""EffNet (Freeman et al., ICIP 2018), https://arxiv.org/abs/1801.06434; not EfficientNet.

In a network that is small already, a layer that narrows too much at once is a bottleneck for the data. EffNet takes the
depthwise 3x3 apart into 1x3 and 3x1, halves the picture's height between them and its width in the layer behind, and
squeezes the channels by two at most. Its first layer is such a block too.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from featherweight.blocks import (
    ConvNormAct,
    DepthwiseSeparable,
    EffNetBlock,
    FullyConnectedHead,
    ImageClassifier,
    InvertedResidual,
    channel_shuffle,
    round_channels,
)

from ._registry import Published, register

TABLE_1 = (64, 128, 256)  # output channels of the layers; each halves the picture, from 32 x 32 down to 4 x 4
PAPER = "https://arxiv.org/abs/1801.06434"
ROWS = partial(Published, resolution=32, dataset="CIFAR-10")
MORE = "million operations by count; the paper does not say what else it counts"

# Not here, as the paper does not print their layers: the networks for SVHN and GTSRB (Tables 3, 4, 6, 7), and those
# called large.
# fmt: off
PUBLISHED = (
    ROWS(operations="11.4M", top1=80.20, source="Table 2", deviation=f"11.3 {MORE}"),
)
REVISED = (
    ROWS(options={"expansion": 6}, operations="44.1M", top1=83.20, source="Table 5", deviation=f"42.7 {MORE}"),
    ROWS(options={"expansion": 4}, operations="31.1M", top1=82.45, source="Table 5", deviation=f"29.7 {MORE}"),
    ROWS(options={"expansion": 2}, operations="18.1M", top1=81.67, source="Table 5", deviation=f"16.6 {MORE}"),
)
BASELINES = (
    ROWS(operations="80.3M", top1=82.78, source="Table 2", deviation=f"79.1 {MORE}"),
    ROWS(options={"unit": "mobilenet"}, operations="5.8M", top1=77.48, source="Table 2"),
    ROWS(options={"unit": "shufflenet"}, operations="4.7M", top1=77.30, source="Table 2", deviation=f"4.5 {MORE}"),
    *(
        ROWS(options={"unit": "mobilenet_v2", "expansion": expansion}, operations=operations, top1=top1,
             source="Table 5")
        for expansion, operations, top1 in ((6, "42.0M", 79.10), (4, "29.2M", 78.91), (2, "16.4M", 76.47))
    ),
    ROWS(options={"unit": "mob_imp"}, operations="44.0M", top1=84.25, source="Table 5"),
)
# fmt: on


@register(
    family="EffNet",
    paper=PAPER,
    year=2018,
    published=PUBLISHED,
    resolution=32,
    builds_on={
        "MobileNetV1": "the depthwise separable layer, with its 3x3 kernel and its stride taken apart",
        "ShuffleNetV1": "the squeeze before the depthwise layer, milder and without groups",
        "MobileNetV2": "in the revised version, hidden channels that are a multiple of the input's",
    },
)
def effnet(
    *,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[int] = TABLE_1,
) -> ImageClassifier:
    """Three EffNet blocks and a linear layer on all places of the last map: the paper's network for CIFAR-10.

    Differs from the paper: none that its text shows; what activation the first version has, it does not say.

    Args:
        width: multiplies every channel count (not in the paper).
        dropout: before the last layer; the paper has 0.5 for traffic signs.
        small_input: True for pictures of about 32 x 32, as in the paper; False puts a 3x3 convolution and a 3x3 max
            pooling in front, each with stride 2.
        table: output channels of the blocks.
    """
    return _three_layers(
        EffNetBlock, EffNetBlock, table=table, width=width, num_classes=num_classes, in_channels=in_channels,
        dropout=dropout, small_input=small_input,
    )  # fmt: skip


@register(family="EffNet", paper=PAPER, year=2018, published=REVISED, resolution=32)
def effnet_revised(
    *,
    expansion: int = 6,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[int] = TABLE_1,
) -> ImageClassifier:
    """The revised version of Section 6: hidden channels from the block's input, and an ordinary first layer.

    Args:
        expansion: hidden channels are half of so many times the input's, and twice that behind the 1x3 layer.
        width, dropout, small_input, table: as `effnet`.
    """
    return _three_layers(
        _conv_pool, partial(_revised, expansion=expansion), table=table, width=width, num_classes=num_classes,
        in_channels=in_channels, dropout=dropout, small_input=small_input,
    )  # fmt: skip


@register(family="EffNet", paper=PAPER, year=2018, published=BASELINES, resolution=32, reference=True)
def effnet_baseline(
    *,
    unit: str = "conv",
    expansion: int = 6,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    table: Sequence[int] = TABLE_1,
) -> ImageClassifier:
    """What the paper compares EffNet with: the same three layers from ordinary convolutions or others' units.

    Differs from the paper: its layers are printed for the first three units only. The other two stand in the same
    frame here, and have the multiply-adds that it prints.

    Args:
        unit: of the second and third layer: "conv" an ordinary 3x3 convolution; "mobilenet"; "shufflenet", with four
            groups and no shortcut; "mobilenet_v2"; "mob_imp", the same with max pooling in the place of the stride, and
            a leaky ReLU behind the last 1x1 layer.
        expansion: of MobileNetV2's two.
        width, dropout, small_input, table: as `effnet`.
    Raises: ValueError: unknown unit.
    """
    units: dict[str, Callable[[int, int], nn.Module]] = {
        "conv": _conv_pool,
        "mobilenet": partial(DepthwiseSeparable, stride=2, activation="relu"),
        "shufflenet": _GroupedBottleneck,
        "mobilenet_v2": partial(_inverted, expansion=expansion),
        "mob_imp": partial(_inverted_pool, expansion=expansion),
    }
    if unit not in units:
        raise ValueError(f"unit must be one of {', '.join(units)}; got {unit!r}")
    return _three_layers(
        _conv_pool, units[unit], table=table, width=width, num_classes=num_classes, in_channels=in_channels,
        dropout=dropout, small_input=small_input,
    )  # fmt: skip


def _three_layers(
    first: Callable[[int, int], nn.Module],
    other: Callable[[int, int], nn.Module],
    *,
    table: Sequence[int],
    width: float,
    num_classes: int,
    in_channels: int,
    dropout: float,
    small_input: bool,
) -> ImageClassifier:
    layers: list[nn.Module] = []
    channels = in_channels
    if not small_input:
        channels = round_channels(32 * width, 16)
        layers.append(_front(in_channels, channels))
    for i, c in enumerate(table):
        out_channels = round_channels(c * width, 16)
        layers.append((other if i else first)(channels, out_channels))
        channels = out_channels
    head = FullyConnectedHead(channels, num_classes, side=4, dropout=dropout)
    return ImageClassifier(layers[0], layers[1:], head, in_channels=in_channels, resolution=32)


def _front(in_channels: int, out_channels: int) -> nn.Module:
    conv = ConvNormAct(in_channels, out_channels, kernel_size=3, stride=2)
    return nn.Sequential(OrderedDict(conv=conv, pool=nn.MaxPool2d(3, 2, padding=1)))


def _conv_pool(in_channels: int, out_channels: int) -> nn.Module:
    conv = ConvNormAct(in_channels, out_channels, kernel_size=3)
    return nn.Sequential(OrderedDict(conv=conv, pool=nn.MaxPool2d(2)))


def _revised(in_channels: int, out_channels: int, *, expansion: int) -> nn.Module:
    return EffNetBlock(
        in_channels,
        out_channels,
        hidden_channels=in_channels * expansion // 2,
        multiplier=2,
        depthwise_activation="relu",
    )


def _inverted(in_channels: int, out_channels: int, *, expansion: int) -> nn.Module:
    return InvertedResidual(in_channels, out_channels, hidden_channels=expansion * in_channels, stride=2)


def _inverted_pool(in_channels: int, out_channels: int, *, expansion: int) -> nn.Module:
    hidden = expansion * in_channels
    return nn.Sequential(
        OrderedDict(
            expand=ConvNormAct(in_channels, hidden, activation="relu6"),
            depthwise=ConvNormAct(hidden, hidden, kernel_size=3, groups=hidden, activation="relu6"),
            pool=nn.MaxPool2d(2),
            project=ConvNormAct(hidden, out_channels, activation="leaky_relu"),
        )
    )


class _GroupedBottleneck(nn.Module):
    """The paper's Fig. 1c: ShuffleNet's unit with four groups, stride 2 and no shortcut."""

    groups = 4

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        hidden = out_channels // 4
        self.reduce = ConvNormAct(in_channels, hidden, groups=self.groups)
        self.depthwise = ConvNormAct(hidden, hidden, kernel_size=3, stride=2, groups=hidden, activation=None)
        self.expand = ConvNormAct(hidden, out_channels, groups=self.groups)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.expand(self.depthwise(channel_shuffle(self.reduce(x), self.groups)))
        return y
