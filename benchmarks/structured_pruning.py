"""MobileNetV2 pruned to half of its multiply-adds: how fast it is then, and what it has lost.

    python benchmarks/structured_pruning.py              train on the digits, prune, train again, measure
    python benchmarks/structured_pruning.py --share 0.4  to another share of the multiply-adds
    python benchmarks/structured_pruning.py --exact      instead: every network of the registry without half of its
                                                         channels, against itself with them at zero

The network is the published one for ten classes of grey pictures, at 32 pixels for the digits. Latency is of the same
networks at 224 pixels, batch norm folded, in ONNX Runtime on one thread, both in turns. Bars: at most 0.65 of the
latency, at most one point of accuracy lost. A quarter of an hour on one core.
"""

import argparse
import copy
import random
import time
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import nn

from featherweight.compress import fold_batch_norm, prune
from featherweight.compress._cut import Anatomy, picture_shape
from featherweight.compress._plan import families
from featherweight.cost import measure_latency
from featherweight.data import Batches, augment_for, digits, preprocessing_for, split_pictures
from featherweight.export import load, probe
from featherweight.networks import create, networks
from featherweight.train import Recipe, evaluate, train

RESOLUTION = 32  # pixels; the digits have 8
LATENCY_SIDE = 224
LATENCY_BAR, ACCURACY_BAR = 0.65, 0.01
BATCHES = 16  # for the importance by Taylor


def learn(share: float, epochs: int) -> tuple[nn.Module, nn.Module]:
    """Train, prune and train again, printing the accuracy each time; return both networks."""
    pictures = digits()
    split = split_pictures(pictures, seed=0)
    pre = preprocessing_for(pictures, split.train, resolution=RESOLUTION)
    images, shared = pictures.at(pre), {"mean": pre.mean, "std": pre.std}
    first = Recipe(epochs=epochs, learning_rate=0.1)
    training: dict[str, Any] = {
        "batch_size": first.batch_size, "seed": 0, "shuffle": True, **shared,
        "augment": augment_for(pictures, indices=split.train),
    }  # fmt: skip
    batches = Batches(images, pictures.labels, split.train, **training)
    look, test = (Batches(images, pictures.labels, part, batch_size=256, **shared) for part in (split.val, split.test))
    torch.manual_seed(0)
    model = create("mobilenet_v2", num_classes=10, in_channels=1, dropout=0.0)
    train(model, batches, look, first)
    before = evaluate(model, test).accuracy
    start = time.perf_counter()
    pruned = prune(
        model.eval(), multiply_adds=share, importance="taylor", batches=islice(batches, BATCHES),
        input_size=LATENCY_SIDE,
    )  # fmt: skip
    print(pruned.headline(), f"in {time.perf_counter() - start:.0f} s")
    for row in pruned.total_rows():
        print("  ".join(f"{cell:>14}" for cell in row))
    at_once = evaluate(pruned.model, test).accuracy
    train(pruned.model, batches, look, replace(first, learning_rate=0.03))
    after = evaluate(pruned.model, test).accuracy
    print(f"accuracy on {len(split.test)} test digits: {before:.2%}, pruned {at_once:.2%}, trained again {after:.2%}")
    print(f"lost {100 * (before - after):.2f} points, the bar is {100 * ACCURACY_BAR:.0f}")
    return model, pruned.model


def compare(model: nn.Module, pruned: nn.Module) -> None:
    """Measure both in turns."""
    shape = (1, LATENCY_SIDE, LATENCY_SIDE)
    picture = np.zeros((1, *shape), np.float32)
    runners = {
        name: load(probe(fold_batch_norm(net.eval()), shape), threads=1)
        for name, net in (("as it was", model), ("pruned", pruned))
    }
    found = measure_latency(
        {name: lambda runner=runner: runner(picture) for name, runner in runners.items()}, rounds=300, max_seconds=60
    )
    medians = [found[name].median_seconds for name in runners]
    print(f"latency at {LATENCY_SIDE} px: {1e3 * medians[0]:.2f} ms, pruned {1e3 * medians[1]:.2f} ms, that is")
    print(f"{medians[1] / medians[0]:.3f} of it, the bar is {LATENCY_BAR}; medians of {found['pruned'].runs} turns")


def exact() -> None:
    """Print for each network of the registry how far its pruned form is from itself with the channels at zero."""
    for entry in track(list(networks()), "networks"):
        torch.manual_seed(0)
        model = create(entry.name, num_classes=10).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and name.endswith("weight"):
                nn.init.uniform_(parameter, 0.5, 1.5)
            elif "classifier" in name and parameter.ndim > 1:
                nn.init.normal_(parameter, 0, parameter[0].numel() ** -0.5)
        for module in model.modules():
            module.train(isinstance(module, nn.modules.batchnorm._BatchNorm))
        print(f"{entry.name:22}", _difference(model))


def _difference(model: nn.Module) -> str:
    anatomy = Anatomy(model, picture_shape(model, None))
    found = families(anatomy, np.zeros(len(anatomy.mask(set()))), round_to=1)
    removed: set[int] = set()
    for family in found:
        kept = -(-len(family.units) // 2 // family.step) * family.step
        if family.reason is None and kept:
            removed |= {unit.root for unit in random.Random(0).sample(family.units, len(family.units) - kept)}
    if not removed:
        return f"nothing can be removed: {found[0].reason}"
    pruned, zeroed, mask = anatomy.without(removed), copy.deepcopy(model), anatomy.mask(removed)
    state = zeroed.state_dict()
    for layer in anatomy.layers.values():
        for name, axes in layer.tensors.items():
            for dim, axis in enumerate(axes):
                if axis is not None and "running" not in name and "mask" not in name:
                    state[name].index_fill_(dim, torch.from_numpy(np.flatnonzero(mask[layer.axes[axis]])), 0.0)
    channels, side, _ = anatomy.shape
    x = torch.randn(4, channels, max(side, 8), max(side, 8))
    with torch.no_grad():
        wanted, there = zeroed(x), pruned(x)
    left = sum(p.numel() for p in pruned.parameters()) / sum(p.numel() for p in model.parameters())
    difference = float((wanted - there).abs().max() / wanted.std(0).max())
    return f"{len(removed)} of {len(anatomy.units)} units removed, {left:.0%} of the parameters left, {difference:.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.5, help="of the multiply-adds that is left")
    parser.add_argument("--epochs", type=int, default=20, help="of each of the two trainings")
    parser.add_argument("--exact", action="store_true", help="hold every network's pruned form against itself")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.exact:
        exact()
    else:
        compare(*learn(options.share, options.epochs))


if __name__ == "__main__":
    main()
