"""What int8 costs in accuracy, family by family: our defaults beside ONNX Runtime's and NNCF's quantizers with theirs.

Each network is trained for a short time, narrow, on built-in pictures; then one float ONNX file goes to the three. All
calibrate on the same 256 training pictures; the accuracy is that on all pictures which were not trained on. ONNX
Runtime's default has one scale for a whole weight tensor. Trained weights are kept in the folder of --cache, so that an
interrupted run goes on where it was.
"""

import argparse
import io
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from onnxruntime.quantization import quantize_static
from torch import nn

from featherweight.compress import QuantizationReport, fold_batch_norm, quantize
from featherweight.data import characters, digits, preprocessing_for, split_pictures
from featherweight.export import export, load
from featherweight.networks import create, load_model, save_model

MOST_POINTS_LOST = 0.5
CALIBRATION_PICTURES = 256
BATCH = 64
NETWORKS: dict[str, dict[str, Any]] = {
    "mobilenet_v1": {"width": 0.25},
    "mobilenet_v2": {"width": 0.35},
    "mobilenet_v3_small": {"width": 0.5},
    "efficientnet_b0": {"width": 0.25},
    "ghostnet": {"width": 0.5},
    "shufflenet_v2": {"width": 0.5},
    "mnasnet_b1": {"width": 0.35},
    "squeezenext": {"width": 0.5},
    "squeezenet": {"version": "1.1"},
}
LEARNING_RATE = {"squeezenet": 1e-3}  # it has no batch norm
DATA = {"digits": (digits, 32), "characters": (characters, 32)}  # and the side of a picture in pixels


class Data(NamedTuple):
    """Pictures as the network takes them, and which are for what."""

    x: np.ndarray
    y: np.ndarray
    train: np.ndarray
    held_out: np.ndarray

    @property
    def calibration(self) -> np.ndarray:
        """Training pictures of all classes."""
        return self.x[np.random.default_rng(0).permutation(self.train)[:CALIBRATION_PICTURES]]


def prepared(name: str) -> Data:
    """Read, split and normalise the pictures."""
    read, side = DATA[name]
    pictures = read()
    split = split_pictures(pictures, seed=0)
    preprocessing = preprocessing_for(pictures, split.train, resolution=side)
    x = preprocessing.normalize(pictures.at(preprocessing).permute(0, 2, 3, 1).numpy())
    return Data(np.ascontiguousarray(x), pictures.labels, split.train, np.concatenate([split.val, split.test]))


def trained(network: str, data: Data, epochs: int, file: Path) -> nn.Module:
    """Return a network from the cache, or train it: AdamW, one cycle, shifts by up to three pixels."""
    if file.exists():
        return load_model(file)
    torch.manual_seed(0)
    classes = int(data.y.max()) + 1
    model = create(network, num_classes=classes, in_channels=1, small_input=False, **NETWORKS[network])
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    steps = epochs * (len(data.train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE.get(network, 5e-3), total_steps=steps)
    for step, chosen in enumerate(_batches(data.train, steps)):
        if step % max(1, steps // 10) == 0:
            print(f"training {network}: step {step} of {steps}", file=sys.stderr, flush=True)
        shift = tuple(np.random.default_rng(int(chosen.sum())).integers(-3, 4, 2).tolist())
        logits = model(torch.roll(x[chosen], shift, (2, 3)))
        loss = nn.functional.cross_entropy(logits, y[chosen], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    save_model(model.eval(), file)
    return model


def _batches(train: np.ndarray, steps: int) -> Iterator[torch.Tensor]:
    draw = np.random.default_rng(0)
    while True:
        order = torch.from_numpy(draw.permutation(train))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            if steps == 0:
                return
            steps -= 1
            yield order[start : start + BATCH]


def accuracy(path: Path, data: Data) -> float:
    """Return the share of held-out pictures that a file gets right, in percent."""
    right = load(path)(data.x[data.held_out]).argmax(1) == data.y[data.held_out]
    return 100 * float(right.mean())


class _Reader:
    """Calibration pictures as ONNX Runtime's tools ask for them."""

    def __init__(self, pictures: np.ndarray) -> None:
        self._batches = iter(np.array_split(pictures, max(1, len(pictures) // 32)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"input": batch}


def by_onnx_runtime(source: Path, target: Path, pictures: np.ndarray) -> None:
    """Quantize with ONNX Runtime's defaults: per tensor, smallest and largest value, signed activations."""
    logging.disable(logging.WARNING)
    quantize_static(source, target, _Reader(pictures))


def by_nncf(source: Path, target: Path, pictures: np.ndarray) -> None:
    """Quantize with NNCF's defaults."""
    import nncf
    import onnx

    logging.disable(logging.WARNING)
    batches = [{"input": picture[np.newaxis]} for picture in pictures]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = nncf.quantize(onnx.load(source), nncf.Dataset(batches), subset_size=len(batches))
    for entry in onnx.load(source).metadata_props:  # it drops them
        if entry.key not in {one.key for one in quantized.metadata_props}:
            quantized.metadata_props.append(entry)
    onnx.save(quantized, target)


def attempt(quantizer: Callable[[Path, Path, np.ndarray], None], source: Path, target: Path, data: Data) -> float | str:
    """Return the accuracy of what another quantizer makes, or the error's kind: their errors are a result too."""
    try:
        quantizer(source, target, data.calibration)
        return accuracy(target, data)
    except Exception as error:
        return type(error).__name__


def main() -> None:
    """Train what is not there, quantize, and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, default="digits")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--epochs", type=int, default=20, help="of training, default: 20")
    parser.add_argument("--bits", type=int, default=8, help="of a weight, for ours")
    parser.add_argument("--cache", type=Path, default=Path("int8-accuracy"), help="folder of the trained weights")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    data = prepared(arguments.data)
    peers = {"ONNX Runtime": by_onnx_runtime}
    if find_spec("nncf"):
        peers["NNCF"] = by_nncf
    else:
        print("NNCF is left out: pip install nncf")
    print(f"{arguments.data}: accuracy on {len(data.held_out)} pictures, in percent")
    headings = ["network", "float", "ours", "lost", *peers, "how"]
    print("".join(f"{heading:>{22 if heading == 'network' else 14}}" for heading in headings), flush=True)
    worst = ("", -100.0)
    with tempfile.TemporaryDirectory() as folder:
        for network in arguments.networks:
            lost = row(network, data, arguments, peers, Path(folder))
            worst = max(worst, (network, lost), key=lambda pair: pair[1])
    verdict = "kept" if worst[1] <= MOST_POINTS_LOST else "MISSED"
    print(f"bar, at most {MOST_POINTS_LOST} points lost: {verdict}; most, {worst[0]}: {worst[1]:.2f}")


def row(
    network: str,
    data: Data,
    arguments: argparse.Namespace,
    peers: dict[str, Callable[[Path, Path, np.ndarray], None]],
    folder: Path,
) -> float:
    """Print a network's row; return the points of accuracy that ours loses."""
    model = trained(network, data, arguments.epochs, arguments.cache / f"{arguments.data}-{network}.safetensors")
    source = export(
        fold_batch_norm(model, strict=False), folder / "float.onnx", metadata={}, input_size=data.x.shape[1:]
    )
    found: list[QuantizationReport] = []
    ours = quantize(source, folder / "int8.onnx", data.calibration, bits=arguments.bits, report=found.append)
    in_float, in_int8 = accuracy(source, data), accuracy(ours, data)
    others = [attempt(quantizer, source, folder / "other.onnx", data) for quantizer in peers.values()]
    cells = [in_float, in_int8, in_float - in_int8, *others]
    how = f"{found[0].method}{', equalized' if found[0].equalized else ''}, {found[0].sqnr_db:.1f} dB"
    shown = "".join(f"{cell:>14.2f}" if isinstance(cell, float) else f"{cell:>14}" for cell in cells)
    print(f"{network:>22}{shown}  {how}", flush=True)
    return in_float - in_int8


if __name__ == "__main__":
    main()
