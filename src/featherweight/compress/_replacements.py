"""What can stand in the place of an ordinary convolution: each replacement's name, block, and making, in one table."""

import difflib
import inspect
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from featherweight.blocks import (
    AdderConv2d,
    CompConv,
    ConvNormAct,
    DepthwiseSeparable,
    DepthwiseSeparableChannelWise,
    GhostModule,
    InterleavedGroupConv,
    InterleavedSparseConv,
    MitchellConv2d,
    balanced_group_sizes,
    initialize,
)

Make = Callable[..., nn.Module]
"""Makes a module of the same shapes as a convolution: make(conv, **options). Raises ValueError: why it cannot."""


def ghost(conv: nn.Conv2d, *, ratio: int = 2, cheap_kernel_size: int = 3) -> nn.Module:
    """Compute one of `ratio` maps, make the others from these depthwise; 1x1 kernels too."""
    block = GhostModule(
        conv.in_channels, conv.out_channels, kernel_size=_side(conv), cheap_kernel_size=cheap_kernel_size, ratio=ratio,
        stride=conv.stride[0], activation=None,
    )  # fmt: skip
    return _as_convolution(block, conv)


def comp_conv(conv: nn.Conv2d, *, depth: int | None = None, base_channels: int = 128) -> nn.Module:
    """Copy a part of the channels, compute the others from ever fewer."""
    _demand_neighbours(conv, "CompConv")
    block = CompConv(
        conv.in_channels, conv.out_channels, kernel_size=_side(conv), stride=conv.stride[0], depth=depth,
        base_channels=base_channels, bias=conv.bias is not None,
    )  # fmt: skip
    initialize(block)
    return block


def depthwise_separable(conv: nn.Conv2d) -> nn.Module:
    """Filter each channel by itself, then mix the channels, with no activation between."""
    _demand_neighbours(conv, "a depthwise separable pair")
    block = DepthwiseSeparable(
        conv.in_channels, conv.out_channels, kernel_size=_side(conv), stride=conv.stride[0], activation=None
    )
    return _as_convolution(block, conv)


def interleaved(conv: nn.Conv2d, *, partition_channels: int = 2) -> nn.Module:
    """Two grouped convolutions that cross, IGCV1's; so many channels in each group of the spatial one, or more."""
    _demand_neighbours(conv, "InterleavedGroupConv")
    primary_partitions, rest = divmod(math.gcd(conv.in_channels, conv.out_channels), partition_channels)
    if rest:
        raise ValueError(f"{_channels(conv)} channels do not divide into partitions of {partition_channels}")
    block = InterleavedGroupConv(
        conv.in_channels, conv.out_channels, kernel_size=_side(conv), stride=conv.stride[0], activation=None,
        primary_partitions=primary_partitions, secondary_partitions=conv.out_channels // primary_partitions,
    )  # fmt: skip
    return _as_convolution(block, conv)


def interleaved_sparse(conv: nn.Conv2d, *, layers: int = 2) -> nn.Module:
    """Filter each channel by itself, then mix the channels by a chain of so many 1x1 layers in groups, IGCV2's."""
    _demand_neighbours(conv, "InterleavedSparseConv")
    block = InterleavedSparseConv(
        conv.in_channels, conv.out_channels, kernel_size=_side(conv), stride=conv.stride[0], activation=None,
        group_sizes=balanced_group_sizes(conv.out_channels, layers),
    )  # fmt: skip
    return _as_convolution(block, conv)


def channel_wise(conv: nn.Conv2d, *, channel_kernel_size: int = 64) -> nn.Module:
    """Filter each channel by itself, then mix neighbouring channels by one short filter, ChannelNet's."""
    _demand_neighbours(conv, "DepthwiseSeparableChannelWise")
    if conv.bias is not None:
        raise ValueError("it has a bias, for which DepthwiseSeparableChannelWise has no place")
    block = DepthwiseSeparableChannelWise(
        conv.in_channels, conv.out_channels, kernel_size=_side(conv), stride=conv.stride[0],
        channel_kernel_size=channel_kernel_size,
    )  # fmt: skip
    initialize(block)
    return block


def adder(conv: nn.Conv2d, *, adaptive_rate: float | None = 0.2) -> nn.Module:
    """Add the distances to each filter in the place of multiplying: a batch norm must follow, as in its paper."""
    return AdderConv2d(
        conv.in_channels, conv.out_channels, kernel_size=_side(conv), stride=conv.stride[0], bias=conv.bias is not None,
        adaptive_rate=adaptive_rate,
    )  # fmt: skip


def mitchell(conv: nn.Conv2d, *, compensation: float = 0.0) -> nn.Module:
    """Multiply by adding bit patterns; takes over the convolution's weights, of which it is nearly the product."""
    layer = MitchellConv2d(
        conv.in_channels, conv.out_channels, kernel_size=_side(conv), stride=conv.stride[0], bias=conv.bias is not None,
        compensation=compensation,
    )  # fmt: skip
    layer.load_state_dict(conv.state_dict())
    return layer


class Replacement(NamedTuple):
    """One row of the table: the block, and how to make it from a convolution."""

    block: type[nn.Module]
    make: Make


REPLACEMENTS = {
    "adder": Replacement(AdderConv2d, adder),
    "channel_wise": Replacement(DepthwiseSeparableChannelWise, channel_wise),
    "comp_conv": Replacement(CompConv, comp_conv),
    "depthwise_separable": Replacement(DepthwiseSeparable, depthwise_separable),
    "ghost": Replacement(GhostModule, ghost),
    "interleaved": Replacement(InterleavedGroupConv, interleaved),
    "interleaved_sparse": Replacement(InterleavedSparseConv, interleaved_sparse),
    "mitchell": Replacement(MitchellConv2d, mitchell),
}


def maker(replacement: str | type[nn.Module] | Make) -> Make:
    """Find how a replacement is made: by its name, by its block, by the class's own arguments, or it is a function.

    Raises: ValueError: unknown name; the message gives the nearest and all.

    Example:
        >>> from torch import nn
        >>> maker("ghost") is maker(GhostModule)
        True
        >>> maker(ConvNormAct)(nn.Conv2d(3, 8, 3, padding=1), activation="silu").act
        SiLU(inplace=True)
    """
    if isinstance(replacement, str):
        if replacement not in REPLACEMENTS:
            near = difflib.get_close_matches(replacement, REPLACEMENTS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"unknown replacement {replacement!r}; {hint}known: {', '.join(REPLACEMENTS)}")
        return REPLACEMENTS[replacement].make
    if not isinstance(replacement, type):
        return replacement
    block = replacement
    known = {row.block: row.make for row in REPLACEMENTS.values()}

    def from_arguments(conv: nn.Conv2d, **options: object) -> nn.Module:
        settings = {"kernel_size": _side(conv), "stride": conv.stride[0], **options}
        try:
            inspect.signature(block).bind(conv.in_channels, conv.out_channels, **settings)
        except TypeError as error:
            raise TypeError(
                f"a replacement takes (in_channels, out_channels, kernel_size=, stride=) and its options; "
                f"{block.__name__} {error}"
            ) from error
        made: nn.Module = block(conv.in_channels, conv.out_channels, **settings)
        return made

    return known.get(block, from_arguments)


def _side(conv: nn.Conv2d) -> int:
    return conv.kernel_size[0]


def _channels(conv: nn.Conv2d) -> str:
    return f"{conv.in_channels} -> {conv.out_channels}"


def _demand_neighbours(conv: nn.Conv2d, block: str) -> None:
    if _side(conv) == 1:
        raise ValueError(f"a 1x1 kernel: {block} is for larger ones")


def _as_convolution(block: nn.Module, conv: nn.Conv2d) -> nn.Module:
    """Take out the batch norms of a block, since the network's own follow it; give it a bias where `conv` has one."""
    for brick in [module for module in block.modules() if isinstance(module, ConvNormAct)]:
        brick.norm = nn.Identity()
        if conv.bias is not None:
            assert isinstance(brick.conv, nn.Conv2d)
            brick.conv.bias = nn.Parameter(torch.zeros(brick.conv.out_channels))
    initialize(block)
    return block
