"""The adder layer on bytes, as an operator of PyTorch: what int8 networks of adder layers are made of."""

from collections.abc import Sequence

import torch
from torch import Tensor

from featherweight.ops._convolution import geometry, pair
from featherweight.ops._library import operator
from featherweight.ops._native import COMPILED, array, native

from . import reference

LARGEST = torch.finfo(torch.float32).max


def adder2d_int8(
    x: Tensor,
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    *,
    zero: int = 0,
    shortcut: Tensor | None = None,
    shortcut_scale: float = 1.0,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Sum |x - weight| over bytes, and give the sums as bytes of another scale.

    y(n, o, m) = round(scale(o) S + shift(o) + shortcut_scale shortcut(n, o, m)), no less than 0 and no more than 255,
    with the integer S = sum over c, i, j of |x(n, c, s m + d (i, j)) - weight(o, c, i, j)|

    An absolute difference has one unit, so x and weight are on one scale, and byte b stands for the same number in
    both. The scale takes on the minus sign of AdderNet's layer, the batch norm behind it and the scale of the output;
    with 0 standing for zero there, the lower bound is a ReLU. Rounding is to the nearest, ties to the even one; product
    and sums are rounded to float32 one after the other, so that every processor gives the same bytes.

    It is the operator featherweight::adder2d_int8, for processors; it has no gradient.

    Args:
        x: uint8 [N, C, H, W].
        weight: uint8 [O, C/groups, kh, kw].
        scale, shift: float32 [O], finite.
        zero: the byte that lies around the picture, 0 to 255: which stands for zero.
        shortcut: uint8 [N, O, H', W'], added before the rounding; or None.
        shortcut_scale: its scale, finite.
        stride, padding, dilation: in pixels, one number or (rows, columns).
        groups: C for a depthwise layer.
    Shape: [N, C, H, W] -> uint8 [N, O, H', W'], sides as `torch.nn.functional.conv2d`
    Cost per image: H'*W'*O*C/groups*kh*kw absolute differences of bytes, each with one addition to the sum.
    Raises:
        TypeError: x, weight or shortcut is not uint8, or scale or shift not float32.
        ValueError: shapes, devices or settings do not fit, or a scale or shift is not finite.
        RuntimeError: the padded picture is smaller than the kernel.
    Source: Wang et al. 2021, https://arxiv.org/abs/2101.10015, for the one scale of features and weights.

    Example:
        >>> x, weight = torch.full((1, 3, 8, 8), 7, dtype=torch.uint8), torch.zeros(5, 3, 3, 3, dtype=torch.uint8)
        >>> y = adder2d_int8(x, weight, torch.full((5,), -0.5), torch.full((5,), 100.0))
        >>> y.shape, y[0, 0, 0, 0].item()
        (torch.Size([1, 5, 6, 6]), 6)
    """
    settings = pair(stride), pair(padding), pair(dilation), groups
    return forward(x, weight, scale, shift, zero, shortcut, float(shortcut_scale), *settings)


@operator("adder2d_int8", only="cpu")
def forward(
    x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, zero: int, shortcut: Tensor | None, shortcut_scale: float,
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    """Check the arguments and compute: see `adder2d_int8`."""
    settings = stride, padding, dilation, groups
    _check(x, weight, scale, shift, zero, shortcut, shortcut_scale, *settings)
    return reference.adder2d_int8(x, weight, scale, shift, zero, shortcut, shortcut_scale, *settings)


@forward.shapes
def _(
    x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, zero: int, shortcut: Tensor | None, shortcut_scale: float,
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    return x.new_empty(geometry(x, weight, stride, padding, dilation, groups))


def _check(
    x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, zero: int, shortcut: Tensor | None, shortcut_scale: float,
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Hold the arguments against each other; return the shape of the output."""
    bytes_ = [x, weight] if shortcut is None else [x, weight, shortcut]
    if any(tensor.dtype != torch.uint8 for tensor in bytes_):
        raise TypeError(f"wanted x, weight and shortcut as uint8; got {', '.join(str(t.dtype) for t in bytes_)}")
    if scale.dtype != torch.float32 or shift.dtype != torch.float32:
        raise TypeError(f"wanted scale and shift as float32; got {scale.dtype} and {shift.dtype}")
    if any(tensor.device.type != "cpu" for tensor in (*bytes_, scale, shift)):
        raise ValueError("wanted tensors on the processor: no other device has this operator")
    shape = geometry(x, weight, stride, padding, dilation, groups)
    if scale.shape != weight.shape[:1] or shift.shape != weight.shape[:1]:
        raise ValueError(
            f"wanted scale and shift [{len(weight)}], one for each output channel; got {list(scale.shape)} and "
            f"{list(shift.shape)}"
        )
    if shortcut is not None and shortcut.shape != shape:
        raise ValueError(f"wanted a shortcut as large as the output, {list(shape)}; got {list(shortcut.shape)}")
    if not 0 <= zero <= 255:
        raise ValueError(f"the byte for zero must be 0 to 255; got {zero}")
    if not (scale.isfinite().all() and shift.isfinite().all() and abs(shortcut_scale) <= LARGEST):
        raise ValueError("scale, shift and shortcut_scale must be finite in float32")
    return shape


if native is not None:

    @forward.kernel("cpu", COMPILED)
    def _(
        x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, zero: int, shortcut: Tensor | None,
        shortcut_scale: float, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int,
    ) -> Tensor:  # fmt: skip
        settings = stride, padding, dilation, groups
        shape = _check(x, weight, scale, shift, zero, shortcut, shortcut_scale, *settings)
        if not x.numel() or not weight.numel():
            return reference.adder2d_int8(x, weight, scale, shift, zero, shortcut, shortcut_scale, *settings)
        y = torch.empty(shape, dtype=torch.uint8, device="cpu")
        bytes_ = x.contiguous().numpy(), weight.contiguous().numpy(), array(scale), array(shift)
        added = None if shortcut is None else shortcut.contiguous().numpy()
        native.adder2d_int8(*bytes_, added, shortcut_scale, *settings, zero, y.numpy(), torch.get_num_threads())
        return y
