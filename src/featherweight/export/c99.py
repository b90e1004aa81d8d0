"""Microcontrollers: an int8 network as C99 source with static arrays alone; no malloc, no float, no library.

The arithmetic is that of ONNX Runtime's integer kernels on x86 with AVX2: sums in 32 bits, times a scale in float32,
rounded to the nearest and ties to even. Here integers do the same to the last bit, so the answers need no floating
point unit and depend on no compiler's options. Fixed-point multipliers, as TensorFlow Lite has them, would be as fast
and round some bytes otherwise; then the file that was measured would not be the network that ships.

`_c99/_reference.py` is the same in numpy and float32, the definition of right. ONNX Runtime itself is not one: on ARM
it adds with other roundings, and it computes means in float in an order that it chooses.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featherweight._extras import require
from featherweight._files import atomic_folder

from . import adder_int8
from ._c99 import _adder, _plan, _read, _write
from ._c99._build import CompilerError, Footprint, build, compiler_of, footprint
from ._c99._program import Conv, FloatConv, Linear, Map, Program, UnsupportedError
from ._c99._reference import quantized
from ._load import begins_as_safetensors
from ._runner import METADATA_KEY, ModelFileError, Runner, check_threads, model_file

__all__ = ["C99Runner", "CompilerError", "Footprint", "ModelFileError", "Sizes", "UnsupportedError", "export", "load",
           "measure", "missing", "sizes"]  # fmt: skip

SAYS = "c99.json"  # the file by which a folder is known
TIMED, MOST = 8, 1 << 14  # to time a picture: so many times as long as the program's start, of so many pictures
NAME = r"[a-z][a-z0-9_]*"  # of a network in C
STACK_BYTES = 320  # what a run needs beside the arena, at most; `measure` says how much it is


@dataclass(frozen=True)
class Sizes:
    """What a network needs, counted while its source was written.

    Attributes:
        arena_bytes: all maps, each in its place of one static array.
        least_arena_bytes: of the maps that are alive during one step together, at most: no plan needs less.
        ram_bytes: the arena, the logits and the stack: the peak.
        constant_bytes: weights, biases, scales and tables, which stay in flash.
        multiply_adds: per picture.
    """

    arena_bytes: int
    least_arena_bytes: int
    ram_bytes: int
    constant_bytes: int
    multiply_adds: int


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
        ModelFileError: not an ONNX file of ours.
        UnsupportedError: an operator that the kernels lack, or a layer in float; the message names it.
        ValueError: another precision, or a name that is none in C.
    """
    if precision != "int8":
        raise ValueError(f"C99 source is int8; it has no {precision!r}")
    if not re.fullmatch(NAME, name) or name == "main":
        raise ValueError(f"wanted a name of small letters, digits and _, as {'model'!r}; got {name!r}")
    program, found = _network(model_file(source))
    about = {**found, **(metadata or {})}
    plan = _plan.planned(program)
    counted = _counted(program, plan)
    first = program.maps[0]
    entry = {
        "name": name, "input_shape": [first.channels, first.height, first.width], "num_classes": program.classes,
        "in_float": first.floats, "input_scale": float(first.scale), "input_zero": first.zero,
        "logit_unit": float(program.unit), "sizes": asdict(counted), METADATA_KEY: about,
    }  # fmt: skip
    with atomic_folder(path) as folder:
        for file, text in _write.texts(program, plan, name, _describe(about, counted)).items():
            (folder / file).write_text(text, encoding="utf-8", newline="\n")
        (folder / SAYS).write_text(json.dumps(entry, allow_nan=False, indent=1) + "\n", encoding="utf-8", newline="\n")
    return Path(path)


def _network(path: Path) -> tuple[Program, dict[str, Any]]:
    """Read a file: what it computes, and what it says of itself."""
    if begins_as_safetensors(path):
        said, tensors, _ = adder_int8.contents(path)
        return _adder.program(said["input_shape"], said["steps"], tensors), said[METADATA_KEY]
    onnx = require("onnx", extra="export")
    problem = require("google.protobuf.message", extra="export").DecodeError
    try:
        proto = onnx.load_from_string(path.read_bytes())
    except problem as error:
        raise ModelFileError(f"{path} is not an ONNX model, nor an AdderNet in bytes: {error}") from error
    said = {entry.key: entry.value for entry in proto.metadata_props}
    if METADATA_KEY not in said:
        raise ModelFileError(f"{path} is an ONNX model, but not one that featherweight exported: no metadata of ours")
    return _read.Reader(proto).program(), json.loads(said[METADATA_KEY])


def _counted(program: Program, plan: _plan.Plan) -> Sizes:
    multiply_adds = sum(
        step.weight.size * program.maps[step.output].height * program.maps[step.output].width
        for step in program.steps
        if isinstance(step, Conv | FloatConv | Linear)
    )
    return Sizes(
        arena_bytes=plan.arena_bytes,
        least_arena_bytes=plan.least_bytes,
        ram_bytes=plan.arena_bytes + 4 * (plan.floats + program.classes) + STACK_BYTES,
        constant_bytes=_write.constant_bytes(program),
        multiply_adds=multiply_adds,
    )


def _describe(about: Mapping[str, Any], counted: Sizes) -> str:
    network = about.get("network") or {}
    options = ", ".join(f"{key}={value}" for key, value in (network.get("options") or {}).items())
    text = f"{network.get('name') or 'A network'}{f' ({options})' if options else ''}, written by featherweight " \
           f"{about.get('version')}: {counted.ram_bytes} bytes of RAM at its peak, {counted.constant_bytes} bytes of " \
           "constants in flash."  # fmt: skip
    return text.replace("*/", "* /")


def sizes(path: str | os.PathLike[str]) -> Sizes:
    """Return what was counted when a folder was written. Raises: FileNotFoundError, ModelFileError."""
    return Sizes(**_said(Path(path))["sizes"])


def shipped_bytes(path: str | os.PathLike[str]) -> int:
    """Return the flash that a folder's network takes, code and constants; its source is text and several times as much.

    Raises: as `measure`.
    """
    return measure(path).flash_bytes


def peak_memory_bytes(path: str | os.PathLike[str]) -> int:
    """Return the RAM that a folder's network takes on a device. Raises: FileNotFoundError, ModelFileError."""
    return sizes(path).ram_bytes


def missing() -> str | None:
    """Say what running the source lacks here, or None: a C compiler. Writing it needs none."""
    try:
        compiler_of()
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
    Raises: FileNotFoundError, ModelFileError, CompilerError.
    """
    folder = Path(path)
    return footprint(folder, _said(folder)["name"], compiler_of(compiler), flags)


class C99Runner(Runner):
    """A folder's network, compiled for this machine: pictures in, logits out. Made by `load`."""

    def __init__(self, folder: Path, said: Mapping[str, Any], compiler: str, flags: tuple[str, ...]) -> None:
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

    This runs the program that is in the folder: load none that you do not trust.

    Args:
        path: of the folder, or of the c99.json in it.
        threads: 1, as on a microcontroller.
        compiler: default: the variable CC, else cc, gcc or clang.
        flags: for the compiler; any warning is an error, too.
    Raises:
        FileNotFoundError: there is no such folder.
        ModelFileError: not a folder of ours.
        CompilerError: there is no compiler, or it refuses the source.
        ValueError: more threads than one.
    """
    check_threads(threads)
    if threads != 1:
        raise ValueError(f"C99 source runs on 1 thread; got threads={threads}")
    folder = Path(path)
    if folder.name == SAYS:
        folder = folder.parent
    return C99Runner(folder, _said(folder), compiler_of(compiler), flags)


def _said(folder: Path) -> dict[str, Any]:
    """Read what a folder says of itself. Raises: FileNotFoundError, ModelFileError."""
    path = model_file(folder / SAYS)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        wanted = {
            "name",
            "input_shape",
            "num_classes",
            "input_scale",
            "input_zero",
            "logit_unit",
            "sizes",
            METADATA_KEY,
        }
        if not isinstance(said, dict):
            raise ValueError("it is no object")
        if wanted - said.keys():
            raise ValueError(f"it lacks {', '.join(sorted(wanted - {*said}))}")
        if not re.fullmatch(NAME, str(said["name"])):
            raise ValueError(f"its name is none in C: {said['name']!r}")
    except ValueError as error:
        raise ModelFileError(f"{path} is damaged: {error}") from error
    return said
