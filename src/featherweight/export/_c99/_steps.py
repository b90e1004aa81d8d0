"""The operators of an int8 graph as steps of a program."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ._graph import Pending, Seen, Weights, attributes, said
from ._layers import check_shiftable
from ._program import Add, Conv, Map, Multiply, Pool, UnsupportedError, Window

if TYPE_CHECKING:
    from ._read import Reader

MOST = 2**31 - 1  # of a sum


def table(own: Map, scale: np.float32, zero: int, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the byte for each byte of a map: of function((byte - zero) * scale), in float32."""
    values = (np.arange(256, dtype=np.float32) - np.float32(own.zero)) * own.scale
    given: np.ndarray = np.clip(np.rint(function(values) / scale) + zero, 0, 255).astype(np.uint8)
    return given


def emit(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    """Write the step of an operator whose output's scale is known now."""
    name = pending.node.op_type
    how = _HOW.get(name)
    if how is None:
        raise UnsupportedError(f"the kernels lack {said(pending.node)}")
    given = how(reader, pending, scale, zero)
    check_shiftable(reader.steps[-1], said(pending.node))
    return given


def _bounds(pending: Pending, scale: np.float32, zero: int) -> tuple[int, int]:
    """Return the least and the largest byte: those of the bounds of ReLU or Clip behind an operator."""
    least, most = (float(np.clip(np.rint(np.float32(one) / scale) + zero, 0, 255)) for one in
                   (pending.least, pending.most))  # fmt: skip
    return int(least), int(most)


def _no_bounds(pending: Pending) -> None:
    if (pending.least, pending.most) != (-np.inf, np.inf):
        raise UnsupportedError(f"the kernels lack ReLU or Clip directly behind {said(pending.node)}; quantize between")


def _weights(pending: Pending, given: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer's weight as int8 and its scale for each output channel."""
    if not isinstance(given, Weights) or given.values.dtype != np.int8 or given.zero.any():
        raise UnsupportedError(f"wanted weights of signed bytes around zero; {said(pending.node)} has others")
    if given.scale.size > 1 and given.axis % given.values.ndim != 0:
        raise UnsupportedError(f"wanted a scale for each output channel; {said(pending.node)} has it on another axis")
    return given.values, np.broadcast_to(given.scale.astype(np.float32).ravel(), len(given.values))


def _bias(pending: Pending, given: Any, scale: np.ndarray) -> np.ndarray:
    """Return a layer's bias in units of its sums."""
    if given is None:
        return np.zeros(len(scale), np.int32)
    if not isinstance(given, Weights) or given.values.dtype != np.int32:
        raise UnsupportedError(f"wanted the bias as int32; {said(pending.node)} has it in float")
    if given.values.shape != scale.shape:
        raise UnsupportedError(f"{said(pending.node)} has {given.values.size} biases for {len(scale)} channels")
    if not np.allclose(given.scale, scale, rtol=1e-5, atol=0):
        raise UnsupportedError(f"the bias of {said(pending.node)} has another scale than input times weight")
    return given.values.astype(np.int32)


def _check_sums(pending: Pending, own: Map, weight: np.ndarray, bias: np.ndarray) -> None:
    largest = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(1) * max(own.zero, 255 - own.zero)
    if (largest + np.abs(bias.astype(np.int64))).max() > MOST:
        raise UnsupportedError(f"a sum of {said(pending.node)} can be larger than 32 bits")


def _conv(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    settings = attributes(pending.node)
    source = reader.whole(pending.inputs[0], pending.node)
    own = reader.maps[source.map]
    weight, of_weight = _weights(pending, pending.inputs[1])
    groups = settings.get("group", 1)
    if weight.shape[1] * groups != own.channels:
        raise UnsupportedError(f"{said(pending.node)} wants {weight.shape[1] * groups} channels; got {own.channels}")
    window = _window(pending, settings, weight.shape[2:])
    sides = _sides(window, settings, (own.height, own.width))
    to = reader.mapped(Map(*sides, len(weight), scale, zero))
    shape = own.height, own.width, own.channels
    laid = np.ascontiguousarray(weight.transpose(0, 2, 3, 1))
    arithmetic = _arithmetic(pending, own, reader.maps[to.map], laid, of_weight)
    reader.steps.append(Conv(source.map, to.map, shape, window, groups, laid, **arithmetic))
    return to


def _gemm(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    """A fully connected layer: its weight takes the numbers in the order in which they lie."""
    settings = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0, **attributes(pending.node)}
    source = pending.inputs[0]
    if (settings["alpha"], settings["beta"], settings["transA"], settings["transB"]) != (1.0, 1.0, 0, 1):
        raise UnsupportedError(f"the kernels lack {said(pending.node)} with alpha, beta or another order")
    if not isinstance(source, Seen):
        source = reader.whole(source, pending.node)
    own = reader.maps[source.map]
    taken = source.index.ravel()
    real = taken >= 0
    if len(np.unique(taken[real])) < real.sum():
        raise UnsupportedError(f"{said(pending.node)} takes a value more than once")
    weight, of_weight = _weights(pending, pending.inputs[1])
    # Position p of a map, counted as [C, H, W], lies at place[p] of its bytes [H, W, C]; what is not taken weighs zero.
    place = np.arange(own.size).reshape(own.height, own.width, own.channels).transpose(2, 0, 1).ravel()
    ordered = np.zeros((len(weight), own.size), np.int8)
    ordered[:, place[taken[real]]] = weight[:, real]
    to = reader.mapped(Map(1, 1, len(weight), scale, zero))
    arithmetic = _arithmetic(pending, own, reader.maps[to.map], ordered, of_weight)
    window = Window((1, 1), (1, 1), (0, 0))
    reader.steps.append(Conv(source.map, to.map, (1, 1, own.size), window, 1, ordered[:, None, None], **arithmetic))
    return Seen(to.map, to.index.ravel())


def _arithmetic(pending: Pending, own: Map, to: Map, weight: np.ndarray, of_weight: np.ndarray) -> dict[str, Any]:
    """Return what becomes of a layer's sums."""
    bias = _bias(pending, (*pending.inputs, None)[2], own.scale * of_weight)
    _check_sums(pending, own, weight, bias)
    least, most = _bounds(pending, to.scale, to.zero)
    return {"bias": bias, "scale": own.scale * of_weight / to.scale, "least": least, "most": most}


def _window(pending: Pending, settings: dict[str, Any], kernel: tuple[int, ...]) -> Window:
    if len(kernel) != 2 or settings.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise UnsupportedError(f"the kernels lack {said(pending.node)} with its padding or dimensions")
    top, left = settings.get("pads", [0, 0, 0, 0])[:2]
    return Window((kernel[0], kernel[1]), tuple(settings.get("strides", [1, 1])), (top, left),
                  tuple(settings.get("dilations", [1, 1])))  # fmt: skip


def _sides(window: Window, settings: dict[str, Any], shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of what a window gives; rounded up, the last one still begins on the map."""
    pads, up = settings.get("pads", [0, 0, 0, 0]), settings.get("ceil_mode", 0)
    sides = []
    for axis, size in enumerate(shape):
        room = size + pads[axis] + pads[axis + 2] - (window.kernel[axis] - 1) * window.dilation[axis] - 1
        count = -(-room // window.stride[axis]) + 1 if up else room // window.stride[axis] + 1
        sides.append(count - (up and (count - 1) * window.stride[axis] >= size + pads[axis]))
    return sides[0], sides[1]


def _add(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    one, other = (reader.whole(given, pending.node, flat=True) for given in pending.inputs)
    a, b = reader.maps[one.map], reader.maps[other.map]
    if (a.height, a.width, a.channels) != (b.height, b.width, b.channels):
        raise UnsupportedError(f"{said(pending.node)} is of values of two shapes")
    ratios = float(a.scale / scale), float(b.scale / scale)
    of_zeros = np.float32(ratios[0] * a.zero + float(b.scale / scale * np.float32(b.zero)))
    offset = float(np.float32(zero) - of_zeros)
    shift = 52 - int(np.ceil(np.log2(255 * sum(ratios) + abs(offset))))
    if not 24 <= shift <= 52:
        raise UnsupportedError(f"the scales of {said(pending.node)} are too far apart: {a.scale}, {b.scale}, {scale}")
    first, second, offset = (float(np.rint(one * 2.0**shift) / 2.0**shift) for one in (*ratios, offset))
    to = reader.mapped(Map(a.height, a.width, a.channels, scale, zero))
    least, most = _bounds(pending, scale, zero)
    reader.steps.append(Add((one.map, other.map), to.map, (first, second), offset, shift, least, most))
    return to if len(pending.inputs[0].shape) == 3 else _flat(to)


def _flat(x: Seen) -> Seen:
    return Seen(x.map, x.index.ravel())


def _multiply(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    _no_bounds(pending)
    one, other = (reader.whole(given, pending.node, flat=True) for given in pending.inputs)
    if reader.maps[one.map].size < reader.maps[other.map].size:
        one, other = other, one
    a, b = reader.maps[one.map], reader.maps[other.map]
    if (b.height, b.width, b.channels) not in ((a.height, a.width, a.channels), (1, 1, a.channels)):
        raise UnsupportedError(f"{said(pending.node)} is of values of two shapes")
    to = reader.mapped(Map(a.height, a.width, a.channels, scale, zero))
    reader.steps.append(Multiply((one.map, other.map), to.map, a.scale * b.scale / scale))
    return to if len(pending.inputs[0].shape) == 3 else _flat(to)


def _unary(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    source = reader.whole(pending.inputs[0], pending.node)
    function = _function(pending)
    return reader.copied(source, scale, zero, table(reader.maps[source.map], scale, zero, function))


def _function(pending: Pending) -> Callable[[np.ndarray], np.ndarray]:
    own = attributes(pending.node)
    one = np.float32(1)

    def hard_sigmoid(x: np.ndarray) -> np.ndarray:
        alpha, beta = np.float32(own.get("alpha", 0.2)), np.float32(own.get("beta", 0.5))
        given: np.ndarray = np.clip(alpha * x + beta, np.float32(0), one)
        return given

    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "Relu": lambda x: x,
        "Clip": lambda x: x,
        "Sigmoid": lambda x: one / (one + np.exp(-x)),
        "HardSigmoid": hard_sigmoid,
        "HardSwish": lambda x: x * np.clip(x / np.float32(6) + np.float32(0.5), np.float32(0), one),
        "Swish": lambda x: x / (one + np.exp(-np.float32(own.get("alpha", 1.0)) * x)),
        "Tanh": np.tanh,
        "LeakyRelu": lambda x: np.where(x < 0, np.float32(own.get("alpha", 0.01)) * x, x),
        "Elu": lambda x: np.where(x < 0, np.float32(own.get("alpha", 1.0)) * np.expm1(x), x),
    }
    function = functions[pending.node.op_type]

    def bounded(x: np.ndarray) -> np.ndarray:
        given: np.ndarray = np.clip(function(x), np.float32(pending.least), np.float32(pending.most))
        return given

    return bounded


def _concat(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    _no_bounds(pending)
    parts = [part if isinstance(part, Seen) else reader.whole(part, pending.node) for part in pending.inputs]
    axis, shape = attributes(pending.node)["axis"], parts[0].shape
    if axis % (len(shape) + 1) != 1 or any(part.shape[1:] != shape[1:] for part in parts):
        raise UnsupportedError(f"the kernels lack {said(pending.node)} along another axis than channels")
    real = next((part for part in parts if part.map >= 0), None)
    if real is None:
        raise UnsupportedError(f"{said(pending.node)} is of constant zeros alone")
    parts = [part if part.map >= 0 else replace(part, map=real.map) for part in parts]
    height, width = (*shape[1:], 1, 1)[:2]
    to = reader.mapped(Map(height, width, sum(len(part.index) for part in parts), scale, zero))
    at = 0
    for part in parts:
        own = reader.maps[part.map]
        same = (own.scale, own.zero) == (scale, zero)
        reader.steps.append(reader.copy(part, to.map, at, None if same else table(own, scale, zero, lambda x: x)))
        at += len(part.index)
    return to if len(shape) == 3 else _flat(to)


def _max_pool(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    _no_bounds(pending)
    settings = attributes(pending.node)
    source = reader.whole(pending.inputs[0], pending.node)
    own = reader.maps[source.map]
    if (own.scale, own.zero) != (scale, zero):
        raise UnsupportedError(f"wanted one scale before and behind {said(pending.node)}")
    window = _window(pending, settings, tuple(settings["kernel_shape"]))
    to = reader.mapped(Map(*_sides(window, settings, (own.height, own.width)), own.channels, scale, zero))
    reader.steps.append(Pool(source.map, to.map, window, None))
    return to


def _average_pool(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    _no_bounds(pending)
    settings = attributes(pending.node)
    source = reader.whole(pending.inputs[0], pending.node)
    own = reader.maps[source.map]
    window = _window(pending, settings, tuple(settings["kernel_shape"]))
    taps = window.kernel[0] * window.kernel[1]
    if settings.get("ceil_mode", 0):
        raise UnsupportedError(f"the kernels lack {said(pending.node)} with its size rounded up")
    counts = np.full(taps, taps) if settings.get("count_include_pad", 0) else np.arange(1, taps + 1)
    to = reader.mapped(Map(*_sides(window, settings, (own.height, own.width)), own.channels, scale, zero))
    reader.steps.append(Pool(source.map, to.map, window, own.scale / (scale * counts.astype(np.float32))))
    return to


def check_mean(pending: Pending) -> None:
    """See that a mean is over the whole map. Raises: UnsupportedError."""
    _no_bounds(pending)
    axes = attributes(pending.node).get("axes", (*pending.inputs, None)[1])
    if pending.node.op_type == "ReduceMean" and (axes is None or {int(axis) % 4 for axis in axes} != {2, 3}):
        raise UnsupportedError(f"the kernels lack {said(pending.node)} over other axes than height and width")


def _mean(reader: "Reader", pending: Pending, scale: np.float32, zero: int) -> Seen:
    check_mean(pending)
    source = reader.whole(pending.inputs[0], pending.node)
    own = reader.maps[source.map]
    window = Window((own.height, own.width), (1, 1), (0, 0))
    to = reader.mapped(Map(1, 1, own.channels, scale, zero))
    of_pixels = own.scale / (scale * np.arange(1, own.height * own.width + 1, dtype=np.float32))
    reader.steps.append(Pool(source.map, to.map, window, of_pixels))
    return to


_HOW: dict[str, Callable[["Reader", Pending, np.float32, int], Seen]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "Add": _add,
    "Mul": _multiply,
    "Concat": _concat,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "ReduceMean": _mean,
    "GlobalAveragePool": _mean,
    **dict.fromkeys(
        ("Relu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Swish", "Tanh", "LeakyRelu", "Elu"), _unary
    ),
}
