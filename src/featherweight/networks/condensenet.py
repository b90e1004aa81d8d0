"""CondenseNet (Huang et al., CVPR 2018), https://arxiv.org/abs/1711.09224.

A dense network joins the output of every layer to the input of all later ones, and many of these connections turn out
not to be needed. CondenseNet finds out which: its 1x1 layers begin dense, and in the first half of the training each
group of their filters drops step by step the inputs that matter least to it. What is left is an ordinary grouped
convolution behind an index layer. The layers grow exponentially wider and see the maps of all blocks before.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from featherweight.blocks import (
    ClassifierHead,
    CondenseLayer,
    ImageClassifier,
    NormAct,
    early_strides,
    round_channels,
)

from ._registry import Published, create, register


class Row(NamedTuple):
    """One dense block of the layer table."""

    layers: int  # at depth 1
    k: int  # growth: channels that each layer adds, at width 1


PAPER = "https://arxiv.org/abs/1711.09224"
README = "authors' README (ShichenLiu/CondenseNet)"

# fmt: off
TABLE = (
    Row( 4,   8),  # 112 x 112
    Row( 6,  16),  # 56 x 56
    Row( 8,  32),  # 28 x 28
    Row(10,  64),  # 14 x 14
    Row( 8, 128),  # 7 x 7
)
TABLE_CIFAR = (
    Row(8,  8),  # 32 x 32
    Row(8, 16),  # 16 x 16
    Row(8, 32),  # 8 x 8
)

RULE = "multiply-adds by count: the printed figure also counts each input of a ReLU and of a pooling"
BOTH = "the row prints one size and cost for CIFAR-10 and CIFAR-100"

PUBLISHED = (
    Published(params="4.8M", multiply_adds="529M", top1=73.8, top5=91.7, source=README, deviation=f"516.6M {RULE}"),
    Published(options={"groups": 8}, params="2.9M", multiply_adds="274M", top1=71.0, top5=90.0, source=README,
              deviation=f"261.5M {RULE}"),
)
CIFAR_PUBLISHED = (
    *(
        Published(options={"depth": depth, "width": width}, resolution=32, dataset="CIFAR-10", params=params,
                  multiply_adds=multiply_adds, top1=top1, source=f"{README}, CondenseNet-{name}",
                  deviation=f"{counted} {RULE}")
        for name, depth, width, params, multiply_adds, top1, counted in (
            ("50",  1.00, 1.0, "0.22M", "28.6M", 93.78, "27.2M"),
            ("74",  1.50, 1.0, "0.41M", "51.9M", 94.72, "49.2M"),
            ("86",  1.75, 1.0, "0.52M", "65.8M", 94.94, "62.4M"),
            ("98",  2.00, 1.0, "0.65M", "81.3M", 95.17, "77.0M"),
            ("110", 2.25, 1.0, "0.79M", "98.2M", 95.37, "93.1M"),
            ("122", 2.50, 1.0, "0.95M", "116.7M", 95.52, "110.6M"),
            ("182", 3.75, 1.5, "4.2M", "513M", 96.24, "494M"),
        )
    ),
    *(
        Published(options={"depth": depth, "width": width, "num_classes": 100}, resolution=32, dataset="CIFAR-100",
                  params=params, multiply_adds=multiply_adds, top1=top1, source=f"{README}, CondenseNet-{name}",
                  deviation=f"{BOTH}; {counted} {RULE}")
        for name, depth, width, params, multiply_adds, top1, counted in (
            ("86",  1.75, 1.0, "0.52M", "65.8M", 76.36, "0.59M parameters and 62.5M"),
            ("182", 3.75, 1.5, "4.2M", "513M", 81.53, "4.45M parameters and 494M"),
        )
    ),
)
# fmt: on

BUILDS_ON = {
    "DenseNet": "dense connections, here over all blocks and with growth that doubles from block to block",
    "ShuffleNetV1": "1x1 layers in groups with a shuffle behind them, here with groups that are learned",
}


@register(family="CondenseNet", paper=PAPER, year=2017, published=PUBLISHED, builds_on=BUILDS_ON)
def condensenet(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = False,
    groups: int = 4,
    converted: bool = True,
    classifier_share: float = 0.5,
    table: Sequence[Row] = TABLE,
) -> ImageClassifier:
    """Dense layers whose 1x1 convolutions have learned which inputs they need: CondenseNet-74, for ImageNet.

    Trained from new, this form is a dense network with fixed groups. To have the groups learned: create it with
    `converted=False`; in training call `condense_to` of its `featherweight.blocks.LearnedGroupConv`s with the share
    of the training that is done; then `featherweight.networks.condense` makes this form, which is the default,
    because it is what the printed figures are of.

    Args:
        width: multiplies the growth of every block; the result is rounded to a multiple of the groups.
        depth: multiplies the number of layers of every block.
        small_input: first layer with stride 1, no pooling behind the first block, for pictures of about 32 x 32.
        groups: G of both convolutions, and C, the condensation of the 1x1; the paper has 4 and 8.
        converted: the form for use, with an index layer and grouped convolutions; False: the form for training.
        classifier_share: share of the features that the converted classifier reads.
        table: blocks in the place of the layer table.
    """
    rows = [Row(*row) for row in table]
    stem_stride, *strides = early_strides((2,) * len(rows), small_input=small_input)
    return _condensenet(
        rows, stem_stride, [], strides, 224, width=width, depth=depth, num_classes=num_classes, in_channels=in_channels,
        dropout=dropout, groups=groups, converted=converted, classifier_share=classifier_share,
    )  # fmt: skip


@register(family="CondenseNet", paper=PAPER, year=2017, published=CIFAR_PUBLISHED, resolution=32)
def condensenet_cifar(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 3,
    dropout: float = 0.0,
    small_input: bool = True,
    groups: int = 4,
    converted: bool = True,
    classifier_share: float = 1.0,
    table: Sequence[Row] = TABLE_CIFAR,
) -> ImageClassifier:
    """CondenseNet for 32 x 32 pictures: CondenseNet-50, and with more depth all others that were published.

    Depths 1.5, 1.75, 2, 2.25 and 2.5 are CondenseNet-74, -86, -98, -110 and -122; depth 3.75 with width 1.5 is -182.

    Args:
        width: multiplies the growth of every block; the result is rounded to a multiple of the groups.
        depth: multiplies the number of layers of every block.
        small_input: False puts two reductions in front, a first layer with stride 2 and pooling, for larger pictures.
        groups: G of both convolutions, and C, the condensation of the 1x1.
        converted: the form for use, with an index layer and grouped convolutions; False: the form for training.
        classifier_share: share of the features that the converted classifier reads; all, as in the printed figures.
        table: blocks in the place of the layer table.
    """
    rows = [Row(*row) for row in table]
    front: list[nn.Module] = [] if small_input else [nn.MaxPool2d(3, stride=2, padding=1)]
    return _condensenet(
        rows, 1 if small_input else 2, front, (2,) * (len(rows) - 1), 32, width=width, depth=depth,
        num_classes=num_classes, in_channels=in_channels, dropout=dropout, groups=groups, converted=converted,
        classifier_share=classifier_share,
    )  # fmt: skip


def _condensenet(
    rows: Sequence[Row],
    stem_stride: int,
    front: list[nn.Module],
    strides: Sequence[int],
    resolution: int,
    *,
    width: float,
    depth: float,
    num_classes: int,
    in_channels: int,
    dropout: float,
    groups: int,
    converted: bool,
    classifier_share: float,
) -> ImageClassifier:
    if not 0 < classifier_share <= 1:
        raise ValueError(f"classifier_share must be above 0 and at most 1; got {classifier_share}")
    channels = 2 * round_channels(rows[0].k * width, groups)
    stem = nn.Conv2d(in_channels, channels, 3, stem_stride, padding=1, bias=False)
    body = front
    for row, stride in zip(rows, (1, *strides), strict=True):
        if stride > 1:
            body.append(nn.AvgPool2d(stride))
        growth = round_channels(row.k * width, groups)
        for _ in range(max(1, round(row.layers * depth))):
            body.append(CondenseLayer(channels, growth, groups=groups, converted=converted))
            channels += growth
    body.append(NormAct(channels))
    read = int(channels * classifier_share) if converted else channels
    head = (
        ClassifierHead(channels, num_classes, dropout=dropout)
        if read == channels
        else CondensedHead(channels, read, num_classes, dropout=dropout)
    )
    return ImageClassifier(stem, body, head, in_channels=in_channels, resolution=resolution)


class CondensedHead(ClassifierHead):
    """A head whose classifier reads some of the features only.

    x [N, in, H, W] -> mean [N, in] -> index [N, num_features] -> dropout -> linear [N, num_classes]

    Args:
        num_features: how many are read; until `choose` is called, the last ones, which come from the deepest layers.
    Shape: [N, in_channels, H, W] -> [N, num_classes]
    Cost per image, multiply-adds: num_features * num_classes

    Attributes:
        index: int64 [num_features], the features that are read; part of the state dict.
    """

    index: Tensor

    def __init__(self, in_channels: int, num_features: int, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__(num_features, num_classes, dropout=dropout)
        self.register_buffer("index", torch.arange(in_channels - num_features, in_channels))

    @torch.no_grad()
    def choose(self, classifier: nn.Linear) -> None:
        """Take over the features with the largest sums of absolute weights over the classes, and those weights."""
        importance = classifier.weight.abs().sum(0)
        self.index.copy_(importance.topk(self.num_features).indices.sort().values)
        assert isinstance(self.classifier, nn.Linear)
        self.classifier.weight.copy_(classifier.weight[:, self.index])
        self.classifier.bias.copy_(classifier.bias)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """[N, in_channels, H, W] -> [N, num_classes], or with `pre_logits` the classifier's input."""
        x = self.dropout(self.flatten(self.pool(x)).index_select(1, self.index))
        return x if pre_logits else self.classifier(x)


def condense(model: nn.Module) -> ImageClassifier:
    """Turn a trained CondenseNet into its form for use: grouped convolutions behind index layers.

    The layers give the same outputs as before. The classifier is cut down to the share of the features that it uses
    most (`classifier_share`), which changes the logits unless that is 1.

    Args:
        model: a CondenseNet made with `converted=False`, all its layers condensed; it is not changed.
    Returns: the network that `create(..., converted=True)` makes, with the weights, on the same device, of the
        same type and in the same mode; all of it trainable.
    Raises: ValueError: the model is not in training form, or a layer is not condensed, or it has no classifier to judge
        the features by.

    Example:
        >>> from featherweight.blocks import LearnedGroupConv
        >>> model = create("condensenet_cifar", depth=0.25, converted=False)
        >>> for module in model.modules():
        ...     if isinstance(module, LearnedGroupConv):
        ...         module.condense_to(1.0)  # at the end of training
        >>> small = condense(model)
        >>> [sum(p.numel() for p in net.parameters()) for net in (model, small)]
        [54506, 34346]
    """
    trained = [block for block in model.modules() if isinstance(block, CondenseLayer)]
    if not isinstance(model, ImageClassifier) or model.name is None or not trained:
        raise ValueError(
            f"only a CondenseNet made by featherweight.create can be condensed; got {type(model).__name__}"
        )
    options = {**model.options, "num_classes": model.num_classes, "converted": True}
    small = create(model.name, **options)  # type: ignore[arg-type]
    assert isinstance(small, ImageClassifier)
    small.to(next(model.stem.parameters()))
    blocks = [block.convert() if isinstance(block, CondenseLayer) else block for block in model.body]
    small.stem.load_state_dict(model.stem.state_dict())
    small.body.load_state_dict(nn.Sequential(*blocks).state_dict())
    for ours, theirs in zip(_norms(small), _norms(model), strict=True):
        ours.eps = theirs.eps
    if isinstance(small.head, CondensedHead):
        if not isinstance(classifier := model.get_classifier(), nn.Linear):
            raise ValueError("without a classifier (num_classes=0) there is nothing to judge the features by")
        small.head.choose(classifier)
    else:
        small.head.load_state_dict(model.head.state_dict())
    return small.train(model.training)


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
