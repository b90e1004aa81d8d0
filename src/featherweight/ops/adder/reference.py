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

PIECE = 2**18  # terms at a time: so few stay in the processor's cache

Slope = Callable[[Tensor], Tensor]

FILTER_SLOPES: dict[str, Slope] = {
    "sign": Tensor.sign_,  # (4): the derivative of the l1 distance
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
    p: float = 1.0,
) -> Tensor:
    """Y(m, n, t) = - sum over i, j, k of |X(m + i, n + j, k) - F(i, j, k, t)|^p; with p = 1, (2).

    Args:
        x: X [N, C, H, W]; around it lie zeros, which are terms like all: |0 - F|.
        weight: F [O, C/groups, kh, kw].
        in_pieces: False: all output channels at once, in operations that do not depend on the batch, for tracing.
    Returns: Y [N, O, H', W'].
    """
    padded, filters = grouped(_padded(x, padding), 1, groups), grouped(weight, 0, groups)
    distances = (
        _distance(_window(padded, tap), _at(filters, tap), in_pieces, p) for tap in taps(weight, stride, dilation)
    )
    return -reduce(torch.add, distances).flatten(1, 2)


def _distance(there: Tensor, filters: Tensor, in_pieces: bool, p: float) -> Tensor:
    """Sum |X - F|^p over channels for one place of the kernel: [N, groups, O/groups, H', W']."""
    pieces = torch.split(filters, _channels(there), 1) if in_pieces else [filters]
    terms = ((there - some).abs_() for some in pieces)
    return torch.cat([(term if p == 1 else _power(term, p)).sum(3) for term in terms], 2)


def input_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    gradient: str,
    p: float = 1.0,
) -> Tensor:
    """dL/dX, with dY/dX = HT(F - X)  (6), HT(x) = x clipped to [-1, 1]  (7); with "sign", the derivative sgn(F - X).

    Args: grad: dL/dY [N, O, H', W']; gradient: has no part where p > 1, with the derivative; the others as `adder2d`.
    Returns: [N, C, H, W].
    """
    slope = INPUT_SLOPES[gradient] if p == 1 else _derivative(p)
    padded = grouped(_padded(x, padding), 1, groups)
    filters, grads = grouped(weight, 0, groups), grouped(grad, 1, groups)
    result = torch.zeros_like(padded)
    for tap in taps(weight, stride, dilation):
        there = _window(padded, tap)
        for some, part in _pieces(there, _at(filters, tap), grads):
            result[..., tap.rows, tap.columns] += slope(some - there).mul_(part.unsqueeze(3)).sum(2)
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
    p: float = 1.0,
) -> Tensor:
    """dL/dF, with dY/dF = X - F  (5); with "sign", the derivative sgn(X - F)  (4).

    Args: as `input_gradient`.
    Returns: [O, C/groups, kh, kw].
    """
    slope = FILTER_SLOPES[gradient] if p == 1 else _derivative(p)
    padded = grouped(_padded(x, padding), 1, groups)
    filters, grads = grouped(weight, 0, groups), grouped(grad, 1, groups)
    result = torch.empty_like(filters, memory_format=torch.contiguous_format)
    for tap in taps(weight, stride, dilation):
        there = _window(padded, tap)
        slopes = (
            slope(there - some).mul_(part.unsqueeze(3)).sum((0, 4, 5))
            for some, part in _pieces(there, _at(filters, tap), grads)
        )
        result[..., tap.i, tap.j] = torch.cat(list(slopes), 1)
    return result.flatten(0, 1)


def adder2d_int8(
    x: Tensor,
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    zero: int,
    shortcut: Tensor | None,
    shortcut_scale: float,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Sums of absolute differences of bytes, around which `zero` lies, scaled, shifted and rounded to bytes.

    In float64 sums of bytes are exact; from there on all is float32.
    """
    rows, columns = padding
    padded = F.pad(x.double(), (columns, columns, rows, rows), value=float(zero))
    sums = -adder2d(padded, weight.double(), stride, (0, 0), dilation, groups)
    y = sums.float() * scale[:, None, None] + shift[:, None, None]
    if shortcut is not None:
        y += shortcut.float() * shortcut_scale
    return y.round().clamp(0, 255).to(torch.uint8)


def _derivative(p: float) -> Slope:
    """Return the derivative of |d|^p, p sgn(d) |d|^(p - 1)."""
    return lambda difference: _power(difference.abs(), p - 1).mul_(p).copysign_(difference)


def _power(x: Tensor, p: float) -> Tensor:
    """Raise numbers that are not below zero to a power above zero, in place: a quarter of the time of `pow`."""
    return x.log_().mul_(p).exp_()


def _padded(x: Tensor, padding: Sequence[int]) -> Tensor:
    rows, columns = padding
    return F.pad(x, (columns, columns, rows, rows))


def _window(padded: Tensor, tap: Tap) -> Tensor:
    """The pixels that a place of the kernel meets: [N, groups, 1, C/groups, H', W']."""
    return padded[..., tap.rows, tap.columns].unsqueeze(2).contiguous()


def _at(filters: Tensor, tap: Tap) -> Tensor:
    """What the filters have at a place: [groups, O/groups, C/groups, 1, 1]."""
    return filters[..., tap.i, tap.j, None, None]


def _channels(there: Tensor) -> int:
    """How many output channels of each group to do at a time."""
    return max(1, PIECE // max(1, there.numel()))


def _pieces(there: Tensor, filters: Tensor, grads: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through the filters and the gradients of their outputs, some output channels of each group at a time."""
    channels = _channels(there)
    yield from zip(torch.split(filters, channels, 1), torch.split(grads, channels, 2), strict=True)
