"""Networks with fewer channels than they were made with: the same layers and the same forward on smaller tensors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ._channel_wise import ChannelWiseConv, ConvClassifier, ConvClassifierHead
from ._comp_conv import CompConv
from ._filters import Filters
from ._ghost import GhostModule
from ._interleaved import InterleavedGroupConv
from ._learned_group_conv import LearnedGroupConv
from ._mitchell import MitchellLinear
from ._normed_head import NormedClassifierHead
from ._residual import PadShortcut


def set_widths(model: nn.Module, widths: Mapping[str, Sequence[int]]) -> None:
    """Make layers of a network narrower, in place; of every tensor the first numbers stay.

    Which layers must change together is not looked at: `featherweight.compress.prune` finds it out, and writes the
    widths that a saved network is built with again.

    Args:
        model: on any device, the meta device too.
        widths: by dotted path. A convolution has three, channels that it writes, channels that it reads in each group,
            and groups; a linear layer two, what it writes and what it reads; a batch norm one; a `PadShortcut` the
            channels of zeros that it adds; a `GhostModule` the channels that it shows; a `CompConv` those that it
            shows, then those of each copied part; an `InterleavedGroupConv` the channels of a primary partition; a
            `LearnedGroupConv` the channels that it reads; a head those that its classifier reads.
    Raises: ValueError: no such layer, one without widths, another number of them, or a width that is not from 1 to what
        the layer has; the network is then as it was.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        >>> set_widths(model, {"0": (5, 3, 1), "1": (5,)})
        >>> model(torch.zeros(1, 3, 6, 6)).shape
        torch.Size([1, 5, 4, 4])
    """
    modules = dict(model.named_modules())
    for name in widths:
        if name not in modules:
            raise ValueError(f"a width is for {name!r}, but the network has no such layer")
    was = [(one, {**one.__dict__}, {**one._parameters}, {**one._buffers}) for one in map(modules.__getitem__, widths)]
    try:
        _set_widths(modules, widths)
    except Exception:
        for module, attributes, parameters, buffers in was:
            module.__dict__.update(attributes, _parameters=parameters, _buffers=buffers)
        raise


def _set_widths(modules: dict[str, nn.Module], widths: Mapping[str, Sequence[int]]) -> None:
    for name in reversed(modules):  # parts before the whole
        if name in widths:
            module = modules[name]
            setter = next((_SETTERS[kind] for kind in type(module).__mro__ if kind in _SETTERS), None)
            if setter is None and hasattr(module, "num_features") and hasattr(module, "classifier"):
                setter = _head
            if setter is None:
                raise ValueError(f"{name} is a {type(module).__name__}, which has no widths")
            try:
                setter(module, *_checked(widths[name]))
            except (TypeError, ValueError) as error:
                raise ValueError(f"widths {widths[name]} of {name} ({type(module).__name__}): {error}") from error


def _checked(widths: object) -> Sequence[int]:
    if not isinstance(widths, Sequence) or not all(type(width) is int for width in widths):
        raise ValueError("wanted whole numbers")
    return widths


def _narrower(width: int, before: int, *, least: int = 1) -> int:
    if not least <= width <= before:
        raise ValueError(f"wanted {least} to {before}; got {width}")
    return width


def _cut(module: nn.Module, name: str, *sizes: int) -> None:
    """Keep the first numbers of a parameter or buffer, if there is one."""
    tensor: Tensor | None = getattr(module, name)
    if tensor is not None:
        cut = tensor.detach()[tuple(map(slice, sizes))].clone()
        if isinstance(tensor, nn.Parameter):
            setattr(module, name, nn.Parameter(cut, requires_grad=tensor.requires_grad))
        else:
            setattr(module, name, cut)


def _convolution(module: Any, out: int, per_group: int, groups: int) -> None:
    module.out_channels = _narrower(out, module.out_channels)
    module.groups = _narrower(groups, module.groups)
    module.in_channels = groups * _narrower(per_group, module.weight.shape[1])
    if out % groups:
        raise ValueError(f"{groups} groups cannot write {out} channels, as many each")
    _cut(module, "weight", out, per_group)
    _cut(module, "bias", out)


def _linear(module: Any, out: int, read: int) -> None:
    module.out_features, module.in_features = _narrower(out, module.out_features), _narrower(read, module.in_features)
    _cut(module, "weight", out, read)
    _cut(module, "bias", out)


def _norm(module: _BatchNorm, width: int) -> None:
    module.num_features = _narrower(width, module.num_features)
    for name in ("weight", "bias", "running_mean", "running_var"):
        _cut(module, name, width)


def _learned_group_conv(module: LearnedGroupConv, read: int) -> None:
    _narrower(read, module.mask.shape[1])
    if read % module.condensation:
        raise ValueError(f"wanted a multiple of its condensation {module.condensation}; got {read}")
    _cut(module, "mask", module.groups, read)


def _pad_shortcut(module: PadShortcut, added: int) -> None:
    module.added_channels = _narrower(added, module.added_channels, least=0)


def _ghost_module(module: Any, shown: int) -> None:
    made = module.primary.conv.out_channels + module.cheap.conv.out_channels
    module.cut = _narrower(shown, made) if shown < made else None


def _comp_conv(module: CompConv, shown: int, *copied: int) -> None:
    if len(copied) != len(module.copied_channels):
        raise ValueError(f"wanted {1 + len(module.copied_channels)} numbers; got {1 + len(copied)}")
    module.out_channels = _narrower(shown, module.out_channels)
    module.copied_channels = [
        _narrower(now, before, least=0) for now, before in zip(copied, module.copied_channels, strict=True)
    ]


def _interleaved(module: InterleavedGroupConv, width: int) -> None:
    module.partition_channels = _narrower(width, module.partition_channels)


def _head(module: Any, features: int) -> None:
    module.num_features = _narrower(features, module.num_features)


def _normed_head(module: NormedClassifierHead, read: int) -> None:
    module.in_channels = _narrower(read, module.in_channels)
    module.num_features = read * module.side * module.side


def _none(module: nn.Module, *widths: int) -> None:
    raise ValueError("its channels all stay")


_SETTERS: dict[type[nn.Module], Callable[..., None]] = {
    nn.Conv2d: _convolution,
    Filters: _convolution,
    nn.Linear: _linear,
    MitchellLinear: _linear,
    _BatchNorm: _norm,
    LearnedGroupConv: _learned_group_conv,
    PadShortcut: _pad_shortcut,
    GhostModule: _ghost_module,
    CompConv: _comp_conv,
    InterleavedGroupConv: _interleaved,
    NormedClassifierHead: _normed_head,
    ChannelWiseConv: _none,
    ConvClassifier: _none,
    ConvClassifierHead: _none,
}
