"""The roofline of each layer: what it must take at the least, by what it is bound, and what it takes."""

import copy
from collections.abc import Callable, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

from featherweight.cost import OpCall, trace
from featherweight.cost._formulas import FREE, rule

from ._calibration import Calibration
from ._guidelines import Convolution, convolution_of, remarks, twin
from ._layer_times import Bound, LayerTime, Roofline, merge, uncertainty
from ._measure import Subject
from ._process import Worker, WorkerError

if TYPE_CHECKING:
    from torch import nn

VIEW = "view"  # operators that only look at memory differently
# Without a layer: what stands for the ends of a trace, and what PyTorch does for itself inside other operators, where
# it takes 0.2 µs, and 15 under a clock.
NO_LAYER = frozenset(("input", "output", "unread", "detach", "alias", "lift_fresh", "empty", "new_empty", "empty_like"))
Alone = Callable[[list[tuple[Convolution, Convolution]]], list[tuple[float, float]]]


def roofline(
    model: "Subject | nn.Module",
    input_size: int | tuple[int, int] | tuple[int, int, int] | None = None,
    *,
    calibration: Calibration,
    batch: int = 1,
    turns: int = 20,
) -> Roofline:
    """Measure each operator of a network in eager PyTorch, in its place among the others, beside what it must take.

    The least time of a call is the longest of three: its operations at the machine's best rate of multiply-adds in
    float32, its bytes at the rate of a copy of as many bytes, and a call that has nothing to do.

    Args:
        model: a `Subject`, measured in a process of its own; or any module in float32 on the CPU, measured in this
            process with PyTorch's threads, which is not changed.
        input_size: of a module, as for `featherweight.cost.trace`; a Subject has its own.
        calibration: of this machine, for as many threads.
        batch: pictures at a time.
        turns: timed passes with a clock at each operator, each beside one without.
    Raises:
        TraceError: an operator cannot be traced; the message names it and the module that calls it.
        UnknownOperatorError: one has no cost formula.
        ValueError: batch or turns is not positive; threads are not those of the calibration; the input size is wrong.
        WorkerError: a Subject cannot be built or run, or calls other operators than those traced.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from featherweight.bench import Calibration
        >>> rates = dict(multiply_adds_per_second={"float32": 1e11}, bandwidth_bytes_per_second={2**18: 1e10})
        >>> calls = {"convolution": 1e-5, "element-wise": 2e-6}
        >>> ceilings = Calibration(machine="", versions={}, date="", threads=torch.get_num_threads(),
        ...                        call_seconds=calls, caches=[], **rates)
        >>> found = roofline(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 34, 34), calibration=ceilings, turns=5)
        >>> [(layer.name, layer.kind, layer.operations, layer.bytes_moved, layer.bound) for layer in found.layers]
        [('0', '3x3', 229376, 47536, 'call'), ('1', 'activation', 8192, 65536, 'memory')]
    """
    import torch

    if min(batch, turns) < 1:
        raise ValueError(f"batch and turns must be 1 or more; got {batch} and {turns}")
    if isinstance(model, Subject):
        if input_size is not None:
            raise ValueError(f"a Subject has its own input shape; input_size is for modules; got {input_size}")
        return _in_a_process(model, calibration, batch, turns)
    if calibration.threads != torch.get_num_threads():
        raise ValueError(
            f"the calibration is for {calibration.threads} threads, PyTorch uses {torch.get_num_threads()} here: "
            f"torch.set_num_threads({calibration.threads})"
        )
    from ._clock import operator_times, pair_seconds

    calls = trace(model, input_size)
    x = torch.randn(batch, *calls[0].outputs[0].shape[1:]).numpy()
    found = operator_times(copy.deepcopy(model).eval(), x, turns)
    name = getattr(model, "name", None) or type(model).__name__
    return _roofline(name, calls, found, calibration=calibration, batch=batch, alone=pair_seconds)


def _in_a_process(subject: Subject, calibration: Calibration, batch: int, turns: int) -> Roofline:
    from featherweight.networks import create, load_model, on_meta_device

    what = {"network": subject.network, "options": dict(subject.options), "shape": subject.input_shape}
    with Worker("eager", calibration.threads, 600.0) as worker:
        found = worker.ask(do="layers", turns=turns, batch=batch, **what)
        if subject.network.endswith(".safetensors"):
            model = load_model(subject.network)
        else:
            with on_meta_device():
                model = create(subject.network, **subject.options)  # type: ignore[arg-type]
        calls = trace(model, tuple(found["shape"]))
        return _roofline(
            subject.network, calls, found, calibration=calibration, batch=batch,
            alone=lambda pairs: worker.ask(do="convolutions", pairs=pairs)["seconds"],
        )  # fmt: skip


def _roofline(
    name: str, traced: Sequence[OpCall], found: dict[str, Any], *, calibration: Calibration, batch: int, alone: Alone
) -> Roofline:
    """Put what was measured beside what was traced."""
    calls = [call for call in traced if call.op not in NO_LAYER]
    ran = [
        (op, seconds) for op, seconds in zip(found["operators"], found["seconds"], strict=True) if op not in NO_LAYER
    ]
    _demand_the_same(name, [call.op for call in calls], [op for op, _ in ran])
    convolutions = (convolution_of(call, batch) for call in calls)
    twins = {conv: match[1] for conv in convolutions if conv is not None and (match := twin(conv)) is not None}
    timed = dict(zip(twins, map(tuple, alone(list(twins.items()))), strict=True))
    groups: dict[tuple[str, str], list[LayerTime]] = {}
    for call, (_, seconds) in zip(calls, ran, strict=True):
        one = call_time(call, seconds, calibration, batch, timed)  # type: ignore[arg-type]
        groups.setdefault((one.name, one.kind), []).append(one)
    return Roofline(
        name=name,
        input_shape=traced[0].outputs[0].shape[1:],
        batch=batch,
        layers=tuple(merge(*place, parts) for place, parts in groups.items()),
        whole_seconds=mean(found["whole"]),
        uncertainty=uncertainty(found["every_whole"]),
        clock_seconds=found["clock_seconds"],
        calibration=calibration,
    )


def _demand_the_same(name: str, traced: list[str], ran: list[str]) -> None:
    """Raises: WorkerError: the operators that ran are not those that were traced; the message names the first."""
    if traced != ran:
        pairs = enumerate(zip([*traced, "nothing"], [*ran, "nothing"], strict=False))
        place, (wanted, came) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
        raise WorkerError(
            f"{name} calls other operators when it runs than when it is traced: call {place + 1} is {came} in place "
            f"of {wanted}"
        )


def call_time(
    call: OpCall, seconds: float, calibration: Calibration, batch: int, alone: dict[Convolution, tuple[float, float]]
) -> LayerTime:
    """Put the measured time of one call beside its bounds.

    Args:
        call: of the trace of one picture.
        seconds: measured, of a batch.
        alone: for each convolution that has a twin, its seconds and its twin's.
    """
    kind = VIEW if call.op in FREE else rule(call).kind(call)
    operations, moved = operations_of(call, batch), bytes_of(call, batch)
    nothing = calibration.call_seconds["convolution" if call.op == "convolution" else "element-wise"]
    bounds: dict[Bound, float] = {
        "compute": operations / calibration.multiply_adds_per_second["float32"],
        "memory": moved / calibration.bandwidth(moved),
        "call": nothing,
    }
    bound = max(bounds, key=lambda name: bounds[name])
    said = remarks(call, kind, batch=batch, seconds=seconds, bound=bound, call_seconds=nothing, alone=alone)
    return LayerTime(
        name=call.module, kind=kind, calls=1, operations=operations, bytes_moved=moved, seconds=seconds,
        bounds={bound: bounds[bound]}, remarks=said,
    )  # fmt: skip


def operations_of(call: OpCall, batch: int) -> int:
    """Count the elementary operations of a call for a batch; a multiplication with its addition is one."""
    if call.op in FREE:
        return 0
    mix = rule(call).mix(call)
    each = mix.total - min(mix.multiplies, mix.additions)
    return each * (batch if any(tensor.role == "activation" for tensor in call.outputs) else 1)


def bytes_of(call: OpCall, batch: int) -> int:
    """Count the bytes that a call moves for a batch in eager PyTorch: each distinct input once, and each output."""
    if call.op in FREE:
        return 0
    return sum(
        min(tensor.numel, tensor.storage_size) * tensor.dtype.itemsize * (batch if tensor.role == "activation" else 1)
        for tensor in (*dict.fromkeys(call.inputs), *call.outputs)
    )
