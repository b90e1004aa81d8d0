"""Layers that multiply by adding: each product is one integer addition of two floats' bit patterns."""

from typing import Literal

import torch
from torch import Tensor, nn

from featherweight.ops import mitchell_conv2d, mitchell_linear

from ._filters import Filters


class MitchellConv2d(Filters):
    """Convolution whose products are integer additions of bit patterns, at most 1/9 too small in size.

    x [N, in, H, W] -> products nearly, summed [N, out, H', W'] (+ bias)

    In float32 only, also under autocast. Weights are drawn as those of convolutions are (see `initialize`), biases are
    zero.

    Args:
        kernel_size: side of the kernel, in pixels.
        stride: in pixels.
        padding: pixels of zeros around the input; default half the kernel.
        groups: in_channels (with out_channels equal to it) makes the layer depthwise.
        bias: add a learned number to each output channel.
        backward: "approximate", the ordinary rule with such products, which trained best; or "exact", the slope.
        compensation: added to each sum of fractions; 0.058 takes away the mean error (see `mitchell_multiply`).
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)] with the default padding
    Cost per image (k kernel, H' x W' output): 0 multiply-adds; H'*W' * in/groups * out * k*k integer additions for
    the products, and as many additions to sum.
    Raises: ValueError: kernel_size is even and no padding is given, groups do not divide both channel counts, or an
    unknown backward or compensation (when it runs).
    Source: Kosson and Jaggi 2023, https://arxiv.org/abs/2305.17190, Section 2; Mogami 2020,
    https://arxiv.org/abs/2012.03458. Differs from the papers: subnormal numbers count as zero.

    Example:
        >>> layer = MitchellConv2d(3, 8, kernel_size=3)
        >>> layer(torch.ones(1, 3, 6, 6)).shape
        torch.Size([1, 8, 6, 6])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        padding: int | None = None,
        groups: int = 1,
        bias: bool = False,
        backward: Literal["approximate", "exact"] = "approximate",
        compensation: float = 0.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size=kernel_size, stride=stride, padding=padding, groups=groups, bias=bias
        )
        self.backward, self.compensation = backward, compensation
        nn.init.normal_(self.weight, 0.0, (2.0 * groups / (kernel_size * kernel_size * out_channels)) ** 0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H', W']."""
        return mitchell_conv2d(
            x, self.weight, self.bias, stride=self.stride, padding=self.padding, groups=self.groups,
            backward=self.backward, compensation=self.compensation,
        )  # fmt: skip


class MitchellLinear(nn.Module):
    """Fully connected layer whose products are integer additions of bit patterns.

    x [..., in] -> products nearly, summed [..., out] (+ bias)

    Args:
        bias: add a learned number to each output.
        backward, compensation: as `MitchellConv2d`.
    Shape: [..., in_features] -> [..., out_features]
    Cost for each row of x: 0 multiply-adds; in*out integer additions for the products, and as many additions to sum.
    Raises: ValueError: unknown backward or compensation (when it runs).
    Source: as `MitchellConv2d`.

    Example:
        >>> MitchellLinear(16, 10)(torch.ones(2, 16)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        backward: Literal["approximate", "exact"] = "approximate",
        compensation: float = 0.0,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.backward, self.compensation = backward, compensation
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        nn.init.normal_(self.weight, 0.0, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features]."""
        return mitchell_linear(x, self.weight, self.bias, backward=self.backward, compensation=self.compensation)

    def extra_repr(self) -> str:
        """Show the sizes in the module's text."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
