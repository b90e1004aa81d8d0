"""The adder layer's kernels for processors, from csrc/adder2d.hpp, registered with PyTorch's dispatcher.

They compute in float32, whichever of PyTorch's floating-point types comes, but for float64, which the reference takes.
The filter gradient, dY^T X - F sum(dY), is the ordinary convolution's and a product of rank one: PyTorch has it. It has
fewer right digits where X and F are large and near each other: of a thousand times their difference, four remain.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from featherweight.ops._channels_last import overruns, usual
from featherweight.ops._convolution import output_shape, wide
from featherweight.ops._native import COMPILED, array, empty, native

from . import op, reference


def _adder2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, gradient: str,
) -> Tensor:  # fmt: skip
    shape = output_shape(x, weight, bias, stride, padding, dilation, groups)
    if left_to_reference(x, weight):
        return op.by_reference(x, weight, bias, stride, padding, dilation, groups)
    y = empty(shape)
    tensors = array(x), array(weight), None if bias is None else array(bias)
    native.adder2d(*tensors, stride, padding, dilation, groups, y.numpy(), torch.get_num_threads())
    return y.to(x.dtype)


def _input_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, gradient: str,
) -> Tensor:  # fmt: skip
    if left_to_reference(x, weight):
        return reference.input_gradient(grad, x, weight, stride, padding, dilation, groups, gradient)
    result, sign = empty(x.shape), gradient == "sign"
    arguments = array(grad), array(x), array(weight), stride, padding, dilation, groups, sign
    native.adder2d_input_gradient(*arguments, result.numpy(), torch.get_num_threads())
    return result.to(x.dtype)


def weight_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, gradient: str,
) -> Tensor:  # fmt: skip
    """Work out the filter gradient: "paper" by an ordinary convolution's, "sign" by the reference."""
    wides = wide(grad), wide(x), wide(weight)
    if gradient != "paper" or left_to_reference(x, weight):
        return reference.weight_gradient(*wides, stride, padding, dilation, groups, gradient).to(weight.dtype)
    if overruns(weight, stride):
        wides = usual(wides[0]), usual(wides[1]), usual(wides[2])
    settings = None, stride, padding, dilation, False, [0, 0], groups, [False, True, False]
    _, products, _ = torch.ops.aten.convolution_backward(*wides, *settings)
    products -= wides[2] * wides[0].sum((0, 2, 3))[:, None, None, None]
    result: Tensor = products.to(weight.dtype).contiguous()
    return result


def left_to_reference(x: Tensor, weight: Tensor) -> bool:
    """Whether no kernel is for these: float64, and what is empty."""
    return x.dtype == torch.float64 or x.numel() == 0 or weight.numel() == 0


if native is not None:
    op.forward.kernel("cpu", COMPILED)(_adder2d)
    op.input_gradient.kernel("cpu", COMPILED)(_input_gradient)
    op.weight_gradient.kernel("cpu", "PyTorch's convolution")(weight_gradient)
