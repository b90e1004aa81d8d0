"""Entropy coding of bytes: a Huffman code or range asymmetric numeral systems, whichever is smaller."""

import math
import zlib
from typing import NamedTuple

import numpy as np

from featherweight.ops._native import native

from . import _coders
from ._coders import Bytes

Frequencies = np.ndarray[tuple[int, ...], np.dtype[np.uint32]]
Counts = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

SAME, HUFFMAN, RANS = CODERS = ("same", "huffman", "rans")
"""How a stream is coded; "same" is one symbol many times, or none at all: its table has the symbol."""

_STEPS = 8  # of a frequency in a table, for each factor of 2
# weight 2^((code - 1) / _STEPS), rounded, of each code of a frequency; in whole numbers, the same everywhere
_WEIGHTS = np.array([0, *((math.isqrt(math.isqrt(math.isqrt(2**code * 16**8))) + 8) >> 4 for code in range(255))])


class Coded(NamedTuple):
    """A stream of symbols, coded.

    Args:
        coder: one of `CODERS`.
        symbols: how many.
        table: what a decoder has to know of the symbols 0, 1, ...: a byte for each.
        data: the code.
    """

    coder: str
    symbols: int
    table: bytes
    data: bytes


def encode(symbols: Bytes) -> Coded:
    """Code by each coder, and keep the smaller.

    Example:
        >>> coded = encode(np.array([0, 1, 0, 0, 2, 0], np.uint8))
        >>> coded.coder, coded.data.hex(), decode(coded)
        ('huffman', '46', array([0, 1, 0, 0, 2, 0], dtype=uint8))
    """
    counts = np.bincount(symbols, minlength=1)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return Coded(SAME, len(symbols), bytes(present.tolist()), b"")
    candidates = [_huffman(symbols, counts), _rans(symbols, counts)]
    return min(candidates, key=lambda coded: len(coded.data) + len(zlib.compress(flat(coded.table), 9)))


def decode(coded: Coded) -> Bytes:
    """Return the symbols. Raises: ValueError: the stream is not such a code of so many symbols."""
    table = np.frombuffer(coded.table, np.uint8)
    if coded.coder == SAME:
        if coded.data or len(table) != min(coded.symbols, 1):
            raise ValueError("a stream of one symbol has a table of it, and no more")
        return np.full(coded.symbols, table[0] if len(table) else 0, np.uint8)
    data = np.frombuffer(coded.data, np.uint8)
    if coded.coder == HUFFMAN:
        if native is None:
            return np.frombuffer(_coders.huffman_decode(coded.data, list(coded.table), coded.symbols), np.uint8)
        symbols = np.empty(coded.symbols, np.uint8)
        native.huffman_decode(data, table, symbols)
        return symbols
    if coded.coder == RANS:
        likely = frequencies(table)
        if native is None:
            return np.frombuffer(_coders.rans_decode(coded.data, likely.tolist(), coded.symbols), np.uint8)
        symbols = np.empty(coded.symbols, np.uint8)
        native.rans_decode(data, likely, symbols)
        return symbols
    raise ValueError(f"no coder {coded.coder!r}; there are {', '.join(CODERS)}")


def entropy_bits(symbols: Bytes) -> float:
    """Return the bits that no code can go below which sees each symbol alone: sum of log2(count / its count).

    Source: Shannon, 1948.

    Example:
        >>> entropy_bits(np.array([0, 1, 2, 3] * 4, np.uint8))
        32.0
    """
    counts = np.bincount(symbols)
    counts = counts[counts > 0]
    return float((counts * np.log2(len(symbols) / counts)).sum())


def flat(table: bytes) -> bytes:
    """Return the differences of neighbours, which compress better: likely symbols lie beside likely ones."""
    return np.diff(np.frombuffer(table, np.uint8), prepend=np.uint8(0)).tobytes()


def unflat(table: bytes) -> bytes:
    """Undo `flat`."""
    return np.cumsum(np.frombuffer(table, np.uint8), dtype=np.uint8).tobytes()


def huffman_lengths(counts: Counts, longest: int = _coders.HUFFMAN_LONGEST) -> list[int]:
    """Return each symbol's bits in the smallest prefix code of at most `longest` bits; 0 of those that never come.

    Source: the package-merge algorithm (Larmore and Hirschberg, 1990).

    Example:
        >>> huffman_lengths(np.array([5, 0, 1, 1])), huffman_lengths(np.array([8, 4, 2, 1, 1]), longest=3)
        ([1, 0, 2, 2], [1, 3, 3, 3, 3])
    """
    leaves = sorted((int(count), [symbol]) for symbol, count in enumerate(counts) if count)
    if len(leaves) > 2**longest:
        raise ValueError(f"{len(leaves)} symbols have no code of at most {longest} bits")
    coins = leaves
    for _ in range(longest - 1):
        packages = [(a + b, left + right) for (a, left), (b, right) in zip(coins[::2], coins[1::2], strict=False)]
        coins = sorted(leaves + packages, key=lambda coin: coin[0])
    lengths = [0] * len(counts)
    for _, symbols in coins[: 2 * len(leaves) - 2]:
        for symbol in symbols:
            lengths[symbol] += 1
    return lengths


def frequencies(table: Bytes) -> Frequencies:
    """Return the frequencies that a table of rANS stands for, 1 or more of each symbol that comes; they sum to 2^15.

    A table has a byte for each symbol: 0 if it never comes, else 1 + 8 log2 of how often, rounded, which costs 0.01 %
    and lets a table of 256 symbols be coded in some 150 bytes.

    Raises: ValueError: it stands for none.
    """
    if not 1 <= len(table) <= 256 or not table.any():
        raise ValueError("a table of frequencies is damaged")
    shared = (1 << _coders.RANS_BITS) - np.count_nonzero(table)  # one is each symbol's own
    ends: Counts = np.cumsum(_WEIGHTS[table])
    ends = ends * shared // ends[-1] + np.cumsum(table > 0)
    ends[1:] -= ends[:-1].copy()
    return ends.astype(np.uint32)


def _huffman(symbols: Bytes, counts: Counts) -> Coded:
    lengths = huffman_lengths(counts)
    if native is None:
        data = _coders.huffman_encode(symbols.tobytes(), lengths)
    else:
        out = np.empty((int(counts @ lengths) + 7) // 8, np.uint8)
        native.huffman_encode(symbols, np.array(lengths, np.uint8), out)
        data = out.tobytes()
    return Coded(HUFFMAN, len(symbols), bytes(lengths), data)


def _rans(symbols: Bytes, counts: Counts) -> Coded:
    table = np.where(counts > 0, 1 + np.rint(_STEPS * np.log2(np.maximum(counts, 1))), 0).astype(np.uint8)
    likely = frequencies(table)
    if native is None:
        data = _coders.rans_encode(symbols.tobytes(), likely.tolist())
    else:
        out = np.empty(2 * len(symbols) + 16, np.uint8)
        data = out[-native.rans_encode(symbols, likely, out) :].tobytes()
    return Coded(RANS, len(symbols), table.tobytes(), data)
