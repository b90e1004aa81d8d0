"""ShuffleNet's units: cheap 1x1 layers that see a part of the channels, and a shuffle that mixes the parts."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._conv import ConvNormAct
from ._squeeze_excite import SqueezeExcite


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Deal the channels out again, so that each group holds channels of all groups.

    Channels in groups a0 a1 a2 | b0 b1 b2 become a0 b0 | a1 b1 | a2 b2: reshape to [groups, C / groups], transpose.

    Shape: [N, C, H, W] -> [N, C, H, W]
    Raises: RuntimeError: C is no multiple of groups (PyTorch's own message names both).
    Source: Zhang et al. 2017, https://arxiv.org/abs/1707.01083, Section 3.1, Fig. 1.

    Example:
        >>> import torch
        >>> channel_shuffle(torch.arange(6).reshape(1, 6, 1, 1), groups=2).flatten().tolist()
        [0, 3, 1, 4, 2, 5]
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # for the ONNX exporter that traces
        groups_apart: Tensor = x.unflatten(1, (groups, -1))  # type: ignore[no-untyped-call]
        return groups_apart.transpose(1, 2).flatten(1, 2)
    return F.channel_shuffle(x, groups)  # up to 9 times as fast, and keeps channels last


class ShuffleUnitV1(nn.Module):
    """A bottleneck whose 1x1 layers work in groups, with a channel shuffle between them.

    Stride 1: x [N, c, H, W] -> 1x1 grouped [N, m, H, W] -> shuffle -> 3x3 depthwise [N, m, H, W]
    -> 1x1 grouped [N, c, H, W] (-> squeeze-excite) -> + x -> ReLU

    Stride 2: the branch ends in out - in channels, and x, averaged over 3x3 with stride 2, is put in front of them. A
    unit with stride 1 that widens does the same with x as it is.

    Args:
        groups: of the 1x1 layers and of the shuffle.
        reduce_groups: groups of the first 1x1 layer where they differ: 1 in the first unit of a network.
        shuffle: False leaves the shuffle out (Table 3 of the paper).
        squeeze_excite: weigh the channels of the branch before it joins the shortcut, with 1/16 of them between.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (g groups, b = out or, where it widens, out - in channels of the branch, H' x W'
    output): H*W*in*m/g + H'*W'*m*9 + H'*W'*m*b/g, with m = out/4, for in = out the paper's hw(2cm/g + 9m); plus
    2*b*floor(b/16) with squeeze_excite.
    Raises: ValueError: stride is not 1 or 2; in_channels or the branch's channels do not divide into the groups; no
    channels are left for the branch.
    Source: Zhang et al. 2017, https://arxiv.org/abs/1707.01083, Fig. 2. Differs from the paper: where out/4 does not
    divide into the groups, m is rounded up to the next that does (the paper does not say how it rounded). Where
    squeeze-excite stands and how narrow it is, the paper does not say either: with this choice the count is nearest.

    Example:
        >>> import torch
        >>> ShuffleUnitV1(24, 240, groups=3, stride=2, reduce_groups=1)(torch.zeros(1, 24, 56, 56)).shape
        torch.Size([1, 240, 28, 28])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        groups: int,
        stride: int = 1,
        reduce_groups: int | None = None,
        shuffle: bool = True,
        squeeze_excite: bool = False,
    ) -> None:
        super().__init__()
        reduce_groups = groups if reduce_groups is None else reduce_groups
        branch_channels = _branch_channels(in_channels, out_channels, stride)
        for what, channels, parts in (("in", in_channels, reduce_groups), ("branch", branch_channels, groups)):
            if channels % parts:
                raise ValueError(
                    f"a ShuffleUnitV1 from {in_channels} to {out_channels} channels with stride {stride} has "
                    f"{channels} {what} channels, which do not divide into {parts} groups"
                )
        mid_channels = -(-out_channels // (4 * groups)) * groups
        self.shuffle_groups = groups if shuffle else 1
        self.reduce = ConvNormAct(in_channels, mid_channels, groups=reduce_groups)
        self.depthwise = ConvNormAct(
            mid_channels, mid_channels, kernel_size=3, stride=stride, groups=mid_channels, activation=None
        )
        self.expand = ConvNormAct(mid_channels, branch_channels, groups=groups, activation=None)
        self.attention = (
            SqueezeExcite(branch_channels, branch_channels // 16, gate="sigmoid") if squeeze_excite else nn.Identity()
        )
        self.pool: nn.Module | None = None
        if in_channels < out_channels:
            self.pool = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def extra_repr(self) -> str:
        """Say how many groups are shuffled, which no module of its own does."""
        return f"shuffle_groups={self.shuffle_groups}"

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = self.reduce(x)
        if self.shuffle_groups > 1:
            y = channel_shuffle(y, self.shuffle_groups)
        y = self.attention(self.expand(self.depthwise(y)))
        if self.pool is not None:
            return torch.cat((self.pool(x), self.act(y)), dim=1)
        y = self.act(y.add_(x))
        return y


class ShuffleUnitV2(nn.Module):
    """Half of the channels pass by, the other half is worked on; then both are shuffled.

    Stride 1: x [N, c, H, W] -> halves a, b [N, c/2, H, W]; b -> 1x1 -> 3x3 depthwise -> 1x1; (a, b) -> shuffle

    Stride 2, or more channels behind than before: both work on all of x: a -> 3x3 depthwise with the stride -> 1x1
    [N, s, H', W']; b as above, with the stride [N, out - s, H', W']; (a, b) -> shuffle

    Args:
        shortcut_channels: s, the channels that a ends in where both work. Default: half of out_channels.
        residual: add b to what is made of it, before its last activation, where a passes by.
        squeeze_excite: weigh the channels that are made of b, with 1/16 of them between.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (m = out/2, H' x W' output): where a passes by: H*W*(2*m*m + 9*m), else
    H'*W'*(9*in + in*s) + H*W*in*m + H'*W'*(9*m + m*(out - s)); plus 2*b*max(1, floor(b/16)) with squeeze_excite, for
    the b channels that are made.
    Raises: ValueError: stride is not 1 or 2; out_channels is odd, or below in_channels, or with stride 2 not above it;
    shortcut_channels where a passes by, or so many that they leave nothing for the other branch.
    Source: Ma et al. 2018, https://arxiv.org/abs/1807.11164, Fig. 3 c and d, and the appendix for residual and
    squeeze_excite. Differs from the paper: how narrow squeeze-excite is, it does not say; 1/16 is that work's own
    choice. (The released code shuffles at the start of the next unit, which is the same but for the last unit's order
    of channels.)

    Example:
        >>> import torch
        >>> ShuffleUnitV2(24, 116, stride=2, shortcut_channels=24)(torch.zeros(1, 24, 56, 56)).shape
        torch.Size([1, 116, 28, 28])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        shortcut_channels: int | None = None,
        residual: bool = False,
        squeeze_excite: bool = False,
    ) -> None:
        super().__init__()
        _branch_channels(in_channels, out_channels, stride)
        if out_channels % 2:
            raise ValueError(f"out_channels must be even, because half of them pass by; got {out_channels}")
        mid_channels = out_channels // 2
        passes = in_channels == out_channels
        if passes and shortcut_channels is not None:
            raise ValueError(
                "shortcut_channels is for stride 2 or more channels; here the shortcut is half of the input"
            )
        shortcut_channels = mid_channels if shortcut_channels is None else shortcut_channels
        if not 0 < shortcut_channels < out_channels:
            raise ValueError(
                f"shortcut_channels must be above 0 and leave channels for the other branch; got {shortcut_channels} "
                f"of {out_channels}"
            )
        self.shortcut = (
            None
            if passes
            else nn.Sequential(
                ConvNormAct(
                    in_channels, in_channels, kernel_size=3, stride=stride, groups=in_channels, activation=None
                ),
                ConvNormAct(in_channels, shortcut_channels),
            )
        )
        self.pointwise = ConvNormAct(mid_channels if passes else in_channels, mid_channels)
        self.depthwise = ConvNormAct(
            mid_channels, mid_channels, kernel_size=3, stride=stride, groups=mid_channels, activation=None
        )
        made = out_channels - shortcut_channels
        self.act = nn.ReLU(inplace=True) if residual and passes else None
        self.project = ConvNormAct(mid_channels, made, activation=None if self.act else "relu")
        self.attention = SqueezeExcite(made, max(1, made // 16), gate="sigmoid") if squeeze_excite else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        if self.shortcut is None:
            a, b = x.chunk(2, dim=1)
        else:
            a, b = self.shortcut(x), x
        y: Tensor = self.attention(self.project(self.depthwise(self.pointwise(b))))
        if self.act is not None:
            y = self.act(y.add_(b))
        return channel_shuffle(torch.cat((a, y), dim=1), 2)


def _branch_channels(in_channels: int, out_channels: int, stride: int) -> int:
    """Channels that the branch of a V1 unit ends in; raises where the stride does not allow a unit's channels."""
    if stride not in (1, 2):
        raise ValueError(f"stride must be 1 or 2; got {stride}")
    if in_channels > out_channels or (stride == 2 and in_channels == out_channels):
        raise ValueError(
            f"a shuffle unit has more channels behind it than before, or with stride 1 as many; got "
            f"{in_channels} -> {out_channels} with stride {stride}"
        )
    return out_channels if in_channels == out_channels else out_channels - in_channels
