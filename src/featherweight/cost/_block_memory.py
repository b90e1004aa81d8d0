"""Activation memory under the rule of MobileNetV2's Table 3: a block is one operator."""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ._trace import InputSize, input_shape, meta_twin


class BlockMemory(NamedTuple):
    """What must be held at one resolution: the channels, and their bytes."""

    channels: int
    size_bytes: int


def block_memory(
    model: nn.Module,
    input_size: InputSize | None = None,
    *,
    block: type[nn.Module] | tuple[type[nn.Module], ...],
    at: Literal["input", "output"],
    bytes_per_value: int = 2,
) -> dict[int, BlockMemory]:
    """Tell how many channels must be materialized at each resolution when a block is one operator.

    A block's inner tensors may be computed piece by piece, so that only its input and output are ever held whole. The
    rule that yields the printed table reads each row of a network's own layer table at the size printed in that row:

    - `at="input"`: the table prints input sizes (MobileNetV1 and V2). A block counts the larger of its input and
      output channels, at the resolution of its input.
    - `at="output"`: the table prints output sizes (ShuffleNet). A block counts its output channels, at the resolution
      of its output.

    This counts fewer bytes than `analyze`, which takes operators as they are written.

    Args:
        block: classes of the modules that are rows of the layer table. A fully connected layer has resolution 1.
        bytes_per_value: 2 in the paper.
    Returns: side of the feature map in pixels -> channels and bytes, the largest first.
    Raises: ValueError: the model has no module of these classes.
    Source: Sandler et al. 2018, https://arxiv.org/abs/1801.04381, Section 5.1 and Table 3. Differs from the paper: the
    paper leaves out 112 x 112, where it splits the first layers in the same way; here it is told like the others.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 8, 3, stride=2, padding=1))
        >>> block_memory(model, (3, 56, 56), block=nn.Conv2d, at="input")
        {56: BlockMemory(channels=32, size_bytes=200704)}
    """
    twin = meta_twin(model)
    channels: dict[int, int] = {}

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        x: Tensor = inputs[0]
        side = _side(x if at == "input" else output)
        held = max(x.shape[1], output.shape[1]) if at == "input" else output.shape[1]
        channels[side] = max(channels.get(side, 0), held)

    for module in twin.modules():
        if isinstance(module, block):
            module.register_forward_hook(note)
    with torch.no_grad():
        twin(torch.empty((1, *input_shape(model, input_size)), device="meta"))
    if not channels:
        names = ", ".join(kind.__name__ for kind in (block if isinstance(block, tuple) else (block,)))
        raise ValueError(f"{type(model).__name__} has no module of the class {names}")
    return {
        side: BlockMemory(count, count * side * side * bytes_per_value)
        for side, count in sorted(channels.items(), reverse=True)
    }


def _side(x: Tensor) -> int:
    return x.shape[-1] if x.dim() == 4 else 1
