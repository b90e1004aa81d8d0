"""IGCV1's block: two grouped convolutions, cut so that each group of the second meets every group of the first."""

from torch import Tensor, nn

from ._conv import ConvNormAct
from ._shuffle import channel_shuffle


class InterleavedGroupConv(nn.Module):
    """A kxk convolution in groups, a permutation, a 1x1 convolution in groups that cross the first, the way back.

    x [N, in, H, W] -> kxk in L groups [N, out, H/s, W/s] -> permutation -> 1x1 in M groups, batch norm, activation
    -> permutation back [N, out, H/s, W/s]

    The permutation deals the channels of each primary partition out to all secondary ones. With L * M = out, each
    input channel and output channel are joined by exactly one path, so that the two sparse layers together are a
    dense one. L = 1 is an ordinary convolution with a 1x1 layer behind it, M = 1 channel-wise filtering with a dense
    1x1 layer.

    Args:
        kernel_size: odd side of the primary kernel, in pixels.
        primary_partitions: L, groups of the spatial convolution.
        secondary_partitions: M, groups of the 1x1 convolution; the paper has M = out / L. Fewer give several paths
            for each pair of channels.
        activation: behind the batch norm at the end, or None; there is none between the convolutions.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (k kernel, H' x W' output): H'*W' * out * (k*k*in/L + out/M); with in = out = L*M
    that is H'*W' * (out * out) * (k*k/L + 1/M).
    Raises: ValueError: kernel_size is even; the channels do not divide into the primary partitions, or a primary
    partition's output channels do not divide into the secondary ones.
    Source: Zhang et al. 2017, https://arxiv.org/abs/1707.02725, Section 3. Differs from the paper: batch norm and
    activation stand before the permutation back, which gives the same function.

    Example:
        >>> import torch
        >>> block = InterleavedGroupConv(48, 48, primary_partitions=24, secondary_partitions=2)
        >>> block(torch.zeros(1, 48, 32, 32)).shape
        torch.Size([1, 48, 32, 32])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        primary_partitions: int,
        secondary_partitions: int,
        activation: str | None = "relu",
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that stride 1 keeps the size; got {kernel_size}")
        for channels in (in_channels, out_channels):
            if channels % primary_partitions:
                raise ValueError(f"{channels} channels do not divide into {primary_partitions} primary partitions")
        self.primary_partitions, self.partition_channels = primary_partitions, out_channels // primary_partitions
        if self.partition_channels % secondary_partitions:
            raise ValueError(
                f"each of {primary_partitions} primary partitions has {self.partition_channels} of {out_channels} "
                f"channels, which do not divide into {secondary_partitions} secondary partitions"
            )
        self.primary = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=primary_partitions, bias=False
        )
        self.secondary = ConvNormAct(out_channels, out_channels, groups=secondary_partitions, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        x = self.secondary(channel_shuffle(self.primary(x), self.primary_partitions))
        return channel_shuffle(x, self.partition_channels)
