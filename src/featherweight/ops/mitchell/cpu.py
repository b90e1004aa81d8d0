"""Products by integer addition on processors, from csrc/mitchell.hpp, registered with PyTorch's dispatcher.

Each gives the bits that the reference gives. Where a slope may be infinite, which times zero is no number, the input
gradient of a convolution is left to the reference: for it, what lies outside of a picture is not zero but absent.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from featherweight.ops._convolution import output_shape
from featherweight.ops._native import COMPILED, Array, array, empty, native

from . import conv2d, matmul, multiply, reference
from ._check import check_types

if native is not None:

    @conv2d.forward.kernel("cpu", COMPILED)
    def _conv2d(
        x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
        dilation: Sequence[int], groups: int, backward: str, compensation: float,
    ) -> Tensor:  # fmt: skip
        check_types(x, weight)
        shape = output_shape(x, weight, bias, stride, padding, dilation, groups)
        y = empty(shape).zero_()
        if y.numel() and weight.numel():
            tensors = array(x), array(weight), None if bias is None else array(bias)
            settings = stride, padding, dilation, groups, reference.offset(compensation)
            native.mitchell_conv2d(*tensors, *settings, y.numpy(), torch.get_num_threads())
        return y

    @conv2d.conv2d_input_gradient.kernel("cpu", COMPILED)
    def _input_gradient(
        grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
        groups: int, backward: str, compensation: float,
    ) -> Tensor:  # fmt: skip
        settings = stride, padding, dilation, groups
        if not _usual(x, weight):
            return reference.conv2d_input_gradient(grad, x, weight, *settings, backward, compensation)
        result = empty(x.shape)
        rule = backward == "exact", reference.offset(compensation)
        tensors = array(grad), array(x), array(weight)
        native.mitchell_input_gradient(*tensors, *settings, *rule, result.numpy(), torch.get_num_threads())
        return result

    @conv2d.conv2d_weight_gradient.kernel("cpu", COMPILED)
    def _weight_gradient(
        grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
        groups: int, backward: str, compensation: float,
    ) -> Tensor:  # fmt: skip
        settings = stride, padding, dilation, groups
        if not x.numel() or not weight.numel():
            return reference.conv2d_weight_gradient(grad, x, weight, *settings, backward, compensation)
        result = empty(weight.shape)
        rule = backward == "exact", reference.offset(compensation)
        tensors = array(grad), array(x), array(weight)
        native.mitchell_weight_gradient(*tensors, *settings, *rule, result.numpy(), torch.get_num_threads())
        return result

    @matmul.forward.kernel("cpu", COMPILED)
    def _matmul(a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
        matmul.check_matrices(a, b)
        return _product(a, b, None, compensation)

    @matmul.matmul_gradient.kernel("cpu", COMPILED)
    def _matmul_gradient(grad: Tensor, a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
        if backward == "approximate":
            return _product(grad, b.mT, None, compensation)
        return _product(b, grad.mT, a, compensation)  # the rows are b's; what comes is turned

    @multiply.forward.kernel("cpu", COMPILED)
    def _multiply(a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
        check_types(a, b)
        return _elementwise(a, b, None, compensation)

    @multiply.multiply_gradient.kernel("cpu", COMPILED)
    def _multiply_gradient(grad: Tensor, a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
        return _elementwise(grad, b, a if backward == "exact" else None, compensation)

    def _product(left: Tensor, right: Tensor, own: Tensor | None, compensation: float) -> Tensor:
        """[..., rows, depth] by [..., depth, columns]; with own [..., columns, rows], products of right and slopes."""
        outer = reference.product_shape(left, right)[:-2]
        rows, columns = left.shape[-2], right.shape[-1]
        sides = (rows, columns) if own is None else (columns, rows)
        result = empty((outer.numel(), *sides)).zero_()
        if result.numel() and left.shape[-1]:
            factors = [_batched(one, outer) for one in (left, right)]
            slopes = None if own is None else _batched(own, outer)
            rule = reference.offset(compensation), own is not None
            native.mitchell_matmul(*factors, slopes, *rule, result.numpy(), torch.get_num_threads())
        return result.view(*outer, *sides)

    def _elementwise(a: Tensor, b: Tensor, own: Tensor | None, compensation: float) -> Tensor:
        tensors = torch.broadcast_tensors(a, b, b if own is None else own)  # type: ignore[no-untyped-call]
        flat = [array(one).reshape(-1) for one in tensors]
        result = empty(tensors[0].shape)
        arguments = flat[0], flat[1], flat[2] if own is not None else None, reference.offset(compensation)
        native.mitchell_multiply(*arguments, result.view(-1).numpy(), torch.get_num_threads())
        return result


def _batched(x: Tensor, outer: torch.Size) -> Array:
    return array(x.expand(*outer, *x.shape[-2:])).reshape(outer.numel(), *x.shape[-2:])


def _usual(x: Tensor, weight: Tensor) -> bool:
    """Whether all slopes are finite: one is at most 4 times its factor, and no number where x is none."""
    return bool(x.numel() and weight.numel() and weight.abs().max() < 2.0**126 and not x.isnan().any())
