"""Whose tensor is whose: two state dicts of one structure, under whatever names."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from featherweight.blocks import ImageClassifier

from ._checkpoints import COUNTERS


class Fitted(NamedTuple):
    """Their tensors for ours, and what was done so that they fit."""

    tensors: dict[str, Tensor]  # by our names
    partners: dict[str, str]  # our names to theirs
    adapted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


class Ends(NamedTuple):
    """The two places of a network that depend on the task and not on the network."""

    stem: str | None  # weight of the first convolution
    classifier: tuple[str, ...]  # tensors of the last layer; they come last
    in_channels: int
    num_classes: int
    num_features: int


def ends(model: nn.Module) -> Ends | None:
    """Find the ends of a network; None if it is not one of ours."""
    if not isinstance(model, ImageClassifier):
        return None
    last = model.get_classifier()
    classifier = next(name for name, module in model.named_modules() if module is last)
    convolutions = (name for name, module in model.named_modules() if isinstance(module, nn.Conv2d))
    stem = next((f"{name}.weight" for name in convolutions if name.partition(".")[0] == "stem"), None)
    names = tuple(f"{classifier}.{name}" for name in last.state_dict() if not name.endswith(COUNTERS))
    return Ends(stem, names, model.in_channels, model.num_classes, model.num_features)


def fit(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], order: Sequence[str], *, ends: Ends | None, adapt: bool
) -> Fitted:
    """Give each of our tensors its partner: the one at the same place of `order`, which are their names.

    Raises: ValueError: a pair differs in role or shape, or one is left over; the message names the first.
    """
    names, their_names = list(ours), list(order)
    dropped: tuple[str, ...] = ()
    if adapt and ends:
        names, their_names, dropped = _without_other_classifier(ours, theirs, names, their_names, ends)
    fitted: dict[str, Tensor] = {}
    adapted: list[str] = []
    for place, (name, their_name) in enumerate(zip(names, their_names, strict=False), 1):
        tensor = theirs[their_name]
        if adapt and ends and name == ends.stem and _differs_in_channels(ours[name], tensor):
            fitted[name] = adapt_channels(tensor, ends.in_channels)
            adapted.append(_say_adapted(name, tensor.shape[1], ends.in_channels))
        elif _same(name, ours[name], their_name, tensor):
            fitted[name] = tensor.reshape(ours[name].shape)
        else:
            raise ValueError(
                f"tensor {place} differs: {name} {list(ours[name].shape)} here, "
                f"{their_name} {list(tensor.shape)} there{_hint(name, ours[name], tensor, ends)}"
            )
    if len(names) != len(their_names):
        longer, where = (names, "here") if len(names) > len(their_names) else (their_names, "there")
        first = longer[min(len(names), len(their_names))]
        raise ValueError(
            f"{len(names)} tensors here, {len(their_names)} there; the first without a partner: {first} {where}"
        )
    return Fitted(fitted, dict(zip(names, their_names, strict=True)), tuple(adapted), dropped)


def _roles(names: Sequence[str]) -> list[str]:
    return [name.rpartition(".")[2] for name in names]


def _same(name: str, ours: Tensor, their_name: str, theirs: Tensor) -> bool:
    """Whether a pair has one role and one shape; a linear layer and a convolution over all of its input have."""
    if _roles([name]) != _roles([their_name]):
        return False
    linear = {ours.ndim, theirs.ndim} == {2, 4} and ours.shape[0] == theirs.shape[0]
    return ours.shape == theirs.shape or (linear and ours.numel() == theirs.numel())


def _differs_in_channels(ours: Tensor, theirs: Tensor) -> bool:
    return ours.ndim == theirs.ndim == 4 and _but_channels(ours) == _but_channels(theirs) and ours.shape != theirs.shape


def _but_channels(weight: Tensor) -> list[int]:
    return [weight.shape[0], *weight.shape[2:]]


def adapt_channels(weight: Tensor, in_channels: int) -> Tensor:
    """Make kernels for c channels into kernels for another number of channels, as timm does.

    For one channel, the sum over the channels: a grey picture gives what it gives as a colour picture of three equal
    channels. For m others, w'[:, j] = w[:, j mod c] * c / m: the kernels in turn, scaled to keep the size of the sums.

    Shape: [out, c, k, k] -> [out, in_channels, k, k]

    Example:
        >>> import torch
        >>> adapt_channels(torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1), 4).flatten().tolist()
        [0.75, 1.5, 2.25, 0.75]
    """
    channels = weight.shape[1]
    if in_channels == 1:
        return weight.sum(1, keepdim=True)
    return weight.repeat(1, math.ceil(in_channels / channels), 1, 1)[:, :in_channels] * (channels / in_channels)


def _say_adapted(name: str, theirs: int, ours: int) -> str:
    way = "kernels summed over the channels" if ours == 1 else f"kernels taken in turn, times {theirs}/{ours}"
    return f"first layer {name}: for {theirs} channels there, {ours} here: {way}"


def _without_other_classifier(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], names: list[str], their_names: list[str], ends: Ends
) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Leave their classifier out, and ours, where it is for another number of classes."""
    body = len(names) - len(ends.classifier)
    last = their_names[body:]
    usual = (_roles(ends.classifier), ["weight"], ["weight", "bias"])
    if not last or _roles(last) not in usual:
        return names, their_names, ()
    classes, features, *_ = (*theirs[last[0]].shape, 0)
    if classes == ends.num_classes or features != ends.num_features:
        return names, their_names, ()
    layer = last[0].rpartition(".")[0]
    here = f"{ends.num_classes} here, freshly drawn" if ends.num_classes else "none here"
    return names[:body], their_names[:body], (f"classifier {layer}: for {classes} classes there, {here}",)


def _hint(name: str, ours: Tensor, theirs: Tensor, ends: Ends | None) -> str:
    if ends and name == ends.stem and _differs_in_channels(ours, theirs):
        return "; adapt=True makes kernels for other channels"
    if ends and name in ends.classifier:
        return "; adapt=True leaves a classifier for other classes out"
    return ""


def order_by_name(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], ends: Ends | None) -> list[str] | None:
    """Return their names in our order, and what is left over behind them; None if ours are not among them.

    The classifier's may be missing: it is for `fit` to say whether that is right.
    """
    needed = ours.keys() - set(ends.classifier if ends else ())
    if not needed <= theirs.keys():
        return None
    return [name for name in ours if name in theirs] + [name for name in theirs if name not in ours]
