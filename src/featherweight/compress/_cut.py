"""A network without some of its channels: found, cut out, and proven to be wired as before."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featherweight.blocks import set_widths

from ._channel_rules import RULES
from ._channels import Channels, Following, Layer, PruneError, Ties
from ._replace import InputSize
from ._share import tied

Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Unit:
    """Channels that are tied to one another: they are removed together or not at all.

    Args:
        root: the channel that stands for all.
        counts: for each layer and axis where they stand, how many there are.
    """

    root: int
    counts: Mapping[tuple[str, int], int]


class Anatomy:
    """The channels of a network: where they stand, and which go together.

    Args:
        model: not changed.
        shape: (channels, height, width) of a picture; the smallest that the network takes is enough.
    Raises: PruneError: its channels cannot be followed, or two of its layers have one tensor (tied).
    """

    def __init__(self, model: nn.Module, shape: tuple[int, int, int]) -> None:
        for one, other in tied(model):
            raise PruneError(
                f"{one} and {other} are one tensor (tied); those that pruning cuts belong to one layer each"
            )
        self.model, self.shape, self.ties = model, shape, Ties()
        following = Following(model, self.ties, RULES)
        following.follow(shape)
        roots = self.ties.roots
        self.layers = {
            name: Layer(tuple(roots(axis) for axis in layer.axes), layer.tensors)
            for name, layer in following.layers.items()
        }
        self.multiples = [(roots(channels), multiple) for channels, multiple in following.multiples]

    @cached_property
    def units(self) -> list[Unit]:
        """All units that can be removed, in the network's order."""
        counts: dict[int, dict[tuple[str, int], int]] = {}
        for name, layer in self.layers.items():
            for number, axis in enumerate(layer.axes):
                for root, count in zip(*np.unique(axis[axis > 0], return_counts=True), strict=True):
                    counts.setdefault(int(root), {})[name, number] = int(count)
        return [Unit(root, places) for root, places in counts.items() if self.ties.why_fixed(root) is None]

    def places(self, name: str, removed: NDArray[np.bool_]) -> list[Places]:
        """Return for each axis of a layer the places that are left, where `removed` says so of each channel."""
        return [np.flatnonzero(~removed[axis]) for axis in self.layers[name].axes]

    def mask(self, removed: set[int]) -> NDArray[np.bool_]:
        """Return for each number of a channel whether its unit is removed."""
        mask = np.zeros(1 + max(int(axis.max()) for layer in self.layers.values() for axis in layer.axes), bool)
        mask[list(removed)] = True
        return mask

    def without(self, removed: set[int], *, check: bool = True) -> nn.Module:
        """Return a copy without the units of these roots.

        Raises: PruneError: the copy's own forward would not wire it as the network is wired.
        """
        mask = self.mask(removed)
        model = copy.deepcopy(self.model)
        state = model.state_dict()
        widths: dict[str, tuple[int, ...]] = {}
        tensors: dict[str, Tensor] = {}
        for name, layer in self.layers.items():
            places = self.places(name, mask)
            if all(len(left) == len(axis) for left, axis in zip(places, layer.axes, strict=True)):
                continue
            widths[name] = tuple(map(len, places))
            for tensor, axes in layer.tensors.items():
                tensors[tensor] = _taken(state[tensor], axes, places)
        set_widths(model, widths)
        model.load_state_dict({**model.state_dict(), **tensors})
        model.widths = {**getattr(self.model, "widths", {}), **widths}  # type: ignore[assignment]
        if check:
            self._check(model, mask)
        return model

    def _check(self, model: nn.Module, removed: NDArray[np.bool_]) -> None:
        """Follow the channels that are left through the copy: they must meet the same and stand at the same places."""
        left = {name: Layer(tuple(axis[~removed[axis]] for axis in layer.axes)) for name, layer in self.layers.items()}
        following = Following(model, _Held(), RULES, left)
        try:
            following.follow(self.shape)
        except RuntimeError as error:  # PyTorch's word for shapes that do not fit
            raise PruneError(f"without these channels its own forward does not fit {following.where()}") from error
        for name, layer in following.layers.items():
            for wanted, there in zip(left[name].axes, layer.axes, strict=True):
                if not np.array_equal(wanted, there):
                    raise PruneError(f"without these channels {name} would read others than it did")


class _Held(Ties):
    """Ties that are known: what is tied anew must be one already."""

    def tie(self, some: Channels, others: Channels, cause: str) -> None:
        if ((some != others) & (some != 0) & (others != 0)).any():
            raise PruneError(f"without these channels, others would meet than did: by {cause}")

    def fix(self, channels: Channels, reason: str) -> None:
        pass


def _taken(tensor: Tensor, axes: tuple[int | None, ...], places: list[Places]) -> Tensor:
    for dim, axis in enumerate(axes):
        if axis is not None:
            tensor = tensor.index_select(dim, torch.from_numpy(places[axis]).to(tensor.device))
    return tensor


def picture_shape(model: nn.Module, input_size: InputSize | None) -> tuple[int, int, int]:
    """Return the smallest picture that is enough to follow channels: the network's own least, or the size given."""
    from featherweight.cost._trace import input_shape

    least = getattr(model, "smallest_input", None)
    return input_shape(model, least if input_size is None and isinstance(least, int) else input_size)
