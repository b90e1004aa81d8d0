"""One forward pass on the meta device, written down operator by operator. Every cost is read off this record."""

import copy
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Role = Literal["activation", "parameter", "constant"]
InputSize = int | tuple[int, int] | tuple[int, int, int]


class TraceError(RuntimeError):
    """An operator of a model cannot be traced; the message says which, in which module, and what PyTorch says."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as an operator sees it: its shape, and the memory that lies under it.

    Args:
        storage: number of the memory; tensors with the same number share it (a view, the result of an in-place op).
        storage_size: elements in that memory; more than `numel` for a slice, fewer for an expanded tensor.
        offset: of the first element in that memory, in elements.
        role: "parameter"; "constant" for a buffer and for what was computed from no picture; else "activation".
    """

    storage: int
    storage_size: int
    offset: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    role: Role

    @property
    def numel(self) -> int:
        """How many elements it has."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class OpCall:
    """One operator call of the traced forward pass.

    Args:
        op: name in PyTorch's dispatcher, without "aten::": "convolution", "relu_", "mylibrary::my_op". The trace begins
            with an "input" and ends with an "output"; "unread" calls list parameters that inference does not read.
        module: dotted path of the innermost module whose forward was running; "" for the model itself.
        module_type: its class.
        inputs: all tensors among the arguments, in order.
        outputs: all tensors among the results, in order.
        args: the arguments as given, with a TensorInfo in the place of each tensor.
    """

    op: str
    module: str
    module_type: type[nn.Module]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


def trace(model: nn.Module, input_size: InputSize | None = None) -> tuple[OpCall, ...]:
    """Run one picture through `model` in evaluation mode on the meta device and list every operator call.

    Nothing is computed and no weight is copied; the model keeps its mode, its device and its weights.

    Args:
        model: maps one tensor [1, C, H, W] to tensors.
        input_size: side of a square picture, (H, W), or (C, H, W), in pixels. Default: the model's own
            `resolution`; channels default to its `in_channels`.
    Raises:
        ValueError: the input size is not one of these, or the model does not say what is left out.
        TraceError: an operator does not take the shapes that reach it, or needs values where there are only shapes.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True))
        >>> [(call.op, call.module, call.outputs[0].shape) for call in trace(model, (3, 10, 10))[1:-1]]
        [('convolution', '0', (1, 8, 8, 8)), ('relu_', '1', (1, 8, 8, 8))]
    """
    shape = input_shape(model, input_size)
    twin = meta_twin(model)
    recorder = _Recorder(twin)
    dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    with torch.inference_mode(False), torch.no_grad():
        picture = torch.empty((1, *shape), dtype=dtype, device="meta")
        recorder.calls.append(recorder.input(picture))
        with recorder:
            result = twin(picture)
    return (*recorder.calls, *recorder.unread_parameters(twin), recorder.output(result))


def input_shape(model: nn.Module, input_size: InputSize | None) -> tuple[int, int, int]:
    """Complete `input_size` to (C, H, W) from what the model says of itself.

    Example:
        >>> model = nn.Identity()
        >>> model.in_channels = 1
        >>> input_shape(model, 28)
        (1, 28, 28)
        >>> input_shape(nn.Identity(), 28)
        Traceback (most recent call last):
        ...
        ValueError: Identity has no attribute in_channels: give the input size as (channels, height, width)
    """
    if input_size is None:
        if not isinstance(getattr(model, "resolution", None), int):
            raise ValueError(
                f"{type(model).__name__} has no attribute resolution: give the input size as (channels, height, width)"
            )
        input_size = int(model.resolution)  # type: ignore[arg-type]
    given = (input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    if len(given) not in (2, 3) or not all(isinstance(side, int) and side > 0 for side in given):
        raise ValueError(
            f"the input size must be a side, (height, width), or (channels, height, width), positive; got {input_size}"
        )
    if len(given) == 3:
        return given
    if not isinstance(getattr(model, "in_channels", None), int):
        raise ValueError(
            f"{type(model).__name__} has no attribute in_channels: give the input size as (channels, height, width)"
        )
    return (int(model.in_channels), *given)  # type: ignore[return-value, arg-type]


def meta_twin(model: nn.Module) -> nn.Module:
    """Copy a model in evaluation mode onto the meta device, weights left behind.

    Example:
        >>> next(meta_twin(nn.Linear(2, 2)).parameters()).device
        device(type='meta')
    """
    # deepcopy takes over what the memo has for an object: tensors of ours, so that no weight is copied, and a new dict
    # for each of the dozen empty ones for hooks that every module has, which would take most of the time.
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in (*module._parameters.values(), *module._buffers.values(), *vars(module).values()):
            if isinstance(value, Tensor):
                if id(value) not in memo:
                    memo[id(value)] = _on_meta(value)
            elif type(value) is OrderedDict and not value:
                memo[id(value)] = OrderedDict()
    return copy.deepcopy(model, memo).eval()


def _on_meta(tensor: Tensor) -> Tensor:
    if tensor.is_meta:
        return tensor
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what reaches PyTorch's dispatcher, and in which module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[OpCall] = []
        self.modules: list[tuple[str, type[nn.Module]]] = [
            ("", type(model))
        ]  # whose forward is running, innermost last
        # Memory is told apart by its address; holding on to it keeps an address from being used again.
        self.storages: dict[int, tuple[int, torch.UntypedStorage]] = {}
        self.roles: list[Role] = []
        for name, module in model.named_modules():
            if name:
                module.register_forward_pre_hook(self._entering(name), prepend=True)
                module.register_forward_hook(self._leaving)
        for parameter in model.parameters():
            self.info(parameter, "parameter")

    def _entering(self, name: str) -> Any:
        def enter(module: nn.Module, args: object) -> None:
            self.modules.append((name, type(module)))

        return enter

    def _leaving(self, module: nn.Module, args: object, output: object) -> None:
        self.modules.pop()

    def input(self, picture: Tensor) -> OpCall:
        """The call that stands for the model's input; it comes first."""
        return OpCall("input", *self.modules[0], (), (self.info(picture, "activation"),))

    def output(self, result: Any) -> OpCall:
        """The call that stands for reading the model's result."""
        tensors = (self.info(tensor) for tensor in tree_leaves(result) if isinstance(tensor, Tensor))
        return OpCall("output", *self.modules[0], tuple(tensors), ())

    def unread_parameters(self, model: nn.Module) -> Iterator[OpCall]:
        """One call for each module that has parameters which no call so far has read."""
        read = {tensor.storage for call in self.calls for tensor in call.inputs}
        for name, module in model.named_modules():
            own = (self.info(parameter) for parameter in module.parameters(recurse=False))
            unread = tuple(tensor for tensor in own if tensor.storage not in read)
            if unread:
                yield OpCall("unread", name, type(module), unread, ())
                read.update(tensor.storage for tensor in unread)

    def info(self, tensor: Tensor, role: Role = "constant") -> TensorInfo:
        """Describe a tensor; `role` is that of memory not seen before."""
        memory = tensor.untyped_storage()
        number, _ = self.storages.setdefault(memory._cdata, (len(self.storages), memory))
        if number == len(self.roles):
            self.roles.append(role)
        elif role == "activation":  # an activation was written into a constant
            self.roles[number] = role
        return TensorInfo(
            number, memory.nbytes() // tensor.itemsize, int(tensor.storage_offset()), tuple(tensor.shape), tensor.dtype,
            self.roles[number],
        )  # fmt: skip

    def __torch_dispatch__(self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs: list[TensorInfo] = []
        seen_args = tuple(self._replace(arg, inputs) for arg in args)
        seen_kwargs = {key: self._replace(arg, inputs) for key, arg in kwargs.items()}
        name = func._schema.name.removeprefix("aten::")
        result = _shape_rule(name, args)
        if result is None:
            result = self._run(func, name, args, kwargs)
        role: Role = "activation" if any(tensor.role == "activation" for tensor in inputs) else "constant"
        results = result if isinstance(result, (tuple, list)) else (result,)
        outputs = tuple(self.info(tensor, role) for tensor in results if isinstance(tensor, Tensor))
        self.calls.append(OpCall(name, *self.modules[-1], tuple(inputs), outputs, seen_args, seen_kwargs))
        return result

    def _run(self, func: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        try:
            return func(*args, **kwargs)
        except (RuntimeError, IndexError) as error:
            operator, (module, module_type) = name if "::" in name else f"aten::{name}", self.modules[-1]
            raise TraceError(
                f"the operator {operator}, called in {module or 'the model'} ({module_type.__name__}), cannot be "
                f"traced: {str(error).strip().partition(chr(10))[0]}"
            ) from error

    def _replace(self, arg: Any, seen: list[TensorInfo]) -> Any:
        if isinstance(arg, Tensor):
            seen.append(self.info(arg))
            return seen[-1]
        if isinstance(arg, (list, tuple)):
            return tuple(self._replace(item, seen) for item in arg)
        return arg


_SHAPE_KEEPING = frozenset(
    ("relu", "hardtanh", "hardswish", "hardsigmoid", "silu", "sigmoid", "leaky_relu", "elu", "gelu", "tanh", "mish")
)


def _shape_rule(name: str, args: Sequence[Any]) -> Any:
    """Answer the commonest operators at once, None for others: PyTorch's own meta kernels need 1 to 2 ms for each."""
    x = args[0] if args else None
    if not isinstance(x, Tensor) or not x.is_contiguous():
        return None
    if name == "native_batch_norm" and args[5] is False:
        return (_empty_like(x), x.new_empty(0), x.new_empty(0))
    if name in _SHAPE_KEEPING:
        return _empty_like(x)
    return x if name[-1] == "_" and name[:-1] in _SHAPE_KEEPING else None


def _empty_like(x: Tensor) -> Tensor:
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")
