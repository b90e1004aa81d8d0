"""How much memory a model file needs: in a process of its own, which loads it and runs it on one picture."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

from ._load import load
from ._targets import Target

STATUS = Path("/proc/self/status")
SECONDS = 300.0  # to load a file and run it once, at most


class MeasurementError(RuntimeError):
    """The process that measures died of it, took too long, or did not tell."""


def peak_memory_bytes(target: Target, path: Path, threads: int) -> int | None:
    """Return by how much a process's memory grows at most when it loads a file and runs it on one picture.

    The process has no PyTorch, and what the runtime's own code takes before it has a model is left out. A target that
    knows better, such as one for machines of other kinds, says so itself, by a function `peak_memory_bytes` in its
    module.

    Returns: None where the system does not tell (only Linux does), or the model runs in an environment's process.
    Raises: MeasurementError: the process failed.
    """
    if own := getattr(target.code(), "peak_memory_bytes", None):
        told: int = own(path)
        return told
    if target.environment or not STATUS.exists():
        return None
    command = [sys.executable, "-P", "-m", "featherweight.export._memory", str(path), str(threads), *target.packages]
    limits = {"OMP_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(
            command, env={**os.environ, **limits}, capture_output=True, text=True, timeout=SECONDS, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"{path}: measuring its memory took longer than {SECONDS:.0f} s") from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2]
        raise MeasurementError(f"{path}: the process that measured its memory failed: {last}") from error
    last = done.stdout.strip().rpartition("\n")[2]  # what runtimes print comes before it
    try:
        return int(last)
    except ValueError as error:
        raise MeasurementError(
            f"{path}: the process that measured its memory ended with {last!r}; wanted bytes"
        ) from error


def resident_bytes(entry: str) -> int:
    """Return this process's resident memory: now ("VmRSS"), or at most so far ("VmHWM")."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == entry:
            return int(rest.split()[0]) * 1024
    raise MeasurementError(f"{STATUS} has no {entry}")


def main(path: str, threads: str, *packages: str) -> None:
    """Measure, in the process that is there for it, and print the bytes."""
    for package in packages:
        import_module(package)
    before = resident_bytes("VmRSS")
    runner = load(path, int(threads))
    runner(np.zeros((1, *runner.input_shape), np.float32))
    print(max(0, resident_bytes("VmHWM") - before))


if __name__ == "__main__":
    main(*sys.argv[1:])
