"""SqueezeNet (Iandola et al., 2016), https://arxiv.org/abs/1602.07360.

A small network can be as accurate as a large one whose parameters are mostly in its fully connected layers. A fire
module first squeezes the channels with 1x1 convolutions, so that the 3x3 filters behind them see few of them, and
makes only a part of its filters 3x3. Pooling comes late, so that most layers see large feature maps, and a global
average takes the place of the fully connected layers.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import Tensor, nn

from featherweight.blocks import Fire, ImageClassifier, early_strides, initialize

from ._registry import Published, register


class Conv1(NamedTuple):
    """The first row of Table 1."""

    c: int  # output channels
    k: int  # kernel side


class MaxPool(NamedTuple):
    """A pooling row of Table 1; like Caffe it counts the last, incomplete window."""

    k: int = 3  # window side
    s: int = 2  # stride


class FireRow(NamedTuple):
    """A fire row of Table 1."""

    s1: int  # squeeze channels
    e1: int  # 1x1 expand channels
    e3: int  # 3x3 expand channels


Row = Conv1 | MaxPool | FireRow

# fmt: off
VERSION_1_0 = (
    Conv1(96, 7),
    MaxPool(),              # 111 x 111 x 96
    FireRow(16, 64, 64),    # 55 x 55 x 96
    FireRow(16, 64, 64),    # 55 x 55 x 128
    FireRow(32, 128, 128),  # 55 x 55 x 128
    MaxPool(),              # 55 x 55 x 256
    FireRow(32, 128, 128),  # 27 x 27 x 256
    FireRow(48, 192, 192),  # 27 x 27 x 256
    FireRow(48, 192, 192),  # 27 x 27 x 384
    FireRow(64, 256, 256),  # 27 x 27 x 384
    MaxPool(),              # 27 x 27 x 512
    FireRow(64, 256, 256),  # 13 x 13 x 512
)
VERSION_1_1 = (  # the authors' README: a smaller first layer, and the pools earlier
    Conv1(64, 3),
    MaxPool(),              # 113 x 113 x 64
    FireRow(16, 64, 64),    # 56 x 56 x 64
    FireRow(16, 64, 64),    # 56 x 56 x 128
    MaxPool(),              # 56 x 56 x 128
    FireRow(32, 128, 128),  # 28 x 28 x 128
    FireRow(32, 128, 128),  # 28 x 28 x 256
    MaxPool(),              # 28 x 28 x 256
    FireRow(48, 192, 192),  # 14 x 14 x 256
    FireRow(48, 192, 192),  # 14 x 14 x 384
    FireRow(64, 256, 256),  # 14 x 14 x 384
    FireRow(64, 256, 256),  # 14 x 14 x 512
)
TABLES = {"1.0": VERSION_1_0, "1.1": VERSION_1_1}

README = "authors' README (forresti/SqueezeNet)"
BYPASS_README = "authors' README (songhan/SqueezeNet-Residual)"

PUBLISHED = (
    Published(resolution=227, params="1,248,424", top1=57.5, top5=80.3, source="Tables 1-3"),
    Published(options={"padded_classifier": True}, resolution=227, operations="1.72G", top5=80.3,
              source=f"{README}: top-5 at least; two operations per multiply-add"),
    Published(options={"version": "1.1"}, resolution=227, operations="0.72G", top5=80.3,
              source=f"{README}: top-5 at least; two operations per multiply-add",
              deviation="the authors' Caffe file gives 0.78G by count; no rounding of its pools gives 0.72G"),
    Published(options={"bypass": "simple"}, resolution=227, params="1,248,424", top1=60.4, top5=82.5,
              source="Table 3, parameters as without bypass"),
    Published(options={"bypass": "simple"}, resolution=227, top1=60.3759, top5=82.4981, source=BYPASS_README),
    Published(options={"bypass": "complex"}, resolution=227, top1=58.8, top5=82.0, source="Table 3"),
    Published(resolution=227, top1=61.7579, top5=83.4742,
              source="authors' README (songhan/SqueezeNet-DSD-Training): dense-sparse-dense training"),
    Published(resolution=227, top1=57.5, top5=80.3,
              source="Table 2, Section 4: 8-bit with a third of the weights kept, 0.66 MB"),
    Published(resolution=227, top1=57.5, top5=80.3,
              source="Table 2, Section 4: 6-bit with a third of the weights kept, 0.47 MB"),
    Published(resolution=227, params="1.2M", multiply_adds="837M", top1=57.50, top5=80.30,
              source="SqueezeNext's Table 3", deviation="833M by count; how SqueezeNext counts is not said"),
    Published(options={"version": "1.1"}, resolution=227, params="1.2M", multiply_adds="352M", top1=57.10, top5=80.30,
              source="SqueezeNext's Table 3",
              deviation="388M by count of the authors' Caffe file; how SqueezeNext counts is not said"),
    Published(options={"padded_classifier": True}, resolution=227, params="1.25M", operations="1700M", top1=57.5,
              source="MobileNetV1's Table 9, which calls them multiply-adds",
              deviation="1723M operations, that is 861M multiply-adds, by count: printed to two digits"),
)
# fmt: on


class ConvHead(nn.Module):
    """Dropout, a 1x1 convolution to the classes, ReLU, average: SqueezeNet classifies each place, then averages.

    x [N, in, H, W] -> dropout -> 1x1 [N, num_classes, H, W] -> ReLU -> mean [N, num_classes]

    Args:
        num_classes: 0 leaves the convolution out: the head then gives the averaged features.
        padding: of the 1x1 convolution; 1 in the authors' file of version 1.0, a border of nothing but biases.
    Shape: [N, in_channels, H, W] -> [N, num_classes]
    Cost per image, multiply-adds: (H + 2*padding) * (W + 2*padding) * in * num_classes
    """

    def __init__(self, in_channels: int, num_classes: int, *, dropout: float, padding: int) -> None:
        super().__init__()
        self.num_features = in_channels
        self.padding = padding
        self.dropout = nn.Dropout(dropout)
        self.act = nn.ReLU(inplace=True)
        self.classifier: nn.Module
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """Put a freshly initialised last layer for `num_classes` classes in place; 0 for none."""
        self.num_classes = num_classes
        self.classifier = (
            nn.Conv2d(self.num_features, num_classes, 1, padding=self.padding) if num_classes else nn.Identity()
        )
        initialize(self.classifier)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """[N, in_channels, H, W] -> [N, num_classes], or with `pre_logits` the averaged features [N, in_channels]."""
        x = self.dropout(x)
        if self.num_classes and not pre_logits:
            x = self.act(self.classifier(x))
        return x.mean((2, 3))


@register(
    family="SqueezeNet",
    paper="https://arxiv.org/abs/1602.07360",
    year=2016,
    published=PUBLISHED,
    resolution=227,
    builds_on={
        "Network in Network": "1x1 convolutions, and a global average in the place of fully connected layers",
        "Inception": "1x1 and 3x3 filters side by side in one module, here behind a squeezing layer",
        "ResNet": "shortcuts around modules, in the variants with bypass",
    },
)
def squeezenet(
    *,
    version: Literal["1.0", "1.1"] = "1.0",
    bypass: Literal["none", "simple", "complex"] = "none",
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.5,
    small_input: bool = False,
    padded_classifier: bool = False,
    table: Sequence[Row] | None = None,
) -> ImageClassifier:
    """Fire modules, without batch normalisation and without a fully connected layer.

    Args:
        version: "1.0" of the paper, or "1.1" of the authors' README with 2.4 times fewer multiply-adds.
        bypass: "none"; "simple" adds the input of fire modules that keep the channel count; "complex" adds it around
            all of them, through a 1x1 convolution where the count changes.
        small_input: the first two strides are 1, and their layers padded, for pictures of about 32 x 32.
        padded_classifier: pad the last 1x1 convolution by 1, as the authors' file of version 1.0 does (torchvision's
            does not); 28.7M multiply-adds more.
        table: rows in the place of the version's: the first layer's, then pools and fire modules.
    Raises: ValueError: unknown version or bypass.

    Example:
        >>> small = squeezenet(table=[[16, 3], [3, 2], [4, 8, 8], [3, 2], [8, 16, 16]], num_classes=10)
        >>> small.num_features, len(small.body)
        (32, 4)
    """
    if version not in TABLES:
        raise ValueError(f"version must be one of {', '.join(TABLES)}; got {version!r}")
    if bypass not in ("none", "simple", "complex"):
        raise ValueError(f"bypass must be one of none, simple, complex; got {bypass!r}")
    layers: Sequence[Sequence[int]] = TABLES[version] if table is None else table
    (channels, kernel_size), *rows = layers
    pools = [row for row in rows if len(row) == len(MaxPool._fields)]
    stem_stride, *pool_strides = early_strides((2, *(s for _, s in pools)), small_input=small_input)
    left = iter(pool_strides)
    padding = kernel_size // 2 if small_input else 0
    stem = nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel_size, stem_stride, padding=padding), nn.ReLU(inplace=True)
    )
    body: list[nn.Module] = []
    for row in rows:
        match row:
            case (k, _):
                stride = next(left)
                body.append(nn.MaxPool2d(k, stride, padding=k // 2 if stride == 1 else 0, ceil_mode=True))
            case (s1, e1, e3):
                keeps = channels == e1 + e3
                body.append(
                    Fire(
                        channels,
                        squeeze_channels=s1,
                        expand1x1_channels=e1,
                        expand3x3_channels=e3,
                        bypass=bypass == "complex" or (bypass == "simple" and keeps),
                    )
                )
                channels = e1 + e3
    head = ConvHead(channels, num_classes, dropout=dropout, padding=int(padded_classifier))
    return ImageClassifier(stem, body, head, in_channels=in_channels, resolution=227)
