"""SqueezeNet as a `.fwz` file, against the paper's sizes, the entropy of its symbols, and gzip, zstd and xz.

No trained weights are at hand, so the weights are drawn: normal or Laplace, of each layer alone, with the variance of
its initialization; k-means does not see the scale. After pruning to the paper's 33 % they are what matters to a coder:
positions without a pattern, and values that thin out to both ends. The others get the same pruned and shared weights,
in the best of three layouts, in one piece or each part alone, without names and recipe; for xz also its options for
bytes without structure.
"""

import gzip
import lzma
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import zstandard
from torch import nn

from featherweight.compress import Packed, pack, packed_tensors
from featherweight.compress._entry import gaps
from featherweight.networks import create

BOUNDS = {8: 660_000, 6: 470_000}  # bytes, of Iandola et al., section 4, by bits of an index
MOST_OVER_ENTROPY = 1.02
LEAST_BYTES_PER_SECOND = 100e6
DENSITY = 0.33
ROUNDS = 15
PLAIN_XZ = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 0, "pb": 0}]
PEERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip -9": lambda content: gzip.compress(content, 9),
    "zstd -19": lambda content: zstandard.ZstdCompressor(level=19).compress(content),
    "xz -9e": lambda content: min(
        lzma.compress(content, preset=9 | lzma.PRESET_EXTREME), lzma.compress(content, filters=PLAIN_XZ), key=len
    ),
}


def squeezenet(distribution: str) -> nn.Module:
    """Return SqueezeNet 1.0 with drawn weights."""
    model = create("squeezenet")
    draw = np.random.default_rng(0)
    for parameter in model.parameters():
        scale = math.sqrt(2 / max(parameter[0].numel(), 1))
        numbers = draw.normal(0, scale, parameter.shape) if distribution == "normal" else None
        if numbers is None:
            numbers = draw.laplace(0, scale / math.sqrt(2), parameter.shape)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(numbers.astype(np.float32)))
    return model


def layouts(path: Path, packed: Packed) -> Iterator[tuple[str, list[bytes]]]:
    """Give the same weights in parts that others may code better or worse."""
    dense, positions, bitmaps, indices, numbers = [], [], [], [], []
    shared = {one.name for one in packed.tensors}
    for name, tensor in packed_tensors(path):
        weights = tensor.numpy().ravel()
        if name not in shared:
            numbers.append(weights.tobytes())
            continue
        values = np.unique(weights[weights != 0])
        index = np.searchsorted(values, weights).astype(np.uint8)
        numbers.append(values.tobytes())
        positions.append(gaps(np.flatnonzero(weights)).tobytes())
        bitmaps.append(np.packbits(weights != 0).tobytes())
        indices.append(index[weights != 0].tobytes())
        assert len(values) < 256, "zero needs an index too"
        dense.append(np.where(weights == 0, 0, index + 1).astype(np.uint8).tobytes())
    rest = b"".join(numbers)
    yield "dense", [b"".join(dense), rest]
    yield "gaps", [b"".join(positions), b"".join(indices), rest]
    yield "bitmap", [b"".join(bitmaps), b"".join(indices), rest]


def peers(path: Path, packed: Packed) -> dict[str, tuple[int, str]]:
    """Return for each compressor its least size, and of which layout."""
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in PEERS}
    for layout, parts in layouts(path, packed):
        for name, compress in PEERS.items():
            found[name].append((len(compress(b"".join(parts))), f"{layout}, in one piece"))
            found[name].append((sum(min(len(compress(part)), len(part)) for part in parts), f"{layout}, part by part"))
    return {name: min(sizes) for name, sizes in found.items()}


def decoding_seconds(path: Path) -> float:
    """Return the median time to read all tensors on one thread."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in packed_tensors(path):
            pass
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    torch.set_num_threads(1)
    missed = []
    for distribution in ("normal", "laplace"):
        model = squeezenet(distribution)
        for bits, bound in BOUNDS.items():
            path = Path(tempfile.mkdtemp()) / "squeezenet.fwz"
            packed = pack(model, path, density=DENSITY, bits=bits)
            others = peers(path, packed)
            best = min(size for size, _ in others.values())
            over = packed.packed_bytes / packed.bound_bytes
            speed = packed.float_bytes / decoding_seconds(path)
            symbols = packed.positions_bytes + packed.indices_bytes
            print(f"{distribution} weights, {DENSITY:.0%} kept, {bits} bits")
            print(f"  float {packed.float_bytes:9,} bytes")
            print(f"  .fwz  {packed.packed_bytes:9,}   1/{packed.float_bytes / packed.packed_bytes:.1f}")
            for part in ("positions", "indices", "codebooks", "rest", "header"):
                print(f"    {part:10}{getattr(packed, part + '_bytes'):9,}")
            print(f"  against the paper's file   {packed.packed_bytes / bound:.3f}  (of {bound:,})")
            print(f"  against the entropy bound  {over:.4f}  (of {packed.bound_bytes:,.0f}: symbols, codebooks, rest)")
            print(
                f"  streams, against entropy   {symbols / packed.entropy_bytes:.4f}  (of {packed.entropy_bytes:,.0f})"
            )
            for name, (size, layout) in others.items():
                print(f"  against {name:19}{packed.packed_bytes / size:.3f}  (of {size:,}: {layout})")
            print(f"  decoding {speed / 1e6:.0f} MB/s of float weights, one thread")
            row = f"{distribution}, {bits} bits: "
            missed += [row + "larger than the paper's"] * (packed.packed_bytes > bound)
            missed += [row + "over the entropy bound"] * (over > MOST_OVER_ENTROPY)
            missed += [row + "larger than the best of the others"] * (packed.packed_bytes >= best)
            missed += [row + "slow to decode"] * (speed < LEAST_BYTES_PER_SECOND)
    if missed:
        raise SystemExit("\n".join(missed))


if __name__ == "__main__":
    main()
