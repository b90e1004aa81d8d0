"""The convolution by integer addition, as an operator of PyTorch."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from featherweight.ops._convolution import output_shape, pair
from featherweight.ops._library import operator

from . import reference
from ._check import check_settings, check_types


def mitchell_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    backward: str = "approximate",
    compensation: float = 0.0,
) -> Tensor:
    """Convolution whose multiplications are `mitchell_multiply`.

    The products of an output are added one after the other, to +0.0, in the order (c, i, j) in which the weight lies;
    the bias last. It is the operator featherweight::mitchell_conv2d; under autocast it computes in float32. ONNX has no
    operator for a float's bit pattern, so it cannot be exported there.

    Args:
        x: float32 [N, C, H, W].
        weight: float32 [O, C/groups, kh, kw].
        bias: [O], or None.
        stride, padding, dilation: in pixels, one number or (rows, columns).
        groups: C for a depthwise layer.
        backward, compensation: as `mitchell_multiply`. Gradients add in order too: dx over the group's filters, then
            over (i, j); dweight over a picture's places, row by row, then over the pictures.
    Shape: [N, C, H, W] -> [N, O, H', W'], sides as `torch.nn.functional.conv2d`
    Cost per image: H'*W'*O*C/groups*kh*kw integer additions, each with one addition to the sum.
    Raises:
        TypeError: a tensor is not float32.
        ValueError: shapes or settings do not fit; as `mitchell_multiply`.
        RuntimeError: the padded picture is smaller than the kernel.

    Example:
        >>> import torch
        >>> mitchell_conv2d(torch.ones(1, 1, 3, 3), torch.full((1, 1, 3, 3), 1.5), padding=1)[0, 0]
        tensor([[ 6.0000,  9.0000,  6.0000],
                [ 9.0000, 13.5000,  9.0000],
                [ 6.0000,  9.0000,  6.0000]])
    """
    check_settings(backward, compensation)
    settings = pair(stride), pair(padding), pair(dilation), groups, backward, float(compensation)
    y: Tensor = forward(x, weight, bias, *settings)
    return y


@operator("mitchell_conv2d")
def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    backward: str,
    compensation: float,
) -> Tensor:
    """Check the arguments and compute: see `mitchell_conv2d`."""
    check_types(x, weight)
    output_shape(x, weight, bias, stride, padding, dilation, groups)
    y = reference.conv2d(x, weight, stride, padding, dilation, groups, compensation)
    return y if bias is None else y + bias[:, None, None]


@forward.shapes
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    backward: str,
    compensation: float,
) -> Tensor:
    check_types(x, weight)
    return x.new_empty(output_shape(x, weight, bias, stride, padding, dilation, groups))


@operator("mitchell_conv2d_input_gradient")
def conv2d_input_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    backward: str,
    compensation: float,
) -> Tensor:
    """Work out dL/dx [N, C, H, W] from dL/dy."""
    settings = stride, padding, dilation, groups, backward, compensation
    return reference.conv2d_input_gradient(grad, x, weight, *settings)


@operator("mitchell_conv2d_weight_gradient")
def conv2d_weight_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    backward: str,
    compensation: float,
) -> Tensor:
    """Work out dL/dweight [O, C/groups, kh, kw] from dL/dy."""
    settings = stride, padding, dilation, groups, backward, compensation
    return reference.conv2d_weight_gradient(grad, x, weight, *settings)


conv2d_input_gradient.without_gradients()
conv2d_weight_gradient.without_gradients()


@conv2d_input_gradient.shapes
def _(grad: Tensor, x: Tensor, weight: Tensor, *settings: object) -> Tensor:
    return x.new_empty(x.shape)


@conv2d_weight_gradient.shapes
def _(grad: Tensor, x: Tensor, weight: Tensor, *settings: object) -> Tensor:
    return weight.new_empty(weight.shape)


def _keep_convolution(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _, *ctx.settings = inputs
    ctx.save_for_backward(x, weight)


def _conv2d_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    wants_x, wants_weight, wants_bias, *_ = ctx.needs_input_grad
    return (
        conv2d_input_gradient(grad, x, weight, *ctx.settings) if wants_x else None,
        conv2d_weight_gradient(grad, x, weight, *ctx.settings) if wants_weight else None,
        grad.sum((0, 2, 3)) if wants_bias else None,
        *(None for _ in ctx.settings),
    )


forward.gradients(_conv2d_backward, _keep_convolution)
forward.in_float32_under_autocast()
