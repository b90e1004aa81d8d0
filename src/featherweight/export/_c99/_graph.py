"""What the tensors of an int8 graph stand for, and how its operators are named."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._extras import require

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclass(frozen=True)
class Seen:
    """A float tensor that stands for bytes: each of its numbers, [C, H, W] or another shape, is one of a map.

    `index` has their positions in the map, counted as [C, H, W]; -1 is a zero. Of map -1 are zeros alone.
    """

    map: int
    index: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture."""
        return self.index.shape


@dataclass(frozen=True)
class Weights:
    """A constant in bytes: (values - zero) * scale, the scale along an axis or one for all."""

    values: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    axis: int


@dataclass(frozen=True)
class Pending:
    """What an operator computes, before it is known which bytes stand for it."""

    node: "NodeProto"
    inputs: tuple[Any, ...]
    least: float = -np.inf
    most: float = np.inf


def attributes(node: "NodeProto") -> dict[str, Any]:
    """Return a node's attributes by name."""
    value = require("onnx.helper", extra="export").get_attribute_value
    return {one.name: value(one) for one in node.attribute}


def said(node: "NodeProto") -> str:
    """Name an operator and its layer."""
    weights = [name for name in node.input[1:2] if "." in name]
    return f"{node.op_type} ({(weights or [node.name or node.output[0]])[0]})"


def is_mean(node: "NodeProto") -> bool:
    """Say whether an operator is a mean over the whole map."""
    return node.op_type in ("ReduceMean", "GlobalAveragePool")
