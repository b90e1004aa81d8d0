"""Every network of the zoo in its smallest form, trained on the built-in digits with one recipe and one budget.

    python recipes/digits_zoo.py                 all networks that are not in docs/digits_zoo.json yet
    python recipes/digits_zoo.py --jobs 4        four at a time, each on one thread
    python recipes/digits_zoo.py 'mobilenet*'    these again

Expected: 90 % or more of the test digits for every network; about a minute a network on one core of a server's CPU,
with AdderNet's up to an hour, because its layers are the reference without a kernel. Each result is kept as soon as it
is there, so Ctrl-C loses at most what is being trained; at the end all latencies are measured side by side. `make docs`
writes the table from the results.
"""

import argparse
import fnmatch
import json
import multiprocessing
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import nn

from featherweight import __version__
from featherweight._files import write_atomically
from featherweight._machine import processor_name
from featherweight.blocks import MitchellBatchNorm2d
from featherweight.compress import fold_batch_norm
from featherweight.cost import analyze, measure_latency
from featherweight.data import Batches, augment_for, digits, preprocessing_for, split_pictures
from featherweight.export import load, probe
from featherweight.networks import Network, counts, create, network, networks
from featherweight.train import Recipe, evaluate, train

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "digits_zoo.json"
SMALLEST = {"width": 0.25, "depth": 0.3}  # of the scales that a network has
TINY = 100_000  # parameters: a network of fewer, such as LeNet, is not made smaller
RESOLUTION = 16  # pixels; the digits have 8
BAR = 0.9


def recipe(*, normed: bool = True) -> Recipe:
    """One recipe for all. Networks without batch norm diverge at its learning rate: a fifth, and clipped gradients."""
    shared: dict[str, Any] = {"epochs": 20, "batch_size": 32, "ema_decay": 0.98}
    if normed:
        return Recipe(learning_rate=0.1, **shared)
    return Recipe(learning_rate=0.02, clip_gradient_norm=1.0, **shared)


def smallest(entry: Network) -> dict[str, Any]:
    """The options of a network's smallest form, for grey 16 x 16 pictures of ten classes."""
    scales = {option: value for option, value in SMALLEST.items() if option in entry.options}
    if counts(entry.name).params < TINY:
        scales = {}
    return {**scales, "num_classes": 10, "in_channels": 1, "small_input": True, "dropout": 0.0}


def distinct() -> dict[str, list[str]]:
    """Return each network whose smallest form is its own, with those that come to the same: EfficientNet's B0 to B7."""
    same: dict[str, list[str]] = {}
    with torch.device("meta"):
        for entry in networks():
            same.setdefault(repr(create(entry.name, **smallest(entry))), []).append(entry.name)
    return {first: others for first, *others in same.values()}


def chosen(patterns: Sequence[str], every: dict[str, list[str]]) -> list[str]:
    """Return the networks that fit a pattern, or whose smallest form is that of one that does."""
    found = []
    for pattern in patterns:
        fitting = [name for name, same in every.items() if fnmatch.filter([name, *same], pattern)]
        if not fitting:
            raise SystemExit(f"no network fits {pattern!r}; see `featherweight list`")
        found += fitting
    return list(dict.fromkeys(found))


def learn(name: str) -> dict[str, Any]:
    """Train one network and return what came of it."""
    torch.set_num_threads(1)
    entry = network(name)
    torch.manual_seed(0)
    options = smallest(entry)
    model = create(entry.name, **options)
    accuracy, seconds = teach(model)
    cost = analyze(model, (1, RESOLUTION, RESOLUTION))
    return {
        "family": entry.family, "options": options, "params": cost.params, "multiply_adds": cost.multiply_adds,
        "additions": sum(layer.operations.additions for layer in cost.layers if layer.kind == "adder"),
        "accuracy": accuracy, "seconds": seconds,
    }  # fmt: skip


def teach(model: nn.Module) -> tuple[float, float]:
    """Train a network on the digits; return its accuracy on the test pictures, and the seconds that it took."""
    pictures = digits()
    split = split_pictures(pictures, seed=0)
    pre = preprocessing_for(pictures, split.train, resolution=RESOLUTION)
    normed = any(isinstance(module, nn.BatchNorm2d | MitchellBatchNorm2d) for module in model.modules())
    images, how = pictures.at(pre), recipe(normed=normed)
    shared: dict[str, Any] = {"mean": pre.mean, "std": pre.std}
    batches = Batches(
        images, pictures.labels, split.train, batch_size=how.batch_size, seed=how.seed, shuffle=True,
        augment=augment_for(pictures, indices=split.train), **shared,
    )  # fmt: skip
    look, test = (Batches(images, pictures.labels, part, batch_size=256, **shared) for part in (split.val, split.test))
    start = time.perf_counter()
    train(model, batches, look, how, progress=False)
    seconds = time.perf_counter() - start
    return evaluate(model, test).accuracy, seconds


def latencies(names: list[str], found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Measure all networks in turns: batch norm folded, ONNX Runtime, one thread, one picture."""
    picture = np.zeros((1, 1, RESOLUTION, RESOLUTION), np.float32)
    runners = {}
    for name in names:
        model = create(name, **found[name]["options"]).eval()
        runners[name] = load(probe(fold_batch_norm(model), (1, RESOLUTION, RESOLUTION)))
    calls = {name: (lambda runner=runner: runner(picture)) for name, runner in runners.items()}
    return {name: one.median_seconds for name, one in measure_latency(calls, rounds=200).items()}


def machine() -> dict[str, str]:
    """On what the figures were measured."""
    return {
        "date": date.today().isoformat(), "featherweight": __version__, "torch": torch.__version__,
        "processor": processor_name(), "system": platform.system(), "threads": str(torch.get_num_threads()),
    }  # fmt: skip


def read() -> dict[str, Any]:
    """Return what earlier runs found."""
    record: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"networks": {}}
    return record


def save(found: dict[str, dict[str, Any]], measured_on: dict[str, str] | None) -> None:
    """Write what is there so far, and on what the latencies in it were measured."""
    record = {
        "recipe": recipe().to_dict(), "without_norm": recipe(normed=False).to_dict(), "resolution": RESOLUTION,
        "machine": measured_on, "networks": dict(sorted(found.items())),
    }  # fmt: skip
    write_atomically(RESULTS, json.dumps(record, indent=1) + "\n")


def main() -> None:
    """Train what is asked for, then measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="names of networks, with * and ?; default: those without a result")
    parser.add_argument("--jobs", type=int, default=1, help="how many to train at a time; default: %(default)s")
    arguments = parser.parse_args()
    every = distinct()
    before = read()
    found: dict[str, dict[str, Any]] = {name: one for name, one in before["networks"].items() if name in every}
    missing = chosen(arguments.patterns, every) if arguments.patterns else [name for name in every if name not in found]
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        names = {pool.submit(learn, name): name for name in missing}
        for done in track(as_completed(names), "training", total=len(names)):
            name, result = names[done], done.result()
            print(f"{name:26}{result['accuracy']:8.2%}{result['seconds']:8.1f} s", flush=True)
            found[name] = {"same": every[name], **result}
            save(found, before.get("machine"))
    torch.set_num_threads(1)
    for name, seconds in latencies(list(found), found).items():
        found[name]["latency_seconds"] = seconds
    save(found, machine())
    below = [name for name, result in found.items() if result["accuracy"] < BAR]
    if below:
        raise SystemExit(f"below {BAR:.0%}: {', '.join(below)}")


if __name__ == "__main__":
    main()
