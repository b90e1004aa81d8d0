"""Residual blocks of ordinary convolutions, with a place where another kind of convolution can be put."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from ._conv import ConvNormAct, activation

Convolution = Callable[..., nn.Module]
"""Called convolution(in_channels, out_channels, kernel_size=3, stride=1); without batch norm; keeps the size."""


class Layer(Protocol):
    """Makes a convolution with its batch norm and activation: `ConvNormAct`, `GhostModule`, `with_norm(...)`."""

    def __call__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int = 1,
        activation: str | None = "relu",
    ) -> nn.Module:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""


def with_norm(convolution: Convolution) -> Layer:
    """Put batch normalisation and ReLU behind another kind of convolution, as `ConvNormAct` does behind the ordinary.

    Args:
        convolution: called convolution(in_channels, out_channels, kernel_size=, stride=), such as `CompConv`.

    Example:
        >>> from functools import partial
        >>> layer = with_norm(partial(nn.Conv2d, padding=1))(16, 32, kernel_size=3, stride=2)
        >>> [type(module).__name__ for module in layer]
        ['Conv2d', 'BatchNorm2d', 'ReLU']
    """

    def layer(
        in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1, activation: str | None = "relu"
    ) -> nn.Module:
        layers = OrderedDict(
            conv=convolution(in_channels, out_channels, kernel_size=kernel_size, stride=stride),
            norm=nn.BatchNorm2d(out_channels),
        )
        if activation:
            layers["act"] = _activation(activation)
        return nn.Sequential(layers)

    return layer


_activation = activation  # inside a layer the word is an argument

Shortcut = Literal["projection", "pad"]


class BasicBlock(nn.Module):
    """Two 3x3 layers, and the input added before the last ReLU.

    x [N, in, H, W] -> 3x3 [N, out, H/s, W/s] -> 3x3 linear [N, out, H/s, W/s] -> + shortcut -> ReLU

    Shortcut: x itself where shapes match, else by `shortcut`.

    Args:
        stride: of the first layer and of the shortcut.
        shortcut: "projection", a 1x1 layer (the paper's option B); or "pad", every stride-th place of x with zeros for
            the channels that it lacks (its option A, for CIFAR).
        convolution: makes the convolutions, those of a projection too, in the place of bias-free nn.Conv2d; batch norm
            and ReLU are put behind them.
        layer: instead of `convolution`, makes convolution, batch norm and ReLU at once, such as `GhostModule`.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (H' x W' output): H'*W'*(9*in*out + 9*out*out), and where shapes differ
    H'*W'*in*out for a projection.
    Raises: ValueError: unknown shortcut, or "pad" with fewer channels out than in.
    Source: He et al. 2015, https://arxiv.org/abs/1512.03385, Section 3.3, Figs. 2 and 5. Differs from the paper: none.

    Example:
        >>> import torch
        >>> BasicBlock(64, 128, stride=2)(torch.zeros(1, 64, 56, 56)).shape
        torch.Size([1, 128, 28, 28])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        shortcut: Shortcut = "projection",
        convolution: Convolution | None = None,
        layer: Layer = ConvNormAct,
    ) -> None:
        super().__init__()
        layer = with_norm(convolution) if convolution else layer
        self.first = layer(in_channels, out_channels, kernel_size=3, stride=stride)
        self.second = layer(out_channels, out_channels, kernel_size=3, activation=None)
        self.shortcut = _shortcut(shortcut, in_channels, out_channels, stride, layer)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        branch: Tensor = self.second(self.first(x))
        y: Tensor = self.act(branch.add_(self.shortcut(x)))
        return y


class BottleneckBlock(nn.Module):
    """A 3x3 layer between 1x1 layers that narrow and widen; the input added before the last ReLU.

    x [N, in, H, W] -> 1x1 [N, hidden, H, W] -> 3x3 [N, hidden, H/s, W/s] -> 1x1 linear [N, out, H/s, W/s]
    -> + shortcut -> ReLU

    Args:
        hidden_channels: of the 3x3 layer; default a quarter of out_channels.
        stride: of the 3x3 layer and of the shortcut.
        stride_first: the stride is the first 1x1 layer's, as in the paper, and not the 3x3 layer's.
        shortcut, convolution, layer: as `BasicBlock`'s.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (h hidden, H' x W' output): H*W*in*h + H'*W'*(9*h*h + h*out), and where shapes differ
    H'*W'*in*out for a projection; with `stride_first` the first term has H'*W'.
    Raises: ValueError: as `BasicBlock`.
    Source: He et al. 2015, https://arxiv.org/abs/1512.03385, Section 4.1, Fig. 5. Differs from the paper: the stride is
    the 3x3 layer's, which is a little more accurate (as torchvision's; called ResNet v1.5); see `stride_first`.

    Example:
        >>> import torch
        >>> BottleneckBlock(256, 512, stride=2)(torch.zeros(1, 256, 56, 56)).shape
        torch.Size([1, 512, 28, 28])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int | None = None,
        stride: int = 1,
        stride_first: bool = False,
        shortcut: Shortcut = "projection",
        convolution: Convolution | None = None,
        layer: Layer = ConvNormAct,
    ) -> None:
        super().__init__()
        layer = with_norm(convolution) if convolution else layer
        hidden = max(1, out_channels // 4) if hidden_channels is None else hidden_channels
        first, second = (stride, 1) if stride_first else (1, stride)
        self.reduce = layer(in_channels, hidden, kernel_size=1, stride=first)
        self.spatial = layer(hidden, hidden, kernel_size=3, stride=second)
        self.expand = layer(hidden, out_channels, kernel_size=1, activation=None)
        self.shortcut = _shortcut(shortcut, in_channels, out_channels, stride, layer)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        branch: Tensor = self.expand(self.spatial(self.reduce(x)))
        y: Tensor = self.act(branch.add_(self.shortcut(x)))
        return y


def _shortcut(kind: str, in_channels: int, out_channels: int, stride: int, layer: Layer) -> nn.Module:
    """Make what brings the input to the output's shape."""
    if kind not in ("projection", "pad"):
        raise ValueError(f"shortcut must be 'projection' or 'pad'; got {kind!r}")
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if kind == "projection":
        return layer(in_channels, out_channels, kernel_size=1, stride=stride, activation=None)
    return PadShortcut(in_channels, out_channels, stride=stride)


class PadShortcut(nn.Module):
    """Take every stride-th place, and add channels of zeros: a shortcut without parameters.

    x [N, in, H, W] -> subsample [N, in, H/s, W/s] -> zeros behind [N, out, H/s, W/s]

    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds: 0
    Raises: ValueError: fewer channels out than in.
    Source: He et al. 2015, https://arxiv.org/abs/1512.03385, Section 3.3, option A.

    Example:
        >>> import torch
        >>> PadShortcut(16, 32, stride=2)(torch.ones(1, 16, 32, 32)).mean()
        tensor(0.5000)
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        if out_channels < in_channels:
            raise ValueError(f"zeros can only be added: {in_channels} channels in, {out_channels} out")
        self.added_channels, self.stride = out_channels - in_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        x = x[:, :, :: self.stride, :: self.stride]
        return torch.cat((x, x.new_zeros(x.shape[0], self.added_channels, x.shape[2], x.shape[3])), 1)

    def extra_repr(self) -> str:
        """Show channels added and stride in the module's text."""
        return f"added_channels={self.added_channels}, stride={self.stride}"
