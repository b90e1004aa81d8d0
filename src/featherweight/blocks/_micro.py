"""MicroNet's blocks: factorized convolutions with as few connections as will do."""

from collections import OrderedDict

from torch import Tensor, nn

from ._conv import ConvNormAct, activation
from ._shift_max import DynamicShiftMax
from ._shuffle import channel_shuffle


class MicroDepthwise(nn.Sequential):
    """A depthwise kernel as a column, then a row: 2k weights a channel in the place of k * k; it may widen.

    x [N, in, H, W] -> kx1 depthwise [N, in*t1, H/s, W] -> 1xk depthwise [N, in*t1*t2, H/s, W/s], each with batch norm

    Args:
        expansion: t1 and t2, how many channels each makes from one.
    Shape: [N, in_channels, H, W] -> [N, in_channels * t1 * t2, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (k kernel, H' x W' output): H'*W*in*t1*k + H'*W'*in*t1*t2*k
    Source: Li et al. 2021, https://arxiv.org/abs/2108.05894, Section 3.2. Differs from the paper: none.

    Example:
        >>> import torch
        >>> MicroDepthwise(8, kernel_size=3, stride=2, expansion=(2, 2))(torch.zeros(1, 8, 16, 16)).shape
        torch.Size([1, 32, 8, 8])
    """

    def __init__(
        self, in_channels: int, *, kernel_size: int = 3, stride: int = 1, expansion: tuple[int, int] = (1, 1)
    ) -> None:
        middle = in_channels * expansion[0]
        column = ConvNormAct(
            in_channels, middle, kernel_size=(kernel_size, 1), stride=(stride, 1), groups=in_channels, activation=None
        )
        row = ConvNormAct(
            middle, middle * expansion[1], kernel_size=(1, kernel_size), stride=(1, stride), groups=middle,
            activation=None,
        )  # fmt: skip
        super().__init__(OrderedDict(column=column, row=row))


class _Shuffle(nn.Module):
    """Interleave the channels of groups, as often as asked for."""

    def __init__(self, *groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        for groups in self.groups:
            x = channel_shuffle(x, groups)
        return x

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.groups))


class MicroBlockA(nn.Module):
    """Micro-Block A, at high resolution: a depthwise pair that widens, then one group convolution that squeezes.

    x [N, in, H, W] -> kx1, 1xk depthwise [N, in*t1*t2, H/s, W/s] -> Dynamic Shift-Max, shuffle
    -> 1x1 in groups [N, out, H/s, W/s] -> Dynamic Shift-Max, shuffle (+ x)

    Args:
        groups: of the shuffle in front of the squeeze, of the squeeze, of the shuffle behind it.
        fusions: of Dynamic Shift-Max behind the depthwise pair and behind the squeeze; 0 is ReLU6 and nothing.
        expansion: of the column and of the row.
        reduction: of the hidden layers of Dynamic Shift-Max.
        start: see `DynamicShiftMax`.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (k kernel, h = in*t1*t2, g groups of the squeeze, H' x W' output):
    H'*W*in*t1*k + H'*W'*h*k + H'*W'*h*out/g, and Dynamic Shift-Max's own.
    Source: Li et al. 2021, https://arxiv.org/abs/2108.05894, Fig. 4; groups and shuffles from the released code.

    Example:
        >>> import torch
        >>> MicroBlockA(4, 8, groups=(4, 2, 2), stride=2)(torch.zeros(1, 4, 16, 16)).shape
        torch.Size([1, 8, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        groups: tuple[int, int, int],
        kernel_size: int = 3,
        stride: int = 1,
        expansion: tuple[int, int] = (2, 2),
        fusions: tuple[int, int] = (2, 1),
        reduction: int = 8,
        start: tuple[float, ...] = (1.0, 0.0, 1.0, 0.0),
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion[0] * expansion[1]
        before, within, _ = groups
        self.depthwise = MicroDepthwise(in_channels, kernel_size=kernel_size, stride=stride, expansion=expansion)
        self.depthwise_act = _shift_max(hidden, before, fusions[0], reduction, start)
        self.shuffle = _Shuffle(before, *([hidden // 2] if fusions[0] else []))
        self.squeeze = ConvNormAct(hidden, out_channels, groups=within, activation=None)
        self.squeeze_act = _Squeezed(out_channels, groups[2], fusions[1], reduction // 2)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = self.shuffle(self.depthwise_act(self.depthwise(x)))
        y = self.squeeze_act(self.squeeze(y))
        return y + x if self.residual else y


class MicroExpansion(nn.Module):
    """The expanding half of a micro-factorized 1x1 layer: one group convolution, Dynamic Shift-Max.

    x [N, in, H, W] -> 1x1 in groups [N, hidden, H, W] -> Dynamic Shift-Max or ReLU6 or nothing

    Args:
        groups: of the convolution, and of Dynamic Shift-Max.
        fusions: of Dynamic Shift-Max; 0 for none.
        plain: what stands in its place: "relu6", or None for nothing.
    Shape: [N, in_channels, H, W] -> [N, hidden_channels, H, W]
    Cost per image, multiply-adds: H*W*in*hidden/groups, and Dynamic Shift-Max's own.
    Source: Li et al. 2021, https://arxiv.org/abs/2108.05894, Section 3.1.

    Example:
        >>> import torch
        >>> MicroExpansion(16, 64, groups=(4, 4))(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 64, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        *,
        groups: tuple[int, int],
        fusions: int = 2,
        plain: str | None = "relu6",
        reduction: int = 8,
        start: tuple[float, ...] = (1.0, 0.0, 1.0, 0.0),
    ) -> None:
        super().__init__()
        self.expand = ConvNormAct(in_channels, hidden_channels, groups=groups[0], activation=None)
        if fusions or plain:
            self.act = _shift_max(hidden_channels, groups[1], fusions, reduction, start)
        else:
            self.act = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, hidden_channels, H, W]."""
        y: Tensor = self.act(self.expand(x))
        return y


class MicroBlockB(nn.Sequential):
    """Micro-Block B, where A ends and C begins: A with the expanding half behind it.

    x [N, in, H, W] -> Micro-Block A [N, squeeze, H/s, W/s] -> 1x1 in groups [N, out, H/s, W/s] -> Dynamic Shift-Max

    Args:
        squeeze_channels: between the squeeze and the expansion.
        groups: of `MicroBlockA`, and those two of `MicroExpansion`.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds: the sum of the two parts'.
    Source: Li et al. 2021, https://arxiv.org/abs/2108.05894, Fig. 4. In the registry's networks its two parts stand
    in two blocks of the body, as in the released code.

    Example:
        >>> import torch
        >>> MicroBlockB(12, 64, squeeze_channels=16, groups=(12, 4, 4, 4, 4))(torch.zeros(1, 12, 8, 8)).shape
        torch.Size([1, 64, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        squeeze_channels: int,
        groups: tuple[int, int, int, int, int],
        kernel_size: int = 3,
        stride: int = 1,
    ) -> None:
        squeeze = MicroBlockA(in_channels, squeeze_channels, groups=groups[:3], kernel_size=kernel_size, stride=stride)
        super().__init__(
            OrderedDict(squeeze=squeeze, expand=MicroExpansion(squeeze_channels, out_channels, groups=groups[3:]))
        )


class MicroBlockC(nn.Module):
    """Micro-Block C, at low resolution: expand in groups, filter depthwise, squeeze in groups; add the input.

    x [N, in, H, W] -> 1x1 in groups [N, hidden, H, W] -> Dynamic Shift-Max, shuffle -> kx1, 1xk depthwise
    [N, hidden, H/s, W/s] -> Dynamic Shift-Max, shuffle -> 1x1 in groups [N, out, H/s, W/s] -> Dynamic Shift-Max,
    shuffle (+ x)

    Args:
        hidden_channels: between the group convolutions.
        groups: of the expansion, of the shuffle behind it, of the squeeze, of the shuffle behind that.
        fusions: of the three Dynamic Shift-Maxes; 0 is ReLU6, behind the squeeze nothing.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (h hidden, k kernel, H' x W' output, e and q groups):
    H*W*in*h/e + H'*W*h*k + H'*W'*h*k + H'*W'*h*out/q, and Dynamic Shift-Max's own.
    Source: Li et al. 2021, https://arxiv.org/abs/2108.05894, Fig. 4. Differs from the paper: the paper's block begins
    behind the expansion and ends behind the next one; cut here as in the released code, whose shortcut joins the
    squeezed tensors. The network is the same.

    Example:
        >>> import torch
        >>> MicroBlockC(16, 32, hidden_channels=64, groups=(4, 4, 4, 4), kernel_size=5)(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 32, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int,
        groups: tuple[int, int, int, int],
        kernel_size: int = 3,
        stride: int = 1,
        fusions: tuple[int, int, int] = (2, 2, 1),
        reduction: int = 8,
        start: tuple[float, ...] = (1.0, 0.0, 1.0, 0.0),
    ) -> None:
        super().__init__()
        hidden, halves = hidden_channels, sum(fusion > 0 for fusion in fusions[:2])
        self.expansion = MicroExpansion(
            in_channels, hidden, groups=groups[:2], fusions=fusions[0], reduction=reduction, start=start
        )
        self.shuffle = _Shuffle(groups[1])
        self.depthwise = MicroDepthwise(hidden, kernel_size=kernel_size, stride=stride)
        self.depthwise_act = _shift_max(hidden, hidden // groups[1], fusions[1], reduction, start)
        self.shuffle_again = _Shuffle(*{0: (), 1: (hidden // 2,), 2: (hidden // 4,)}[halves])
        self.squeeze = ConvNormAct(hidden, out_channels, groups=groups[2], activation=None)
        narrower = reduction // 2 if out_channels < hidden else reduction
        self.squeeze_act = _Squeezed(out_channels, groups[3], fusions[2], narrower)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = self.depthwise(self.shuffle(self.expansion(x)))
        y = self.squeeze(self.shuffle_again(self.depthwise_act(y)))
        y = self.squeeze_act(y)
        return y + x if self.residual else y


class _Squeezed(nn.Sequential):
    """What follows a squeeze: Dynamic Shift-Max of one fusion, if any, and shuffles."""

    def __init__(self, channels: int, groups: int, fusions: int, reduction: int) -> None:
        layers: dict[str, nn.Module] = {}
        if fusions:
            layers["act"] = DynamicShiftMax(
                channels, groups=groups, fusions=1, reduction=reduction, start=(1.0, 0.0)
            )  # fmt: skip
        layers["shuffle"] = _Shuffle(groups, *([channels // 2] if fusions else []))
        super().__init__(OrderedDict(layers))


def _shift_max(channels: int, groups: int, fusions: int, reduction: int, start: tuple[float, ...]) -> nn.Module:
    """Dynamic Shift-Max, or with no fusions ReLU6."""
    if not fusions:
        return activation("relu6")
    return DynamicShiftMax(channels, groups=groups, fusions=fusions, reduction=reduction, start=start)
