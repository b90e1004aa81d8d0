"""Networks without weights: enough to count them, in a hundredth of the memory and a fraction of the time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

_DRAWS = frozenset(
    {Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_, init.normal_, init.uniform_, init.kaiming_uniform_}
)


class _NothingDrawn(TorchFunctionMode):
    """Skip the filling of tensors that have no memory: PyTorch checks and traces each such call, for nothing."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func in _DRAWS:
            tensor = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **(kwargs or {}))


@contextmanager
def on_meta_device() -> Iterator[None]:
    """Build networks inside this block on the meta device: with shapes and types, without weights.

    Example:
        >>> from featherweight.networks import create
        >>> with on_meta_device():
        ...     model = create("mobilenet_v2")
        >>> next(model.parameters()).device
        device(type='meta')
    """
    with torch.device("meta"), _NothingDrawn():
        yield
