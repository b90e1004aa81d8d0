"""The time of each operator of a network in eager PyTorch, measured where it runs, among the others."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from featherweight.cost._latency import no_garbage_collection

TINY_CALLS = 50
HELD = 4  # a block holds its input while its convolution, batch norm and activation run
CONVOLUTION, OTHER = "convolution", "other"


class Stopwatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Times what reaches PyTorch's dispatcher: the calls that `featherweight.cost.trace` writes down.

    A large operator leaves the way from Python to the next one outside the caches, which costs it up to 10 µs that it
    would not take without a clock: so a tiny one goes that way first, untimed. Giving memory back takes time, too, and
    is the work of the operator that took it: a result is held for `HELD` calls more, by when the network has mostly
    let go of it, and its release is timed.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tiny = torch.zeros(1)
        self.held: deque[object] = deque()
        self.names: list[str] = []
        self.seconds: list[float] = []

    def __torch_dispatch__(self, func: Any, types: object, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        torch.ops.aten.relu.default(self.tiny)
        start = time.perf_counter()
        result = func(*args, **kwargs)
        self.seconds.append(time.perf_counter() - start)
        self.names.append(func._schema.name.removeprefix("aten::"))
        self.held.append(result)
        if len(self.held) > HELD:
            self.release()
        return result

    def release(self) -> None:
        """Let go of the oldest result, on the account of its operator."""
        place = len(self.seconds) - len(self.held)
        start = time.perf_counter()
        self.held.popleft()
        self.seconds[place] += time.perf_counter() - start


def operator_times(model: nn.Module, x: np.ndarray, turns: int) -> dict[str, Any]:
    """Time each operator of a network in its place, and the whole network with no clock in it, in turns.

    Only the faster half of the turns counts, by what they took in all: what disturbs a turn makes it slower. Means over
    these turns are taken on both sides, because means add up. What the clock itself adds to a call, which
    comes from handing the arguments through Python, is measured on tiny operators and taken off.

    Args:
        model: in evaluation mode, on the CPU.
        x: float32 [N, C, H, W].
        turns: one timed pass of each sort.
    Returns: "operators", the name of each call in order; "seconds" of each; "whole", the seconds of a pass in every
        turn that counts, and "every_whole", in every turn; "clock_seconds", what was taken off for a convolution and
        for any other operator.
    """
    given = torch.from_numpy(x)
    clocks: list[Stopwatch] = []
    whole: list[float] = []
    with torch.no_grad():
        for _ in range(3):
            model(given)
        with no_garbage_collection():
            for _ in range(turns):
                with Stopwatch() as clock:
                    model(given)
                clocks.append(clock)
                start = time.perf_counter()
                model(given)
                whole.append(time.perf_counter() - start)
        taken_off = clock_seconds()
    order = sorted(range(turns), key=lambda turn: sum(clocks[turn].seconds) + whole[turn])
    kept = sorted(order[: (turns + 1) // 2])
    names = clocks[0].names
    seconds = [mean(clocks[turn].seconds[place] for turn in kept) for place in range(len(names))]
    return {
        "operators": names,
        "seconds": [max(0.0, s - taken_off[_sort(name)]) for name, s in zip(names, seconds, strict=True)],
        "whole": [whole[turn] for turn in kept],
        "every_whole": whole,
        "clock_seconds": taken_off,
    }


def _sort(name: str) -> str:
    return CONVOLUTION if name == "convolution" else OTHER


def clock_seconds() -> dict[str, float]:
    """Measure what the clock adds to the time of a call: of a convolution, which has many arguments, and of others."""
    pixel, one = torch.zeros(1, 1, 1, 1), torch.ones(1)
    others: tuple[Callable[[], object], ...] = (
        lambda: torch.relu(pixel),
        lambda: torch.add(pixel, pixel),
        lambda: pixel.view(1),
        lambda: functional.batch_norm(pixel, one, one, one, one),
    )
    return {
        CONVOLUTION: _added(lambda: functional.conv2d(pixel, pixel)),
        OTHER: median(_added(function) for function in others),
    }


def _added(function: Callable[[], object]) -> float:
    """By the best of ten turns on each side: what disturbs only ever adds."""
    clocked: list[float] = []
    plain: list[float] = []
    for _ in range(10):
        with Stopwatch() as clock:
            for _ in range(TINY_CALLS):
                function()
        clocked.append(median(clock.seconds))
        start = time.perf_counter()
        for _ in range(TINY_CALLS):
            function()
        plain.append((time.perf_counter() - start) / TINY_CALLS)
    return max(0.0, min(clocked) - min(plain))


def pair_seconds(pairs: Sequence[Sequence[Any]]) -> list[tuple[float, float]]:
    """Time convolutions by themselves, each in turns with what it is compared with.

    Args:
        pairs: of convolutions, each as the six fields of `_guidelines.Convolution`.
    Returns: medians, seconds of the first and of the second of each pair.
    """
    from featherweight.cost import measure_latency

    found = []
    with torch.no_grad():
        for first, second in pairs:
            times = measure_latency({"first": _run(first), "second": _run(second)}, rounds=15, max_seconds=0.5)
            found.append((times["first"].median_seconds, times["second"].median_seconds))
    return found


def _run(convolution: Sequence[Any]) -> Callable[[], object]:
    x, weight, stride, padding, dilation, groups = convolution
    pictures, filters = torch.randn(*x), torch.randn(*weight)
    return lambda: torch.conv2d(pictures, filters, None, stride, padding, dilation, groups)
