"""What int8 costs in accuracy, family by family: our defaults beside ONNX Runtime's and NNCF's quantizers with theirs.

One float ONNX file of each network goes to the three. All calibrate on the same 256 training pictures; the accuracy is
that on all pictures which were not trained on. ONNX Runtime's default has one scale for a whole weight tensor. The exit
code is 1 where ours loses more than the bar. A processor without VNNI shows more than one with it: there, kernels may
cut off sums of two products.
"""

import argparse
import math
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from int8_networks import (
    DATA,
    LEFT_OUT,
    NETWORKS,
    Data,
    accuracy,
    by_nncf,
    by_onnx_runtime,
    demand_every_family,
    prepared,
    trained,
)

from featherweight.compress import QuantizationReport, fold_batch_norm, quantize
from featherweight.export import export

MOST_POINTS_LOST = 0.5


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
    parser.add_argument("--epochs", type=int, help="of training, default: 30 of digits, 20 of characters")
    parser.add_argument("--bits", type=int, default=8, help="of a weight, for ours")
    parser.add_argument("--cache", type=Path, default=Path("int8-accuracy"), help="folder of the trained weights")
    parser.add_argument("--alone", action="store_true", help="leave the other tools out")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    demand_every_family()
    data = prepared(arguments.data)
    peers: dict[str, Callable[[Path, Path, np.ndarray], None]] = {}
    if not arguments.alone:
        peers = {"ONNX Runtime": by_onnx_runtime} | ({"NNCF": by_nncf} if find_spec("nncf") else {})
        if "NNCF" not in peers:
            print("NNCF is left out: pip install nncf")
    for family, reason in LEFT_OUT.items():
        print(f"{family} is left out: {reason}")
    print(f"{arguments.data}: accuracy on {len(data.held_out)} pictures, in percent")
    headings = ["network", "float", "ours", "lost", *peers, "how"]
    print("".join(f"{heading:>{22 if heading == 'network' else 14}}" for heading in headings), flush=True)
    worst = ("", -100.0)
    with tempfile.TemporaryDirectory() as folder:
        for network in arguments.networks:
            lost = row(network, data, arguments, peers, Path(folder))
            worst = max(worst, (network, lost), key=lambda pair: pair[1])
    missed = worst[1] > MOST_POINTS_LOST + 1e-9
    verdict = "MISSED" if missed else "kept"
    print(f"bar, at most {MOST_POINTS_LOST} points lost: {verdict}; most, {worst[0]}: {worst[1]:.2f}")
    sys.exit(1 if missed else 0)


def row(
    network: str,
    data: Data,
    arguments: argparse.Namespace,
    peers: dict[str, Callable[[Path, Path, np.ndarray], None]],
    folder: Path,
) -> float:
    """Print a network's row; return the points of accuracy that ours loses."""
    model = trained(network, data, arguments.cache, arguments.epochs)
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
    learned = in_float >= DATA[data.name].least_accuracy
    print(f"{network:>22}{shown}  {how}{'' if learned else '; IT DID NOT LEARN'}", flush=True)
    return in_float - in_int8 if learned else math.inf


if __name__ == "__main__":
    main()
