"""The adder layer's kernels in Triton, for GPUs: output and input gradient.

A program holds a tile of sums in registers, channels by pixels, in float32: 64 sums a thread in the forward pass, so
that four of five instructions are the two additions of a term (read off the machine code for an H200; never run on
one). A term's numbers, a column and a row that all of the tile meets, come through shared memory some terms ahead.
No order of additions depends on chance.
"""

# ruff: noqa: N803
# mypy: disable-error-code="import-untyped, no-untyped-call, no-untyped-def, untyped-decorator"

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from featherweight.ops._convolution import output_shape
from featherweight.ops._triton import Tile, step

from . import op, reference
from .cpu import left_to_reference

DISTANCES = Tile(rows=64, results=4096, each=64)
INPUT_GRADIENTS = Tile(rows=16, results=1024, each=16)


def adder2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, gradient: str,
) -> Tensor:  # fmt: skip
    """Compute the output [N, O, H', W']: see `op.adder2d`."""
    shape = output_shape(x, weight, bias, stride, padding, dilation, groups)
    if left_to_reference(x, weight):
        return op.by_reference(x, weight, bias, stride, padding, dilation, groups)
    filters = _by_place(weight, groups).mT.contiguous()
    y = x.new_empty(shape)
    outputs, columns = shape[1] // groups, shape[0] * shape[2] * shape[3]
    rows, width, warps = DISTANCES.fit(outputs, columns)
    with torch.cuda.device_of(x):
        _distances[triton.cdiv(columns, width) * groups, triton.cdiv(outputs, rows)](
            x.contiguous(), filters, bias, y, groups, outputs, *weight.shape[1:], *x.shape[2:], *shape[2:], columns,
            *stride, *padding, *dilation, STEP=step(weight.shape[1]), ROWS=rows, COLUMNS=width, num_warps=warps,
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
    rows, columns, warps = INPUT_GRADIENTS.fit(channels, height * width)
    tiles = triton.cdiv(height * width, columns)
    grid = len(x) * groups * stride[0] * stride[1] * tiles, triton.cdiv(channels, rows)
    with torch.cuda.device_of(x):
        _input_gradients[grid](
            grad.contiguous(), x.contiguous(), _by_place(weight, groups).contiguous(), result, groups, outputs,
            channels, *kernel, *x.shape[2:], *grad.shape[2:], *stride, *padding, *dilation,
            SIGN=gradient == "sign", STEP=step(outputs), ROWS=rows, COLUMNS=columns, num_warps=warps,
            enable_fp_fusion=True,
        )  # fmt: skip
    return result


def _by_place(weight: Tensor, groups: int) -> Tensor:
    """[O, C/groups, kh, kw] -> [groups, kh, kw, O/groups, C/groups]."""
    by_place: Tensor = weight.unflatten(0, (groups, -1)).permute(0, 3, 4, 1, 2)
    return by_place


@triton.jit
def _distances(
    x, filters, bias, y, groups, outputs, channels, kernel_height, kernel_width, height, width, y_height, y_width,
    columns, stride_down, stride_right, above, left, dilation_down, dilation_right, STEP: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    # A column is a pixel of the output, of whichever picture; what it meets outside its picture is zero.
    tiles = tl.cdiv(columns, COLUMNS)
    group = tl.program_id(0) // tiles
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = (tl.program_id(0) % tiles).to(tl.int64) * COLUMNS + tl.arange(0, COLUMNS)
    pixels, plane = y_height * y_width, height * width
    picture, pixel = column // pixels * groups + group, (column % pixels).to(tl.int32)
    down, right = pixel // y_width * stride_down - above, pixel % y_width * stride_right - left
    corner = x + picture * channels * plane
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i in range(kernel_height):
        for j in range(kernel_width):
            to_down, to_right = down + i * dilation_down, right + j * dilation_right
            inside = (column < columns) & (to_down >= 0) & (to_down < height) & (to_right >= 0) & (to_right < width)
            here = corner + to_down * width + to_right
            place = filters + ((group * kernel_height + i) * kernel_width + j) * channels * outputs
            for first in tl.range(0, channels, STEP, num_stages=3):
                for channel in tl.static_range(STEP):
                    value = tl.load(here + (first + channel) * plane, mask=inside, other=0.0)
                    term = tl.load(place + (first + channel) * outputs + row, mask=row < outputs, other=0.0)
                    sums += tl.abs(value.to(tl.float32)[None, :] - term.to(tl.float32)[:, None])
    sums = -sums
    if bias is not None:
        sums += tl.load(bias + group * outputs + row, mask=row < outputs, other=0.0).to(tl.float32)[:, None]
    at = y + (picture * outputs * pixels + pixel)[None, :] + row[:, None].to(tl.int64) * pixels
    tl.store(at, sums, mask=(row < outputs)[:, None] & (column < columns)[None, :])


@triton.jit
def _input_gradients(
    grad, x, filters, result, groups, outputs, channels, kernel_height, kernel_width, height, width,
    grad_height, grad_width, stride_down, stride_right, above, left, dilation_down, dilation_right,
    SIGN: tl.constexpr, STEP: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
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
                for first in tl.range(0, outputs, STEP, num_stages=2):
                    for output in tl.static_range(STEP):
                        factor = tl.load(there + (first + output) * pixels, mask=met, other=0.0).to(tl.float32)
                        term = tl.load(place + (first + output) * channels, mask=row < channels, other=0.0)
                        difference = term.to(tl.float32)[:, None] - own
                        if SIGN:
                            slope = (difference > 0).to(tl.float32) - (difference < 0).to(tl.float32)
                        else:
                            slope = tl.clamp(difference, -1.0, 1.0, propagate_nan=tl.PropagateNan.ALL)
                        sums += slope * factor[None, :]
                total += tl.where(met[None, :], sums, 0.0)
    tl.store(result + at, total, mask=inside)
