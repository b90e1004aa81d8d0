"""The entropy coders against closed forms, an independent Huffman code, and the plain ones in Python."""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from featherweight.compress import _coders, _entropy
from featherweight.compress._entropy import (
    Coded,
    decode,
    encode,
    entropy_bits,
    flat,
    frequencies,
    huffman_lengths,
    unflat,
)

SYMBOLS = arrays.arrays(
    np.uint8,
    st.integers(0, 400),
    elements=st.integers(0, 255) | st.integers(0, 3),
    fill=st.nothing() | st.integers(0, 255),
)


def geometric(likely: float, count: int) -> np.ndarray:
    """Draw from a source whose entropy is known: H(p) / p bits a symbol."""
    return np.minimum(np.random.default_rng(0).geometric(likely, count) - 1, 255).astype(np.uint8)


def both(symbols: np.ndarray) -> list[Coded]:
    counts = np.bincount(symbols)
    return [_entropy._huffman(symbols, counts), _entropy._rans(symbols, counts)]


def huffman_bits(counts: list[int]) -> int:
    """The bits of an optimal prefix code: the sum of all inner nodes of Huffman's tree, whose depth is not limited."""
    heap = [count for count in counts if count]
    heapq.heapify(heap)
    bits = 0
    while len(heap) > 1:
        node = heapq.heappop(heap) + heapq.heappop(heap)
        bits += node
        heapq.heappush(heap, node)
    return bits


@pytest.mark.parametrize("sides", [2, 4, 64, 256])
def test_the_entropy_of_a_fair_die(sides) -> None:
    rolled = np.tile(np.arange(sides, dtype=np.uint8), 3)
    assert entropy_bits(rolled) == len(rolled) * math.log2(sides)


def test_the_entropy_of_a_bent_coin() -> None:
    coin = np.array([1] * 300 + [0] * 700, np.uint8)
    assert entropy_bits(coin) == pytest.approx(1000 * -(0.3 * math.log2(0.3) + 0.7 * math.log2(0.7)))
    assert entropy_bits(np.zeros(0, np.uint8)) == entropy_bits(np.full(9, 7, np.uint8)) == 0


@pytest.mark.parametrize("likely", [0.02, 0.1, 0.33, 0.6])
def test_rans_is_within_a_thousandth_of_the_entropy(likely) -> None:
    symbols = geometric(likely, 400_000)
    truth = -(likely * math.log2(likely) + (1 - likely) * math.log2(1 - likely)) / likely * len(symbols)
    assert entropy_bits(symbols) == pytest.approx(truth, rel=0.01)
    coded = both(symbols)[1]
    assert 1 <= 8 * len(coded.data) / entropy_bits(symbols) < 1.001
    assert np.array_equal(decode(coded), symbols)


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=256))
@settings(deadline=None, max_examples=60)
def test_huffman_lengths_are_optimal(counts) -> None:
    if np.count_nonzero(counts) < 2:
        counts = [1, *counts, 1]
    lengths = huffman_lengths(np.array(counts), longest=30)
    assert sum(count * length for count, length in zip(counts, lengths, strict=True)) == huffman_bits(counts)
    assert sum(2.0**-length for length in lengths if length) == 1
    assert [length > 0 for length in lengths] == [count > 0 for count in counts]


def test_huffman_lengths_that_are_limited() -> None:
    """Fibonacci's numbers make the deepest tree; of all codes of at most 4 bits, none is smaller."""
    counts = [1, 1, 2, 3, 5, 8, 13]
    assert max(huffman_lengths(np.array(counts), longest=30)) == 6
    every = [[]]
    for _ in counts:
        every = [[*code, length] for code in every for length in range(1, 5)]
    least = min(
        sum(count * length for count, length in zip(counts, code, strict=True))
        for code in every
        if sum(2.0**-length for length in code) <= 1
    )
    lengths = huffman_lengths(np.array(counts), longest=4)
    assert sum(count * length for count, length in zip(counts, lengths, strict=True)) == least
    with pytest.raises(ValueError, match="5 symbols have no code of at most 2 bits"):
        huffman_lengths(np.ones(5, np.int64), longest=2)


@given(SYMBOLS)
@settings(deadline=None)
def test_what_is_coded_comes_back(symbols) -> None:
    coded = encode(symbols)
    assert np.array_equal(decode(coded), symbols)
    assert np.frombuffer(unflat(flat(coded.table)), np.uint8).tolist() == list(coded.table)
    if len(np.unique(symbols)) > 1:
        for one in both(symbols):
            assert np.array_equal(decode(one), symbols)
            assert len(coded.data) <= max(len(other.data) for other in both(symbols))
    else:
        assert coded.data == b""


@given(SYMBOLS.filter(lambda symbols: len(np.unique(symbols)) > 1))
@settings(deadline=None, max_examples=30)
def test_compiled_and_plain_coders_are_the_same(symbols) -> None:
    if _entropy.native is None:
        pytest.skip("featherweight._native is not installed: there is only one")
    compiled = both(symbols)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_entropy, "native", None)
        plain = both(symbols)
        assert compiled == plain
        for one in plain:
            assert np.array_equal(decode(one), symbols)


@pytest.mark.parametrize("native", ["compiled", "plain"])
@pytest.mark.parametrize("coder", [0, 1])
def test_damaged_streams_are_refused_or_are_other_symbols(native, coder, monkeypatch) -> None:
    if native == "plain":
        monkeypatch.setattr(_entropy, "native", None)
    coded = both(geometric(0.2, 300))[coder]
    refused = 0
    draw = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(coded.data)
        data[draw.integers(len(data))] ^= int(draw.integers(1, 256))
        data = data[: draw.integers(len(data) // 2, len(data) + 1)] + bytes(draw.integers(0, 3))
        try:
            assert len(decode(coded._replace(data=bytes(data)))) == coded.symbols
        except ValueError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("native", ["compiled", "plain"])
@pytest.mark.parametrize(
    ("coded", "complaint"),
    [
        (Coded("huffman", 2, bytes([1, 1]), b"\x40"), None),
        (Coded("huffman", 2, bytes([1, 1]), b"\x41"), "the last bits are not zero"),
        (Coded("huffman", 2, bytes([1, 1]), b"\x40\x00"), "bytes are left over"),
        (Coded("huffman", 9, bytes([1, 1]), b"\x40"), "the stream ends too early"),
        (Coded("huffman", 2, bytes([1, 2]), b"\x40"), "some bits are no code"),
        (Coded("huffman", 2, bytes([1, 1, 1]), b"\x40"), "too short to differ"),
        (Coded("huffman", 2, bytes([1, 13]), b"\x40"), "a code has more than 12 bits"),
        (Coded("rans", 0, b"\x01", bytes([0, 0, 1, 0] * 4)), None),
        (Coded("rans", 0, b"\x01", bytes([0, 0, 1, 0] * 4) + b"\x00"), "bytes are left over"),
        (Coded("rans", 0, b"\x01", bytes([0, 0, 2, 0] * 4)), "does not end where it should"),
        (Coded("rans", 0, b"\x01", bytes(15)), "the stream ends in its states"),
        (Coded("rans", 5, b"\x01\x01", bytes(16)), "the stream ends too early"),
        (Coded("rans", 5, b"\x00\x00", bytes(16)), "a table of frequencies is damaged"),
        (Coded("same", 3, b"\x07", b""), None),
        (Coded("same", 3, b"", b""), "a table of it, and no more"),
        (Coded("same", 3, b"\x07", b"\x07"), "a table of it, and no more"),
        (Coded("morse", 3, b"\x07", b""), "no coder 'morse'; there are same, huffman, rans"),
    ],
)
def test_what_is_wrong_is_said(native, coded, complaint, monkeypatch) -> None:
    if native == "plain":
        monkeypatch.setattr(_entropy, "native", None)
    if complaint is None:
        assert len(decode(coded)) == coded.symbols
    else:
        with pytest.raises(ValueError, match=complaint):
            decode(coded)


def test_frequencies_of_a_table() -> None:
    table = np.array([0, 1, 9, 17, 255], np.uint8)  # never, once, twice, four times, 2^31.75 times
    assert frequencies(table).tolist() == [0, 1, 1, 1, 2**15 - 3]
    assert frequencies(np.array([1, 9, 17], np.uint8)).tolist() == [4681, 9363, 18724]  # as 1 to 2 to 4
    for table in (np.zeros(3, np.uint8), np.zeros(0, np.uint8), np.ones(257, np.uint8)):
        with pytest.raises(ValueError, match="damaged"):
            frequencies(table)


def test_weights_from_symbols(monkeypatch) -> None:
    place = (_entropy.native or _coders).place_weights
    codebook = np.array([0.5, -0.5], np.float32)
    for function in (place, _coders.place_weights):
        weights = np.zeros(300, np.float32)
        function(np.array([0, 255, 2, 0], np.uint8), np.array([1, 0, 0], np.uint8), codebook, weights)
        assert {int(at): float(weights[at]) for at in np.flatnonzero(weights)} == {0: -0.5, 258: 0.5, 259: 0.5}
        for positions, indices, complaint in (
            ([0, 0], [0], "more positions than indices"),
            ([0], [0, 0], "fewer positions than indices"),
            ([255, 255], [], "zeros come after the last weight"),
            ([0, 255, 45], [0, 0], "behind the last weight"),
            ([0, 0], [0, 2], "behind the last centroid"),
        ):
            with pytest.raises(ValueError, match=complaint):
                function(np.array(positions, np.uint8), np.array(indices, np.uint8), codebook, weights)
