"""CompConv: divide and conquer. Half of the channels are copied or cheap, the other half is made from two quarters."""

import torch
from torch import Tensor, nn

from ._shuffle import channel_shuffle

DEEPEST = 3  # the paper's limit on the recursion


class CompConv(nn.Module):
    """A convolution that copies a part of its channels from the input and computes the others from ever fewer.

    x [N, in, H, W] -> kxk [N, p, H', W'], beside it p channels of x; from these 2p -> kxk [N, 2p, H', W'], beside it
    2p channels of x; from these 4p -> kxk [N, 4p, H', W']; from the last -> kxk depthwise [N, 4p, H', W'].
    All parts, 14p, together, cut to out channels -> shuffle [N, out, H', W']

    That is depth d = 3. In general p = ceil(out / (2 * (2^d - 1))) channels come from the smallest convolution, d
    convolutions follow one another, and (2^(d-1) - 1) * p channels are copied. Depth 0 is the ordinary convolution.

    There is no batch norm and no activation inside: it stands in the place of a convolution, and what followed that
    follows it.

    Args:
        kernel_size: k, odd side of all kernels, in pixels.
        stride: of the first convolution, at which the copied channels are sampled.
        depth: d, from 0 to 3; None for the paper's rule, min(3, 1 + floor(log2(max(1, in / base_channels)))).
        base_channels: C_0 of that rule; more of it means less compression. The paper has 128 for VGG and ResNet.
        bias: of all convolutions inside; copied channels get none.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (H' x W' output), from depth 1 on:
    H'*W'*k*k*(in*p + (2p)^2 + ... + (2^(d-1) * p)^2 + 2^(d-1) * p); with in = out and d = 3 that tends to 17.3 % of the
    ordinary convolution's and is 20.5 % at 64 channels.
    Raises: ValueError: kernel_size is even; depth is not in 0 to 3, or so deep that more channels are copied than there
    are, or that nothing is left for the depthwise part.
    Source: Zhang et al. 2021, https://arxiv.org/abs/2106.10486, Section 3. Differs from the paper: its equations are
    known to us from articles about it, which do not say everything. Chosen here: the last part is made by a depthwise
    convolution (which the paper's count of operations implies); the copied channels are the first of the input; at
    stride 2 they are sampled as a convolution would that has a single 1 in the middle of its kernel; parts
    are put together from the smallest to the largest, and shuffled in two groups (an odd number of channels is not).

    Example:
        >>> import torch
        >>> block = CompConv(512, 512, stride=2)
        >>> block.depth, block(torch.zeros(1, 512, 14, 14)).shape
        (3, torch.Size([1, 512, 7, 7]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        depth: int | None = None,
        base_channels: int = 128,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that stride 1 keeps the size; got {kernel_size}")
        self.out_channels, self.stride = out_channels, stride
        self.depth = _paper_depth(in_channels, base_channels) if depth is None else depth
        sizes = _part_sizes(in_channels, out_channels, self.depth)
        self.copied_channels = sizes[:-1]
        layers = []
        for channels in sizes:
            layers.append(nn.Conv2d(in_channels, channels, kernel_size, stride, kernel_size // 2, bias=bias))
            in_channels, stride = 2 * channels, 1
        self.compute = nn.ModuleList(layers)
        last = sizes[-1]
        self.tail = (
            nn.Conv2d(last, last, kernel_size, padding=kernel_size // 2, groups=last, bias=bias) if self.depth else None
        )
        self.shuffle_groups = 2 if out_channels % 2 == 0 else 1

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        first, *others = self.compute
        y: Tensor = first(x)
        if self.tail is None:
            return y
        parts = []
        for layer, copied in zip(others, self._copied(x), strict=True):
            parts += [copied, y]
            y = layer(torch.cat((copied, y), dim=1))
        y = torch.cat((*parts, y, self.tail(y)), dim=1)[:, : self.out_channels]
        return channel_shuffle(y, self.shuffle_groups)

    def _copied(self, x: Tensor) -> tuple[Tensor, ...]:
        if not self.copied_channels:
            return ()
        x = x[:, : sum(self.copied_channels)]
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return torch.split(x, self.copied_channels, dim=1)

    def extra_repr(self) -> str:
        """Say the depth, which may have been chosen by the rule."""
        return f"depth={self.depth}"


def _paper_depth(in_channels: int, base_channels: int) -> int:
    """Recursion depth by the paper's rule; floor(log2(a / b)) in whole numbers, which round nothing."""
    return min(DEEPEST, max(1, in_channels // base_channels).bit_length())


def _part_sizes(in_channels: int, out_channels: int, depth: int) -> list[int]:
    """Channels of each convolution's output, from the smallest; beside all but the last, as many are copied.

    Raises: ValueError: depth is out of range, or too deep for so few channels.

    Example:
        >>> _part_sizes(512, 512, 3)
        [37, 74, 148]
    """
    if not 0 <= depth <= DEEPEST:
        raise ValueError(f"depth must be from 0 to {DEEPEST}; got {depth}")
    if depth == 0:
        return [out_channels]
    smallest = -(-out_channels // (2 * (2**depth - 1)))
    sizes = [smallest * 2**i for i in range(depth)]
    copied = sum(sizes[:-1])
    if copied > in_channels:
        raise ValueError(f"depth {depth} copies {copied} channels of the input, which has {in_channels}: choose less")
    if 2 * copied + sizes[-1] >= out_channels:
        raise ValueError(f"depth {depth} leaves no channel of {out_channels} for the depthwise part: choose less")
    return sizes
