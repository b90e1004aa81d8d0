from collections.abc import Sequence

import numpy as np

from featherweight.ops._native import Array

Bytes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

compiler: str

class Cache:
    @property
    def level(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def bytes(self) -> int: ...

def instruction_sets() -> list[tuple[str, bool]]: ...
def caches() -> list[Cache]: ...
def available_processors() -> int: ...
def kernels() -> str: ...
def all_kernels() -> list[str]: ...
def adder2d(
    x: Array, weight: Array, bias: Array | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, y: Array, threads: int,
) -> None: ...  # fmt: skip
def adder2d_input_gradient(
    grad: Array, x: Array, weight: Array, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, sign: bool, result: Array, threads: int,
) -> None: ...  # fmt: skip
def mitchell_conv2d(
    x: Array, weight: Array, bias: Array | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, offset: int, y: Array, threads: int,
) -> None: ...  # fmt: skip
def mitchell_input_gradient(
    grad: Array, x: Array, weight: Array, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, exact: bool, offset: int, result: Array, threads: int,
) -> None: ...  # fmt: skip
def mitchell_weight_gradient(
    grad: Array, x: Array, weight: Array, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, exact: bool, offset: int, result: Array, threads: int,
) -> None: ...  # fmt: skip
def mitchell_matmul(
    left: Array, right: Array, own: Array | None, offset: int, transposed: bool, out: Array, threads: int
) -> None: ...
def mitchell_multiply(a: Array, b: Array, own: Array | None, offset: int, out: Array, threads: int) -> None: ...
def adder2d_int8(
    x: Bytes, weight: Bytes, scale: Array, shift: Array, shortcut: Bytes | None, shortcut_scale: float,
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int, zero: int, y: Bytes,
    threads: int,
) -> None: ...  # fmt: skip

class Int8Network:
    def __init__(self, channels: int, height: int, width: int) -> None: ...
    @property
    def outputs(self) -> int: ...
    @property
    def instruction_set(self) -> str: ...
    def picture(self, scale: float, shift: float) -> int: ...
    def convolution(
        self, weight: Array, shift: Array, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
        groups: int,
    ) -> int: ...  # fmt: skip
    def adder(
        self, source: int, weight: Bytes, scale: Array, shift: Array, stride: Sequence[int], padding: Sequence[int],
        dilation: Sequence[int], groups: int, zero: int, shortcut: int = -1, shortcut_scale: float = 0.0,
    ) -> int: ...  # fmt: skip
    def scores(self, source: int, weight: Bytes, scale: Array, shift: Array) -> int: ...
    def max_pool(self, source: int, kernel: int, stride: int, padding: int) -> int: ...
    def mean(self, source: int, scale: float, shift: float) -> int: ...
    def unpack(self, source: int, scale: float, shift: float) -> int: ...
    def linear(self, source: int, weight: Array, bias: Array) -> int: ...
    def run(self, x: Array, y: Array, threads: int) -> None: ...
