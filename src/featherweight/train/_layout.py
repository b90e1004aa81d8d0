"""Channels last, the layout in which depthwise layers train 1.5 times as fast, but for the layers that it breaks."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

FEWEST_CHANNELS = 16  # of a group, that are safe: the float32 numbers in the longest vector of a processor


@contextmanager
def in_channels_last(model: nn.Module) -> Iterator[None]:
    """Lay the weights out channels last inside the block.

    Convolutions for which that is not safe get their input, and have their weights, in the usual layout.
    """
    model.to(memory_format=torch.channels_last)
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and overruns(module):
                for tensor in (*module.parameters(), *module.buffers()):  # a parametrized weight is made of several
                    tensor.data = usual(tensor.data)
                stack.callback(module.register_forward_pre_hook(_contiguous).remove)
        try:
            yield
        finally:
            model.to(memory_format=torch.contiguous_format)


def overruns(convolution: nn.Conv2d) -> bool:
    """Tell whether PyTorch's gradient of the filters may write beyond its memory, channels last, on a CPU.

    Seen in PyTorch 2.15 on a processor with AVX2, by the C library's check of its heap: strided 1x1 convolutions of
    fewer than 8 input channels, which one vector holds. It is oneDNN's issue 6035; vectors of AVX-512 hold 16.

    Example:
        >>> overruns(nn.Conv2d(4, 8, 1, stride=2)), overruns(nn.Conv2d(16, 8, 1, stride=2))
        (True, False)
    """
    few = convolution.in_channels // convolution.groups < FEWEST_CHANNELS
    return few and convolution.kernel_size == (1, 1) and max(convolution.stride) > 1


def usual(x: Tensor) -> Tensor:
    """Copy into the usual layout, strides and all: `contiguous` leaves those of sizes of 1 as they are."""
    return x.clone(memory_format=torch.contiguous_format)


def _contiguous(_convolution: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (usual(inputs[0]),)
