"""Numbers that say what a unit has to do: what its time is learned from."""

from math import log2, prod

from featherweight.cost import OpCall, TensorInfo
from featherweight.cost._formulas import FREE, rule

from ._units import Unit

WIDTH = 4  # bytes of a float32
EXPONENTIAL = frozenset(("sigmoid", "silu", "tanh", "gelu", "mish", "elu", "softplus", "div"))  # costly for each value
PIECEWISE = frozenset(("hardswish", "hardsigmoid"))  # a few operations for each value


def group_of(kind: str) -> str:
    """Name the model that a kind of unit belongs to: kernels of all sizes are learned together, other operators apart.

    Example:
        >>> [group_of(kind) for kind in ("1x1", "3x3", "grouped 1x1", "max_pool2d_with_indices")]
        ['1x1', 'dense', 'grouped', 'max_pool2d_with_indices']
    """
    first = kind.partition(" ")[0]
    if first in ("grouped", "transposed"):
        return first
    return "dense" if kind != "1x1" and all(part.isdecimal() for part in kind.split("x")) else kind


def multiply_adds(unit: Unit) -> int:
    """Multiply-adds of a unit."""
    return sum(rule(c).mix(c).multiplies for c in unit.calls if c.op not in FREE and rule(c).multiply_adds)


def operations(unit: Unit) -> int:
    """Operations of all sorts in a unit: multiplications, additions, comparisons."""
    return sum(rule(c).mix(c).total for c in unit.calls if c.op not in FREE)


def bytes_moved(unit: Unit) -> int:
    """Bytes that a unit reads and writes if what its operators hand on stays where it is."""
    made: set[int] = set()
    read: dict[int, int] = {}
    for call in unit.calls:
        for tensor in call.inputs:
            if tensor.storage not in made:
                read[tensor.storage] = max(read.get(tensor.storage, 0), _size(tensor))
        made.update(tensor.storage for tensor in call.outputs)
    return (sum(read.values()) + _written(unit)) * WIDTH


def features(unit: Unit) -> tuple[float, ...]:
    """Describe a unit: logarithms of what grows, flags of what does not; the same number of them for every unit.

    Example:
        >>> from torch import nn
        >>> from featherweight.cost import trace
        >>> from featherweight.predictor._units import merged_units
        >>> unit, = merged_units(trace(nn.Conv2d(16, 32, 3, padding=1), (16, 8, 8)))
        >>> features(unit)[:6]  # channels in, channels out, groups, pixels, height and width of the kernel
        (4.0, 5.0, 0.0, 6.0, 1.584962500721156, 1.584962500721156)
    """
    root = unit.root
    activations = sum(_size(t) for t in {t.storage: t for t in root.inputs if t.role == "activation"}.values())
    weights = sum(_size(t) for t in root.inputs if t.role != "activation")
    written = max(1, _written(unit))
    prices = [_price(call) for call in unit.tail]
    return (
        *_shape(root),
        log2(1 + activations),
        log2(1 + weights),
        log2(1 + written),
        0.0 if root.op in FREE else log2(1 + rule(root).mix(root).total),
        float(len(root.inputs)),
        *(float(prices.count(sort)) for sort in ("exponential", "piecewise", "activation", "element-wise")),
        log2(1 + _read_by_tail(unit) / written),
        float(any(not _blocked(one) for one in unit.before)),
        float(any(not _blocked(one) for one in unit.after)),
    )


def _price(call: OpCall) -> str:
    """Name the sort of an operator that others end with, by what it costs for each value."""
    name = call.op.removesuffix("_")
    return "exponential" if name in EXPONENTIAL else "piecewise" if name in PIECEWISE else rule(call).kind(call)


def _blocked(unit: Unit) -> bool:
    """Tell whether a unit may keep its channels in blocks, as its neighbours in a graph may like to have them."""
    channels = unit.calls[-1].outputs[0].shape[1:2]
    return (unit.root.op == "convolution" or "pool" in unit.root.op) and channels[0] % 16 == 0


def _shape(call: OpCall) -> tuple[float, ...]:
    """Channels of a group in and out, groups, pixels out, kernel, stride, and how evenly the channels divide."""
    if call.op == "convolution":
        weight, stride, groups = call.args[1], call.args[3], call.args[8]
        after, before = weight.shape[0] // groups, weight.shape[1]
        kernel = (*weight.shape[2:], 1)[:2]
        pixels = prod(call.outputs[0].shape[2:])
        whole = (before * groups if before == 1 else before, after * groups if after == 1 else after)
        sizes = log2(before), log2(after), log2(groups), log2(pixels), *map(log2, kernel), log2(stride[0])
        return *sizes, *_even(*whole)
    given = next((t for t in call.inputs if t.role == "activation"), call.inputs[0] if call.inputs else None)
    shape = given.shape if given is not None else ()
    channels = shape[1] if len(shape) > 1 else 1
    after = call.outputs[0].shape[1] if call.outputs and len(call.outputs[0].shape) > 1 else 1
    window = call.args[1] if len(call.args) > 1 and "pool" in call.op and "adaptive" not in call.op else (1,)
    step = call.args[2] if len(call.args) > 2 and "pool" in call.op and call.args[2] else window
    side = log2(window[0])
    pixels = max(1, prod(shape[2:]))
    return (
        log2(max(1, channels)),
        log2(max(1, after)),
        0.0,
        log2(pixels),
        side,
        side,
        log2(step[0]),
        *_even(channels, after),
    )


def _even(*channels: int) -> tuple[float, ...]:
    return tuple(float(number % divisor == 0) for divisor in (4, 8, 16) for number in channels)


def _written(unit: Unit) -> int:
    last = unit.calls[-1]
    return sum(_size(tensor) for tensor in last.outputs[:1] if last.op not in FREE)


def _read_by_tail(unit: Unit) -> int:
    made = {tensor.storage for call in unit.calls for tensor in call.outputs}
    inputs = (tensor for call in unit.tail for tensor in call.inputs if tensor.role == "activation")
    return sum({tensor.storage: _size(tensor) for tensor in inputs if tensor.storage not in made}.values())


def _size(tensor: TensorInfo) -> int:
    return min(tensor.numel, tensor.storage_size)
