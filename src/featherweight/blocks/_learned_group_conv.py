"""CondenseNet's learned group convolution: which inputs a group keeps is learned; and the dense layer made of it."""

import copy
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._shuffle import channel_shuffle


class NormAct(nn.Sequential):
    """Batch normalisation and ReLU in front of a convolution ("pre-activation").

    x [N, channels, H, W] -> batch norm -> ReLU

    No convolution can take over this batch norm: the one before it feeds others as well, and before the one behind it
    stands the ReLU. `featherweight.compress.fold_batch_norm` leaves its scale and shift as a layer.

    Shape: [N, channels, H, W] -> [N, channels, H, W]

    Example:
        >>> import torch
        >>> NormAct(16)(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 16, 8, 8])
    """

    norm: nn.BatchNorm2d

    def __init__(self, channels: int) -> None:
        super().__init__(OrderedDict(norm=nn.BatchNorm2d(channels), act=nn.ReLU(inplace=True)))


class LearnedGroupConv(nn.Module):
    """A 1x1 convolution that learns to become one in groups: each group drops the inputs that it needs least.

    x [N, in, H, W] -> batch norm -> ReLU -> 1x1, masked [N, out, H, W]

    It begins dense. Filter o belongs to group o mod G. In C - 1 steps every group drops in/C of its inputs, those whose
    weights have the smallest sum of absolute values over the group's filters; at the end it keeps in/C. Several groups
    may keep the same input. Dropped weights are masked, so training does not become cheaper; `convert` gives the
    cheap form for use.

    In training, call `condense_to` with the share of the training that is done, before each step or epoch, and add
    `lasso()` times a small weight (1e-5 on ImageNet in the released code) to the loss.

    Args:
        groups: G.
        condensation: C, each group keeps 1/C of the inputs; default G, which leaves as many connections as an ordinary
            convolution in G groups has.
    Shape: [N, in_channels, H, W] -> [N, out_channels, H, W]
    Cost per image, multiply-adds: H*W*in*out in this form; H*W*in*out/C in the converted one.
    Raises: ValueError: in_channels do not divide by the condensation, or out_channels by the groups.
    Source: Huang et al. 2017, https://arxiv.org/abs/1711.09224, Section 3.2. Differs from the released code: it applies
    the group lasso until G - 1 steps are done, which is the same where C = G.

    Attributes:
        mask: bool [groups, in_channels], which inputs each group still uses; part of the state dict.

    Example:
        >>> import torch
        >>> conv = LearnedGroupConv(16, 32, groups=4).eval()
        >>> for progress in (0.0, 0.2, 0.4, 0.6):
        ...     conv.condense_to(progress)
        ...     print(conv.kept, end=" ")
        16 12 8 4
        >>> x = torch.randn(1, 16, 8, 8)
        >>> torch.allclose(conv.convert()(x), conv(x), atol=1e-6)
        True
    """

    mask: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, *, groups: int = 4, condensation: int | None = None
    ) -> None:
        super().__init__()
        self.groups = groups
        self.condensation = groups if condensation is None else condensation
        _check_division(in_channels, out_channels, groups, self.condensation)
        self.before = NormAct(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.register_buffer("mask", torch.ones(groups, in_channels, dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H, W]."""
        mask = self.mask.repeat(self.conv.out_channels // self.groups, 1)
        return F.conv2d(self.before(x), self.conv.weight * mask[:, :, None, None])

    @property
    def kept(self) -> int:
        """How many inputs each group still uses."""
        return int(self.mask[0].sum())

    @property
    def condensed(self) -> bool:
        """Whether all C - 1 drops are done."""
        return self.kept <= self.conv.in_channels // self.condensation

    def importance(self) -> Tensor:
        """Sum of the absolute weights that each group has for each input, [groups, in_channels]; 0 where dropped."""
        return self._by_group().abs().sum(0) * self.mask

    @torch.no_grad()
    def drop(self) -> None:
        """Let every group drop the in/C of its inputs that are least important.

        Raises: RuntimeError: all C - 1 drops are done.
        """
        if self.condensed:
            raise RuntimeError(
                f"this layer is condensed: each group keeps {self.kept} of {self.conv.in_channels} inputs"
            )
        importance = self.importance().masked_fill(~self.mask, torch.inf)
        least = importance.topk(self.conv.in_channels // self.condensation, dim=1, largest=False).indices
        self.mask.scatter_(1, least, False)

    def condense_to(self, progress: float) -> None:
        """Do the drops that are due: number s of C - 1 when the share s / (2 (C - 1)) of the training is done.

        So the last is due at half of the training; then the masks stay. What is done stays done.

        Args:
            progress: share of the training that is done, from 0 to 1.
        Raises: ValueError: progress is not in 0 ... 1.
        """
        if not 0 <= progress <= 1:
            raise ValueError(f"progress must be the share of the training that is done, 0 to 1; got {progress}")
        drops = self.condensation - 1
        due = min(drops, int(2 * drops * progress + 1e-9))  # the last digit of s / (2 drops) may be rounded down
        left = self.conv.in_channels // self.condensation * (self.condensation - due)
        while self.kept > left:
            self.drop()

    def lasso(self) -> Tensor:
        """Group lasso: the sum over groups and inputs of the root of the sum of squares; 0 once condensed.

        It makes all filters of a group give up the same inputs.
        """
        if self.condensed:
            return self.conv.weight.new_zeros(())
        squares = (self._by_group() * self.mask).square().sum(0)
        return squares.clamp(min=1e-6).sqrt().sum()

    @torch.no_grad()
    def convert(self) -> "CondensedConv":
        """Return the form for use, which gives the same outputs at 1/C of the cost.

        Raises: ValueError: not all drops are done, so that there is no such form.
        """
        in_channels, out_channels = self.conv.in_channels, self.conv.out_channels
        if not self.condensed:
            raise ValueError(
                f"each group still uses {self.kept} of {in_channels} inputs, not {in_channels // self.condensation}: "
                "call condense_to(1) first, best at half of the training"
            )
        converted = CondensedConv(in_channels, out_channels, groups=self.groups, condensation=self.condensation)
        converted.to(self.conv.weight.device, self.conv.weight.dtype).train(self.training)
        converted.index.copy_(self.mask.nonzero()[:, 1])
        norm = self.before.norm.state_dict()
        converted.before.norm.load_state_dict(
            {name: tensor[converted.index] if tensor.ndim else tensor for name, tensor in norm.items()}
        )
        converted.before.norm.eps = self.before.norm.eps
        weight = self._by_group().transpose(0, 1)  # [groups, filters of a group, in]
        index = converted.index.reshape(self.groups, 1, -1).expand(-1, weight.shape[1], -1)
        converted.conv.weight.copy_(weight.gather(2, index).reshape(converted.conv.weight.shape))
        return converted

    def _by_group(self) -> Tensor:
        """Weights as [filters of a group, groups, in]: filter o is number o // G of group o mod G."""
        return self.conv.weight.reshape(-1, self.groups, self.conv.in_channels)


class CondensedConv(nn.Module):
    """The learned group convolution for use: fetch each group's inputs, then an ordinary 1x1 convolution in groups.

    x [N, in, H, W] -> index [N, G*in/C, H, W] -> batch norm -> ReLU -> 1x1 in G groups -> shuffle [N, out, H, W]

    The shuffle puts the filters in the order of `LearnedGroupConv`. A new one has nothing learned: its groups take the
    inputs in order, G*in/C of them, over and over if there are fewer.

    Args:
        groups: G.
        condensation: C; default G.
    Shape: [N, in_channels, H, W] -> [N, out_channels, H, W]
    Cost per image, multiply-adds: H*W*in*out/C
    Raises: ValueError: in_channels do not divide by the condensation, or out_channels by the groups.
    Source: Huang et al. 2017, https://arxiv.org/abs/1711.09224, Section 3.2, Fig. 4. Differs from the paper: none.

    Attributes:
        index: int64 [groups * in_channels / condensation], the input of each place; part of the state dict.

    Example:
        >>> import torch
        >>> CondensedConv(16, 32, groups=4)(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 32, 8, 8])
    """

    index: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, *, groups: int = 4, condensation: int | None = None
    ) -> None:
        super().__init__()
        self.groups = groups
        condensation = groups if condensation is None else condensation
        _check_division(in_channels, out_channels, groups, condensation)
        fetched = groups * in_channels // condensation
        self.register_buffer("index", torch.arange(fetched) % in_channels)
        self.before = NormAct(fetched)
        self.conv = nn.Conv2d(fetched, out_channels, 1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H, W]."""
        return channel_shuffle(self.conv(self.before(torch.index_select(x, 1, self.index))), self.groups)


class CondenseLayer(nn.Module):
    """CondenseNet's dense layer: a learned group convolution, a 3x3 in groups, and the result joined to the input.

    x [N, in, H, W] -> learned group 1x1 [N, 4k, H, W] -> batch norm -> ReLU -> 3x3 in G groups [N, k, H, W]
    -> behind x [N, in + k, H, W]

    Args:
        growth: k, channels that the layer adds.
        groups: G, of both convolutions, and the condensation of the first.
        converted: with `CondensedConv` for use, in the place of `LearnedGroupConv` for training.
    Shape: [N, in_channels, H, W] -> [N, in_channels + growth, H, W]
    Cost per image, multiply-adds: H*W*(in*4k/G + 36*k*k/G) converted; in training form the first term is H*W*in*4k.
    Raises: ValueError: in_channels or growth do not divide by the groups.
    Source: Huang et al. 2017, https://arxiv.org/abs/1711.09224, Section 3, Fig. 2. Differs from the paper: none.

    Example:
        >>> import torch
        >>> layer = CondenseLayer(16, 8)
        >>> layer.reduce.condense_to(1)
        >>> layer.convert()(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 24, 8, 8])
    """

    reduce: LearnedGroupConv | CondensedConv

    def __init__(self, in_channels: int, growth: int, *, groups: int = 4, converted: bool = False) -> None:
        super().__init__()
        _check_division(in_channels, growth, groups, groups)
        hidden_channels = 4 * growth
        kind = CondensedConv if converted else LearnedGroupConv
        self.reduce = kind(in_channels, hidden_channels, groups=groups)
        self.between = NormAct(hidden_channels)
        self.conv = nn.Conv2d(hidden_channels, growth, 3, padding=1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, in_channels + growth, H, W]."""
        return torch.cat((x, self.conv(self.between(self.reduce(x)))), dim=1)

    def convert(self) -> "CondenseLayer":
        """Return the layer in its form for use, which gives the same outputs.

        Raises: ValueError: it has that form already, or not all drops are done.
        """
        if not isinstance(self.reduce, LearnedGroupConv):
            raise ValueError("this layer is converted already")
        converted = copy.deepcopy(self)
        converted.reduce = self.reduce.convert()
        return converted


def _check_division(in_channels: int, out_channels: int, groups: int, condensation: int) -> None:
    if min(condensation, groups) < 1 or in_channels % condensation or out_channels % groups:
        raise ValueError(
            f"{in_channels} channels must divide by the condensation {condensation}, and {out_channels} by the "
            f"{groups} groups"
        )
