"""`featherweight ship --int8` against what a careful hand makes with ONNX Runtime's or NNCF's quantizer.

The same trained networks go to all; every tool gets the same float file and the same 256 training pictures. The ONNX
files of ONNX Runtime's quantizer: its defaults, the same behind its own preparation (which its documentation asks
for), with a scale per channel and unsigned activations, and that with 7 bits for a weight, which it advises for
processors without VNNI. NNCF's: its defaults, on the ONNX file, and on the OpenVINO model.

Of the files for a runtime the best by hand is the most accurate; among files that cannot be told from that, the
fastest. Two files cannot be told apart if the pictures that only one of them gets right are as chance would have them:
the difference is within two standard errors. Ours passes if it is no less accurate in that sense, not larger by a
byte, and not slower (3 % are let pass: medians of two runs of the same file differ by so much). Latency is that of one
picture on one thread, each file taking turns with ours. The exit code is 1 where ours fails.
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from int8_networks import DATA, NETWORKS, Data, by_nncf, by_onnx_runtime, prepared, quiet, right, trained
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from featherweight._exports import Sources
from featherweight._files import size_on_disk
from featherweight.cost import measure_latency
from featherweight.export import load, openvino

EQUAL_LATENCY = 1.03
CHOSEN = ("mobilenet_v3_small", "efficientnet_b0", "ghostnet", "mobilenet_v1", "mobilenet_v2", "shufflenet_v2")
SECONDS = 8.0  # of measuring a file against ours
PER_CHANNEL = {"per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}


class File(NamedTuple):
    """One tool's file, its size, and which of the held-out pictures it gets right, bool [N]."""

    runtime: str
    tool: str
    path: Path
    right: np.ndarray
    bytes: int

    @property
    def accuracy(self) -> float:
        """In percent."""
        return 100 * float(self.right.mean())

    def is_less_accurate(self, other: "File") -> bool:
        """Tell whether it gets fewer right than another, by more than two standard errors of the difference."""
        difference = other.right.astype(float) - self.right
        return float(difference.sum()) > 2 * float((difference**2).sum()) ** 0.5


def prepared_by_onnx_runtime(source: Path, target: Path, pictures: np.ndarray, **choices: object) -> None:
    """Quantize what ONNX Runtime's own preparation makes of the file."""
    ready = target.with_suffix(".prepared.onnx")
    with quiet():
        quant_pre_process(source, ready)
    by_onnx_runtime(ready, target, pictures, **choices)


def by_nncf_in_openvino(source: Path, target: Path, pictures: np.ndarray) -> None:
    """Quantize the OpenVINO model in a folder with NNCF's defaults."""
    import nncf
    import openvino as runtime

    with quiet():
        model = runtime.Core().read_model(source / "model.xml")
        data = nncf.Dataset([picture[np.newaxis] for picture in pictures])
        quantized = nncf.quantize(model, data, subset_size=len(pictures))
        target.mkdir()
        runtime.save_model(quantized, target / "model.xml", compress_to_fp16=False)


TOOLS: dict[str, Callable[[Path, Path, np.ndarray], None]] = {
    "ORT defaults": by_onnx_runtime,
    "ORT prepared": prepared_by_onnx_runtime,
    "ORT per channel": partial(prepared_by_onnx_runtime, **PER_CHANNEL),
    "ORT per ch., 7 bits": partial(prepared_by_onnx_runtime, **PER_CHANNEL, reduce_range=True),
}


def files_of(model: nn.Module, data: Data, folder: Path) -> list[File]:
    """Write the files of all tools, ours first for each runtime."""
    sources = Sources(model, folder, data.metadata, data.calibration)
    made = [("onnx", "ours", sources.int8_onnx)]
    tools = TOOLS | ({"NNCF": by_nncf} if find_spec("nncf") else {})
    for tool, quantizer in tools.items():
        target = folder / f"{tool}.onnx"
        try:
            quantizer(sources.onnx, target, data.calibration)
        except Exception as error:  # whatever a tool raises: it has no file then
            print(f"  {tool} fails: {type(error).__name__}: {str(error).splitlines()[0][:80]}")
            continue
        made.append(("onnx", tool, target))
    if find_spec("openvino") and find_spec("nncf"):
        made.append(("openvino", "ours", openvino.export(sources.int8_onnx, folder / "ours", precision="int8")))
        by_nncf_in_openvino(openvino.export(sources.onnx, folder / "float"), folder / "nncf", data.calibration)
        made.append(("openvino", "NNCF", folder / "nncf"))
    return [File(runtime, tool, path, right(path, data), size_on_disk(path)) for runtime, tool, path in made]


def latency_ratio(ours: File, other: File, picture: np.ndarray) -> float:
    """Return the median latency of a file over that of ours; the two take turns, since a third slows the one behind.

    A file that is loaded first is 1 to 4 % slower than if it is loaded second, also against itself: each is, once.
    """
    ratio = 1.0
    for first, second in ((ours, other), (other, ours)):
        runs = {file.tool: load(file.path).ready(picture) for file in (first, second)}
        found = measure_latency(runs, rounds=3000, max_seconds=SECONDS / 2)
        ratio *= found[other.tool].median_seconds / found[ours.tool].median_seconds
    return ratio**0.5


def compared(network: str, model: nn.Module, data: Data) -> list[str]:
    """Print a network's rows; return what ours fails in."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        files = files_of(model, data, Path(folder))
        for runtime in dict.fromkeys(file.runtime for file in files):
            ours, *others = [file for file in files if file.runtime == runtime]
            picture = data.x[data.held_out][:1]
            ratio = {"ours": 1.0} | {other.tool: latency_ratio(ours, other, picture) for other in others}
            most = max(others, key=lambda file: file.accuracy)
            best = min((file for file in others if not file.is_less_accurate(most)), key=lambda file: ratio[file.tool])
            for file in (ours, *others):
                print(f"{network:>20}{runtime:>10}{file.tool:>21}{file.accuracy:>10.2f}{file.bytes:>10,}"
                      f"{ratio[file.tool]:>9.3f}{'  best by hand' if file is best else ''}", flush=True)  # fmt: skip
            verdicts = {
                f"accuracy {ours.accuracy - most.accuracy:+.2f} points": not ours.is_less_accurate(most),
                f"bytes x {ours.bytes / best.bytes:.3f}": ours.bytes <= best.bytes,
                f"latency x {1 / ratio[best.tool]:.3f}": EQUAL_LATENCY * ratio[best.tool] >= 1,
            }
            failed += [f"{network} in {runtime}: {said}" for said, good in verdicts.items() if not good]
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, default="digits")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=CHOSEN, metavar="NAME")
    parser.add_argument("--cache", type=Path, default=Path("int8-accuracy"), help="folder of the trained weights")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    data = prepared(arguments.data)
    if not find_spec("nncf"):
        print("NNCF is left out: pip install nncf")
    print(f"{arguments.data}: accuracy on {len(data.held_out)} pictures, in percent; latency over that of ours")
    print(f"{'network':>20}{'runtime':>10}{'tool':>21}{'accuracy':>10}{'bytes':>10}{'latency':>9}")
    failed = []
    for network in arguments.networks:
        failed += compared(network, trained(network, data, arguments.cache), data)
    print("bar, no worse than the best tool by hand:", "MISSED" if failed else "kept")
    print("".join(f"  {one}\n" for one in failed), end="")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
