"""LeNet-5 (LeCun et al., Proceedings of the IEEE 1998), https://doi.org/10.1109/5.726791.

The first convolutional network in use: small kernels that are the same at every place, pooling between them so that a
shift of the digit matters less, and all of it learned from pixels to class. Here with batch normalisation, as AdderNet
takes it for handwritten digits.
"""

from torch import nn

from featherweight.blocks import ConvNormAct, FullyConnectedHead, ImageClassifier

from ._registry import Published, register

PUBLISHED = (
    Published(
        multiply_adds="435K",
        resolution=32,
        dataset="MNIST",
        top1=99.4,
        source="AdderNet's Section 4.1",
        deviation="416.5K by count; what the other 18K are is not said",
    ),
)


@register(
    family="LeNet",
    paper="https://doi.org/10.1109/5.726791",
    year=1998,
    published=PUBLISHED,
    resolution=32,
    reference=True,
)
def lenet5_bn(
    *,
    width: float = 1.0,
    num_classes: int = 10,
    in_channels: int = 1,
    dropout: float = 0.0,
    small_input: bool = True,
) -> ImageClassifier:
    """LeNet-5 with batch normalisation, for MNIST's digits on 32 x 32 pixels.

    Differs from the paper: batch normalisation behind both convolutions, ReLU, max pooling, every map connected to
    every other, and a linear layer to the classes, as usual today.

    Args:
        width: multiplies every channel count.
        small_input: False puts two reductions in front and pads the second convolution, for pictures of about
            224 x 224.
    """
    channels, more, *hidden = (max(1, round(c * width)) for c in (6, 16, 120, 84))
    stem = ConvNormAct(in_channels, channels, kernel_size=5, stride=1 if small_input else 2, padding=0)
    body: list[nn.Module] = [
        nn.MaxPool2d(2),
        ConvNormAct(channels, more, kernel_size=5, padding=0 if small_input else 2),
        nn.MaxPool2d(2),
    ]
    if not small_input:
        body.insert(0, nn.MaxPool2d(3, stride=2, padding=1))
    head = FullyConnectedHead(more, num_classes, side=5, hidden_channels=hidden, dropout=dropout)
    return ImageClassifier(stem, body, head, in_channels=in_channels, resolution=32)
