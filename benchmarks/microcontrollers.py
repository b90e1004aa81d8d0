"""MLPerf Tiny's two picture networks as C99 source: flash and RAM beside the published sizes, and the answers.

The benchmark's authors print the sizes of int8 TensorFlow Lite files, 96 and 325 KiB (Banbury et al., MLPerf Tiny
Benchmark, 2021); an interpreter comes on top of those, while our flash has all code. Both are for chips of at most 512
kB. Weights are drawn, batch
norms hold the statistics of the pictures: sizes do not depend on weights, and that all answers are ONNX Runtime's bit
by bit is the harder to show without training. The pictures are the built-in digits in the networks' own size.

With --registry, the networks of the registry at 32 x 32, small: which go through, and whether the answers are the same.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from featherweight.compress import fold_batch_norm, quantize
from featherweight.cost import analyze
from featherweight.data import Preprocessing, digits
from featherweight.export import c99, export, load, probe
from featherweight.networks import create, list_networks
from featherweight.networks.resnet import table_cifar

PICTURES, CALIBRATION = 64, 32


class Preset(NamedTuple):
    """A network of MLPerf Tiny, with the bytes of its TensorFlow Lite file as printed."""

    network: str
    options: dict[str, Any]
    side: int
    published_bytes: int


PRESETS = {
    "image classification: ResNet-8, 32 x 32 x 3": Preset(
        "resnet20", {"table": table_cifar(8), "shortcut": "projection", "num_classes": 10}, 32, 96 * 1024
    ),
    "visual wake words: MobileNetV1 0.25, 96 x 96 x 3": Preset(
        "mobilenet_v1", {"width": 0.25, "num_classes": 2}, 96, 325 * 1024
    ),
}


def pictures(side: int, count: int) -> np.ndarray:
    """Return digits as a network for colours takes them, float32 [N, 3, side, side]."""
    preprocessing = Preprocessing(resolution=side, channels=1, mean=(0.3,), std=(0.4,))
    grey = preprocessing.normalize(digits().at(preprocessing)[:count].permute(0, 2, 3, 1).numpy())
    return np.ascontiguousarray(np.repeat(grey, 3, 1))


def drawn(network: str, options: dict[str, Any], x: np.ndarray) -> nn.Module:
    """Return a network with drawn weights, and the statistics of the pictures in its batch norms."""
    torch.manual_seed(0)
    model = create(network, in_channels=3, **options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for _ in range(3):
            model.train()(torch.from_numpy(x))
    last = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    nn.init.normal_(last.weight, std=0.2)  # freshly drawn, the logits would all be the same
    return model.eval()


def seconds(call: Callable[[], object], rounds: int = 5) -> float:
    """Return the median time."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return sorted(times)[rounds // 2]


def measured(name: str, preset: Preset, folder: Path, compiler: str | None) -> None:
    """Write, compile and run one preset, and print what comes of it."""
    x = pictures(preset.side, PICTURES)
    model = drawn(preset.network, preset.options, x[:CALIBRATION])
    file = folder / "model.onnx"
    export(fold_batch_norm(model), file, metadata={}, input_size=(3, preset.side, preset.side))
    int8 = quantize(file, folder / "int8.onnx", x[:CALIBRATION], adaround=False, keep_float=0)
    written = c99.export(int8, folder / preset.network)
    sizes, made = c99.sizes(written), c99.measure(written, compiler=compiler)
    begin = time.perf_counter()
    runner = c99.load(written)
    compiling = time.perf_counter() - begin
    onnx_runtime = load(int8)
    ours, theirs = runner(x), onnx_runtime(x)
    cost = analyze(model, (3, preset.side, preset.side))
    here, there = (
        seconds(lambda: runner(x)) / PICTURES,
        seconds(lambda: [onnx_runtime(one[None]) for one in x]) / PICTURES,
    )
    share = (made.ram_bytes + 4 * len(ours[0])) / sizes.ram_bytes
    print(f"{name}")
    print(f"  published file {preset.published_bytes:,} bytes; our constants {sizes.constant_bytes:,}, flash with code "
          f"{made.flash_bytes:,} ({made.flash_bytes / preset.published_bytes:.3f} of it)")  # fmt: skip
    print(f"  RAM planned {sizes.ram_bytes:,}: arena {sizes.arena_bytes:,} of at least {sizes.least_arena_bytes:,}; "
          f"compiled {made.ram_bytes:,} with {made.stack_bytes} of stack: {share:.3f} of the plan")  # fmt: skip
    print(f"  cost's peak of activations, as the layers are written: {cost.peak_memory_bytes['int8']:,}")
    print(f"  multiply-adds {sizes.multiply_adds:,}; cost counts {cost.multiply_adds:,}")
    print(f"  ONNX Runtime's logits on {PICTURES} pictures: {(ours == theirs).mean():.2%} the same bits, top-1 "
          f"{(ours.argmax(1) == theirs.argmax(1)).mean():.2%}")  # fmt: skip
    print(f"  compiled in {compiling:.1f} s; a picture here {here * 1e3:.2f} ms, ONNX Runtime {there * 1e3:.2f} ms\n")


def registry(folder: Path) -> None:
    """Try every network, small, and print a line for each."""
    x = pictures(32, CALIBRATION)
    passed = 0
    names = [name for name in list_networks() if not name.startswith("adder")]  # those have a format of their own
    for name in names:
        try:
            model = fold_batch_norm(drawn(name, {"num_classes": 10}, x))
            (folder / "float.onnx").write_bytes(probe(model, (3, 32, 32), CALIBRATION))
            int8 = quantize(folder / "float.onnx", folder / "int8.onnx", x, adaround=False, keep_float=0)
            written = c99.export(int8, folder / name)
            same = (c99.load(written)(x) == load(int8)(x)).mean()
            sizes = c99.sizes(written)
            print(f"  {name:22} {same:8.2%} the same bits; arena {sizes.arena_bytes:,}, constants "
                  f"{sizes.constant_bytes:,}", flush=True)  # fmt: skip
            passed += 1
        except Exception as error:  # the table is to say why not, whatever the reason
            print(f"  {name:22} {type(error).__name__}: {str(error)[:140]}", flush=True)
    print(f"{passed} of {len(names)} go through")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", help="a gcc to measure flash and RAM with; default: this machine's own")
    parser.add_argument("--registry", action="store_true", help="try every network of the registry: half an hour")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="featherweight-") as temporary:
        if options.registry:
            registry(Path(temporary))
        else:
            for name, preset in PRESETS.items():
                measured(name, preset, Path(temporary), options.compiler)


if __name__ == "__main__":
    main()
