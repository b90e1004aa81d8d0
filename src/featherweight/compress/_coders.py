"""Entropy coders and shared weights in plain Python: what `csrc/` does faster, bit for bit."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

Bytes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

HUFFMAN_LONGEST = 12  # bits of a code
RANS_BITS = 15  # the frequencies sum to 2 ** 15
ESCAPE = 255  # of positions: zeros, and no weight behind them
_TOTAL = 1 << RANS_BITS
_LEAST = 1 << 16  # of a state
_LANES = 4


def huffman_codes(lengths: Sequence[int]) -> dict[int, str]:
    """Return the canonical code of each symbol that has a length: shorter ones first, then smaller symbols.

    Raises: ValueError: no full code has these lengths.

    Example:
        >>> huffman_codes([2, 0, 1, 2])
        {2: '0', 0: '10', 3: '11'}
    """
    codes = {}
    following = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        if length > HUFFMAN_LONGEST:
            raise ValueError(f"a code has more than {HUFFMAN_LONGEST} bits")
        codes[symbol] = f"{following >> (HUFFMAN_LONGEST - length):0{length}b}"
        following += 1 << (HUFFMAN_LONGEST - length)
        if following > 1 << HUFFMAN_LONGEST:
            raise ValueError("the codes are too short to differ")
    if following != 1 << HUFFMAN_LONGEST:
        raise ValueError("some bits are no code")
    return codes


def huffman_encode(symbols: bytes, lengths: Sequence[int]) -> bytes:
    """Write the codes one after another, and zeros to the end of the last byte."""
    codes = huffman_codes(lengths)
    bits = "".join(codes[symbol] for symbol in symbols)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def huffman_decode(data: bytes, lengths: Sequence[int], count: int) -> bytes:
    """Read so many codes. Raises: ValueError: the bytes are not those of so many symbols."""
    symbol_of = {code: symbol for symbol, code in huffman_codes(lengths).items()}
    bits = iter("".join(f"{byte:08b}" for byte in data))
    symbols = bytearray()
    for _ in range(count):
        code = ""
        while code not in symbol_of:
            bit = next(bits, None)
            if bit is None:
                raise ValueError("the stream ends too early")
            code += bit
        symbols.append(symbol_of[code])
    rest = "".join(bits)
    if len(rest) >= 8:
        raise ValueError("bytes are left over")
    if "1" in rest:
        raise ValueError("the last bits are not zero")
    return bytes(symbols)


def rans_encode(symbols: bytes, frequencies: Sequence[int]) -> bytes:
    """Code from the last symbol to the first: x -> (x div f) 2^15 + start + x mod f (Duda, 2013)."""
    starts = _starts(frequencies)
    states = [_LEAST] * _LANES
    words: list[int] = []
    for at in reversed(range(len(symbols))):
        frequency, lane = frequencies[symbols[at]], at % _LANES
        if states[lane] >= frequency << (32 - RANS_BITS):
            words.append(states[lane] & 0xFFFF)
            states[lane] >>= 16
        quotient, remainder = divmod(states[lane], frequency)
        states[lane] = (quotient << RANS_BITS) + starts[symbols[at]] + remainder
    return np.array(states, "<u4").tobytes() + np.array(words[::-1], "<u2").tobytes()


def rans_decode(data: bytes, frequencies: Sequence[int], count: int) -> bytes:
    """Read so many symbols. Raises: ValueError: the bytes are not those of so many symbols."""
    starts = _starts(frequencies)
    symbol_at = np.repeat(np.arange(len(frequencies)), frequencies).tolist()
    read = 4 * _LANES
    if len(data) < read:
        raise ValueError("the stream ends in its states")
    states = [int.from_bytes(data[at : at + 4], "little") for at in range(0, read, 4)]
    symbols = bytearray()
    for at in range(count):
        lane = at % _LANES
        slot = states[lane] % _TOTAL
        symbol = symbol_at[slot]
        symbols.append(symbol)
        states[lane] = frequencies[symbol] * (states[lane] >> RANS_BITS) + slot - starts[symbol]
        if states[lane] < _LEAST:
            if len(data) - read < 2:
                raise ValueError("the stream ends too early")
            states[lane] = states[lane] << 16 | int.from_bytes(data[read : read + 2], "little")
            read += 2
    if states != [_LEAST] * _LANES:
        raise ValueError("the stream does not end where it should")
    if read != len(data):
        raise ValueError("bytes are left over")
    return bytes(symbols)


def place_weights(positions: Bytes, indices: Bytes, codebook: Floats, weights: Floats) -> None:
    """Write the weights that are not zero: each position is how many zeros come before one.

    Raises: ValueError: the symbols are not those of so many weights.
    """
    ends = positions != ESCAPE
    places = np.cumsum(positions + ends.astype(np.int64))[ends] - 1
    if len(places) != len(indices):
        raise ValueError(f"there are {'more' if len(places) > len(indices) else 'fewer'} positions than indices")
    if len(positions) and not ends[-1]:
        raise ValueError("zeros come after the last weight")
    if len(places) and places[-1] >= len(weights):
        raise ValueError("a position lies behind the last weight")
    if len(indices) and indices.max() >= len(codebook):
        raise ValueError("an index lies behind the last centroid")
    weights[places] = codebook[indices]


def _starts(frequencies: Sequence[int]) -> list[int]:
    if sum(frequencies) != _TOTAL:
        raise ValueError(f"the frequencies sum to {sum(frequencies)}, not to 2^{RANS_BITS}")
    return list(accumulate(frequencies, initial=0))
