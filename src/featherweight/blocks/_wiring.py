"""Which channel each step of a block reads from which: found by changing one channel at a time before the step."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ._structure import ATTACHED, REORDERING, SAME_PLACE, SAME_VALUES, SPLIT, is_one_step, structure

_SIDE = 6  # of the picture, in pixels; even, so that a checkerboard has no mean
_ROUNDING = 1e-4


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """The channels that a step of a block makes; the first row of a block is its input.

    Args:
        words: the step in a few words; "input" for the first row.
        channels: how many.
        reads: for each earlier row that it reads, by number: bool [channels, channels of that row].
    """

    words: str
    channels: int
    reads: dict[int, Tensor]


def wiring(block: nn.Module, in_channels: int) -> tuple[Row, ...]:
    """Find the links of each step of a block, in the order of execution, in evaluation mode.

    Normalisation and activations, which keep each channel in its place, are no rows of their own, and a split is none:
    the row's parts are read.

    Args:
        block: maps [N, in_channels, H, W] to [N, out_channels, H', W']; it is copied, not changed.

    Example:
        >>> from featherweight.blocks import DepthwiseSeparable
        >>> [(row.channels, {number: int(links.sum()) for number, links in row.reads.items()})
        ...  for row in wiring(DepthwiseSeparable(4, 6), 4)]
        [(4, {}), (4, {0: 4}), (6, {1: 24})]
    """
    twin = copy.deepcopy(block).eval().requires_grad_(False)
    prober = _Prober(twin)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in twin.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, (parameter.shape[0] / parameter.numel()) ** 0.5, generator=generator)
        picture = torch.randn(1, in_channels, _SIDE, _SIDE, generator=generator)
        prober.rows.append(Row(words="input", channels=in_channels, reads={}))
        prober.made(picture, 0)
        with prober:
            twin(picture)
    steps = (step for step in structure(block, in_channels) if step.operation not in (*ATTACHED, SPLIT))
    named = (replace(row, words=str(step)) for row, step in zip(prober.rows[1:], steps, strict=True))
    return (prober.rows[0], *named)


class _Prober(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs every operator once more for each channel that it reads, with that channel changed."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows: list[Row] = []
        self.whole: nn.Module | None = None  # the part that is one step, while it runs
        # By memory, the row that lies in it; holding on to the memory keeps it from being used again.
        self.memory: dict[int, tuple[int, torch.UntypedStorage]] = {}
        for name, module in block.named_modules():
            if is_one_step(module, inside=bool(name)):
                module.register_forward_pre_hook(self._enter)
                module.register_forward_hook(partial(self._leave, module.forward))

    def made(self, tensor: Tensor, row: int) -> None:
        """Note that a tensor holds a row."""
        memory = tensor.untyped_storage()
        self.memory[memory._cdata] = row, memory

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if self.whole is None:
            self.whole = module

    def _leave(self, forward: Callable[..., Any], module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if self.whole is module:
            with torch.utils._python_dispatch._disable_current_modes():
                reads = self._probe(forward, args, balanced=True)
            self._row(output, reads)
            self.whole = None

    def __torch_dispatch__(self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        read = [leaf for leaf in tree_leaves(args) if self._holds(leaf)]
        passive = self.whole is not None or not read
        keeps = name in SAME_VALUES or name.rstrip("_") in SAME_PLACE
        reads = {} if passive or keeps else self._probe(partial(func, **kwargs), args)
        row = None if passive else self.memory[read[0].untyped_storage()._cdata][0]
        result = func(*args, **kwargs)
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if not passive and keeps:
            self.made(results[0], row)  # type: ignore[arg-type]
        elif name in REORDERING or name.endswith("_") or not any(map(self._holds, results)):
            self._row(results[0], reads)  # a part, as of a split, stays where it is
        return result

    def _holds(self, value: object) -> bool:
        return isinstance(value, Tensor) and value.untyped_storage()._cdata in self.memory

    def _row(self, result: Tensor, reads: dict[int, Tensor]) -> None:
        if reads:
            self.rows.append(Row(words="", channels=_by_channel(result).shape[1], reads=reads))
            self.made(result, len(self.rows) - 1)

    def _probe(self, func: Callable[..., Any], args: Sequence[Any], *, balanced: bool = False) -> dict[int, Tensor]:
        """Find what a function's first result hangs on: for each row that it reads, [out, channels of the row].

        Balanced changes leave a channel's mean as it is: what hangs on the mean alone, as in squeeze-excite, is left
        out.
        """

        def run(changed: Tensor | None = None, channel: int = 0) -> Tensor:
            result = func(*tree_map(partial(_copied, changed=changed, channel=channel, balanced=balanced), tuple(args)))
            return _by_channel(next(leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)))

        plain = run()
        reads: dict[int, Tensor] = {}
        for tensor in (leaf for leaf in tree_leaves(args) if self._holds(leaf)):
            number, _ = self.memory[tensor.untyped_storage()._cdata]
            links = reads.setdefault(number, torch.zeros(plain.shape[1], self.rows[number].channels, dtype=torch.bool))
            first = tensor.storage_offset() // tensor[0, 0].numel()  # of the row's channels, for a part of them
            for channel in range(_by_channel(tensor).shape[1]):
                links[:, first + channel] |= ((run(tensor, channel) - plain).abs() > _ROUNDING).any(2)[0]
        return reads


def _copied(value: Any, *, changed: Tensor | None, channel: int, balanced: bool) -> Any:
    """Copy a tensor, with one channel changed if it is the one to change."""
    if not isinstance(value, Tensor):
        return value
    copied = value.clone(memory_format=torch.contiguous_format)
    if value is changed:
        places = _by_channel(copied)[:, channel]
        side = value.shape[-1]
        numbers = torch.arange(places.shape[-1])
        places += 1.0 - 2.0 * ((numbers // side + numbers % side) % 2) if balanced else 1.0
    return copied


def _by_channel(tensor: Tensor) -> Tensor:
    """View a tensor as [N, channels, places], also while its channels are split into groups."""
    return tensor.flatten(1, -3).flatten(2) if tensor.ndim > 3 else tensor.unsqueeze(-1)


def levels(rows: Iterable[Row]) -> list[int]:
    """Return the level of each row: one below the lowest that it reads.

    Example:
        >>> from featherweight.blocks import Fire
        >>> levels(wiring(Fire(4, squeeze_channels=2, expand1x1_channels=2, expand3x3_channels=2), 4))
        [0, 1, 2, 2, 3]
    """
    found: list[int] = []
    for row in rows:
        found.append(max((found[number] + 1 for number in row.reads), default=0))
    return found
