"""Microcontrollers: an int8 network as C99 source with static arrays alone; no malloc, no float, no library.

The arithmetic is that of ONNX Runtime's integer kernels on x86 with AVX2: sums in 32 bits, times a scale in float32,
rounded to the nearest and ties to even. Here integers do the same to the last bit, so the answers need no floating
point unit and depend on no compiler's options. Fixed-point multipliers, as TensorFlow Lite has them, would be as fast
and round some bytes otherwise; then the file that was measured would not be the network that ships.

`_c99/_reference.py` is the same in numpy and float32, the definition of right. ONNX Runtime itself is not one: on ARM
it adds with other roundings, and it computes means in float in an order that it chooses.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from featherweight._files import atomic_folder

from ._c99._build import CompilerError, Footprint, build, compiler_of, footprint, size_reader
from ._c99._folder import NAME, SAYS, Sizes, check_unchanged, contents, said
from ._c99._program import Map, UnsupportedError
from ._c99._reference import quantized
from ._runner import METADATA_KEY, ModelFileError, Runner, check_threads, model_file

__all__ = ["C99Runner", "CompilerError", "Footprint", "ModelFileError", "Sizes", "UnsupportedError", "export", "load",
           "measure", "missing", "sizes"]  # fmt: skip

TIMED, MOST = 8, 1 << 14  # to time a picture: so many times as long as the program's start, of so many pictures


def export(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    precision: str = "int8",
    metadata: Mapping[str, object] | None = None,
    name: str = "model",
) -> Path:
    """Write a network in bytes as a folder of C99 source.

    model.h says how the network is fed and asked and how much memory it takes; model.c has its constants, the memory
    plan and the order of its layers; model_kernels.h and model_kernels.c the loops that it needs; main.c is an example,
    which reads pictures and writes logits. Compile all but main.c into the device's program. The same model gives the
    same bytes.

    Args:
        source: what `featherweight.compress.quantize` wrote: an ONNX file with unsigned activations and signed weights.
        path: of the folder; the one that it lies in exists. An earlier one of ours is replaced whole.
        precision: "int8"; there is no other.
        metadata: what JSON can hold, in place of what the ONNX file says of itself.
        name: of the files, and before each function: two networks in one program need two names.
    Returns: `path` as a Path; `sizes` reads what was counted, `measure` compiles.
    Raises:
        FileNotFoundError: there is no such file, or no folder to write to.
        FileExistsError: the folder holds something that is not ours.
        ModelFileError: not an ONNX file of ours, or its network is no object in the metadata.
        UnsupportedError: an operator that the kernels lack, or a layer in float; the message names it.
        ValueError: another precision, or a name that is none in C.
    """
    if precision != "int8":
        raise ValueError(f"C99 source is int8; it has no {precision!r}")
    if not re.fullmatch(NAME, name) or name == "main":
        raise ValueError(f"wanted a name of small letters, digits and _, as {'model'!r}; got {name!r}")
    with atomic_folder(path) as folder:
        for file, content in contents(model_file(source), name, metadata or {}).items():
            (folder / file).write_bytes(content)
    return Path(path)


def sizes(path: str | os.PathLike[str]) -> Sizes:
    """Return what was counted when a folder was written. Raises: FileNotFoundError, ModelFileError."""
    return Sizes(**said(Path(path))["sizes"])


def shipped_bytes(path: str | os.PathLike[str]) -> int:
    """Return the flash that a folder's network takes, code and constants; its source is text and several times as much.

    Raises: as `measure`.
    """
    return measure(path).flash_bytes


def peak_memory_bytes(path: str | os.PathLike[str]) -> int:
    """Return the RAM that a folder's network takes on a device. Raises: FileNotFoundError, ModelFileError."""
    return sizes(path).ram_bytes


def missing() -> str | None:
    """Say what running and measuring the source lacks here, or None: a C compiler, `size`. Writing it needs neither."""
    try:
        size_reader(compiler_of())
    except CompilerError as error:
        return str(error)
    return None


def measure(
    path: str | os.PathLike[str], *, compiler: str | None = None, flags: tuple[str, ...] = ("-Os",)
) -> Footprint:
    """Compile a folder's network and return how much flash, RAM and stack it takes.

    Args:
        path: of the folder.
        compiler: a gcc, such as "arm-none-eabi-gcc"; default: the machine's own, whose processor is another than the
            device's: constants and RAM are the same there, code about as large.
        flags: for the compiler.
    Raises:
        FileNotFoundError: there is no such folder.
        ModelFileError: not a folder of ours, or a file in it was changed.
        CompilerError: there is no compiler, it refuses the source, or there is no `size` to read what it made.
    """
    folder = Path(path)
    name = check_unchanged(folder)["name"]
    return footprint(folder, name, compiler_of(compiler), flags)


class C99Runner(Runner):
    """A folder's network, compiled for this machine: pictures in, logits out. Made by `load`."""

    def __init__(
        self, folder: Path, said: Mapping[str, Any], compiler: tuple[str, ...], flags: tuple[str, ...]
    ) -> None:
        channels, height, width = said["input_shape"]
        super().__init__(said[METADATA_KEY], (channels, height, width), said["num_classes"], str(folder))
        scale = np.float32(said["input_scale"])
        self._picture = Map(height, width, channels, scale, said["input_zero"], said["in_float"])
        self._unit = np.float32(said["logit_unit"])
        built = tempfile.mkdtemp(prefix="featherweight-")
        weakref.finalize(self, shutil.rmtree, built, ignore_errors=True)
        self._program = Path(built) / "main"
        sources = [folder / f"{file}.c" for file in (said["name"], f"{said['name']}_kernels", "main")]
        build(compiler, *flags, "-o", self._program, *sources)

    def seconds(self, x: np.ndarray, runs: int = 50) -> list[float]:
        """Time the program on one picture and on many: the difference is what one takes, without its start.

        Args:
            x: float32 [1, C, H, W].
            runs: how many are timed.
        Returns: the time of each, in seconds, on this machine.
        """
        count = 1
        while count < MOST and self._timed(np.repeat(x, count, axis=0)) < TIMED * self._timed(x):
            count *= 2
        many = np.repeat(x, count, axis=0)
        return [max(0.0, self._timed(many) - self._timed(x)) / max(1, count - 1) for _ in range(runs)]

    def _timed(self, x: np.ndarray) -> float:
        start = time.perf_counter()
        self._run(x)
        return time.perf_counter() - start

    def _run(self, x: np.ndarray) -> np.ndarray:
        given = x if self._picture.floats else quantized(self._picture, x)
        ran = subprocess.run([self._program], input=given.tobytes(), capture_output=True, check=False)
        logits = np.frombuffer(ran.stdout, np.float32 if self._picture.floats else np.int32)
        if ran.returncode or logits.size != len(x) * self.num_classes:
            raise ModelFileError(f"{self._source} ended with {ran.returncode}: {ran.stderr.decode(errors='replace')}")
        return logits.reshape(len(x), self.num_classes).astype(np.float32) * self._unit


def load(
    path: str | os.PathLike[str],
    threads: int = 1,
    *,
    compiler: str | None = None,
    flags: tuple[str, ...] = ("-O3",),
) -> C99Runner:
    """Compile a folder that `export` wrote for this machine, to run it on pictures.

    The program is compiled only if it is what `export` writes of the int8 model that lies in the folder, byte by byte.

    Args:
        path: of the folder, or of the c99.json in it.
        threads: 1, as on a microcontroller.
        compiler: default: what the variable CC says, with its flags, else cc, gcc or clang.
        flags: for the compiler; any warning is an error, too.
    Raises:
        FileNotFoundError: there is no such folder.
        ModelFileError: not a folder of ours, or a file in it was changed.
        CompilerError: there is no compiler, or it refuses the source.
        ValueError: more threads than one.
    """
    check_threads(threads)
    if threads != 1:
        raise ValueError(f"C99 source runs on 1 thread; got threads={threads}")
    folder = Path(path)
    if folder.name == SAYS:
        folder = folder.parent
    return C99Runner(folder, check_unchanged(folder), compiler_of(compiler), flags)
