"""IGCV2's block: a convolution as a product of many grouped ones, and the two conditions on their groups."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ._conv import ConvNormAct
from ._shuffle import channel_shuffle


def balanced_group_sizes(channels: int, layers: int) -> tuple[int, ...]:
    """Choose the channels per group of so many 1x1 layers: of all products that are `channels` the least sum.

    The layers have channels * sum(K) weights, so that this is the balance condition in whole numbers: with real
    numbers all K would be channels ** (1 / layers).

    Raises: ValueError: layers is below 1.
    Source: Xie et al. 2018, https://arxiv.org/abs/1804.06202, the balance condition.

    Example:
        >>> balanced_group_sizes(64, 2), balanced_group_sizes(64, 3), balanced_group_sizes(96, 2)
        ((8, 8), (4, 4, 4), (8, 12))
    """
    if layers < 1:
        raise ValueError(f"layers must be 1 or more; got {layers}")
    if layers == 1:
        return (channels,)
    first_sizes = (size for size in range(1, channels + 1) if channels % size == 0)
    products = ((size, *balanced_group_sizes(channels // size, layers - 1)) for size in first_sizes)
    return min(products, key=lambda sizes: (sum(sizes), sizes))


def balanced_weights(channels: int, layers: int, *, kernel_size: int = 3) -> float:
    """Least weights of a square interleaved convolution: C * L * (S*C)**(1/L) for C channels, L layers, S = k*k.

    It counts all L layers, the spatial one among them, and is reached where S*K_1 = K_2 = ... = K_L.

    Source: Xie et al. 2018, https://arxiv.org/abs/1804.06202, the balance condition.

    Example:
        >>> balanced_weights(64, 1), round(balanced_weights(64, 3))
        (36864.0, 1598)
    """
    return channels * layers * math.pow(kernel_size**2 * channels, 1 / layers)


def best_number_of_layers(channels: int, *, kernel_size: int = 3) -> float:
    """Return the number of layers for which `balanced_weights` is least: the natural logarithm of S*C.

    The paper uses fewer, because many layers are slow: 2 to 4.

    Source: Xie et al. 2018, https://arxiv.org/abs/1804.06202, the balance condition.

    Example:
        >>> round(best_number_of_layers(64), 2)
        6.36
    """
    return math.log(kernel_size**2 * channels)


class InterleavedSparseConv(nn.Module):
    """A channel-wise kxk convolution and a chain of 1x1 convolutions in small groups, with permutations between.

    x [N, in, H, W] -> kxk channel-wise [N, out, H/s, W/s] -> (1x1 in groups of K channels -> permutation), for each K
    -> batch norm, activation [N, out, H/s, W/s]

    Complementary condition: the K multiply to the number of channels; then one path and no more joins each pair of
    channels, and the product of the sparse matrices is dense. Balance condition: the K are as equal as they can be;
    then the weights are the fewest. Both are checked.

    Args:
        kernel_size: odd side of the channel-wise kernel, in pixels.
        group_sizes: K_2 ... K_L, channels in each group of the 1x1 convolutions; (64,) is one dense layer.
        nearly_complementary: allow the K to multiply to more than the number of channels, with all K equal: some pairs
            then have several paths. The paper's networks have K = 8 at every width.
        activation: behind the batch norm at the end, or None; there is none between the convolutions.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (k kernel, H' x W' output): H'*W' * out * (k*k + sum(K))
    Raises: ValueError: kernel_size is even; out_channels is no multiple of in_channels; the K break a condition, and
    the message says which K would not.
    Source: Xie et al. 2018, https://arxiv.org/abs/1804.06202, Section 3. Differs from the paper: batch norm and
    activation stand before the last permutation, which gives the same function. Channels are widened by several
    kernels for each channel in the channel-wise layer, as IGCV1's released code does in its primary layer; the paper's
    text was not at hand for it.

    Example:
        >>> import torch
        >>> block = InterleavedSparseConv(64, 64, group_sizes=(8, 8))
        >>> block(torch.zeros(1, 64, 32, 32)).shape, sum(p.numel() for p in block.pointwise.parameters() if p.ndim == 4)
        (torch.Size([1, 64, 32, 32]), 1024)
        >>> InterleavedSparseConv(64, 64, group_sizes=(8, 4))
        Traceback (most recent call last):
        ...
        ValueError: group sizes (8, 4) multiply to 32, not to 64 channels, ...; (8, 8) would do
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        group_sizes: Sequence[int],
        nearly_complementary: bool = False,
        activation: str | None = "relu",
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that stride 1 keeps the size; got {kernel_size}")
        if out_channels % in_channels:
            raise ValueError(f"out_channels must be a multiple of in_channels; got {in_channels} -> {out_channels}")
        _check_group_sizes(out_channels, tuple(group_sizes), nearly_complementary)
        self.depthwise = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=in_channels, bias=False
        )
        self.groups = [out_channels // size for size in group_sizes]
        *inner, last = self.groups
        self.pointwise = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 1, groups=groups, bias=False) for groups in inner
        )
        self.pointwise.append(ConvNormAct(out_channels, out_channels, groups=last, activation=activation))

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        x = self.depthwise(x)
        for pointwise, groups in zip(self.pointwise, self.groups, strict=True):
            x = channel_shuffle(pointwise(x), groups)
        return x


def _check_group_sizes(channels: int, sizes: tuple[int, ...], nearly: bool) -> None:
    """Hold channels per group against the complementary and the balance condition. Raises: ValueError."""
    if not sizes or any(size < 1 or channels % size for size in sizes):
        raise ValueError(f"group sizes must be one or more divisors of {channels} channels; got {sizes}")
    product = math.prod(sizes)
    if nearly:
        if product < channels:
            raise ValueError(
                f"group sizes {sizes} multiply to {product}, less than {channels} channels: some pairs of channels "
                f"would have no path"
            )
        if len(set(sizes)) > 1:
            raise ValueError(f"nearly complementary group sizes must all be equal to be balanced; got {sizes}")
        return
    best = balanced_group_sizes(channels, len(sizes))
    if product != channels:
        raise ValueError(
            f"group sizes {sizes} multiply to {product}, not to {channels} channels, so that not each pair of channels "
            f"has exactly one path; {best} would do"
        )
    if sum(sizes) > sum(best):
        raise ValueError(
            f"group sizes {sizes} are not balanced: they cost {sum(sizes)} weights for each channel; "
            f"{best} cost {sum(best)}"
        )
