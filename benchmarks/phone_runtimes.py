"""Well-known small networks in the runtimes of phones: bytes, agreement and latency of each file.

    python benchmarks/phone_runtimes.py                            six networks, in all runtimes that are installed
    python benchmarks/phone_runtimes.py --networks squeezenet      one
    python benchmarks/phone_runtimes.py --targets ncnn,litert      some runtimes

Each network has its default options, the pictures of its paper's size, fresh weights, and batch norms and a last layer
by which its logits depend on the picture. Latency is that of one picture on one thread of this machine's processor, no
phone's: the files of a network run in turn, and what counts is the ratio of medians to ONNX Runtime's. Results go into
docs/phone_runtimes.json, network by network.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from export_matrix import INPUTS, Subject, wanted_cells
from export_matrix import usable as can_be_used

from featherweight import __version__
from featherweight._files import write_atomically
from featherweight._machine import processor_name
from featherweight._units import format_bytes
from featherweight.export import load

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "phone_runtimes.json"
NETWORKS = "mobilenet_v2,mobilenet_v3_small,shufflenet_v2,ghostnet,squeezenet,efficientnet_b0"
REFERENCE = "onnx float32"
ROUNDS, RUNS = 10, 5  # each file's turns, and the pictures in a turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=NETWORKS, help="names with commas")
    parser.add_argument("--targets", default="ncnn,executorch,litert", help="names with commas")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cells = [REFERENCE, *(cell for name in arguments.targets.split(",") for cell in usable(name))]
    record = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"networks": {}}
    for name in arguments.networks.split(","):
        record["networks"][name] = found = measured(name, cells)
        record["machine"] = {
            "date": str(date.today()), "featherweight": __version__, "torch": torch.__version__,
            "processor": processor_name(), "inputs": INPUTS,
        }  # fmt: skip
        write_atomically(RESULTS, json.dumps(record, indent=1) + "\n")
        print(name, flush=True)
        for cell, one in found.items():
            print(f"    {cell:20} {shown(one)}", flush=True)


def usable(name: str) -> list[str]:
    """Return the cells of a target whose answers can be proven; none, if it cannot be used here."""
    return wanted_cells([name]) if can_be_used(name) else []


def measured(name: str, cells: list[str]) -> dict[str, Any]:
    """Write a network's files, compare their answers, and time them in turn."""
    timed: dict[str, Callable[[], list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="featherweight-") as folder:
        subject = Subject(name, Path(folder))
        found = {cell: subject.proven(cell) for cell in cells}
        for cell, one in found.items():
            if not one["error"]:
                timed[cell] = timer(load(subject.path(cell), 1), subject.pictures[:1])
        seconds: dict[str, list[float]] = {cell: [] for cell in timed}
        for _ in range(ROUNDS):
            for cell, run in timed.items():
                seconds[cell] += run()
    for cell, times in seconds.items():
        found[cell]["latency_seconds"] = statistics.median(times)
        found[cell]["latency_ratio"] = statistics.median(times) / statistics.median(seconds[REFERENCE])
    return found


def timer(runner: Any, picture: np.ndarray) -> Callable[[], list[float]]:
    """Return what times some runs: where the runtime is, if that is another process."""
    if hasattr(runner, "seconds"):
        return lambda: list(runner.seconds(picture, RUNS))

    def here() -> list[float]:
        runner(picture)
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            runner(picture)
            times.append(time.perf_counter() - start)
        return times

    return here


def shown(one: dict[str, Any]) -> str:
    """Show a cell in a line."""
    if one["error"]:
        return str(one["error"])
    return (
        f"{format_bytes(one['bytes']):>8}, top-1 the same on {one['agreement']:.0%}, logits off by "
        f"{one['difference']:.0e}, {one['latency_seconds'] * 1e3:.1f} ms, {one['latency_ratio']:.2f} of ONNX Runtime's"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))  # of the tests is what gives fresh networks meaningful logits
    main()
