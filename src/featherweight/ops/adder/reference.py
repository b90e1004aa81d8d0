"""The adder layer in plain PyTorch: slow, obvious, and the definition of right.

Equations are numbered as in Chen et al. 2020, https://arxiv.org/abs/1912.13200. All loop over the kernel's places, so
that memory stays near that of input and output; terms for all output channels at once are made only in pieces.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from featherweight.ops._convolution import Tap, grouped, taps

PIECE = 2**16  # terms at a time: so few stay in the processor's cache

Slope = Callable[[Tensor], Tensor]

FILTER_SLOPES: dict[str, Slope] = {
    "sign": Tensor.sign_,  # (4): what the derivative of the l1 distance is
    "paper": lambda difference: difference,  # (5): "full-precision", that of half the squared distance
}
INPUT_SLOPES: dict[str, Slope] = {
    "sign": Tensor.sign_,
    "paper": lambda difference: difference.clamp_(-1, 1),  # (6) and (7): HT
}


def adder2d(
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    in_pieces: bool = True,
) -> Tensor:
    """Y(m, n, t) = - sum over i, j, k of |X(m + i, n + j, k) - F(i, j, k, t)|  (2).

    Args:
        x: X [N, C, H, W]; around it lie zeros, which are terms like all: |0 - F|.
        weight: F [O, C/groups, kh, kw].
        in_pieces: False: all output channels at once, in operations that do not depend on the batch, for tracing.
    Returns: Y [N, O, H', W'].
    """
    padded = grouped(_padded(x, padding), 1, groups)
    maps = []
    filters = grouped(weight, 0, groups)
    for some in torch.split(filters, _channels(padded), 1) if in_pieces else [filters]:
        differences = (_window(padded, tap) - _at(some, tap) for tap in taps(weight, stride, dilation))
        maps.append(-reduce(torch.add, (difference.abs_().sum(3) for difference in differences)))
    return torch.cat(maps, 2).flatten(1, 2)


def input_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    gradient: str,
) -> Tensor:
    """dL/dX, with dY/dX = HT(F - X)  (6), HT(x) = x clipped to [-1, 1]  (7); with "sign", the derivative sgn(F - X).

    Args: grad: dL/dY [N, O, H', W']; the others as `adder2d`.
    Returns: [N, C, H, W].
    """
    padded = grouped(_padded(x, padding), 1, groups)
    result = torch.zeros_like(padded)
    for filters, part in _pieces(grad, padded, weight, groups):
        for tap in taps(weight, stride, dilation):
            slope = INPUT_SLOPES[gradient](_at(filters, tap) - _window(padded, tap))
            result[..., tap.rows, tap.columns] += slope.mul_(part.unsqueeze(3)).sum(2)
    (height, width), (above, left) = x.shape[2:], padding
    return result.flatten(1, 2)[..., above : above + height, left : left + width].contiguous()


def weight_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    gradient: str,
) -> Tensor:
    """dL/dF, with dY/dF = X - F  (5); with "sign", the derivative sgn(X - F)  (4).

    Args: as `input_gradient`.
    Returns: [O, C/groups, kh, kw].
    """
    padded = grouped(_padded(x, padding), 1, groups)
    parts = []
    for filters, part in _pieces(grad, padded, weight, groups):
        result = torch.empty_like(filters)
        for tap in taps(weight, stride, dilation):
            slope = FILTER_SLOPES[gradient](_window(padded, tap) - _at(filters, tap))
            result[..., tap.i, tap.j] = slope.mul_(part.unsqueeze(3)).sum((0, 4, 5))
        parts.append(result)
    return torch.cat(parts, 1).flatten(0, 1).contiguous()


def _padded(x: Tensor, padding: Sequence[int]) -> Tensor:
    rows, columns = padding
    return F.pad(x, (columns, columns, rows, rows)).contiguous()


def _window(padded: Tensor, tap: Tap) -> Tensor:
    """The pixels that a place of the kernel meets: [N, groups, 1, C/groups, H', W']."""
    return padded[..., tap.rows, tap.columns].unsqueeze(2)


def _at(filters: Tensor, tap: Tap) -> Tensor:
    """What the filters have at a place: [groups, O/groups, C/groups, 1, 1]."""
    return filters[..., tap.i, tap.j, None, None]


def _channels(padded: Tensor) -> int:
    """How many output channels of each group to do at a time."""
    return max(1, PIECE // max(1, padded.numel()))


def _pieces(grad: Tensor, padded: Tensor, weight: Tensor, groups: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through the filters and the gradients of their outputs, some output channels of each group at a time."""
    channels = _channels(padded)
    filters, gradients = grouped(weight, 0, groups), grouped(grad, 1, groups)
    yield from zip(torch.split(filters, channels, 1), torch.split(gradients, channels, 2), strict=True)
