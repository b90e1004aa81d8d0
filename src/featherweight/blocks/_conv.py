"""Convolution, batch normalisation and activation: the brick, and the depthwise separable pair of it."""

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.3, inplace=True),  # with the slope that Keras has
    "silu": lambda: nn.SiLU(inplace=True),
    "hard_swish": lambda: nn.Hardswish(inplace=True),
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
}


def activation(name: str) -> nn.Module:
    """Make the activation module of that name.

    Raises: ValueError: unknown name; the message lists the known ones.

    Example:
        >>> activation("relu6")
        ReLU6(inplace=True)
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch normalisation, activation.

    x [N, in, H, W] -> conv [N, out, H/s, W/s] -> batch norm -> activation

    Args:
        kernel_size: side of the kernel, or its height and width, in pixels.
        stride: likewise.
        padding: pixels of zeros around the input; default half the kernel, so that stride 1 keeps the size.
        groups: in_channels (with out_channels equal to it) makes the convolution depthwise.
        activation: a name of `ACTIVATIONS`, or None for a linear layer.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)] with the default padding
    Cost per image, multiply-adds (k kernel, H' x W' output): H'*W' * in/groups * out * k*k
    Raises: ValueError: kernel_size is even and no padding is given.
    Batch normalisation is PyTorch's, with epsilon 1e-5; some releases have 1e-3, which belongs to their weights: see
    `featherweight.networks.load_weights`.
    Differs from TensorFlow's 'SAME': the padding is symmetric; on an even input with stride 2 TensorFlow pads the
    bottom and right only. The cost is equal.

    Example:
        >>> import torch
        >>> ConvNormAct(3, 32, kernel_size=3, stride=2, activation="relu6")(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 32, 112, 112])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 1,
        stride: int | tuple[int, int] = 1,
        *,
        padding: int | None = None,
        groups: int = 1,
        activation: str | None = "relu",
    ) -> None:
        height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        if padding is None and not (height % 2 and width % 2):
            raise ValueError(f"kernel_size must be odd, so that stride 1 keeps the size; got {kernel_size}")
        around = (height // 2, width // 2) if padding is None else padding
        layers: dict[str, nn.Module] = {
            "conv": nn.Conv2d(in_channels, out_channels, kernel_size, stride, around, groups=groups, bias=False),
            "norm": nn.BatchNorm2d(out_channels),
        }
        if activation:
            layers["act"] = _activation(activation)
        super().__init__(OrderedDict(layers))


_activation = activation  # inside ConvNormAct the word is an argument


class DepthwiseSeparable(nn.Sequential):
    """Filter each channel by itself, then mix the channels: a 3x3 convolution at about a ninth of its cost.

    x [N, in, H, W] -> kxk depthwise [N, in, H/s, W/s] -> 1x1 [N, out, H/s, W/s]

    Args:
        kernel_size: odd side of the depthwise kernel, in pixels.
        activation: after each of the two, behind its batch normalisation; None for a linear pair.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (k kernel, H' x W' output): H'*W'*in*k*k + H'*W'*in*out,
    that is 1/out + 1/k^2 of the ordinary convolution (Section 3.1 of the paper).
    Source: Howard et al. 2017, https://arxiv.org/abs/1704.04861, Section 3.1, Fig. 3. Differs from the paper: the
    activation is an argument; the released code uses ReLU6 where the paper says ReLU.

    Example:
        >>> import torch
        >>> DepthwiseSeparable(32, 64, stride=2)(torch.zeros(1, 32, 112, 112)).shape
        torch.Size([1, 64, 56, 56])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        activation: str | None = "relu6",
    ) -> None:
        depthwise = ConvNormAct(
            in_channels, in_channels, kernel_size=kernel_size, stride=stride, groups=in_channels, activation=activation
        )
        pointwise = ConvNormAct(in_channels, out_channels, activation=activation)
        super().__init__(OrderedDict(depthwise=depthwise, pointwise=pointwise))
