"""The matrix product by integer addition, as an operator of PyTorch, and the fully connected layer."""

from typing import Any

from torch import Tensor

from featherweight.ops._library import operator

from . import reference
from ._check import check_settings, check_types


def mitchell_matmul(a: Tensor, b: Tensor, *, backward: str = "approximate", compensation: float = 0.0) -> Tensor:
    """Matrix product whose multiplications are `mitchell_multiply`.

    The products over k are added one after the other, beginning with k = 0 to +0.0, in float32. So are those of the
    gradients, over n and m; what is broadcast is added last.

    Args:
        a: float32 [..., m, k].
        b: float32 [..., k, n]; the dimensions before are broadcast.
        backward, compensation: as `mitchell_multiply`.
    Shape: [..., m, k], [..., k, n] -> [..., m, n]
    Cost: m*n*k integer additions, each with one addition to the sum.
    Raises:
        TypeError: a tensor is not float32.
        ValueError: the shapes do not fit; as `mitchell_multiply`.

    Example:
        >>> import torch
        >>> mitchell_matmul(torch.tensor([[1.5, 2.0]]), torch.tensor([[1.5], [3.0]]))
        tensor([[8.]])
    """
    check_settings(backward, compensation)
    c: Tensor = forward(a, b, backward, float(compensation))
    return c


def mitchell_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, backward: str = "approximate", compensation: float = 0.0
) -> Tensor:
    """Fully connected layer whose multiplications are `mitchell_multiply`; the bias is added last.

    Args:
        x: float32 [..., in].
        weight: float32 [out, in].
        bias: [out], or None.
        backward, compensation: as `mitchell_multiply`.
    Shape: [..., in] -> [..., out]
    Cost: in*out integer additions for each row of x, each with one addition to the sum.
    Raises: ValueError: the shapes do not fit; as `mitchell_matmul`.

    Example:
        >>> import torch
        >>> mitchell_linear(torch.ones(4, 3), torch.full((2, 3), 0.7)).shape
        torch.Size([4, 2])
    """
    if x.ndim < 1 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"wanted x [..., in] and weight [out, in]; got {list(x.shape)} and {list(weight.shape)}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"wanted a bias [{len(weight)}], one for each output; got {list(bias.shape)}")
    rows = mitchell_matmul(x.reshape(-1, x.shape[-1]), weight.t(), backward=backward, compensation=compensation)
    y = rows.reshape(*x.shape[:-1], weight.shape[0])
    return y if bias is None else y + bias


@operator("mitchell_matmul")
def forward(a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
    """Check the arguments and compute: see `mitchell_matmul`."""
    check_matrices(a, b)
    return reference.matmul(a, b, compensation)


@forward.shapes
def _(a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
    check_matrices(a, b)
    return a.new_empty(reference.product_shape(a, b))


def check_matrices(a: Tensor, b: Tensor) -> None:
    """Raises: TypeError: not float32; ValueError: the shapes do not fit."""
    check_types(a, b)
    if min(a.ndim, b.ndim) < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"wanted [..., m, k] and [..., k, n]; got {list(a.shape)} and {list(b.shape)}")


@operator("mitchell_matmul_gradient")
def matmul_gradient(grad: Tensor, a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
    """Work out dL/da of a matrix product c from dL/dc, before what was broadcast is added: [..., m, k]."""
    return reference.matmul_gradient(grad, a, b, backward, compensation)


matmul_gradient.without_gradients()


@matmul_gradient.shapes
def _(grad: Tensor, a: Tensor, b: Tensor, backward: str, compensation: float) -> Tensor:
    return grad.new_empty(*grad.shape[:-2], a.shape[-2], a.shape[-1])


def _keep_factors(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    a, b, *ctx.settings = inputs
    ctx.save_for_backward(a, b)


def _matmul_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    a, b = ctx.saved_tensors
    da = db = None
    if ctx.needs_input_grad[0]:
        da = matmul_gradient(grad, a, b, *ctx.settings).sum_to_size(a.shape)
    if ctx.needs_input_grad[1]:  # the transposed product's first factor
        turned = matmul_gradient(grad.mT.contiguous(), b.mT.contiguous(), a.mT.contiguous(), *ctx.settings)
        db = turned.mT.sum_to_size(b.shape)
    return da, db, None, None


forward.gradients(_matmul_backward, _keep_factors)
forward.in_float32_under_autocast()
