"""The fused inverted residual: one ordinary convolution in the place of the expansion and the depthwise layer."""

from collections.abc import Callable

from torch import Tensor, nn

from ._conv import ConvNormAct
from ._inverted_residual import DropPath


class FusedInvertedResidual(nn.Module):
    """Expand with an ordinary kxk convolution, project with a linear 1x1; add the input when shapes match.

    x [N, in, H, W] -> kxk [N, hidden, H/s, W/s] -> attention -> 1x1 [N, out, H/s, W/s]

    It costs more multiply-adds than an `InvertedResidual`, but keeps the units for matrix products busy, which
    depthwise layers leave idle: in a network's first stages it is the faster of the two.

    Args:
        hidden_channels: channels between the two convolutions; equal to in_channels means one convolution,
            kxk to out_channels, with an activation behind it.
        kernel_size: odd side of the kernel, in pixels.
        activation: after the kxk convolution; the projection is linear.
        attention: makes a module [N, hidden, H', W'] -> same shape that stands in front of the last convolution
            (the paper's Fig. 2 shows squeeze-excite; the released networks have none here), or None.
        drop_path: probability of leaving the branch out, per picture, while training.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (h hidden, H' x W' output, k kernel): H'*W'*in*h*k*k + H'*W'*h*out, or
    H'*W'*in*out*k*k where h equals in; and the attention's own.
    Raises: ValueError: stride is not 1 or 2, or kernel_size is even.
    Source: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Fig. 2, Table 4. Differs from the paper: none; that
    expansion 1 means one convolution is the released code's.

    Example:
        >>> import torch
        >>> FusedInvertedResidual(24, 48, hidden_channels=96, stride=2)(torch.zeros(1, 24, 64, 64)).shape
        torch.Size([1, 48, 32, 32])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        activation: str = "silu",
        attention: Callable[[int], nn.Module] | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride must be 1 or 2; got {stride}")
        expands = hidden_channels != in_channels
        self.expand = (
            ConvNormAct(in_channels, hidden_channels, kernel_size=kernel_size, stride=stride, activation=activation)
            if expands
            else None
        )
        self.attention = attention(hidden_channels) if attention else None
        self.project = (
            ConvNormAct(hidden_channels, out_channels, activation=None)
            if expands
            else ConvNormAct(in_channels, out_channels, kernel_size=kernel_size, stride=stride, activation=activation)
        )
        self.residual = stride == 1 and in_channels == out_channels
        self.drop_path = DropPath(drop_path) if self.residual and drop_path else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.project(y if self.attention is None else self.attention(y))
        if self.drop_path is not None:
            y = self.drop_path(y)
        if not self.residual:
            return y
        return y + x if self.expand is None else y.add_(x)  # an activation's output may be needed for its gradient
