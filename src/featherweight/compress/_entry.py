"""One tensor of a `.fwz` file: as its numbers, or shared, as a codebook with the places and indices of its weights."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from featherweight.ops._native import native

from . import _coders
from ._coders import Bytes
from ._entropy import Coded, decode, encode, entropy_bits
from ._share import PackError

Places = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

TYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8,
    )
}  # fmt: skip


class Entry(NamedTuple):
    """A tensor as it lies in a file.

    Args:
        name, shape: as in the state dict.
        dtype: by its name in PyTorch.
        numbers: little-endian; of a shared tensor those of its codebook, else all.
        streams: of a shared tensor, positions and indices.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    numbers: bytes
    streams: tuple[Coded, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes it takes in a file, without its tables and checksum."""
        return len(self.numbers) + sum(len(stream.data) for stream in self.streams)


def raw_entry(name: str, tensor: Tensor) -> Entry:
    """Keep a tensor as it is. Raises: PackError: its type is none that a file has."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in TYPES:
        raise PackError(f"{name} is {tensor.dtype}; a .fwz file holds {', '.join(TYPES)}")
    numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return Entry(name, tuple(tensor.shape), dtype, numbers)


def shared_entry(name: str, tensor: Tensor) -> tuple[Entry, float]:
    """Code a tensor of float32 that has at most 256 values besides zero; also give the entropy of its symbols in bits.

    Example:
        >>> entry, bits = shared_entry("weight", torch.tensor([[0.0, 0.5, 0.0], [0.0, -0.25, 0.5]]))
        >>> np.frombuffer(entry.numbers, "<f4"), [decode(stream) for stream in entry.streams]
        (array([-0.25,  0.5 ], dtype=float32), [array([1, 2, 0], dtype=uint8), array([1, 0, 1], dtype=uint8)])
        >>> tensor_of(entry)
        tensor([[ 0.0000,  0.5000,  0.0000],
                [ 0.0000, -0.2500,  0.5000]])
    """
    weights = tensor.detach().cpu().contiguous().reshape(-1).numpy()
    kept = np.flatnonzero(weights.view(np.uint32))  # minus zero is a value as any
    values = np.unique(weights[kept])  # by size: likely values lie beside likely ones
    if len(values) > 256:
        raise ValueError(f"{name} has {len(values)} values besides zero; a codebook has at most 256")
    symbols = gaps(kept), np.searchsorted(values, weights[kept]).astype(np.uint8)
    entry = Entry(name, tuple(tensor.shape), "float32", values.astype("<f4").tobytes(), tuple(map(encode, symbols)))
    return entry, sum(map(entropy_bits, symbols))


def tensor_of(entry: Entry) -> Tensor:
    """Decode a tensor. Raises: ValueError: what lies there is none."""
    if not entry.streams:
        content = torch.frombuffer(bytearray(entry.numbers) or bytearray(8), dtype=TYPES[entry.dtype])
        return content[: math.prod(entry.shape)].reshape(entry.shape)
    weights = torch.zeros(math.prod(entry.shape))
    positions, indices = map(decode, entry.streams)
    codebook = np.frombuffer(entry.numbers, "<f4")
    (native or _coders).place_weights(positions, indices, codebook, weights.numpy())
    return weights.reshape(entry.shape)


def gaps(places: Places) -> Bytes:
    """Return how many zeros come before each place as symbols; 255 is 255 zeros and no place behind them.

    Example:
        >>> gaps(np.array([0, 3, 559]))
        array([  0,   2, 255, 255,  45], dtype=uint8)
    """
    between = np.diff(places, prepend=-1) - 1
    escapes = between // _coders.ESCAPE
    symbols = np.full(len(places) + int(escapes.sum()), _coders.ESCAPE, np.uint8)
    symbols[np.cumsum(escapes + 1) - 1] = between % _coders.ESCAPE
    return symbols
