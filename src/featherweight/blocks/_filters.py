"""What every layer of a convolution's shape holds, whatever it computes: filters, a bias, and how they move."""

import torch
from torch import nn


class Filters(nn.Module):
    """Filters and bias of a layer that moves over a picture; derived classes say what they compute.

    Args:
        kernel_size: side of the kernel, in pixels.
        stride: in pixels.
        padding: pixels of zeros around the input; default half the kernel's reach, so that stride 1 keeps the size.
        dilation: pixels from one place of the kernel to the next.
        groups: in_channels (with out_channels equal to it) makes the layer depthwise.
        bias: add a learned number to each output channel.
    Raises: ValueError: kernel_size is even and no padding is given, or groups do not divide both channel counts.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if padding is None and kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that stride 1 keeps the size; got {kernel_size}")
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"groups must divide both channel counts; got {in_channels} -> {out_channels}, {groups=}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.groups = kernel_size, stride, groups
        self.dilation = dilation
        self.padding = dilation * (kernel_size // 2) if padding is None else padding
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None

    def extra_repr(self) -> str:
        """Show channels and what differs from the defaults in the module's text."""
        words = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != self.dilation * (self.kernel_size // 2):
            words.append(f"padding={self.padding}")
        if self.dilation > 1:
            words.append(f"dilation={self.dilation}")
        if self.groups > 1:
            words.append(f"groups={self.groups}")
        if self.bias is not None:
            words.append("bias=True")
        return ", ".join(words)
