"""The adder layer as an operator of PyTorch: schema, shapes, gradients; its kernels register themselves with it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from featherweight.ops._convolution import output_shape, pair, wide
from featherweight.ops._library import operator

from . import reference

GRADIENTS = tuple(reference.INPUT_SLOPES)


def adder2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    gradient: str = "paper",
) -> Tensor:
    """Compare each place of a picture with each filter: the output is minus the sum of absolute differences.

    Y(n, o, m) = bias(o) - sum over c, i, j of |X(n, c, s m + d (i, j)) - F(o, c, i, j)|, for stride s, dilation d

    It takes an input and gives an output as `torch.nn.functional.conv2d` does. Padding lays zeros around the picture,
    and they count: |0 - F|. float16 and bfloat16 are summed in float32. Under autocast it computes and answers in
    float32, as PyTorch's own `cdist`: the outputs are large numbers with small differences.

    It is the operator featherweight::adder2d. While TorchScript traces, and in `torch.onnx.export`, it is composed of
    plain operators instead (slice, subtract, absolute, sum), with memory for a whole layer's terms of one place of the
    kernel; `featherweight.export` composes it in the file, which takes less time.

    Args:
        x: [N, C, H, W].
        weight: filters F [O, C/groups, kh, kw].
        bias: [O], or None.
        stride, padding, dilation: in pixels, one number or (rows, columns).
        groups: C for a depthwise layer.
        gradient: "paper": what AdderNets are trained with, dY/dF = X - F and dY/dX = F - X clipped to [-1, 1];
            "sign": the true derivatives, sgn(X - F) and sgn(F - X).
    Shape: [N, C, H, W] -> [N, O, H', W'], sides as `torch.nn.functional.conv2d`
    Cost per image: H'*W'*O*C/groups*kh*kw absolute differences, each with one addition to the sum.
    Raises:
        TypeError: the tensors are not of one floating-point type.
        ValueError: shapes, devices or settings do not fit.
        RuntimeError: the padded picture is smaller than the kernel.
    Source: Chen et al. 2020, https://arxiv.org/abs/1912.13200, equations (2) and (4) to (7). Differs from the paper:
    none; dilation and groups are ours.

    Example:
        >>> x, weight = torch.zeros(1, 3, 8, 8), torch.ones(5, 3, 3, 3)
        >>> y = adder2d(x, weight, stride=2, padding=1)
        >>> y.shape, y[0, 0, 0, 0].item()
        (torch.Size([1, 5, 4, 4]), -27.0)
    """
    check_gradient(gradient)
    settings = pair(stride), pair(padding), pair(dilation), groups
    if tracing():
        return with_bias(reference.adder2d(x, weight, *settings, in_pieces=False), bias)
    y: Tensor = forward(x, weight, bias, *settings, gradient)
    return y


def check_gradient(gradient: str) -> None:
    """Demand one of the gradients that there are. Raises: ValueError."""
    if gradient not in GRADIENTS:
        raise ValueError(f"unknown gradient {gradient!r}; known: {', '.join(GRADIENTS)}")


def tracing() -> bool:
    """Say whether plain operators are wanted: TorchScript traces, or ONNX is written."""
    return torch.jit.is_tracing() or torch.onnx.is_in_onnx_export()  # type: ignore[attr-defined, no-untyped-call]


@operator("adder2d")
def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    gradient: str,
) -> Tensor:
    """Check the arguments and compute: see `adder2d`."""
    output_shape(x, weight, bias, stride, padding, dilation, groups)
    return by_reference(x, weight, bias, stride, padding, dilation, groups)


def by_reference(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    """Compute in plain PyTorch."""
    y = reference.adder2d(wide(x), wide(weight), stride, padding, dilation, groups)
    return with_bias(y, bias).to(x.dtype)


def with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    """Add a number to each output channel."""
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
    gradient: str,
) -> Tensor:
    return x.new_empty(output_shape(x, weight, bias, stride, padding, dilation, groups))


@operator("adder2d_input_gradient")
def input_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    gradient: str,
) -> Tensor:
    """Work out dL/dX [N, C, H, W] from dL/dY."""
    wides = wide(grad), wide(x), wide(weight)
    return reference.input_gradient(*wides, stride, padding, dilation, groups, gradient).to(x.dtype)


@operator("adder2d_weight_gradient")
def weight_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    gradient: str,
) -> Tensor:
    """Work out dL/dF [O, C/groups, kh, kw] from dL/dY."""
    wides = wide(grad), wide(x), wide(weight)
    return reference.weight_gradient(*wides, stride, padding, dilation, groups, gradient).to(weight.dtype)


input_gradient.without_gradients()
weight_gradient.without_gradients()


@input_gradient.shapes
def _(grad: Tensor, x: Tensor, weight: Tensor, *settings: object) -> Tensor:
    return x.new_empty(x.shape)


@weight_gradient.shapes
def _(grad: Tensor, x: Tensor, weight: Tensor, *settings: object) -> Tensor:
    return weight.new_empty(weight.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _, *ctx.settings = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    wants_x, wants_weight, wants_bias, *_ = ctx.needs_input_grad
    return (
        input_gradient(grad, x, weight, *ctx.settings) if wants_x else None,
        weight_gradient(grad, x, weight, *ctx.settings) if wants_weight else None,
        grad.sum((0, 2, 3)) if wants_bias else None,
        *(None for _ in ctx.settings),
    )


forward.gradients(_backward, _keep)
forward.in_float32_under_autocast()
