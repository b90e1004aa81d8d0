"""Time of our networks over that of torchvision's and timm's same network, with the same weights, in eager PyTorch.

One picture of 3 x 224 x 224, evaluation mode, no gradients, batch norm calibrated; the two take turns in one run, fewer
where a turn takes long. Where a library has a network twice, with other padding, its first is taken. The bar is 1.02.
The C library keeps freed memory meanwhile: otherwise it gives pages back and takes them again in the middle of some
networks, ours or theirs by chance, which costs them 10 % and drowns what is compared here.

Run: python benchmarks/eager_latency.py [--threads 1] [--rounds 100] [PART OF A NAME ...]
"""

import argparse
import ctypes
import runpy
import time
from pathlib import Path
from statistics import geometric_mean

import torch

from featherweight.cost import measure_latency
from featherweight.networks import create, load_weights

BAR_RATIO = 1.02
SECONDS = 15  # for a pair, at least LEAST_ROUNDS
LEAST_ROUNDS = 40
TEST = runpy.run_path(str(Path(__file__).parents[1] / "tests" / "networks" / "test_against_peers.py"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=100)
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    keep_freed_memory()
    ratios = []
    for peer in {(peer.library, peer.ours): peer for peer in reversed(TEST["COUNTERPARTS"])}.values():
        if not wanted.names or any(part in str(peer) for part in wanted.names):
            ratios.append(compare(peer, wanted.rounds))
    print(f"geometric mean of {len(ratios)} ratios: {geometric_mean(ratios):.3f}; largest: {max(ratios):.3f}")


def keep_freed_memory() -> None:
    """Tell glibc to take large blocks from the heap, too, and never to give its top back."""
    trim_threshold, mmap_threshold = -1, -3  # names of mallopt's parameters, from malloc.h
    for parameter in (trim_threshold, mmap_threshold):
        if not ctypes.CDLL(None).mallopt(parameter, 2**25):
            raise RuntimeError("mallopt refused: this benchmark is for glibc")


@torch.no_grad()
def compare(peer, rounds: int) -> float:
    theirs, ours = peer.build().to_empty(device="cpu"), create(peer.name, **peer.options).eval()
    TEST["fill_and_calibrate"](theirs, torch.randn(2, 3, 64, 64))
    load_weights(ours, theirs.state_dict(), batch_norm_eps=peer.batch_norm_eps)
    pixels = torch.randn(1, 3, 224, 224)
    start = time.perf_counter()
    ours(pixels), theirs(pixels)
    rounds = min(rounds, max(LEAST_ROUNDS, int(SECONDS / (time.perf_counter() - start))))
    times = measure_latency({"ours": lambda: ours(pixels), "theirs": lambda: theirs(pixels)}, rounds=rounds)
    ours_seconds, theirs_seconds = times["ours"].median_seconds, times["theirs"].median_seconds
    ratio = ours_seconds / theirs_seconds
    mark = "" if ratio <= BAR_RATIO else f"  above the bar of {BAR_RATIO}"
    print(f"{peer!s:40} {ours_seconds * 1e3:7.2f} ms / {theirs_seconds * 1e3:7.2f} ms = {ratio:.3f}{mark}", flush=True)
    return ratio


if __name__ == "__main__":
    main()
