"""What a block does, step by step: read from the module itself by running it on shapes alone."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ._channel_wise import ChannelWiseConv
from ._shift_max import DynamicShiftMax
from ._squeeze_excite import SqueezeExcite

_SIDE = 16  # of the picture, in pixels; divides by every stride


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a block, in the order of execution.

    Args:
        operation: "convolution", "BN", the activation's name, "add", "join", "shuffle", ... or the words of the class
            of a part that is shown as a whole, as "squeeze-excite".
        module: dotted path in the block of the module that does it; "" for the block itself.
        in_channels, out_channels: of the tensor it works on, and of its result.
        kernel_size, stride: (height, width) in pixels, of a convolution or pooling.
        groups: of a convolution.
        reads: numbers of the steps whose results it works on, counted from 1; 0 is the block's input.
    """

    operation: str
    module: str
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...] | None = None
    stride: tuple[int, ...] = (1, 1)
    groups: int = 1
    reads: tuple[int, ...] = (0,)

    @property
    def channels(self) -> str:
        """Whether there are more channels behind the step ("up"), fewer ("down"), or as many ("same")."""
        if self.in_channels == self.out_channels:
            return "same"
        return "up" if self.out_channels > self.in_channels else "down"

    def __str__(self) -> str:
        """Write the step in a few words, as "3x3 depthwise, stride 2" or "1x1 up"."""
        if self.kernel_size is None:
            return self.operation
        words = ["x".join(map(str, self.kernel_size))]
        if self.operation != "convolution":
            words.append(self.operation)
        if self.groups > 1:
            words.append("depthwise" if self.groups == self.in_channels else f"in {self.groups} groups")
        if self.channels != "same":
            words.append(self.channels)
        stride = "x".join(map(str, self.stride if len(set(self.stride)) > 1 else self.stride[:1]))
        return " ".join(words) + (f", stride {stride}" if stride != "1" else "")


def structure(block: nn.Module, in_channels: int) -> tuple[Step, ...]:
    """List what a block does, in the order of execution, in evaluation mode.

    Nothing is computed: the block is copied to the meta device and given a picture's shape.

    Args:
        block: maps [N, in_channels, H, W] to a tensor; it is not changed.

    Example:
        >>> from featherweight.blocks import DepthwiseSeparable
        >>> [str(step) for step in structure(DepthwiseSeparable(8, 16), 8)]
        ['3x3 depthwise', 'BN', 'ReLU6', '1x1 up', 'BN', 'ReLU6']
    """
    twin = copy.deepcopy(block).to("meta").eval()
    recorder = _Recorder(twin)
    with torch.no_grad():
        picture = torch.empty(1, in_channels, _SIDE, _SIDE, device="meta")
        recorder.wrote(picture, 0)
        with recorder:
            twin(picture)
    return tuple(recorder.steps)


def in_words(steps: Iterable[Step]) -> str:
    """Write the steps of a block in one line.

    Normalisation and activations stand behind what they belong to; "|" goes on with the result, "//" begins a branch
    beside it, from an earlier result.

    Example:
        >>> from featherweight.blocks import Fire
        >>> in_words(structure(Fire(8, squeeze_channels=2, expand1x1_channels=4, expand3x3_channels=4), 8))
        '1x1 down, ReLU | 1x1 up // 3x3 up | join, ReLU'
    """
    line = ""
    for number, step in enumerate(steps, start=1):
        follows = number - 1 in step.reads
        if line:
            line += ", " if follows and step.operation in ATTACHED else " | " if follows else " // "
        line += str(step)
    return line


_ACTIVATIONS = {
    "relu": "ReLU",
    "hardtanh": "ReLU6",
    "silu": "SiLU",
    "hardswish": "h-swish",
    "sigmoid": "sigmoid",
    "hardsigmoid": "hard sigmoid",
    "leaky_relu": "leaky ReLU",
}
_NORMS = {"native_batch_norm": "BN", "_native_batch_norm_legit_no_training": "BN"}
SAME_PLACE = frozenset((*_ACTIVATIONS, *_NORMS))  # operators that keep each channel in its place
ATTACHED = frozenset((*_ACTIVATIONS.values(), *_NORMS.values()))
SPLIT = "split"
REORDERING = frozenset(("transpose", "permute"))
_POOLS = {"avg_pool2d": "average", "max_pool2d_with_indices": "maximum"}
_OPERATIONS = {
    **_ACTIVATIONS,
    **_NORMS,
    "add": "add",
    "mul": "scale",
    "cat": "join",
    "split": SPLIT,
    "split_with_sizes": SPLIT,
    "slice": SPLIT,
    "select": SPLIT,
    "mean": "mean",
    "_adaptive_avg_pool2d": "mean",
    "channel_shuffle": "shuffle",
    "native_channel_shuffle": "shuffle",
    **dict.fromkeys(REORDERING, "shuffle"),
    "index": "fetch",
    "index_select": "fetch",
    "maximum": "maximum",
}
SAME_VALUES = frozenset(
    ("view", "_unsafe_view", "reshape", "alias", "detach", "clone", "contiguous", "expand", "squeeze", "unsqueeze")
)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes a step for each operator that reaches PyTorch's dispatcher, or one for a part that is shown as a whole."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step] = []
        self.modules: list[str] = []  # whose forward is running, innermost last
        self.whole: str | None = None  # the part that is shown as one step, while it runs
        # By memory, the number of the step that wrote it last; holding on to the memory keeps it from being used again.
        self.written: dict[int, tuple[int, torch.UntypedStorage]] = {}
        for name, module in block.named_modules():
            module.register_forward_pre_hook(partial(self._enter, name))
            module.register_forward_hook(partial(self._leave, name))

    def wrote(self, tensor: Tensor, step: int) -> None:
        """Note that a step wrote a tensor."""
        memory = tensor.untyped_storage()
        self.written[memory._cdata] = step, memory

    def _reads(self, tensors: Iterable[Tensor]) -> tuple[int, ...]:
        """Return the numbers of the steps that wrote these tensors; weights are not among them."""
        keys = [tensor.untyped_storage()._cdata for tensor in tensors]
        return tuple(dict.fromkeys(self.written[key][0] for key in keys if key in self.written))

    def _record(self, read: Sequence[Tensor], results: Iterable[Tensor], **step: Any) -> None:
        reads = self._reads(read)
        results = list(results)
        if reads and results:
            channels = {"in_channels": _channels(read[0]), "out_channels": _channels(results[0])}
            self.steps.append(Step(module=self.modules[-1], reads=reads, **{**channels, **step}))
            for result in results:
                self.wrote(result, len(self.steps))

    def _enter(self, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.modules.append(name)
        if self.whole is None and is_one_step(module, inside=bool(name)):
            self.whole = name

    def _leave(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self.whole == name:
            self.whole = None
            self._record([args[0]], [output], operation=_class_words(module), **_geometry(module))
        self.modules.pop()

    def __torch_dispatch__(self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        if self.whole is not None:
            return result
        read = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if name in SAME_VALUES:
            for step in self._reads(read)[:1]:
                self.wrote(results[0], step)
        elif name == "convolution":
            stride, groups, kernel = tuple(args[3]), args[8], tuple(args[1].shape[2:])
            self._record(read, results, operation=name, kernel_size=kernel, stride=stride, groups=groups)
        elif name in _POOLS:
            stride = tuple(args[2] if len(args) > 2 and args[2] else args[1])
            self._record(read, results[:1], operation=_POOLS[name], kernel_size=tuple(args[1]), stride=stride)
        else:
            operation = _OPERATIONS.get(name.rstrip("_"), name)
            self._record(read, results[:1] if operation == "BN" else results, operation=operation)
        return result


def _channels(tensor: Tensor) -> int:
    """Count channels: all that lies between the pictures and the pixels, also while they are split into groups."""
    return prod(tensor.shape[1:-2]) if tensor.ndim > 3 else tensor.shape[-1]


def is_one_step(module: nn.Module, *, inside: bool) -> bool:
    """Tell whether a module is shown as one step: its operators are not what the reader of a block is after.

    Squeeze-excite is one inside another block; Dynamic Shift-Max and kinds of convolution not PyTorch's always are.
    """
    ours = not type(module).__module__.startswith("torch.")
    return (
        (inside and isinstance(module, SqueezeExcite))
        or isinstance(module, ChannelWiseConv | DynamicShiftMax)
        or (ours and hasattr(module, "kernel_size") and not list(module.children()))
    )


def _class_words(module: nn.Module) -> str:
    """Write a class name in lower case, its words joined by hyphens.

    Example:
        >>> _class_words(SqueezeExcite(8, 2))
        'squeeze-excite'
    """
    name = type(module).__name__.removesuffix("2d").removesuffix("Conv")
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).strip("-")


def _geometry(module: nn.Module) -> dict[str, Any]:
    """Return kernel, stride and groups of a module that works like a convolution."""
    if not hasattr(module, "kernel_size"):
        return {}
    return {
        "kernel_size": _pair(module.kernel_size),
        "stride": _pair(getattr(module, "stride", 1)),
        "groups": getattr(module, "groups", 1),
    }


def _pair(value: Any) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)
