"""Metrics: each a pure function of the traced calls."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from ._energy import energy_of
from ._op_mix import OpMix
from ._schedule import schedule
from ._trace import OpCall

BYTES: Mapping[str, int] = MappingProxyType({"float32": 4, "float16": 2, "int8": 1})
"""Types that values may be stored in, and their bytes: memory and traffic are told for each."""


def params(calls: Sequence[OpCall]) -> int:
    """Parameters of the model, shared ones once; also those that inference does not read."""
    return sum({t.storage: t.storage_size for call in calls for t in call.inputs if t.role == "parameter"}.values())


def multiply_adds(calls: Sequence[OpCall]) -> int:
    """Multiply-adds of convolutions and matrix products, biases left out: half of PyTorch's own flop count."""
    plan = schedule(calls)
    return sum(plan.multiply_adds(position) for position in range(len(calls)))


def operations(calls: Sequence[OpCall]) -> OpMix:
    """Elementary operations of all operators, told apart by sort; batch norm folded (`Schedule`)."""
    plan = schedule(calls)
    return sum((plan.operations(position) for position in range(len(calls))), OpMix())


def peak_memory_bytes(calls: Sequence[OpCall]) -> dict[str, int]:
    """Largest sum of activations alive at once, for each type of value (`Schedule.live_bytes`)."""
    plan = schedule(calls)
    return {name: max(plan.live_bytes(width), default=0) for name, width in BYTES.items()}


def bytes_moved(calls: Sequence[OpCall]) -> dict[str, int]:
    """Memory access cost: what all operators read and write, for each type of value (`Schedule.bytes_moved`)."""
    plan = schedule(calls)
    return {name: sum(plan.bytes_moved(p, width) for p in range(len(calls))) for name, width in BYTES.items()}


def energy_joules(calls: Sequence[OpCall]) -> dict[str, float]:
    """Energy of all operators' arithmetic in 45 nm, memory left out, for each type of value (`energy_of`)."""
    return energy_of(operations(calls))


METRICS: Mapping[str, Callable[[Sequence[OpCall]], int | OpMix | dict[str, int] | dict[str, float]]] = MappingProxyType(
    {
        "params": params,
        "multiply_adds": multiply_adds,
        "operations": operations,
        "energy_joules": energy_joules,
        "peak_memory_bytes": peak_memory_bytes,
        "bytes_moved": bytes_moved,
    }
)
"""Every metric by name."""
