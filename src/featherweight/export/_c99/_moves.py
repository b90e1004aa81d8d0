"""Operators that compute nothing: they move the positions of bytes, make constants, or bound values."""

from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require

from ._graph import Weights, attributes, said
from ._program import Map, UnsupportedError

if TYPE_CHECKING:
    from onnx import NodeProto


def moved(node: "NodeProto", index: np.ndarray, inputs: list[Any]) -> np.ndarray | list[np.ndarray]:  # noqa: PLR0911 - one operator each
    """Move positions, [C, H, W] or another shape, as an operator moves the numbers of a picture."""
    own = attributes(node)
    match node.op_type:
        case "Reshape":
            return _reshaped(node, index, [int(size) for size in inputs[0]][1:])
        case "Flatten" if own.get("axis", 1) == 1:
            return index.ravel()
        case "Transpose" if own["perm"][0] == 0:
            return index.transpose([axis - 1 for axis in own["perm"][1:]])
        case "Squeeze":
            axes = tuple(axis % (index.ndim + 1) - 1 for axis in inputs[0])
            return index.squeeze(axes)
        case "Unsqueeze":
            return np.expand_dims(index, tuple(int(axis) - 1 for axis in inputs[0]))
        case "Split":
            axis = own.get("axis", 0) % (index.ndim + 1) - 1
            sizes = inputs[0] if inputs and inputs[0] is not None else [index.shape[axis] // len(node.output)] * (
                len(node.output)
            )  # fmt: skip
            return np.split(index, np.cumsum(sizes)[:-1], axis)
        case "Slice":
            return index[_cut(index.ndim, *inputs)]
        case "Pad" if own.get("mode", b"constant") == b"constant":
            return _padded(node, index, *inputs)
        case "Gather" if own.get("axis", 0) % (index.ndim + 1) > 0:
            return np.take(index, np.asarray(inputs[0], np.int64), own["axis"] % (index.ndim + 1) - 1)
        case "Identity" | "Dropout":
            return index
    raise UnsupportedError(f"the kernels lack {said(node)} as it stands")


def _reshaped(node: "NodeProto", index: np.ndarray, shape: list[int]) -> np.ndarray:
    try:
        return index.reshape([index.shape[at] if size == 0 else size for at, size in enumerate(shape)])
    except (ValueError, IndexError) as error:
        raise UnsupportedError(f"{said(node)} mixes pictures: {list(index.shape)} to {shape}") from error


def _padded(node: "NodeProto", index: np.ndarray, sizes: Any, value: Any = None, axes: Any = None) -> np.ndarray:
    if axes is not None:
        raise UnsupportedError(f"the kernels lack {said(node)} of some axes; it names {[int(axis) for axis in axes]}")
    if value is not None and _number(value) != 0:
        raise UnsupportedError(f"the kernels lack {said(node)} with another value than 0; it has {_number(value)}")
    begin, end = np.reshape([int(size) for size in sizes], (2, -1))[:, 1:]
    return np.pad(index, [*zip(begin, end, strict=True)], constant_values=-1)


def _cut(dimensions: int, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> tuple[slice, ...]:
    """Return where a Slice cuts a picture's dimensions."""
    where = [slice(None)] * (dimensions + 1)
    for at, axis in enumerate(range(len(starts)) if axes is None else axes):
        where[int(axis)] = slice(int(starts[at]), int(ends[at]), 1 if steps is None else int(steps[at]))
    return tuple(where[1:])


def picked(index: np.ndarray, own: Map) -> tuple[np.ndarray | None, tuple[int, int]]:
    """Say which channels and pixels positions are of. Raises: ValueError: they are no such pattern."""
    index = index.reshape((*index.shape, 1, 1)[:3] if index.ndim < 3 else index.shape)
    if index.ndim != 3 or own.channels > np.iinfo(np.int16).max:
        raise ValueError(f"a value of shape {list(index.shape)}, of a map of {own.channels} channels")
    pixels = own.height * own.width
    first = index[:, 0, 0]
    channels = np.where(first < 0, -1, first // pixels).astype(np.int16)
    real = index[channels >= 0]
    stride = [1, 1]
    if len(real) and index.shape[1] > 1:
        stride[0] = int(real[0, 1, 0] - real[0, 0, 0]) // own.width
    if len(real) and index.shape[2] > 1:
        stride[1] = int(real[0, 0, 1] - real[0, 0, 0])
    rows = np.arange(index.shape[1]) * stride[0] * own.width
    wanted = channels[:, None, None] * pixels + rows[:, None] + np.arange(index.shape[2]) * stride[1]
    inside = rows[-1] < pixels and (index.shape[2] - 1) * stride[1] < own.width
    if min(stride) < 1 or not inside or not (np.where(channels[:, None, None] < 0, -1, wanted) == index).all():
        raise ValueError(
            f"a value of shape {list(index.shape)} takes pixels of a map {own.channels} x {own.height} x {own.width} "
            "in an order that the kernels lack"
        )
    same = len(channels) == own.channels and (channels == np.arange(own.channels)).all()
    return (None if same else channels), (stride[0], stride[1])


def is_constant(node: "NodeProto", inputs: list[Any]) -> bool:
    """Say whether an operator computes a shape or a constant of one, which no step is needed for."""
    return node.op_type == "Shape" or all(isinstance(given, np.ndarray) for given in inputs)


def constant(node: "NodeProto", inputs: list[Any]) -> np.ndarray:
    """Return a shape, of one picture, or a constant of one."""
    to_array = require("onnx.numpy_helper", extra="export").to_array
    own = attributes(node)
    given: np.ndarray
    match node.op_type:
        case "Constant":
            given = to_array(own["value"])
        case "Shape":
            given = np.array([1, *inputs[0].shape])[own.get("start", 0) : own.get("end")]
        case "Gather":
            given = inputs[0].take(inputs[1], own.get("axis", 0))
        case "Cast":  # of weights in four bits
            given = inputs[0].astype(np.int8)
        case "Concat":
            given = np.concatenate([np.ravel(one) for one in inputs])
        case _:
            value = to_array(own["value"]).ravel()[0] if "value" in own else np.float32(0)
            given = np.full([int(size) for size in inputs[0]], value)
    return given


def clip_range(node: "NodeProto", inputs: list[Any]) -> tuple[float, float]:
    """Return the bounds of a Clip."""
    bounds = [-np.inf, np.inf]
    for at, given in enumerate(inputs[1:3]):
        if given is not None:
            bounds[at] = _number(given)
    return bounds[0], bounds[1]


def _number(given: Any) -> float:
    """Return a constant of one value, in bytes or in float."""
    if isinstance(given, Weights):
        given = (given.values.astype(np.float32) - given.zero) * given.scale
    return float(np.reshape(given, ()))
