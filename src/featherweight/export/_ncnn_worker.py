"""What runs in ncnn's environment: pnnx converts an ONNX file, ncnn runs what it wrote."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HALF_OPTIONS = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")
LAST = 3  # lines that a program printed


def convert(onnx_file: str, folder: str, input_shape: list[int], half: bool) -> dict[str, Any]:
    """Write model.param and model.bin into a folder; what else pnnx writes lies beside its input."""
    spec = importlib.util.find_spec("pnnx")
    assert spec is not None and spec.submodule_search_locations
    program = Path(spec.submodule_search_locations[0], "pnnx.exe" if os.name == "nt" else "pnnx")
    shape = ",".join(map(str, (1, *input_shape)))
    given = Path(onnx_file)
    done = subprocess.run(
        [program, given.name, f"inputshape=[{shape}]", f"fp16={int(half)}"], cwd=given.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", check=False,
    )  # fmt: skip
    written = [given.with_name(f"{given.stem}.ncnn.{kind}") for kind in ("param", "bin")]
    if done.returncode or not all(path.is_file() for path in written):
        raise RuntimeError(f"pnnx ended with {done.returncode}: {' / '.join(done.stdout.splitlines()[-LAST:])}")
    layers = [line.split()[0] for line in written[0].read_text().splitlines()[2:]]
    if unknown := sorted({layer for layer in layers if "." in layer or "::" in layer}):
        raise RuntimeError(f"ncnn has no layer for {', '.join(unknown)}")
    for path in written:
        shutil.move(path, Path(folder, f"model{path.suffix}"))
    return {"layers": len(layers)}


def load(path: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Make model.param and model.bin ready. Computes in float32, whatever the weights are stored in."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for option in HALF_OPTIONS:
        setattr(net.opt, option, False)
    for read, file in ((net.load_param, "model.param"), (net.load_model, "model.bin")):
        if read(str(Path(path, file))):
            raise RuntimeError(f"ncnn cannot read {file}")

    def run(x: np.ndarray) -> np.ndarray:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(x[0]))
        failed, logits = extractor.extract("out0")
        if failed:
            raise RuntimeError(f"ncnn could not run the model: {failed}")
        return np.array(logits, np.float32).reshape(1, -1)

    return run
