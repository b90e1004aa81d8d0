"""What kernels in Triton share: how large a tile of results a program holds in its registers."""


def tile(rows: int, columns: int, most: int = 32) -> tuple[int, int]:
    """Return a tile's sides, powers of two, of at most so many rows; columns lie beside each other in memory."""
    height = min(most, _power(rows))
    return height, min(max(64, 1024 // height), max(16, _power(columns)))


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()
