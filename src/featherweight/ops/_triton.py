"""What kernels in Triton share: how large a tile of results a program holds in its registers, and its steps."""

from typing import NamedTuple


class Tile(NamedTuple):
    """The most that one program works out, and how many results a thread of it holds."""

    rows: int
    results: int
    each: int

    def fit(self, rows: int, columns: int) -> tuple[int, int, int]:
        """Return a tile's rows and columns, powers of two, and its warps; columns lie beside each other in memory."""
        height = min(self.rows, _power(rows))
        width = min(256, self.results // height, max(16, _power(columns)))
        return height, width, max(1, height * width // (32 * self.each))


def step(terms: int) -> int:
    """How many terms a turn of the innermost loop takes: a divisor of their number."""
    return next(number for number in (4, 2, 1) if terms % number == 0)


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()
