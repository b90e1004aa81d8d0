"""The adder layer's kernels in Triton, for GPUs: output and input gradient.

A program holds a tile of sums in registers, channels by pixels, in float32. It loads one term at a time, as a column
and a row that all of the tile meets; no order of additions depends on chance. Before the forward pass zeros are laid
around the pictures, so that a term's pixels lie equally far from the next one's.
"""

# ruff: noqa: N803
# mypy: disable-error-code="import-untyped, no-untyped-call, no-untyped-def, untyped-decorator"

from collections.abc import Sequence

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from featherweight.ops._convolution import output_shape
from featherweight.ops._triton import tile

from . import op, reference
from .cpu import left_to_reference


def adder2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, gradient: str,
) -> Tensor:  # fmt: skip
    """Compute the output [N, O, H', W']: see `op.adder2d`."""
    shape = output_shape(x, weight, bias, stride, padding, dilation, groups)
    if left_to_reference(x, weight):
        return op.by_reference(x, weight, bias, stride, padding, dilation, groups)
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).contiguous()
    filters = _by_place(weight, groups).mT.contiguous()
    y = x.new_empty(shape)
    outputs, pixels, line = shape[1] // groups, shape[2] * shape[3], padded.shape[3]
    rows, columns = tile(outputs, pixels, most=64)
    grid = shape[0] * groups * triton.cdiv(pixels, columns), triton.cdiv(outputs, rows)
    with torch.cuda.device_of(x):
        _distances[grid](
            padded, filters, bias, y, groups, outputs, *weight.shape[1:], pixels, shape[3], padded.shape[2] * line,
            stride[0] * line, stride[1], dilation[0] * line, dilation[1], ROWS=rows, COLUMNS=columns,
            enable_fp_fusion=True,
        )  # fmt: skip
    return y


def input_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, gradient: str,
) -> Tensor:  # fmt: skip
    """Work out dL/dX [N, C, H, W] from dL/dY."""
    if left_to_reference(x, weight):
        return reference.input_gradient(grad, x, weight, stride, padding, dilation, groups, gradient)
    result = torch.empty_like(x, memory_format=torch.contiguous_format)
    outputs, (channels, *kernel) = len(weight) // groups, weight.shape[1:]
    height, width = (triton.cdiv(side, step) for side, step in zip(x.shape[2:], stride, strict=True))
    rows, columns = tile(channels, height * width)
    tiles = triton.cdiv(height * width, columns)
    grid = len(x) * groups * stride[0] * stride[1] * tiles, triton.cdiv(channels, rows)
    with torch.cuda.device_of(x):
        _input_gradients[grid](
            grad.contiguous(), x.contiguous(), _by_place(weight, groups).contiguous(), result, groups, outputs,
            channels, *kernel, *x.shape[2:], *grad.shape[2:], *stride, *padding, *dilation,
            SIGN=gradient == "sign", ROWS=rows, COLUMNS=columns, enable_fp_fusion=True,
        )  # fmt: skip
    return result


def _by_place(weight: Tensor, groups: int) -> Tensor:
    """[O, C/groups, kh, kw] -> [groups, kh, kw, O/groups, C/groups]."""
    by_place: Tensor = weight.unflatten(0, (groups, -1)).permute(0, 3, 4, 1, 2)
    return by_place


@triton.jit
def _distances(
    x, filters, bias, y, groups, outputs, channels, kernel_height, kernel_width, pixels, width, plane,
    stride_down, stride_right, dilation_down, dilation_right, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    tiles = tl.cdiv(pixels, COLUMNS)
    picture = (tl.program_id(0) // tiles).to(tl.int64)  # one group's channels of it
    group = picture % groups
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(0) % tiles * COLUMNS + tl.arange(0, COLUMNS)
    pixel = x + picture * channels * plane + column // width * stride_down + column % width * stride_right
    place = filters + group * kernel_height * kernel_width * channels * outputs + row
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i in range(kernel_height):
        for j in range(kernel_width):
            here = pixel + i * dilation_down + j * dilation_right
            for _ in range(channels):
                value = tl.load(here, mask=column < pixels, other=0.0).to(tl.float32)
                term = tl.load(place, mask=row < outputs, other=0.0).to(tl.float32)
                sums += tl.abs(value[None, :] - term[:, None])
                here += plane
                place += outputs
    sums = -sums
    if bias is not None:
        sums += tl.load(bias + group * outputs + row, mask=row < outputs, other=0.0).to(tl.float32)[:, None]
    at = y + picture * outputs * pixels + row[:, None].to(tl.int64) * pixels + column[None, :]
    tl.store(at, sums, mask=(row < outputs)[:, None] & (column < pixels)[None, :])


@triton.jit
def _input_gradients(
    grad, x, filters, result, groups, outputs, channels, kernel_height, kernel_width, height, width,
    grad_height, grad_width, stride_down, stride_right, above, left, dilation_down, dilation_right,
    SIGN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    # A program's pixels lie a stride apart: a place of the kernel meets all of them or none.
    across = tl.cdiv(width, stride_right)
    tiles = tl.cdiv(tl.cdiv(height, stride_down) * across, COLUMNS)
    number = tl.program_id(0) // tiles
    picture = (number // (stride_down * stride_right)).to(tl.int64)  # one group's channels of it
    first_down, first_right = number // stride_right % stride_down, number % stride_right
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(0) % tiles * COLUMNS + tl.arange(0, COLUMNS)
    down, right = column // across * stride_down + first_down, column % across * stride_right + first_right
    inside = (row < channels)[:, None] & ((down < height) & (right < width))[None, :]
    at = picture * channels * height * width + row[:, None].to(tl.int64) * height * width + (down * width + right)
    own = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    pixel, pixels = grad + picture * outputs * grad_height * grad_width, grad_height * grad_width
    places = filters + picture % groups * kernel_height * kernel_width * outputs * channels + row
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i in range(kernel_height):
        for j in range(kernel_width):
            from_down, from_right = above - i * dilation_down, left - j * dilation_right
            if (first_down + from_down) % stride_down == 0 and (first_right + from_right) % stride_right == 0:
                to_down, to_right = (down + from_down) // stride_down, (right + from_right) // stride_right
                met = (down + from_down >= 0) & (to_down < grad_height)
                met = met & (right + from_right >= 0) & (to_right < grad_width)
                there = pixel + to_down * grad_width + to_right
                place = places + (i * kernel_width + j) * outputs * channels
                sums = tl.zeros((ROWS, COLUMNS), tl.float32)
                for _ in range(outputs):
                    factor = tl.load(there, mask=met, other=0.0).to(tl.float32)
                    difference = tl.load(place, mask=row < channels, other=0.0).to(tl.float32)[:, None] - own
                    if SIGN:
                        slope = (difference > 0).to(tl.float32) - (difference < 0).to(tl.float32)
                    else:
                        slope = tl.clamp(difference, -1.0, 1.0, propagate_nan=tl.PropagateNan.ALL)
                    sums += slope * factor[None, :]
                    there += pixels
                    place += channels
                total += tl.where(met[None, :], sums, 0.0)
    tl.store(result + at, total, mask=inside)
