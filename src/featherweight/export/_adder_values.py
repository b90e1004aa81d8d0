"""What the steps of a runner in bytes give, and the layers on the way to a step."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor, uint8
from torch.fx import Node

LEVELS = 255

Step = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """What a step gives. A byte b stands for low + unit * b."""

    kind: Literal["picture", "bytes", "floats"]
    number: int
    low: float = 0.0
    unit: float = 1.0


@dataclass(frozen=True)
class Layer:
    """A layer that has not been written yet: factor * (layer + bias) + addend (+ shortcut), then ReLU.

    `whole` is one whose filters are as large as its map, without a border: it gives one pixel.
    """

    kind: Literal["convolution", "adder", "linear"]
    source: Value
    weight: Tensor
    settings: Step
    factor: Tensor
    addend: Tensor
    node: Node
    whole: bool
    shortcut: Value | None = None
    relu: bool = False


def geometry(sides: list[list[int]], groups: int) -> Step:
    stride, padding, dilation = (list(both) for both in sides)
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def in_bytes(weight: Tensor, source: Value) -> tuple[np.ndarray, Tensor]:
    """Return weights as bytes of the source's scale, and what each filter's distances have beyond its range."""
    inside = weight.clamp(source.low, source.low + LEVELS * source.unit)
    rest = (weight - inside).abs().flatten(1).sum(1)
    return ((inside - source.low) / source.unit).round().clamp(0, LEVELS).to(uint8).numpy(), rest


def single(x: Tensor) -> np.ndarray:
    return x.float().numpy()
