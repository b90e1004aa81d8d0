"""Products by integer addition in Triton, for GPUs: the bits that the reference gives, by both rules for gradients.

A program holds a tile of sums in registers and adds products one at a time, in the reference's order: integer additions
and sums of floats, in which a compiler may not change the order. Where all factors are finite and no product leaves
float32's range, which `_ranges` finds out beforehand, a product is one addition, and zeros are masked.
"""

# mypy: disable-error-code="import-untyped, no-untyped-call"

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from featherweight.ops._convolution import output_shape
from featherweight.ops._triton import Tile

from . import _programs, reference
from . import matmul as matrices
from ._check import check_types

PRODUCTS = Tile(rows=32, results=2048, each=64)
SLOPES = Tile(rows=32, results=1024, each=32)
PIECE = 2**26  # sums of pictures' weight gradients at a time


class Walk(NamedTuple):
    """A way through memory: three nested loops, the last the fastest, and how far apart what each meets lies."""

    counts: tuple[int, int, int]
    steps: tuple[int, int, int]


def multiply(a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
    """Multiply element by element: see `multiply.forward`."""
    check_types(a, b)
    return _elementwise(a, b, None, compensation)


def multiply_gradient(grad: Tensor, a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
    """Work out dL/da of a product: see `multiply.multiply_gradient`."""
    return _elementwise(grad, b, a if backward == "exact" else None, compensation)


def matmul(a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
    """Compute the matrix product: see `matmul.forward`."""
    matrices.check_matrices(a, b)
    return _product(a, b, None, compensation)


def matmul_gradient(grad: Tensor, a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
    """Work out dL/da of a matrix product: see `matmul.matmul_gradient`."""
    return _product(grad, b.mT, a if backward == "exact" else None, compensation)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, backward: str, compensation: float,
) -> Tensor:  # fmt: skip
    """Compute the output [N, O, H', W']: see `conv2d.forward`."""
    check_types(x, weight)
    shape = output_shape(x, weight, bias, stride, padding, dilation, groups)
    y = x.new_zeros(shape)
    if y.numel() and weight.numel():
        padded, places, terms = _walks(x, weight, shape, stride, padding, dilation)
        filters = weight.reshape(groups, len(weight) // groups, -1).mT.contiguous()
        sides = len(x) * groups, len(weight) // groups, shape[2] * shape[3]
        _sums(filters, padded, None, y, sides, places, terms, compensation)
    return y if bias is None else y + bias[:, None, None]


def conv2d_weight_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, backward: str, compensation: float,
) -> Tensor:  # fmt: skip
    """Work out dL/dweight [O, C/groups, kh, kw]: see `conv2d.conv2d_weight_gradient`."""
    total = torch.zeros_like(weight, memory_format=torch.contiguous_format)
    if not grad.numel() or not weight.numel():
        return total
    padded, places, terms = _walks(x, weight, grad.shape, stride, padding, dilation)
    own = weight.reshape(groups, len(weight) // groups, -1).contiguous() if backward == "exact" else None
    grads = grad.reshape(len(grad), groups, len(weight) // groups, -1).mT.contiguous()
    pictures = max(1, PIECE // weight.numel())
    for some, there in zip(grads.split(pictures), padded.split(pictures), strict=True):
        sums = weight.new_empty(len(some), *weight.shape)
        sides = len(some) * groups, len(weight) // groups, weight[0].numel()
        _sums(some.flatten(0, 1), there, own, sums, sides, terms, places, compensation)
        with torch.cuda.device_of(weight):
            grid = (triton.cdiv(weight.numel(), 256),)
            _programs.add_in_order[grid](sums, total, len(some), weight.numel(), BLOCK=256, enable_fp_fusion=False)
    return total


def conv2d_input_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, backward: str, compensation: float,
) -> Tensor:  # fmt: skip
    """Work out dL/dx [N, C, H, W]: see `conv2d.conv2d_input_gradient`."""
    result = torch.zeros_like(x, memory_format=torch.contiguous_format)
    if not x.numel() or not weight.numel():
        return result
    x, grad, exact = x.contiguous(), grad.contiguous(), backward == "exact"
    filters = weight.unflatten(0, (groups, -1)).permute(0, 3, 4, 1, 2).contiguous()
    outputs, (channels, *kernel) = len(weight) // groups, weight.shape[1:]
    height, width = (triton.cdiv(side, step) for side, step in zip(x.shape[2:], stride, strict=True))
    rows, columns, warps = SLOPES.fit(channels, height * width)
    tiles = triton.cdiv(height * width, columns)
    grid = len(x) * groups * stride[0] * stride[1] * tiles, triton.cdiv(channels, rows)
    with torch.cuda.device_of(x):
        ranges = _ranges(grad, filters, x if exact else None)
        for usual in (True, False):
            _programs.input_gradients[grid](
                grad, x, filters, result, ranges, reference.offset(compensation), groups, outputs, channels, *kernel,
                *x.shape[2:], *grad.shape[2:], *stride, *padding, *dilation, EXACT=exact, USUAL=usual, ROWS=rows,
                COLUMNS=columns, num_warps=warps, enable_fp_fusion=False,
            )  # fmt: skip
    return result


def _walks(
    x: Tensor, weight: Tensor, shape: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[Tensor, Walk, Walk]:  # fmt: skip
    """Lay zeros around pictures; say where a picture's places lie from there, and a place's terms from it."""
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).contiguous()
    height, width = padded.shape[2:]
    channels, kernel_height, kernel_width = weight.shape[1:]
    places = Walk((1, shape[2], shape[3]), (0, stride[0] * width, stride[1]))
    terms = Walk((channels, kernel_height, kernel_width), (height * width, dilation[0] * width, dilation[1]))
    return padded, places, terms


def _product(left: Tensor, right: Tensor, own: Tensor | None, compensation: float) -> Tensor:
    """[..., rows, depth] by [..., depth, columns]; with own [..., rows, columns], by the slopes along it."""
    outer = reference.product_shape(left, right)[:-2]
    sides = outer.numel(), left.shape[-2], right.shape[-1]
    result = left.new_zeros(sides)
    if result.numel() and left.shape[-1]:
        turned, factors = (_batched(one, outer) for one in (left.mT, right))
        slopes = None if own is None else _batched(own, outer)
        columns, terms = (
            Walk((1, 1, count), (0, 0, step)) for count, step in ((sides[2], 1), (left.shape[-1], sides[2]))
        )
        _sums(turned, factors, slopes, result, sides, columns, terms, compensation)
    return result.view(*outer, *sides[1:])


def _batched(x: Tensor, outer: torch.Size) -> Tensor:
    return x.expand(*outer, *x.shape[-2:]).reshape(outer.numel(), *x.shape[-2:]).contiguous()


def _sums(
    a: Tensor, b: Tensor, own: Tensor | None, result: Tensor, sides: tuple[int, int, int], columns: Walk, terms: Walk,
    compensation: float,
) -> None:  # fmt: skip
    """Give result [batch, rows, columns] its sums over terms of products of a and b, or of a and slopes along own.

    Args:
        a: [batch or a divisor of it, terms, rows].
        b: as many numbers for each of the batch; in them lie columns and, from each of these, terms.
        own: [batch or a divisor of it, rows, columns], or None.
    """
    batch, rows, width = sides
    with torch.cuda.device_of(a):
        ranges = _ranges(a, b, own)
        for usual in (True, False):
            height, block, warps = (PRODUCTS if usual and own is None else SLOPES).fit(rows, width)
            grid = batch * triton.cdiv(width, block), triton.cdiv(rows, height)
            _programs.sums[grid](
                a, b, own, result, ranges, reference.offset(compensation), rows, width, len(a),
                1 if own is None else len(own), b.numel() // batch, *columns.counts[1:], *columns.steps, *terms.counts,
                *terms.steps, EXACT=own is not None, USUAL=usual, ROWS=height, COLUMNS=block, num_warps=warps,
                enable_fp_fusion=False,
            )  # fmt: skip


def _ranges(*tensors: Tensor | None) -> Tensor:
    """Find each tensor's largest and least number but zero: see `_programs.range_of`."""
    result = torch.zeros(len(tensors), 2, dtype=torch.int32, device=next(x.device for x in tensors if x is not None))
    for x, into in zip(tensors, result, strict=True):
        if x is not None:
            _programs.range_of[(triton.cdiv(x.numel(), 4096),)](x, into, x.numel(), BLOCK=4096, enable_fp_fusion=False)
    return result


def _elementwise(a: Tensor, b: Tensor, own: Tensor | None, compensation: float) -> Tensor:
    tensors = torch.broadcast_tensors(a, b, b if own is None else own)
    flat = [one.contiguous() for one in tensors]
    result = torch.empty_like(flat[0])
    if result.numel():
        with torch.cuda.device_of(a):
            _programs.multiply[(triton.cdiv(result.numel(), 1024),)](
                flat[0], flat[1], flat[2] if own is not None else None, result, result.numel(),
                reference.offset(compensation), EXACT=own is not None, BLOCK=1024, enable_fp_fusion=False,
            )  # fmt: skip
    return result
