"""AlexNet (Krizhevsky et al., NIPS 2012), https://proceedings.neurips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html.

A LeNet made large: eight layers, ReLU in the place of saturating activations, dropout, and two graphics processors. It
halved the error on ImageNet and began the field. Nearly all of its parameters are in the fully connected layers, which
is what the lightweight networks first did away with.
"""

from torch import nn

from featherweight.blocks import FullyConnectedHead, ImageClassifier

from ._registry import Published, register

# fmt: off
ORIGINAL = "the original has two halves that seldom meet, wider layers and 227 pixels; this is torchvision's"
PUBLISHED = (
    Published(params="61,100,840", multiply_adds="0.71G", top1=56.522, top5=79.066,
              source="torchvision's documentation"),
    Published(params="60.9M", multiply_adds="725M", top1=57.10, top5=80.30, source="SqueezeNext's Tables 1 and 3",
              deviation=ORIGINAL),
    Published(params="60M", multiply_adds="720M", top1=57.2, source="MobileNetV1's Table 9", deviation=ORIGINAL),
    Published(top1=57.2, top5=80.3, source="SqueezeNet's Table 2"),
)
# fmt: on


@register(
    family="AlexNet",
    paper="https://proceedings.neurips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
    year=2012,
    published=PUBLISHED,
    builds_on={"LeNet": "convolutions and pooling, then fully connected layers; adds ReLU, dropout and scale"},
    reference=True,
)
def alexnet(
    *,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float = 0.5,
    small_input: bool = False,
) -> ImageClassifier:
    """Five convolutions and three fully connected layers, equal to torchvision's.

    Differs from the paper: its layers in one half, not two, with the widths of Krizhevsky 2014
    (https://arxiv.org/abs/1404.5997), and no response normalisation.

    Args:
        width: multiplies every channel count, the fully connected layers' too.
        dropout: probability behind both hidden layers, as in the paper (torchvision's is before them).
        small_input: stem with stride 1, and no pooling behind it, for pictures of about 32 x 32.
    """
    first, second, third, fourth, hidden = (max(1, round(c * width)) for c in (64, 192, 384, 256, 4096))
    stem = _conv(in_channels, first, kernel_size=11, stride=1 if small_input else 4, padding=2)
    body: list[nn.Module] = [
        nn.MaxPool2d(3, stride=2),
        _conv(first, second, kernel_size=5, padding=2),
        nn.MaxPool2d(3, stride=2),
        _conv(second, third, kernel_size=3, padding=1),
        _conv(third, fourth, kernel_size=3, padding=1),
        _conv(fourth, fourth, kernel_size=3, padding=1),
    ]
    head = FullyConnectedHead(
        fourth,
        num_classes,
        side=6,
        hidden_channels=(hidden, hidden),
        dropout=dropout,
        pool=nn.MaxPool2d(3, stride=2),
    )
    return ImageClassifier(stem, body[1:] if small_input else body, head, in_channels=in_channels)


def _conv(in_channels: int, out_channels: int, *, kernel_size: int, padding: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding), nn.ReLU(inplace=True))
