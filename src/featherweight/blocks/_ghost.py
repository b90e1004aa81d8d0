"""GhostNet's parts: half of the feature maps are computed, the others are made from these by cheap operations."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ._conv import ConvNormAct


class GhostModule(nn.Module):
    """Compute a part of the feature maps with a convolution, and make their "ghosts" from them depthwise.

    x [N, in, H, W] -> kxk [N, m, H', W'] -> dxd depthwise [N, m*(ratio - 1), H', W']; both together, cut to
    out channels, with m = ceil(out / ratio)

    Args:
        kernel_size: k, odd side of the ordinary convolution, in pixels.
        cheap_kernel_size: d, odd side of the depthwise kernel, in pixels.
        ratio: one of `ratio` maps is computed by the ordinary convolution; about the factor saved.
        stride: of the ordinary convolution.
        activation: after each of the two, or None for a linear module.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (H' x W' output): H'*W'*(in*m*k*k + m*(ratio - 1)*d*d)
    Raises: ValueError: ratio is less than 2, or a kernel size is even.
    Source: Han et al. 2020, https://arxiv.org/abs/1911.11907, Section 3.1, Fig. 2. Differs from the paper: none.

    Example:
        >>> import torch
        >>> GhostModule(16, 48)(torch.zeros(1, 16, 112, 112)).shape
        torch.Size([1, 48, 112, 112])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        *,
        cheap_kernel_size: int = 3,
        ratio: int = 2,
        activation: str | None = "relu",
    ) -> None:
        super().__init__()
        if ratio < 2:
            raise ValueError(f"ratio must be 2 or more: one part computed, the others its ghosts; got {ratio}")
        primary_channels = -(-out_channels // ratio)
        ghost_channels = primary_channels * (ratio - 1)
        self.primary = ConvNormAct(
            in_channels, primary_channels, kernel_size=kernel_size, stride=stride, activation=activation
        )
        self.cheap = ConvNormAct(
            primary_channels, ghost_channels, kernel_size=cheap_kernel_size, groups=primary_channels,
            activation=activation,
        )  # fmt: skip
        self.cut = out_channels if primary_channels + ghost_channels > out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        x = self.primary(x)
        x = torch.cat((x, self.cheap(x)), dim=1)
        return x if self.cut is None else x[:, : self.cut]


class GhostBottleneck(nn.Module):
    """Two ghost modules, the first wide and with ReLU, the second narrow and linear; the input is added.

    x [N, in, H, W] -> ghost module [N, hidden, H, W] (-> kxk depthwise, stride 2) -> attention
    -> ghost module [N, out, H', W'] -> + shortcut

    Shortcut: x where shapes match, else x -> kxk depthwise [N, in, H', W'] -> 1x1 [N, out, H', W']

    Args:
        hidden_channels: channels between the ghost modules.
        kernel_size: k, odd side of the depthwise kernels, in pixels; without a use where stride is 1 and shapes match.
        attention: makes a module [N, hidden, H', W'] -> same shape (squeeze-excite), or None.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (h hidden, H' x W' output): H*W*(in*h/2 + 9*h/2) + H'*W'*(h*out/2 + 9*out/2), at
    stride 2 plus H'*W'*h*k*k, where shapes differ plus H'*W'*(in*k*k + in*out), and the attention's own.
    Raises: ValueError: stride is not 1 or 2, or kernel_size is even.
    Source: Han et al. 2020, https://arxiv.org/abs/1911.11907, Section 3.2, Fig. 3. Differs from the paper: none.

    Example:
        >>> import torch
        >>> GhostBottleneck(16, 24, hidden_channels=48, stride=2)(torch.zeros(1, 16, 112, 112)).shape
        torch.Size([1, 24, 56, 56])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        attention: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride must be 1 or 2; got {stride}")
        self.expand = GhostModule(in_channels, hidden_channels)
        self.depthwise = (
            _depthwise(hidden_channels, kernel_size=kernel_size, stride=stride) if stride == 2 else nn.Identity()
        )
        self.attention = attention(hidden_channels) if attention else nn.Identity()
        self.project = GhostModule(hidden_channels, out_channels, activation=None)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else nn.Sequential(
                _depthwise(in_channels, kernel_size=kernel_size, stride=stride),
                ConvNormAct(in_channels, out_channels, activation=None),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = self.project(self.attention(self.depthwise(self.expand(x))))
        y += self.shortcut(x)
        return y


def _depthwise(channels: int, *, kernel_size: int, stride: int) -> ConvNormAct:
    return ConvNormAct(channels, channels, kernel_size=kernel_size, stride=stride, groups=channels, activation=None)
