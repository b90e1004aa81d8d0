"""Channels last, the layout in which depthwise layers train 1.5 times as fast, but for the layers that it breaks."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from featherweight.ops._channels_last import overruns, usual


@contextmanager
def in_channels_last(model: nn.Module) -> Iterator[None]:
    """Lay the weights out channels last inside the block.

    Convolutions for which that is not safe get their input, and have their weights, in the usual layout.
    """
    model.to(memory_format=torch.channels_last)
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and overruns(module.weight, module.stride):
                for tensor in (*module.parameters(), *module.buffers()):  # a parametrized weight is made of several
                    tensor.data = usual(tensor.data)
                stack.callback(module.register_forward_pre_hook(_contiguous).remove)
        try:
            yield
        finally:
            model.to(memory_format=torch.contiguous_format)


def _contiguous(_convolution: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (usual(inputs[0]),)
