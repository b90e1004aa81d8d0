"""IGCV3's block: an inverted residual whose 1x1 layers work in groups."""

from torch import Tensor, nn

from ._conv import ConvNormAct
from ._shuffle import channel_shuffle


class InterleavedLowRankGroupConv(nn.Module):
    """Expand with a 1x1 in groups, permute, filter depthwise, project with a 1x1 in groups; add the input.

    x [N, in, H, W] -> 1x1 in G1 groups [N, hidden, H, W] -> permutation -> kxk depthwise [N, hidden, H/s, W/s],
    activation -> 1x1 in G2 groups [N, out, H/s, W/s] (-> + x)

    MobileNetV2's block in groups, with an activation behind the depthwise layer only. The permutation deals the hidden
    channels of each of the G1 groups out to all G2: each group of output channels then sees all groups of input
    channels (the paper's loose complementary condition).

    Args:
        hidden_channels: channels between the 1x1 layers.
        kernel_size: odd side of the depthwise kernel, in pixels.
        groups: G1 and G2, of the expanding and of the projecting layer.
        activation: behind the depthwise layer; the 1x1 layers are linear.
        residual: False leaves the addition out, which is done where the shapes match.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (h hidden, H' x W' output, k kernel): H*W*in*h/G1 + H'*W'*h*k*k + H'*W'*h*out/G2
    Raises: ValueError: the channels do not divide into the groups, or kernel_size is even.
    Source: Sun et al. 2018, https://arxiv.org/abs/1806.00178, Section 3. Differs from the paper: no second permutation
    behind the projection; the released code has none either.

    Example:
        >>> import torch
        >>> InterleavedLowRankGroupConv(16, 24, hidden_channels=96, stride=2)(torch.zeros(1, 16, 112, 112)).shape
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
        groups: tuple[int, int] = (2, 2),
        activation: str = "relu6",
        residual: bool = True,
    ) -> None:
        super().__init__()
        expand_groups, project_groups = groups
        for what, channels, parts in (
            ("in", in_channels, expand_groups),
            ("hidden", hidden_channels, expand_groups),
            ("hidden", hidden_channels, project_groups),
            ("out", out_channels, project_groups),
        ):
            if channels % parts:
                raise ValueError(f"{channels} {what} channels do not divide into {parts} groups")
        self.shuffle_groups = expand_groups
        self.expand = ConvNormAct(in_channels, hidden_channels, groups=expand_groups, activation=None)
        self.depthwise = ConvNormAct(
            hidden_channels,
            hidden_channels,
            kernel_size=kernel_size,
            stride=stride,
            groups=hidden_channels,
            activation=activation,
        )
        self.project = ConvNormAct(hidden_channels, out_channels, groups=project_groups, activation=None)
        self.residual = residual and stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = self.project(self.depthwise(channel_shuffle(self.expand(x), self.shuffle_groups)))
        return y.add_(x) if self.residual else y
