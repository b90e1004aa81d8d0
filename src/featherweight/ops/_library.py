"""How an operator of ours is made known to PyTorch, with as little as it allows between a call and its kernel."""

from collections.abc import Callable

import torch
from torch import Tensor

OPERATORS: "dict[str, Operator]" = {}  # all there are, by name


class Operator:
    """The operator featherweight::name of PyTorch's dispatcher: a function that changes none of its arguments.

    The function it is made of runs on every device without a kernel of its own. `torch.library.custom_op` is the same
    and holds each call's results against its arguments, which tests do here; a call of it takes twice the time.

    `kernels` says of each kind of device that has a kernel what that is made of, and `only` of which kind of device the
    operator is, if not of all: `featherweight info` shows both.
    """

    def __init__(self, function: Callable[..., Tensor], name: str, only: str = "") -> None:
        OPERATORS[name] = self
        self.kernels: dict[str, str] = {}
        self.only = only
        self.name, self.__doc__ = f"featherweight::{name}", function.__doc__
        torch.library.define(self.name, torch.library.infer_schema(function, mutates_args=()))
        torch.library.impl(self.name, "default", function)
        self.overload = getattr(torch.ops.featherweight, name).default

    def __call__(self, *arguments: object) -> Tensor:
        """Call the kernel of the arguments' device."""
        result: Tensor = self.overload(*arguments)
        return result

    def kernel(self, device: str, made_of: str = "") -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
        """Make a function the kernel for one kind of device; unless it is said what of, it is made of its file."""

        def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
            torch.library.impl(self.name, device, function)
            self.kernels[device] = made_of or f"{function.__module__.partition('.')[2].replace('.', '/')}.py"
            return function

        return register

    def shapes(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Make a function the one that gives an empty result of the right shape."""
        torch.library.register_fake(self.name, function)
        return function

    def gradients(self, backward: Callable[..., object], keep: Callable[..., None]) -> None:
        """Make functions its backward pass, and what keeps for it what it needs."""
        torch.library.register_autograd(self.name, backward, setup_context=keep)

    def without_gradients(self) -> None:
        """Make it refuse a backward pass: what works out gradients here has none of its own."""

        def backward(ctx: object, grad: Tensor) -> None:
            raise RuntimeError(
                f"{self.name} cannot be differentiated: the operator it belongs to has first derivatives only"
            )

        torch.library.register_autograd(self.name, backward)

    def in_float32_under_autocast(self) -> None:
        """Let it compute and answer in float32 under autocast."""
        for device in ("cpu", "cuda"):
            torch.library.register_autocast(self.name, device, torch.float32)


def operator(name: str, only: str = "") -> Callable[[Callable[..., Tensor]], Operator]:
    """Make a function the operator featherweight::name, of one kind of device alone if that is said."""
    return lambda function: Operator(function, name, only)
