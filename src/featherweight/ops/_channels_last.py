"""Where PyTorch's gradient of a convolution's filters is not safe channels last, and the way around it."""

from collections.abc import Sequence

import torch
from torch import Tensor

FEWEST_CHANNELS = 16  # of a group, that are safe: the float32 numbers in the longest vector of a processor


def overruns(weight: Tensor, stride: Sequence[int]) -> bool:
    """Tell whether the gradient of filters [O, C/groups, kh, kw] may write beyond its memory, channels last, on a CPU.

    Seen in PyTorch 2.15 on a processor with AVX2, by the C library's check of its heap: strided 1x1 convolutions of
    fewer than 8 input channels, which one vector holds. It is oneDNN's issue 6035; vectors of AVX-512 hold 16.

    Example:
        >>> overruns(torch.zeros(8, 4, 1, 1), (2, 2)), overruns(torch.zeros(8, 16, 1, 1), (2, 2))
        (True, False)
    """
    return weight.shape[1] < FEWEST_CHANNELS and tuple(weight.shape[2:]) == (1, 1) and max(stride) > 1


def usual(x: Tensor) -> Tensor:
    """Copy into the usual layout, strides and all: `contiguous` leaves those of sizes of 1 as they are."""
    return x.clone(memory_format=torch.contiguous_format)
