"""The inverted residual: expand, filter depthwise, (squeeze and excite,) project linearly, add."""

from collections.abc import Callable

from torch import Tensor, nn

from ._conv import ConvNormAct


class InvertedResidual(nn.Module):
    """Expand with 1x1, filter depthwise, project with a linear 1x1; add the input when shapes match.

    x [N, in, H, W] -> 1x1 [N, hidden, H, W] -> kxk depthwise [N, hidden, H/s, W/s] -> attention
    -> 1x1 [N, out, H/s, W/s]

    Args:
        hidden_channels: channels between the 1x1 layers (MobileNetV2's t * in); equal to in_channels means no
            expansion layer, as in the first row of MobileNetV2's Table 2.
        kernel_size: odd side of the depthwise kernel, in pixels.
        activation: after the expansion and the depthwise layer; the projection is linear.
        attention: makes a module [N, hidden, H', W'] -> same shape that stands behind the depthwise activation
            (MobileNetV3 and EfficientNet: squeeze-excite), or None.
        drop_path: probability of leaving the branch out, per picture, while training (EfficientNet's drop connect).
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (h hidden, H' x W' output, k kernel): H*W*in*h + H'*W'*h*k*k + H'*W'*h*out,
    the first term only where h differs from in, and the attention's own.
    Raises: ValueError: stride is not 1 or 2, or kernel_size is even.
    Source: Sandler et al. 2018, https://arxiv.org/abs/1801.04381, Table 1, Fig. 4; with attention Howard et al. 2019,
    https://arxiv.org/abs/1905.02244, Fig. 4. Differs from the paper: none.

    Example:
        >>> import torch
        >>> InvertedResidual(16, 24, hidden_channels=96, stride=2)(torch.zeros(1, 16, 112, 112)).shape
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
        activation: str = "relu6",
        attention: Callable[[int], nn.Module] | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride must be 1 or 2; got {stride}")
        self.expand = (
            ConvNormAct(in_channels, hidden_channels, activation=activation) if hidden_channels != in_channels else None
        )
        self.depthwise = ConvNormAct(
            hidden_channels,
            hidden_channels,
            kernel_size=kernel_size,
            stride=stride,
            groups=hidden_channels,
            activation=activation,
        )
        self.attention = attention(hidden_channels) if attention else None
        self.project = ConvNormAct(hidden_channels, out_channels, activation=None)
        self.residual = stride == 1 and in_channels == out_channels
        self.drop_path = DropPath(drop_path) if self.residual and drop_path else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = self.depthwise(x if self.expand is None else self.expand(x))
        y = self.project(y if self.attention is None else self.attention(y))
        if self.drop_path is not None:
            y = self.drop_path(y)
        return y.add_(x) if self.residual else y


class DropPath(nn.Module):
    """Set whole pictures of a residual branch to zero while training, and scale the others up (stochastic depth).

    Args:
        probability: of dropping a picture's branch, in [0, 1).
    Shape: [N, ...] -> the same
    Raises: ValueError: probability is not in [0, 1).
    Source: Huang et al. 2016, https://arxiv.org/abs/1603.09382; as "drop connect" in EfficientNet's released code.

    Example:
        >>> import torch
        >>> DropPath(0.5).eval()(torch.ones(2, 1)).tolist()
        [[1.0], [1.0]]
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise ValueError(f"probability must be in [0, 1); got {probability}")
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] -> the same shape."""
        if not self.training or self.probability == 0:
            return x
        keep = 1 - self.probability
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * mask.div_(keep)

    def extra_repr(self) -> str:
        """Show the probability in the module's text."""
        return f"{self.probability}"
