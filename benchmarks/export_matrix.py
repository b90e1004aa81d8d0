"""Every network of the registry in every float target: which files are written and give PyTorch's answers.

    python benchmarks/export_matrix.py                          all cells that are not in docs/export_matrix.json yet
    python benchmarks/export_matrix.py --networks 'mobilenet*'  some networks
    python benchmarks/export_matrix.py --targets onnx,ncnn      some targets
    python benchmarks/export_matrix.py --again                  red cells once more
    python benchmarks/export_matrix.py --jobs 2                 two networks at a time

Each network has its default options, fresh weights, and batch norms and a last layer by which its logits depend on the
picture. A cell is green if on all test inputs the best class is PyTorch's and no logit is further off than the
target's tolerance; else it has the reason. int8 is not in it: it is to be judged on trained networks.
Each network has a process and a time limit of its own, and is kept as soon as it is done. What takes longest comes
last.
"""

import argparse
import fnmatch
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from featherweight import __version__
from featherweight._exports import Sources, logits_of, write_proven
from featherweight._files import size_on_disk, write_atomically
from featherweight._machine import processor_name
from featherweight._units import format_percent
from featherweight.export import TARGETS
from featherweight.networks import create, networks, on_meta_device

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "export_matrix.json"
INPUTS = 8
SIDES = (64, 128)  # of pictures, if the network takes such small ones; else its own
BAR = 0.95
# What all processes are forked from has imported what takes seconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["featherweight.export.onnx", "onnxscript.function_libs.torch_lib.ops", "torch._dynamo"]
)


def main() -> None:
    arguments = parsed()
    targets = [name for name in arguments.targets.split(",") if usable(name)]
    record = read()
    names = [entry.name for entry in networks() if fnmatch.fnmatch(entry.name, arguments.networks)]
    wanted = {}
    for name in sorted(names, key=effort):
        had = record["networks"].get(name, {})
        cells = [cell for cell in wanted_cells(targets) if cell not in had or (arguments.again and had[cell]["error"])]
        if cells:
            wanted[name] = cells
    pool = ThreadPoolExecutor(arguments.jobs)
    runs = {pool.submit(run, name, cells, arguments.limit): name for name, cells in wanted.items()}
    try:
        for number, done in enumerate(as_completed(runs), 1):
            name, one = runs[done], done.result()
            record["networks"].setdefault(name, {}).update(one)
            record["machine"] = {
                "date": str(date.today()), "featherweight": __version__, "torch": torch.__version__,
                "processor": processor_name(), "inputs": INPUTS,
            }  # fmt: skip
            write_atomically(RESULTS, json.dumps(record, indent=1) + "\n")
            told = ", ".join(f"{cell} {shown(found)}" for cell, found in one.items())
            print(f"{number}/{len(runs)} {name}: {told}", flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    summary(record)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="*", help="a pattern of names (all)")
    parser.add_argument("--targets", default=",".join(TARGETS), help="names with commas (all)")
    parser.add_argument("--limit", type=float, default=600, help="seconds for a network (600)")
    parser.add_argument("--again", action="store_true", help="red cells once more")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time, each on one thread (1)")
    return parser.parse_args()


def read() -> dict[str, Any]:
    if not RESULTS.exists():
        return {"machine": {}, "networks": {}}
    record: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return record


def usable(name: str) -> bool:
    """Tell whether a target can be used here, and say why not."""
    reason = TARGETS[name].missing()
    if reason:
        print(f"{name}: {reason}", file=sys.stderr)
    return reason is None


def effort(name: str) -> tuple[bool, int]:
    """Order networks by how long they take: by modules; adder layers, made of standard operators, come last."""
    with on_meta_device():
        return name.startswith("adder"), len([*create(name).modules()])


def wanted_cells(targets: list[str]) -> list[str]:
    """Return the cells of a network: a target with a precision whose answers can be proven."""
    return [
        f"{name} {precision}"
        for name in targets
        for precision, form in TARGETS[name].precisions.items()
        if form.tolerance is not None
    ]


def run(name: str, cells: list[str], limit: float) -> dict[str, Any]:
    """Fill a network's cells in a process of its own."""
    targets = list(dict.fromkeys(cell.partition(" ")[0] for cell in cells))
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=fill, args=(name, targets, there))
    process.start()
    there.close()
    found: dict[str, dict[str, Any]] = {}
    end = time.monotonic() + limit
    why = f"not done after {limit:.0f} s"
    while here.poll(max(0.0, end - time.monotonic())):
        try:
            cell = here.recv()
        except EOFError:
            process.join()
            why = f"the process ended with code {process.exitcode}"
            break
        found[cell.pop("cell")] = cell
    process.kill()
    process.join()
    return {cell: found.get(cell, {"error": why}) for cell in cells}


def fill(name: str, targets: list[str], there: Any) -> None:
    """Send each cell of a network when it is done."""
    torch.set_num_threads(1)
    for cell in cells_of(name, targets):
        there.send(cell)


def cells_of(name: str, targets: list[str]) -> Iterator[dict[str, Any]]:
    """Export a network to each target and compare; yield each cell when it is done."""
    with tempfile.TemporaryDirectory(prefix="featherweight-") as folder:
        subject = Subject(name, Path(folder), smallest=True)
        for cell in wanted_cells(targets):
            start = time.perf_counter()
            found = subject.proven(cell)
            yield {"cell": cell, **found, "seconds": round(time.perf_counter() - start, 1)}


class Subject:
    """A network with its default options, fresh weights and meaningful logits; random pictures; what it says of them.

    Args:
        folder: of the files.
        smallest: pictures of the smallest side that it takes; else those of its paper's.
    """

    def __init__(self, name: str, folder: Path, *, smallest: bool = False) -> None:
        from conftest import calibrate

        torch.manual_seed(0)
        model = create(name)
        self.folder, self.side = folder, smallest_side(model) if smallest else int(model.resolution)
        shape = (model.in_channels, self.side, self.side)
        model = calibrate(model, shape)
        self.pictures = np.random.default_rng(0).standard_normal((INPUTS, *shape), dtype=np.float32)
        self.reference = logits_of(model, self.pictures)
        constants = {"channels": shape[0], "resolution": self.side, "mean": [0.5] * shape[0], "std": [0.25] * shape[0]}
        labels = [str(number) for number in range(self.reference.shape[1])]
        self.sources = Sources(model, folder, {"labels": labels, "preprocessing": constants})

    def path(self, cell: str) -> Path:
        """Return where a cell's file lies."""
        target, precision = cell.split()
        return self.folder / f"{target}-{precision}{TARGETS[target].suffix}"

    def proven(self, cell: str) -> dict[str, Any]:
        """Write the file of a target in a precision, and say how large it is and how near its answers are."""
        target, precision = cell.split()
        try:
            parity = write_proven(
                TARGETS[target], precision, self.sources, self.path(cell),
                pictures=self.pictures, labels=self.reference.argmax(1), reference=self.reference,
            )  # fmt: skip
        except Exception as error:  # whatever a target raises is its cell's reason
            first = str(error).strip().partition("\n")[0]
            return {"error": f"{type(error).__name__}: {first}", "resolution": self.side}
        return {
            "error": None,
            "resolution": self.side,
            "bytes": size_on_disk(self.path(cell)),
            "agreement": parity.agreement,
            "difference": parity.max_logit_difference / parity.logit_scale,
        }


@torch.no_grad()
def smallest_side(model: Any) -> int:
    """Return the side of the smallest pictures, of those tried, that a network takes."""
    for side in SIDES:
        if side < model.resolution:
            try:
                model.eval()(torch.zeros(1, model.in_channels, side, side))
            except (RuntimeError, ValueError):
                continue
            return side
    return int(model.resolution)


def shown(cell: dict[str, Any]) -> str:
    return cell["error"] or f"{cell['difference']:.1e} ({cell['seconds']:.0f} s)"


def summary(record: dict[str, Any]) -> None:
    """Print how many cells are green, target by target, the largest difference, and each reason."""
    columns: dict[str, dict[str, Any]] = {}
    for name, one in record["networks"].items():
        for cell, found in one.items():
            columns.setdefault(cell, {})[name] = found
    green = total = 0
    for cell, found in columns.items():
        good = [one for one in found.values() if not one["error"]]
        green, total = green + len(good), total + len(found)
        worst = max((one["difference"] for one in good), default=0.0)
        print(f"{cell:22} {len(good):3} of {len(found):3} green; largest difference {worst:.1e} of the largest logit")
        for name, one in found.items():
            if one["error"]:
                print(f"    {name}: {one['error']}")
    if total:
        print(f"all: {green} of {total}, {format_percent(green / total, decimals=1)}; wanted {format_percent(BAR)}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))  # of the tests is what gives fresh networks meaningful logits
    main()
