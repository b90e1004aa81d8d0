"""Weights in few bits: a scale for each output channel, and whole numbers of it."""

import numpy as np

from ._layers import Float

BITS = (4, 5, 6, 8)
PAIR = 64  # two products of it with a byte, 2 * 64 * 255, still fit in 16 bits
CUTS = np.linspace(1, 0.4, 61)  # shares of a channel's largest weight that are tried as its range


def largest_level(bits: int, *, depthwise: bool = False) -> int:
    """Return the largest whole number of so many bits; the smallest is its negative, so that zero is in the middle.

    Of 8 bits it is 64, not 127: x86 processors without VNNI sum two products with unsigned bytes in 16 bits, and cut
    off what is larger without a word (VPMADDUBSW, in ONNX Runtime's kernels). Those of depthwise layers sum each
    product in 32 bits, so these layers keep the whole range.

    Example:
        >>> largest_level(8), largest_level(8, depthwise=True), largest_level(4)
        (64, 127, 7)
    """
    whole = (1 << bits - 1) - 1
    return whole if depthwise else min(PAIR, whole)


def channel_scales(weight: Float, axis: int, largest: int) -> Float:
    """Return the scale of each output channel with the smallest squared error of its rounded and cut weights.

    Args:
        weight: of any shape.
        axis: of the output channels.
        largest: whole number, from `largest_level`.
    Shape: [channels]; 1 for a channel of zeros

    Example:
        >>> channel_scales(np.full((2, 9), 1.75, np.float32), 0, 7).tolist()
        [0.25, 0.25]
    """
    rows = _rows(weight, axis)
    ends = np.abs(rows).max(axis=1) / largest
    ends = np.where(ends > 0, ends, 1)
    best, scales = np.full(len(rows), np.inf), ends
    for cut in CUTS:
        tried = ends * cut
        errors = ((_whole(rows, tried, largest) * tried[:, np.newaxis] - rows) ** 2).sum(axis=1)
        better = errors < best
        best, scales = np.where(better, errors, best), np.where(better, tried, scales)
    return scales.astype(np.float32)


def snap(weight: Float, scales: Float, axis: int, largest: int) -> Float:
    """Return the weights rounded to whole numbers of their channel's scale, at most `largest` of it.

    Example:
        >>> snap(np.array([[0.26, -9.0]], np.float32), np.array([0.5], np.float32), 0, 7).tolist()
        [[0.5, -3.5]]
    """
    rows = _whole(_rows(weight, axis), scales, largest) * scales.astype(np.float64)[:, np.newaxis]
    moved = np.moveaxis(weight, axis, 0)
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved.shape), 0, axis), np.float32)


def _rows(weight: Float, axis: int) -> np.ndarray:
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).astype(np.float64)


def _whole(rows: np.ndarray, scales: np.ndarray, largest: int) -> np.ndarray:
    return np.clip(np.rint(rows / scales.astype(np.float64)[:, np.newaxis]), -largest, largest)
