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

from featherweight import __version__
from featherweight._exports import Sources, logits_of, write_proven
from featherweight._files import size_on_disk, write_atomically
from featherweight._machine import processor_name
from featherweight._units import format_bytes
from featherweight.export import TARGETS, load
from featherweight.networks import create

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "phone_runtimes.json"
NETWORKS = "mobilenet_v2,mobilenet_v3_small,shufflenet_v2,ghostnet,squeezenet,efficientnet_b0"
REFERENCE = "onnx float32"
INPUTS = 8
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
    """Return the cells of a target whose answers can be proven; none, and the reason, if it cannot be used here."""
    if reason := TARGETS[name].missing():
        print(f"{name}: {reason}", file=sys.stderr)
        return []
    return [f"{name} {precision}" for precision, form in TARGETS[name].precisions.items() if form.tolerance is not None]


def measured(name: str, cells: list[str]) -> dict[str, Any]:
    """Write a network's files, compare their answers, and time them in turn."""
    from conftest import calibrate

    torch.manual_seed(0)
    model = create(name)
    side = model.resolution
    shape = (model.in_channels, side, side)
    model = calibrate(model, shape)
    pictures = np.random.default_rng(0).standard_normal((INPUTS, *shape), dtype=np.float32)
    reference = logits_of(model, pictures)
    constants = {"channels": shape[0], "resolution": side, "mean": [0.5] * shape[0], "std": [0.25] * shape[0]}
    labels = [str(number) for number in range(reference.shape[1])]
    found: dict[str, Any] = {}
    timed: dict[str, Callable[[], list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="featherweight-") as folder:
        sources = Sources(model, Path(folder), {"labels": labels, "preprocessing": constants})
        for cell in cells:
            target, precision = cell.split()
            path = Path(folder) / f"{target}-{precision}{TARGETS[target].suffix}"
            try:
                parity = write_proven(
                    TARGETS[target], precision, sources, path,
                    pictures=pictures, labels=reference.argmax(1), reference=reference,
                )  # fmt: skip
            except Exception as error:  # whatever a target raises is its cell's reason
                found[cell] = {"error": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}
                continue
            found[cell] = {
                "error": None,
                "resolution": side,
                "bytes": size_on_disk(path),
                "agreement": parity.agreement,
                "difference": parity.max_logit_difference / parity.logit_scale,
            }
            timed[cell] = timer(load(path, 1), pictures[:1])
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
