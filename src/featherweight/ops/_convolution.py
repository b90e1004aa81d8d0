"""What all operators of a convolution's shape share: the size of the output, and errors that say what came."""

from collections.abc import Iterable, Sequence
from itertools import product
from operator import index
from typing import NamedTuple

import torch
from torch import Tensor


def pair(value: int | Sequence[int]) -> list[int]:
    """Give (height, width) of what may be one number for both.

    Raises: ValueError: there are not one or two numbers.
    """
    try:
        both = [index(one) for one in value] if isinstance(value, Iterable) else [index(value)] * 2
    except TypeError:
        both = []
    if len(both) != 2:
        raise ValueError(f"wanted one whole number, or two for height and width; got {value}")
    return both


def output_shape(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> tuple[int, int, int, int]:
    """Return the shape of the output [N, O, H', W'].

    Raises:
        TypeError: the tensors are not of one floating-point type.
        ValueError: shapes, devices or settings do not fit each other.
        RuntimeError: the padded picture is smaller than the kernel, as PyTorch's convolution raises it.
    """
    _check(x, weight, bias)
    return geometry(x, weight, stride, padding, dilation, groups)


def geometry(
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> tuple[int, int, int, int]:
    """Return the shape of the output, as `output_shape`, of tensors of any types.

    Raises: ValueError, RuntimeError: as `output_shape`.
    """
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(
            f"wanted x [N, C, H, W] and weight [O, C/groups, kh, kw]; got {list(x.shape)} and {list(weight.shape)}"
        )
    if groups < 1 or x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ValueError(
            f"x has {x.shape[1]} channels; weight {list(weight.shape)} with groups={groups} is for "
            f"{weight.shape[1] * groups}, and groups must divide its {weight.shape[0]} outputs"
        )
    if min(weight.shape[2:]) < 1:
        raise ValueError(f"wanted a kernel of one place or more; got weight {list(weight.shape)}")
    if max(*stride, *dilation, *padding) >= 2**31:
        raise ValueError(
            f"stride, dilation and padding must be less than 2^31; got {list(stride)}, {list(dilation)}, "
            f"{list(padding)}"
        )
    if min(*stride, *dilation) < 1 or min(padding) < 0:
        raise ValueError(
            f"stride and dilation must be 1 or more, padding 0 or more; got {list(stride)}, {list(dilation)}, "
            f"{list(padding)}"
        )
    padded = [side + 2 * more for side, more in zip(x.shape[2:], padding, strict=True)]
    reach = [(side - 1) * step + 1 for side, step in zip(weight.shape[2:], dilation, strict=True)]
    if padded[0] < reach[0] or padded[1] < reach[1]:
        raise RuntimeError(
            f"the kernel reaches over {reach[0]} x {reach[1]} pixels, and the padded picture has only "
            f"{padded[0]} x {padded[1]}"
        )
    height, width = ((p - r) // s + 1 for p, r, s in zip(padded, reach, stride, strict=True))
    return x.shape[0], weight.shape[0], height, width


def _check(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    tensors = (x, weight) if bias is None else (x, weight, bias)
    if len({tensor.dtype for tensor in tensors}) > 1 or not x.is_floating_point():
        raise TypeError(f"wanted tensors of one floating-point type; got {', '.join(str(t.dtype) for t in tensors)}")
    if len({tensor.device for tensor in tensors}) > 1:
        raise ValueError(f"wanted tensors on one device; got {', '.join(str(t.device) for t in tensors)}")
    if bias is not None and weight.ndim and bias.shape != weight.shape[:1]:
        raise ValueError(f"wanted a bias [{weight.shape[0]}], one for each output channel; got {list(bias.shape)}")


class Tap(NamedTuple):
    """One place (i, j) of a kernel, and the slices of the padded picture's sides that it meets."""

    i: int
    j: int
    rows: slice
    columns: slice


def taps(weight: Tensor, stride: Sequence[int], dilation: Sequence[int]) -> list[Tap]:
    """Return the kernel's places, row by row."""
    # Not weight.shape, which is no number but a variable to PyTorch's tracer.
    sides = len(weight.unbind(2)), len(weight.unbind(3))
    rows, columns = (
        [_met(place, *geometry) for place in range(geometry[0])]
        for geometry in zip(sides, stride, dilation, strict=True)
    )
    return [Tap(i, j, rows[i], columns[j]) for i, j in product(range(len(rows)), range(len(columns)))]


def _met(place: int, side: int, stride: int, dilation: int) -> slice:
    behind = (side - 1 - place) * dilation
    return slice(place * dilation, -behind if behind else None, stride)


def grouped(x: Tensor, dim: int, groups: int) -> Tensor:
    """Give a dimension of channels as two, [groups, channels/groups]; exporters cannot write `unflatten`."""
    return x.unsqueeze(dim) if groups == 1 else torch.stack(x.chunk(groups, dim), dim)


def wide(x: Tensor) -> Tensor:
    """Give half precision as float32: its 8 or 11 bits are too few for a sum of hundreds of terms."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
