"""What each kind of layer does to channels: which it reads, which it writes, which of its weights belong to them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from featherweight.blocks import (
    ChannelWiseConv,
    CompConv,
    GhostModule,
    InterleavedGroupConv,
    LearnedGroupConv,
    MitchellLinear,
    PadShortcut,
    channel_shuffle,
)
from featherweight.blocks._channel_wise import ConvClassifier
from featherweight.blocks._filters import Filters

from ._channels import Channels, Following, PruneError, channels_of, spread

STAYS: Channels = np.zeros(1, np.int64)


def convolution(following: Following, name: str, module: Any, forward: Any, x: Tensor) -> Tensor:
    """Groups keep their number, so that they lose as much each; but where each reads one channel, they go with it."""
    shape = _shape(forward, x)
    reads, writes = channels_of(x), following.write(name, shape[1])
    groups = module.groups
    depthwise = len(reads) == groups > 1 if following.known is None else following.known[name].axes[2].any()
    if depthwise:
        following.ties.tie(np.repeat(reads, shape[1] // groups), writes, f"the depthwise {name}")
        _weighed(following, name, module, writes, STAYS, reads)
    else:
        following.grid(reads, groups, f"the groups of {name}")
        following.grid(writes, groups, f"the groups of {name}")
        _weighed(following, name, module, writes, reads.reshape(groups, -1)[0], np.repeat(STAYS, groups))
    return spread(writes, shape)


def linear(following: Following, name: str, module: Any, forward: Any, x: Tensor) -> Tensor:
    """[1, in] -> [1, out]."""
    if x.ndim != 2:
        raise PruneError(f"{name} is a linear layer on {x.ndim} dimensions; channels are followed through those on 2")
    reads, writes = channels_of(x), following.write(name, module.out_features)
    _weighed(following, name, module, writes, reads)
    return spread(writes, (1, len(writes)))


def _weighed(following: Following, name: str, module: nn.Module, writes: Channels, *others: Channels) -> None:
    bias = {"bias": (0,)} if module.bias is not None else {}
    following.layer(name, (writes, *others), {"weight": (0, 1), **bias})


def norm(following: Following, name: str, module: _BatchNorm, forward: Any, x: Tensor) -> Tensor:
    """Every channel stays itself."""
    names = ("weight", "bias", "running_mean", "running_var")
    there = {tensor: (0,) for tensor in names if getattr(module, tensor) is not None}
    following.layer(name, (channels_of(x),), there)
    return x.clone()


def channel_wise(following: Following, name: str, module: nn.Module, forward: Any, x: Tensor) -> Tensor:
    """Which channels are neighbours is what such a layer is about: none can go."""
    shape = _shape(forward, x)
    writes = following.write(name, shape[1])
    for channels in (channels_of(x), writes):
        following.ties.fix(channels, f"{name} slides a filter along the channels: each has its neighbours")
    following.layer(name, (writes,), {})
    return spread(writes, shape)


def learned_group_conv(following: Following, name: str, module: Any, forward: Any, x: Tensor) -> Tensor:
    """Filter o belongs to group o mod G: of every G filters in a row, all go together."""
    x = module.before(x)
    reads, conv = channels_of(x), f"{name}.conv"
    writes = following.write(conv, module.conv.out_channels)
    _weighed(following, conv, module.conv, writes, reads, STAYS)
    following.layer(name, (reads,), {"mask": (None, 0)})
    following.grid(writes, len(writes) // module.groups, f"the groups of {name}", by_column=False)
    following.multiples.append((reads, module.condensation))
    if not (module.mask.is_meta or module.mask.numpy().all()):
        following.ties.fix(reads, f"the groups of {name} have begun to choose among them")
    return spread(writes, (1, len(writes), *x.shape[2:]))


def interleaved_group_conv(following: Following, name: str, module: Any, forward: Any, x: Tensor) -> Tensor:
    """Primary partitions keep their number; the permutation back has as many groups as each has channels."""
    y = module.secondary(channel_shuffle(module.primary(x), module.primary_partitions))
    channels = channels_of(y).reshape(-1, module.primary_partitions)
    following.layer(name, (channels[:, 0],), {})
    following.grid(channels, len(channels), f"the shuffle in {name}", by_column=False)
    return spread(channels.T.ravel(), y.shape)


def ghost_module(following: Following, name: str, module: Any, forward: Any, x: Tensor) -> Tensor:
    """Its output may be cut."""
    y: Tensor = forward(x)
    following.layer(name, (channels_of(y),), {})
    return y


def comp_conv(following: Following, name: str, module: Any, forward: Any, x: Tensor) -> Tensor:
    """Copies the first channels of its input in parts."""
    y: Tensor = forward(x)
    copied = module.copied_channels
    parts = np.split(channels_of(x)[: sum(copied)], np.cumsum(copied)[:-1]) if copied else []
    following.layer(name, (channels_of(y), *parts), {})
    return y


def pad_shortcut(following: Following, name: str, module: Any, forward: Any, x: Tensor) -> Tensor:
    """Puts zeros behind; what they are added to says how many are left."""
    y: Tensor = forward(x)
    added = following.write(name, module.added_channels)
    following.layer(name, (added,), {})
    return torch.cat((y[:, : x.shape[1]], spread(added, (1, len(added), *y.shape[2:]))), 1)


def _shape(forward: Callable[..., Tensor], x: Tensor) -> torch.Size:
    return forward(torch.empty(x.shape, device="meta")).shape


RULES: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv2d: convolution,
    Filters: convolution,
    nn.Linear: linear,
    MitchellLinear: linear,
    _BatchNorm: norm,
    ChannelWiseConv: channel_wise,
    ConvClassifier: channel_wise,
    LearnedGroupConv: learned_group_conv,
    InterleavedGroupConv: interleaved_group_conv,
    GhostModule: ghost_module,
    CompConv: comp_conv,
    PadShortcut: pad_shortcut,
}
