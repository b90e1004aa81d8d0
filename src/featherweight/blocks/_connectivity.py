"""Which input channel and which input pixel reach which output of a block: read off its Jacobian."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

_DRAWS = 8  # of weights, so that no link hides behind a unit that happens to be off
_PICTURES = 16  # for each of them
_ROUNDING = 1e-6  # what is left, beside the largest derivative, of those that cancel out in a fast convolution


class Link(IntEnum):
    """How an input reaches an output."""

    NONE = 0
    FAINT = 1  # only through the mean of the whole picture, as by squeeze-excite
    DIRECT = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Connectivity:
    """What reaches what in a block; the values are those of `Link`.

    Args:
        channels: int64 [out_channels, in_channels], by whatever pixel.
        pixels: int64 [H, W], of the input, to the output pixel in the middle, by whatever channel.
    """

    channels: Tensor
    pixels: Tensor

    def groups(self) -> tuple[list[int], list[int]]:
        """Return the group of every input and of every output channel; direct links join channels into a group.

        Groups are numbered from 0 by their first input channel; -1 stands for a channel without a direct link.

        Example:
            >>> from torch import nn
            >>> connectivity(nn.Conv2d(4, 2, 1, groups=2), 4).groups()
            ([0, 0, 1, 1], [0, 1])
        """
        reads = [row.nonzero().flatten().tolist() for row in self.channels == Link.DIRECT]
        inputs = list(range(self.channels.shape[1]))
        for channels in reads:
            joined = {inputs[channel] for channel in channels}
            inputs = [min(joined) if group in joined else group for group in inputs]
        used = sorted({inputs[channel] for channels in reads for channel in channels})
        numbers = [used.index(group) if group in used else -1 for group in inputs]
        return numbers, [numbers[channels[0]] if channels else -1 for channels in reads]


def connectivity(block: nn.Module, in_channels: int, *, side: int = 15) -> Connectivity:
    """Differentiate the middle pixel of a block's output by every input value.

    The weights are drawn anew several times, and batch normalisation is set to pictures like those that are asked
    about, so that a link is missing only where there is none. Links that are gone when means over the picture are held
    fixed are faint.

    Args:
        block: maps [N, in_channels, H, W] to [N, out_channels, H', W']; it is copied, not changed.
        side: of the square pictures, in pixels; wide enough for the block's kernels.
    Raises: ValueError: the block's output is not of that shape.

    Example:
        >>> from torch import nn
        >>> links = connectivity(nn.Conv2d(2, 2, 3, padding=1, groups=2), 2)
        >>> links.channels.tolist(), int((links.pixels == Link.DIRECT).sum())
        ([[2, 0], [0, 2]], 9)
    """
    generator = torch.Generator().manual_seed(0)
    every, direct = torch.zeros(()), torch.zeros(())
    for _ in range(_DRAWS):
        pictures = torch.randn(_PICTURES, in_channels, side, side, generator=generator)
        twin = _redrawn(block, pictures, generator)
        with _MeansHeld() as means:
            held = _jacobian(twin, pictures)
        direct = direct + held
        every = every + (_jacobian(twin, pictures) if means.met else held)
    floor = _ROUNDING * every.max()
    links = (every > floor).long() + (direct > floor).long()  # NONE + FAINT + DIRECT
    return Connectivity(channels=links.amax((2, 3)), pixels=links.amax((0, 1)))


class _MeansHeld(TorchFunctionMode):
    """Take means over the whole picture for constants while differentiating."""

    met = False  # whether there were any

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (Tensor.mean, torch.mean, F.adaptive_avg_pool2d):
            self.met = True
            return result.detach()
        return result


@torch.no_grad()
def _redrawn(block: nn.Module, pictures: Tensor, generator: torch.Generator) -> nn.Module:
    """Copy a block with fresh weights, and with batch normalisation that is fixed to the pictures' own statistics."""
    twin = copy.deepcopy(block).eval().requires_grad_(False)
    for parameter in twin.parameters():
        if parameter.ndim > 1:
            fan_in = parameter.numel() / parameter.shape[0]
            parameter.normal_(0.0, (2 / fan_in) ** 0.5, generator=generator)
    norms = [module for module in twin.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        if norm.affine:
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.normal_(0.0, 0.2, generator=generator)
        norm.reset_running_stats()
        norm.momentum = None  # take the statistics as they are
        norm.train()
    twin(pictures)
    return twin.eval()


def _jacobian(block: nn.Module, pictures: Tensor) -> Tensor:
    """Return the mean size of the derivatives of the middle output pixel: [out_channels, in_channels, H, W]."""
    pictures = pictures.clone().requires_grad_()
    output = block(pictures * 1)  # a block may begin in place
    if not isinstance(output, Tensor) or output.ndim != 4:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"connectivity needs a block from pictures to pictures [N, C, H, W]; got {found} out of it")
    middle = output[:, :, output.shape[2] // 2, output.shape[3] // 2].sum(0)
    rows = (torch.autograd.grad(channel, pictures, retain_graph=True)[0] for channel in middle)
    return torch.stack([row.abs().sum(0) for row in rows])
