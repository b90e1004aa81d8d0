"""AdderNet's layer: how far a filter is from the picture takes the place of their product."""

from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor, nn

from featherweight.ops import adder2d_p
from featherweight.ops.adder.op import check_gradient

from ._filters import Filters


class AdderConv2d(Filters):
    """Give minus the l1 distance of filter and picture at each place: additions only, in the place of a convolution.

    x [N, in, H, W] -> - sum |x - weight| [N, out, H', W'] (+ bias)

    The outputs are large and below zero, so a batch norm must follow. Under autocast it computes and answers in
    float32. Weights are drawn from N(0, 1), as in the authors' code, biases from U(0, 1).

    Args:
        kernel_size: side of the kernel, in pixels.
        stride: in pixels.
        padding: pixels of zeros around the input; default half the kernel's reach. They count, |0 - weight|.
        dilation: pixels from one place of the kernel to the next.
        groups: in_channels (with out_channels equal to it) makes the layer depthwise.
        bias: add a learned number to each output channel.
        gradient: "paper", weight gradient x - weight and input gradient clipped to [-1, 1]; or "sign", the true ones.
        adaptive_rate: eta, which in training scales the weight gradient to the l2 norm eta * sqrt(numbers in weight),
            whatever the loss is scaled by; None leaves it as it is. In the place of a learning rate for each layer.
            Not for a gradient scaler (float16): what it divides by has no part in this gradient.
        p: the power of the differences, from 1 to 2. Only 1 is without multiplications, and only 1 can be exported to
            bytes; training may begin higher (see `set_adder_p`). It is no part of the state dict.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)] with the default padding
    Cost per image (k kernel, H' x W' output): 0 multiply-adds; 2 * H'*W' * in/groups * out * k*k additions, one to
    subtract and one to sum, and half as many absolute values.
    Raises: ValueError: kernel_size is even and no padding is given, groups do not divide both channel counts, p is not
        from 1 to 2, adaptive_rate not above 0, or the gradient unknown.
    Source: Chen et al. 2020, https://arxiv.org/abs/1912.13200, Section 3, equations (2) to (7), (12) and (13). Differs
    from the paper: eta is 0.2 as in the released code, where the paper has 0.1; the scale is part of the gradient, as
    there, so that momentum and weight decay come after it.

    Example:
        >>> layer = AdderConv2d(16, 32, kernel_size=3, stride=2)
        >>> layer(torch.zeros(1, 16, 32, 32)).shape
        torch.Size([1, 32, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        gradient: Literal["paper", "sign"] = "paper",
        adaptive_rate: float | None = 0.2,
        p: float = 1.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
            groups=groups, bias=bias,
        )  # fmt: skip
        check_gradient(gradient)
        if adaptive_rate is not None and not 0 < adaptive_rate < float("inf"):
            raise ValueError(f"adaptive_rate must be above 0 and finite, or None; got {adaptive_rate}")
        self.gradient, self.adaptive_rate, self.p = gradient, adaptive_rate, _checked_power(p)
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.uniform_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H', W']."""
        weight: Tensor = self.weight
        if self.training and self.adaptive_rate is not None:
            weight = _AdaptiveRate.apply(weight, self.adaptive_rate)
        return adder2d_p(
            x, weight, self.bias, p=self.p, stride=self.stride, padding=self.padding, dilation=self.dilation,
            groups=self.groups, gradient=self.gradient,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Show p too, where it is not 1."""
        return super().extra_repr() + (f", p={self.p:g}" if self.p != 1 else "")


def set_adder_p(model: nn.Module, p: float) -> int:
    """Set the power of all adder layers in a network, and return how many there are.

    Call it before each step or epoch of a training of your own, and with 1 at its end;
    `featherweight.train.Recipe(adder_p_until=...)` does so.

    Args:
        p: from 1 to 2, see `AdderConv2d`.
    Raises: ValueError: p is not from 1 to 2.

    Example:
        >>> from torch import nn
        >>> set_adder_p(nn.Sequential(AdderConv2d(3, 4, kernel_size=3), nn.ReLU()), 1.5)
        1
    """
    _checked_power(p)
    layers = [module for module in model.modules() if isinstance(module, AdderConv2d)]
    for layer in layers:
        layer.p = p
    return len(layers)


def _checked_power(p: float) -> float:
    if not 1 <= p <= 2:
        raise ValueError(f"the power p must be from 1 to 2; got {p}")
    return p


class _AdaptiveRate(torch.autograd.Function):
    """Pass the weight through; scale its gradient g by eta * sqrt(k) / ||g||, for k numbers (13)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, eta: float) -> Tensor:
        ctx.eta = eta
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        norm = torch.linalg.vector_norm(grad).clamp(min=1e-12)
        return grad * (ctx.eta * sqrt(grad.numel()) / norm), None
