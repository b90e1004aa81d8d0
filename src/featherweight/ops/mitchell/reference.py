"""Products by integer addition in plain PyTorch: slow, obvious, and the definition of right, bit for bit.

A float32 above zero with the bit pattern I is about 2^(I / 2^23 - 127): its bits are nearly its logarithm (Mitchell
1962, IRE Transactions on Electronic Computers EC-11, 512-517). So I(a) + I(b) - I(1) is nearly the product's.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from featherweight.ops._convolution import grouped, output_shape

SIGN = -(2**31)  # masks of a float32's bits, as int32
EXPONENT = 0x7F800000
FRACTION = 0x007FFFFF

ONE = 0x3F800000  # patterns
LEAST = 0x00800000  # the least normal number, 2^-126
INFINITY = 0x7F800000
NAN = 0x7FC00000


def multiply(a: Tensor, b: Tensor, compensation: float = 0.0) -> Tensor:
    """Each a times b, nearly: 2^e (1 + x) by 2^f (1 + y) is 2^(e + f) (1 + x + y).

    From x + y = 1 on, the sum's carry goes into the exponent: 2^(e + f + 1) (x + y).

    Args:
        a, b: float32, broadcast against each other.
        compensation: added to x + y.
    """
    a_bits, b_bits = a.view(torch.int32), b.view(torch.int32)
    sign = (a_bits ^ b_bits) & SIGN
    a_size, b_size = _size(a_bits), _size(b_bits)
    size = a_size + b_size - ONE + offset(compensation)
    size = torch.where(size < LEAST, 0, size.clamp(max=INFINITY))
    zero = (a_size < LEAST) | (b_size < LEAST)
    size = torch.where((a_size == INFINITY) | (b_size == INFINITY), INFINITY, size).masked_fill(zero, 0)
    undefined = (a_size > INFINITY) | (b_size > INFINITY) | (zero & ((a_size == INFINITY) | (b_size == INFINITY)))
    return torch.where(undefined, NAN, sign | size.int()).view(torch.float32)


def slope(a: Tensor, b: Tensor, compensation: float = 0.0) -> Tensor:
    """The derivative of `multiply(a, b)` along a, a power of two: b's sign and exponent, one more where x + y >= 1.

    Args: as `multiply`.
    Returns: 0 where b is 0 or subnormal, infinite where b is or the exponent is too large, NaN where a or b is.
    """
    a_bits, b_bits = a.view(torch.int32), b.view(torch.int32)
    a_size, b_size = _size(a_bits), _size(b_bits)
    fraction = torch.where(a_size < LEAST, 0, a_size & FRACTION) + (b_size & FRACTION) + offset(compensation)
    size = ((b_size & EXPONENT) + (fraction & ~FRACTION)).clamp(max=INFINITY)
    size = torch.where(b_size < LEAST, 0, size).int()
    undefined = (a_size > INFINITY) | (b_size > INFINITY)
    return torch.where(undefined, NAN, (b_bits & SIGN) | size).view(torch.float32)


def _size(bits: Tensor) -> Tensor:
    """The pattern without its sign, in 64 bits, where no sum of two overflows."""
    return (bits & ~SIGN).long()


def offset(compensation: float) -> int:
    """Return the compensation in units of a fraction's last bit."""
    return round(compensation * 2**23)


def product_shape(a: Tensor, b: Tensor) -> torch.Size:
    """Shape of the matrix product [..., m, n]."""
    outer = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # type: ignore[no-untyped-call]
    return torch.Size((*outer, a.shape[-2], b.shape[-1]))


def matmul(a: Tensor, b: Tensor, compensation: float = 0.0) -> Tensor:
    """[..., m, k] by [..., k, n] -> [..., m, n]: from +0 on, the products over k are added one by one, in float32.

    Args: as `multiply`.
    """
    total = a.new_zeros(product_shape(a, b))
    for k in range(a.shape[-1]):
        total += multiply(a[..., k, None], b[..., k, :].unsqueeze(-2), compensation)
    return total


def matmul_gradient(grad: Tensor, a: Tensor, b: Tensor, backward: str, compensation: float = 0.0) -> Tensor:
    """dL/da of `matmul` [..., m, k]: products over n, by `multiply`, added as in `matmul`.

    Args:
        grad: dL/d(ab) [..., m, n].
        backward: "approximate": grad times b, with the same compensation; "exact": grad times `slope(a, b)`.
    """
    if backward == "approximate":
        return matmul(grad, b.transpose(-1, -2), compensation)
    total = a.new_zeros(*grad.shape[:-2], a.shape[-2], a.shape[-1])
    for n in range(grad.shape[-1]):
        total += multiply(grad[..., n, None], slope(a, b[..., n].unsqueeze(-2), compensation))
    return total


def conv2d(
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    compensation: float = 0.0,
) -> Tensor:
    """Each filter by the patch at each place, added as in `matmul` in the order (c, i, j) in which the weight lies.

    Args:
        x: [N, C, H, W]; around it lie zeros.
        weight: [O, C/groups, kh, kw].
    Returns: [N, O, H', W'].
    """
    shape = output_shape(x, weight, None, stride, padding, dilation, groups)
    filters, patches = _filters(weight, groups), _patches(x, weight, stride, padding, dilation, groups)
    return matmul(filters, patches, compensation).reshape(shape)


def conv2d_input_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    backward: str,
    compensation: float = 0.0,
) -> Tensor:
    """dL/dx: that of each patch, its products over the group's filters added as in `matmul`; then patches over (i, j).

    Args: grad: [N, O, H', W']; backward: as `matmul_gradient`; the others as `conv2d`.
    """
    filters, patches = _filters(weight, groups), _patches(x, weight, stride, padding, dilation, groups)
    grads = grouped(grad.flatten(2), 1, groups)
    turned = matmul_gradient(
        grads.transpose(-1, -2), patches.transpose(-1, -2), filters.transpose(-1, -2), backward, compensation
    )
    columns = turned.transpose(-1, -2).flatten(1, 2)
    return F.fold(columns, x.shape[2:], weight.shape[2:], dilation, padding, stride)  # type: ignore[arg-type]


def conv2d_weight_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    backward: str,
    compensation: float = 0.0,
) -> Tensor:
    """dL/dweight: the products over a picture's places added as in `matmul`; then the pictures, one after the other.

    Args: as `conv2d_input_gradient`.
    """
    filters, patches = _filters(weight, groups), _patches(x, weight, stride, padding, dilation, groups)
    grads = grouped(grad.flatten(2), 1, groups)
    total = torch.zeros_like(filters)
    for picture in matmul_gradient(grads, filters, patches, backward, compensation):
        total += picture
    return total.reshape(weight.shape)


def _filters(weight: Tensor, groups: int) -> Tensor:
    """[O, C/groups, kh, kw] -> [groups, O/groups, C/groups * kh * kw]."""
    return grouped(weight.contiguous().flatten(1), 0, groups)


def _patches(
    x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> Tensor:
    """[N, C, H, W] -> [N, groups, C/groups * kh * kw, H' * W']."""
    columns = F.unfold(x, weight.shape[2:], dilation, padding, stride)  # type: ignore[arg-type]
    return grouped(columns, 1, groups)
