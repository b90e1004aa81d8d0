"""Which input channel and which input pixel reach which output of a block: read off its Jacobian."""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_DRAWS = 8  # of weights, so that no link hides behind a unit that happens to be off
_PICTURES = 8  # for each of them
_ROUNDING = 1e-6  # what is left of links that cancel out, as in fast algorithms for convolution


@dataclass(frozen=True, kw_only=True, eq=False)
class Connectivity:
    """How strongly the outputs of a block hang on its inputs: 0 for not at all, 1 for the strongest link.

    A strength is the mean size of a derivative. Squeeze-excite, which averages over the picture, links every channel
    and pixel, but a hundred times more weakly than a convolution; `WEAK` lies between the two.

    Args:
        channels: [out_channels, in_channels], of each pair the strongest link over all pixels.
        pixels: [H, W], of the input, each pixel's strongest link to the output pixel in the middle.
    """

    WEAK: ClassVar[float] = 0.004

    channels: Tensor
    pixels: Tensor

    def groups(self) -> tuple[list[int], list[int]]:
        """Return the group of every input and of every output channel; strong links join channels into a group.

        Groups are numbered from 0 by their first input channel; -1 stands for an output without a strong link.

        Example:
            >>> from torch import nn
            >>> connectivity(nn.Conv2d(4, 2, 1, groups=2), 4).groups()
            ([0, 0, 1, 1], [0, 1])
        """
        linked = self.channels > self.WEAK
        inputs = list(range(linked.shape[1]))
        for row in linked:
            joined = {inputs[channel] for channel in row.nonzero().flatten().tolist()}
            inputs = [min(joined) if group in joined else group for group in inputs]
        names = {group: number for number, group in enumerate(dict.fromkeys(inputs))}
        numbers = [names[group] for group in inputs]
        firsts = (row.nonzero().flatten().tolist()[:1] for row in linked)
        return numbers, [numbers[first[0]] if first else -1 for first in firsts]


def connectivity(block: nn.Module, in_channels: int, *, side: int = 15) -> Connectivity:
    """Differentiate the middle pixel of a block's output by every input value.

    The weights are drawn anew several times, and batch normalisation is set to pictures like those that are asked
    about, so that a link is missing only where there is none.

    Args:
        block: maps [N, in_channels, H, W] to [N, out_channels, H', W']; it is copied, not changed.
        side: of the square pictures, in pixels; wide enough for the block's kernels.
    Raises: ValueError: the block's output is not of that shape.

    Example:
        >>> from torch import nn
        >>> links = connectivity(nn.Conv2d(2, 2, 3, padding=1, groups=2), 2)
        >>> (links.channels > links.WEAK).tolist(), int((links.pixels > links.WEAK).sum())
        ([[True, False], [False, True]], 9)
    """
    generator = torch.Generator().manual_seed(0)
    strength = torch.zeros(())
    for _ in range(_DRAWS):
        pictures = torch.randn(_PICTURES, in_channels, side, side, generator=generator)
        strength = strength + _jacobian(_redrawn(block, pictures, generator), pictures)
    strength = strength / strength.max()
    strength = strength.where(strength > _ROUNDING, 0.0)
    return Connectivity(channels=strength.amax((2, 3)), pixels=strength.amax((0, 1)))


@torch.no_grad()
def _redrawn(block: nn.Module, pictures: Tensor, generator: torch.Generator) -> nn.Module:
    """Copy a block with fresh weights, and with batch normalisation that is fixed to the pictures' own statistics."""
    twin = copy.deepcopy(block).float().eval().requires_grad_(False)
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
    pictures.requires_grad_()
    output = block(pictures.clone())  # a block may begin in place
    if not isinstance(output, Tensor) or output.ndim != 4:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"connectivity needs a block from pictures to pictures [N, C, H, W]; got {found} out of it")
    middle = output[:, :, output.shape[2] // 2, output.shape[3] // 2].sum(0)
    rows = (torch.autograd.grad(channel, pictures, retain_graph=True)[0] for channel in middle)
    return torch.stack([row.abs().mean(0) for row in rows])
