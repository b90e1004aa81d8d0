from collections.abc import Sequence

from featherweight.ops._native import Array

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
