"""The adder layer with a power p of the differences, from 2 to 1: what AdderNets can begin their training with."""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from featherweight.ops._convolution import grouped, output_shape, pair, wide
from featherweight.ops._library import operator

from . import op, reference


def adder2d_p(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    p: float,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    gradient: str = "paper",
) -> Tensor:
    """Compare each place of a picture with each filter by the sum of a power p of their differences.

    Y(n, o, m) = bias(o) - sum over c, i, j of |X(n, c, s m + d (i, j)) - F(o, c, i, j)|^p, for stride s, dilation d

    With p = 1 it is `adder2d`, to the last bit. With p = 2 it is sums of squares, X^2 - 2 X F + F^2, by convolutions,
    and as exact as they are on the device. Between them each term takes a logarithm and an exponential, in plain
    PyTorch and many times the time of `adder2d`; memory stays near that of input and output.

    It is the operator featherweight::adder2d_p, and traced or exported what `adder2d` is. It is for training: nothing
    counts its cost.

    Args:
        x, weight, bias, stride, padding, dilation, groups: as `adder2d`.
        p: from 1 to 2.
        gradient: "paper": that of `adder2d`, dY/dF = X - F and dY/dX = F - X clipped to [-1, 1], whatever p is;
            "sign": the true derivatives, dY/dF = p |X - F|^(p - 1) sgn(X - F) = - dY/dX.
    Shape: as `adder2d`
    Raises:
        ValueError: p is not from 1 to 2.
        TypeError, ValueError, RuntimeError: as `adder2d`.
    Source: Chen et al. 2021, https://arxiv.org/abs/2105.14202, investigate l_p norms to train AdderNets with, and Li et
    al. 2021, https://arxiv.org/abs/2105.05530, go from l_2 to l_1. Differs from the papers: of both we know the
    abstracts only, so that what is "paper" here, the gradients of `adder2d` at each p, is our choice.

    Example:
        >>> import torch
        >>> x, weight = torch.zeros(1, 3, 8, 8), torch.full((5, 3, 3, 3), 2.0)
        >>> [adder2d_p(x, weight, p=p)[0, 0, 0, 0].item() for p in (1, 2)]
        [-54.0, -108.0]
    """
    if not 1 <= p <= 2:
        raise ValueError(f"the power p must be from 1 to 2; got {p}")
    if p == 1:
        return op.adder2d(
            x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, gradient=gradient
        )
    op.check_gradient(gradient)
    settings = pair(stride), pair(padding), pair(dilation), groups
    if op.tracing():
        return op.with_bias(reference.adder2d(x, weight, *settings, in_pieces=False, p=p), bias)
    return forward(x, weight, bias, *settings, gradient, float(p))


@operator("adder2d_p")
def forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, gradient: str, p: float,
) -> Tensor:  # fmt: skip
    """Check the arguments and compute: see `adder2d_p`."""
    output_shape(x, weight, bias, stride, padding, dilation, groups)
    wides = wide(x), wide(weight)
    if p == 2:
        y = -_squares(*wides, stride, padding, dilation, groups)
    else:
        y = reference.adder2d(*wides, stride, padding, dilation, groups, p=p)
    return op.with_bias(y, bias).to(x.dtype)


def _squares(
    x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> Tensor:
    """Sum (X - F)^2 as sums of X^2 - 2 X F + F^2; what comes out below zero is rounding."""
    settings = None, stride, padding, dilation, groups
    ones = weight.new_ones(groups, *weight.shape[1:])
    squares = F.conv2d(x.square(), ones, *settings).repeat_interleave(len(weight) // groups, 1)
    squares += weight.square().sum((1, 2, 3))[:, None, None]
    return squares.sub_(F.conv2d(x, weight, *settings), alpha=2).clamp_(min=0)


@operator("adder2d_p_input_gradient")
def input_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, p: float,
) -> Tensor:  # fmt: skip
    """Work out dL/dX [N, C, H, W] from dL/dY, by the true derivative."""
    wides = wide(grad), wide(x), wide(weight)
    if p == 2:
        return _squares_input_gradient(*wides, stride, padding, dilation, groups).to(x.dtype)
    return reference.input_gradient(*wides, stride, padding, dilation, groups, "sign", p).to(x.dtype)


def _squares_input_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int,
) -> Tensor:  # fmt: skip
    """Sum -2 (X - F) dL/dY, as twice the convolution's gradient less X times the sum of all dL/dY that it met."""
    settings: Any = stride, padding, dilation, groups
    products = conv2d_input(x.shape, weight, grad, *settings)  # type: ignore[no-untyped-call]
    each = grouped(grad, 1, groups).sum(2)
    ones = weight.new_ones(groups, 1, *weight.shape[2:])
    met = conv2d_input((len(x), groups, *x.shape[2:]), ones, each, *settings)  # type: ignore[no-untyped-call]
    result: Tensor = 2 * (products - x * met.repeat_interleave(weight.shape[1], 1))
    return result


@operator("adder2d_p_weight_gradient")
def weight_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, p: float,
) -> Tensor:  # fmt: skip
    """Work out dL/dF [O, C/groups, kh, kw] from dL/dY, by the true derivative."""
    wides = wide(grad), wide(x), wide(weight)
    if p == 2:
        return (2 * op.weight_gradient(*wides, stride, padding, dilation, groups, "paper")).to(weight.dtype)
    return reference.weight_gradient(*wides, stride, padding, dilation, groups, "sign", p).to(weight.dtype)


@forward.shapes
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, gradient: str, p: float,
) -> Tensor:  # fmt: skip
    return x.new_empty(output_shape(x, weight, bias, stride, padding, dilation, groups))


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
    *settings, gradient, p = ctx.settings
    by_x: Callable[..., Tensor] = op.input_gradient if gradient == "paper" else input_gradient
    by_weight: Callable[..., Tensor] = op.weight_gradient if gradient == "paper" else weight_gradient
    last = gradient if gradient == "paper" else p
    wants_x, wants_weight, wants_bias, *_ = ctx.needs_input_grad
    return (
        by_x(grad, x, weight, *settings, last) if wants_x else None,
        by_weight(grad, x, weight, *settings, last) if wants_weight else None,
        grad.sum((0, 2, 3)) if wants_bias else None,
        *(None for _ in ctx.settings),
    )


forward.gradients(_backward, _keep)
forward.in_float32_under_autocast()
