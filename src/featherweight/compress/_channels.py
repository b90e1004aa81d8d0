"""Where every channel of a network comes from, and which of them can only go together.

The network's own forward is run on numbers of channels in the place of a picture: what moves data (views, shuffles,
splits, concatenations) moves the numbers, a layer writes new numbers, and what meets in a sum or product is tied.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from featherweight.cost import meta_twin

Channels = NDArray[np.int64]
"""Numbers of channels; 0 stands for what is no layer's output, such as zeros that are put behind channels."""


class PruneError(ValueError):
    """A network cannot be pruned; the message names the layer and says why."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Where channels stand in one module.

    Args:
        axes: for each of the module's widths, the channels that it counts; see `featherweight.blocks.set_widths`.
        tensors: of the state dict; for each leading dimension the number of its axis, or None for one that stays.
    """

    axes: tuple[Channels, ...]
    tensors: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)


class Ties:
    """Channels, and which of them are tied: a forest whose roots stand for all that is tied to them."""

    def __init__(self) -> None:
        self._parents = [0]
        self._causes: dict[int, set[str]] = defaultdict(set)
        self._fixed: dict[int, str] = {}

    def new(self, count: int) -> Channels:
        """Number new channels."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, channel: int) -> int:
        """Return the channel that stands for all that are tied to this one."""
        while self._parents[channel] != channel:
            self._parents[channel] = self._parents[self._parents[channel]]
            channel = self._parents[channel]
        return channel

    def roots(self, channels: Channels) -> Channels:
        """Return the root of each."""
        table = np.array(self._parents)
        while not np.array_equal(above := table[table], table):
            table = above
        return table[channels]

    def tie(self, some: Channels, others: Channels, cause: str) -> None:
        """Tie channels pair by pair; 0 is tied to none."""
        different = some != others
        for pair in zip(some[different].tolist(), others[different].tolist(), strict=True):
            a, b = sorted(map(self.root, pair))
            if a and a != b:
                self._parents[b] = a
                self._causes[a] |= self._causes.pop(b, set()) | {cause}
                if b in self._fixed:
                    self._fixed.setdefault(a, self._fixed.pop(b))

    def fix(self, channels: Channels, reason: str) -> None:
        """Say that channels cannot be removed."""
        for channel in channels.ravel().tolist():
            if channel:
                self._fixed.setdefault(self.root(channel), reason)

    def why_fixed(self, root: int) -> str | None:
        """Return why what is tied to a root cannot be removed, None if it can."""
        return self._fixed.get(root)

    def causes(self, root: int) -> list[str]:
        """Return what tied channels to this root."""
        return sorted(self._causes.get(root, ()))


class Following(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs a network on numbers of channels; see the module's docstring.

    Args:
        model: in any mode, on any device; it is not changed.
        ties: of its channels.
        rules: what the layers do to channels, by class.
        known: the layers, where it is known what they write; default: they write new channels.
    """

    def __init__(
        self,
        model: nn.Module,
        ties: Ties,
        rules: Mapping[type[nn.Module], Callable[..., Tensor]],
        known: Mapping[str, Layer] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ties, self.known = ties, known
        self.layers: dict[str, Layer] = {}
        self.multiples: list[tuple[Channels, int]] = []  # how many of these there are must be a multiple of that
        self.running: list[tuple[str, nn.Module]] = []
        self.twin = meta_twin(model).float()  # shapes are asked for with float32
        for name, buffer in model.named_buffers():
            if not buffer.is_floating_point():  # which channels are fetched or masked
                owner, _, own = name.rpartition(".")
                setattr(self.twin.get_submodule(owner), own, buffer.cpu() if not buffer.is_meta else buffer)
        inside: tuple[str, ...] = ()  # a module whose rule speaks for its parts
        for name, module in self.twin.named_modules():
            rule = next((rules[kind] for kind in type(module).__mro__ if kind in rules), None)
            inside += (f"{name}.",) if rule else ()
            if rule is None and list(module.parameters(recurse=False)) and not name.startswith(inside):
                raise PruneError(
                    f"{name or 'the model'} ({type(module).__name__}) has parameters of a kind that pruning does not "
                    f"know; it knows {', '.join(sorted(kind.__name__ for kind in rules))}"
                )
            module.forward = self._forward(name, module, module.forward, rule)

    def _forward(self, name: str, module: nn.Module, forward: Any, rule: Any) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            shapes_only = rule is None or args[0].is_meta
            self.running.append((name, module))
            try:
                return forward(*args, **kwargs) if shapes_only else rule(self, name, module, forward, *args)
            finally:
                self.running.pop()

        return run

    def follow(self, shape: Sequence[int]) -> None:
        """Run the network on channels in the place of a picture [C, H, W]; its inputs and outputs stay as they are."""
        picture = self.ties.new(shape[0])
        self.ties.fix(picture, "the picture's channels")
        try:
            with torch.no_grad(), self:
                result = self.twin(spread(picture, (1, *shape)))
        except ValueError as error:  # a network may say in its own words that a picture does not fit
            raise (error.__cause__ if isinstance(error.__cause__, PruneError) else error) from None
        if not isinstance(result, Tensor):
            raise PruneError(f"pruning is for networks that answer with one tensor; got {type(result).__name__}")
        self.ties.fix(result.numpy().astype(np.int64), "the network's outputs")
        for name, module in self.twin.named_modules():
            if hasattr(module, "num_features") and hasattr(module, "classifier"):  # a head knows its classifier's width
                inside = (layer for part, layer in self.layers.items() if part.startswith(f"{name}.classifier"))
                if reads := next(inside, Layer(())).axes[1:2]:
                    self.layer(name, reads, {})

    def write(self, name: str, count: int) -> Channels:
        """Return the channels that a layer writes."""
        return self.ties.new(count) if self.known is None else self.known[name].axes[0]

    def layer(self, name: str, axes: Sequence[Channels], tensors: Mapping[str, tuple[int | None, ...]]) -> None:
        """Write down a layer; of one that runs twice, the channels are tied."""
        own = {f"{name}.{tensor}" if name else tensor: dims for tensor, dims in tensors.items()}
        if name in self.layers:
            for before, now in zip(self.layers[name].axes, axes, strict=True):
                self.ties.tie(before, now, f"{name} runs more than once")
        else:
            self.layers[name] = Layer(tuple(axes), own)

    def grid(self, channels: Channels, rows: int, cause: str, *, by_column: bool = True) -> None:
        """Tie channels that stand in rows, so that whole columns go together (or whole rows)."""
        table = channels.reshape(rows, -1)
        table = table if by_column else table.T
        for row in table[1:]:
            self.ties.tie(table[0], row, cause)

    def where(self) -> str:
        """Name the module that is running."""
        return (self.running[-1][0] if self.running else "") or "the model"

    def __torch_dispatch__(self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        if name == "index_select" and not args[0].is_meta:
            self.ties.fix(channels_of(args[0]), f"{self.where()} fetches channels by their numbers")
            return func(*args[:2], torch.zeros(args[2].shape, dtype=torch.int64) if args[2].is_meta else args[2])
        if name in _FACTORIES and str(kwargs.get("device")) != "meta":
            return torch.zeros_like(func(*args, **kwargs), dtype=torch.float64)
        if name in _MOVES or name in _FACTORIES or any(tensor.is_meta for tensor in tensors):
            self._tie_parts(name, args)
            return func(*args, **kwargs)
        bare = name.removesuffix("_")
        if bare in _JOINS or bare in _SAME:
            result = self._join(*tensors) if len(tensors) == 2 else args[0].clone()
            return args[0].copy_(result) if name.endswith("_") else result
        if name in _REDUCES:
            return self._reduce(func, args, kwargs)
        raise PruneError(
            f"channels cannot be followed through {name if '::' in name else f'aten::{name}'}, called in {self.where()}"
        )

    def _tie_parts(self, name: str, args: Sequence[Any]) -> None:
        """Tie what must go together so that the same call does the same to fewer channels."""
        x = args[0] if args else None
        if not isinstance(x, Tensor) or x.is_meta:
            return
        if name in ("view", "_unsafe_view", "reshape") and x.ndim > 1:
            shape = torch.empty(x.shape, device="meta").reshape(args[1]).shape
            parts = next((n for n in range(3, len(shape) + 1) if prod(shape[1:n]) == x.shape[1]), 0)
            if parts and shape[1] != x.shape[1]:
                self.grid(channels_of(x), shape[1], f"the shuffle in {self.where()}")
        elif name.endswith("channel_shuffle"):
            self.grid(channels_of(x), args[1], f"the shuffle in {self.where()}")
        elif name == "split" and (args[2:] or (0,))[0] == 1 and x.shape[1] % args[1] == 0:
            self.grid(channels_of(x), x.shape[1] // args[1], f"the split in {self.where()}")

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = torch.broadcast_tensors(a, b)  # type: ignore[no-untyped-call]
        different = (a != b) & (a != 0) & (b != 0)
        pairs = torch.unique(torch.stack((a[different], b[different])), dim=1).numpy().astype(np.int64)
        self.ties.tie(pairs[0], pairs[1], f"the sum or product in {self.where()}")
        return torch.where(a == 0, b, a)

    def _reduce(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Keep channels where places are summed up."""
        x, *rest = args
        result = func(torch.empty_like(x, device="meta"), *rest, **kwargs)
        values = result[0] if isinstance(result, tuple) else result
        if values.ndim < 2 or values.shape[:2] != x.shape[:2]:
            raise PruneError(f"channels are summed up in {self.where()}: what is left of a part is another function")
        own = spread(channels_of(x), values.shape)
        return (own, torch.zeros_like(own)) if isinstance(result, tuple) else own


def channels_of(x: Tensor) -> Channels:
    """Return the channel at each place of dimension 1, or of a vector's or matrix' last."""
    places = x.numpy().reshape(x.shape[1], -1)
    largest: NDArray[np.float64] = places.max(axis=1)
    if not ((places == largest[:, None]) | (places == 0)).all():
        raise PruneError("different channels stand at one place of a map")
    return largest.astype(np.int64)


def spread(channels: Channels, shape: Sequence[int]) -> Tensor:
    """Put channels at all places of a map [1, C, ...]."""
    numbers = channels.astype(np.float64).reshape(1, -1, *[1] * (len(shape) - 2))
    return torch.from_numpy(np.broadcast_to(numbers, tuple(shape)).copy())


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FACTORIES = _names("new_zeros zeros zeros_like new_full full new_empty empty empty_like ones scalar_tensor")
_MOVES = _names(
    "view _unsafe_view reshape permute transpose t expand squeeze unsqueeze slice select split split_with_sizes cat "
    "clone contiguous alias detach roll unbind unfold constant_pad_nd channel_shuffle "
    "native_channel_shuffle _to_copy lift_fresh"
)
_JOINS = _names("add sub rsub mul div maximum minimum featherweight::mitchell_multiply")
_SAME = _names("relu hardtanh hardswish hardsigmoid silu sigmoid leaky_relu elu gelu tanh mish neg abs clamp")
_REDUCES = _names(
    "mean sum amax _adaptive_avg_pool2d adaptive_avg_pool2d avg_pool2d max_pool2d_with_indices max_pool2d "
    "_adaptive_avg_pool2d_backward upsample_bilinear2d"
)
