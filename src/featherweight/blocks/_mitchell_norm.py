"""Batch normalisation and average pooling without a multiplication: what a network of Mitchell's products lacks."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from featherweight.ops import mitchell_multiply

ONE = 0x3F800000  # bit pattern of 1.0 in float32
HALF = 0x3F000000
SIGN = -(2**31)
EXPONENT = 0x7F800000

Backward = Literal["approximate", "exact"]


class MitchellBatchNorm2d(_BatchNorm):
    """Batch normalisation whose products, squares, quotients and roots are integer additions of bit patterns.

    x [N, C, H, W] -> (x - mean) * (weight * (var + eps)^(-1/2)) + bias, each product `mitchell_multiply`

    A quotient by n is the product with n's inverse, whose bit pattern is 2 I(1) - I(n); that of the root of v is
    (I(v) + I(1)) / 2. In training, mean and variance are those of the batch, and the running statistics follow by
    products too. The gradients are products as well; that of the inverse root r is -g * r * r * r / 2. The state dict
    is that of nn.BatchNorm2d, so weights can be taken over.

    Args:
        eps: added to the variance, which is 2^-126 or more with it.
        momentum: share of the batch in the running statistics; None for the average of all batches.
        backward: of the products and the root: "approximate", the ordinary rules with such products; or "exact", the
            slopes of these piecewise linear functions.
        compensation: of the products (see `mitchell_multiply`).
    Shape: [N, num_features, H, W] -> the same
    Cost per image, in evaluation: 0 multiply-adds; C*H*W integer additions and 2 * C*H*W additions, and a few for each
    channel.
    Raises: ValueError: when it runs: wrong dimensions or channels, one value for each channel in training, an unknown
    backward or compensation.
    Source: Kosson and Jaggi 2023, https://arxiv.org/abs/2305.17190, Section 2: quotient, exponential and logarithm.
    Differs from the paper: n is known beforehand, and so is its inverse; compensation.

    Example:
        >>> norm = MitchellBatchNorm2d(3)
        >>> norm(torch.randn(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
        >>> norm.state_dict().keys() == nn.BatchNorm2d(3).state_dict().keys()
        True
    """

    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        backward: Backward = "approximate",
        compensation: float = 0.0,
    ) -> None:
        super().__init__(num_features, eps, momentum)
        self.backward, self.compensation = backward, compensation

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_features, H, W] -> the same."""
        assert self.running_mean is not None and self.running_var is not None
        if x.ndim != 4 or x.shape[1] != self.num_features:
            raise ValueError(f"wanted x [N, {self.num_features}, H, W]; got {list(x.shape)}")
        if self.training:
            centred, var = self._by_batch(x)
        else:
            centred, var = x - self.running_mean[:, None, None], self.running_var
        root: Tensor = _InverseRoot.apply(var + self.eps, self.backward, self.compensation)
        scale = self._product(self.weight, root)
        return self._product(centred, scale[:, None, None]) + self.bias[:, None, None]

    def _by_batch(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give x less its mean, and the variance; the running statistics learn both."""
        n = x.numel() // self.num_features
        if n < 2:
            raise ValueError(f"wanted more than one value for each channel in training; got {list(x.shape)}")
        mean = self._product(x.sum((0, 2, 3)), _constant(inverse(n), x))
        centred = x - mean[:, None, None]
        squares = self._product(centred, centred).sum((0, 2, 3))
        self._follow(mean, self._product(squares, _constant(inverse(n - 1), x)))
        return centred, self._product(squares, _constant(inverse(n), x))

    @torch.no_grad()
    def _follow(self, mean: Tensor, unbiased: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = inverse(int(self.num_batches_tracked)) if self.momentum is None else self.momentum
        for running, new in ((self.running_mean, mean), (self.running_var, unbiased)):
            assert running is not None
            running.add_(self._product(new - running, _constant(momentum, new)))

    def _product(self, a: Tensor, b: Tensor) -> Tensor:
        return mitchell_multiply(a, b, backward=self.backward, compensation=self.compensation)


class MitchellAvgPool2d(nn.Module):
    """Average pooling: a sum, and one product by the window's inverse, which is an integer addition.

    x [N, C, H, W] -> sum of each window -> product with 1/n, nearly [N, C, H', W']

    Exact where a window has 2, 4, 8, 16, ... pixels; else up to 1/8 too large.

    Args:
        kernel_size: side of a window, in pixels; default the whole picture.
        stride: in pixels; default `kernel_size`.
        backward, compensation: as `MitchellBatchNorm2d`.
    Shape: [N, C, H, W] -> [N, C, H', W'] without padding; [N, C, 1, 1] of the whole picture
    Cost per image: 0 multiply-adds; C*H'*W' integer additions, and an addition for each value of each window.
    Raises: RuntimeError: the picture is smaller than the window.
    Source: as `MitchellBatchNorm2d`.

    Example:
        >>> MitchellAvgPool2d()(torch.ones(1, 2, 3, 3)).flatten()
        tensor([1., 1.])
        >>> MitchellAvgPool2d(2)(torch.ones(1, 1, 4, 4))[0, 0]
        tensor([[1., 1.],
                [1., 1.]])
    """

    def __init__(
        self,
        kernel_size: int | None = None,
        stride: int | None = None,
        *,
        backward: Backward = "approximate",
        compensation: float = 0.0,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size
        self.backward, self.compensation = backward, compensation

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H', W']."""
        if self.kernel_size is None or self.stride is None:
            n, sums = x.shape[2] * x.shape[3], x.sum((2, 3), keepdim=True)
        else:
            side, stride = self.kernel_size, self.stride
            n, sums = side * side, x.unfold(2, side, stride).unfold(3, side, stride).sum((4, 5))
        share = _constant(inverse(n), x)
        return mitchell_multiply(sums, share, backward=self.backward, compensation=self.compensation)

    def extra_repr(self) -> str:
        """Show window and stride in the module's text."""
        return "" if self.kernel_size is None else f"{self.kernel_size}, stride={self.stride}"


def inverse(n: int) -> float:
    """Return nearly 1/n, the number with the bit pattern 2 I(1) - I(n): of 2^e (1 + y) it is 2^-e (1 - y/2).

    Example:
        >>> inverse(4), inverse(3)
        (0.25, 0.375)
    """
    fraction, exponent = math.frexp(n)  # n is 2^exponent times a fraction from 1/2 to 1
    return math.ldexp(1.5 - fraction, 1 - exponent)


def _constant(value: float, like: Tensor) -> Tensor:
    return like.new_full((), value, dtype=torch.float32)


class _InverseRoot(torch.autograd.Function):
    """x^(-1/2), nearly, of x normal and finite: by bit patterns, 2 I(1) - (I(x) + I(1)) / 2; at most 1/8 too large."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, backward: str, compensation: float) -> Tensor:
        root = (ONE - ((x.view(torch.int32) - ONE) >> 1)).view(torch.float32)
        ctx.save_for_backward(x, root)
        ctx.backward, ctx.compensation = backward, compensation
        return root

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        x, root = ctx.saved_tensors
        if ctx.backward == "exact":
            powers = (root.view(torch.int32) & EXPONENT) - (x.view(torch.int32) & EXPONENT) + HALF
            return mitchell_multiply(grad, (powers | SIGN).view(torch.float32)), None, None
        for factor in (root, root, root):
            grad = mitchell_multiply(grad, factor, compensation=ctx.compensation)
        return mitchell_multiply(grad, _constant(-0.5, x)), None, None
