"""What a folder of C99 source holds, written anew from the int8 model in it to tell whether it is still that."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from featherweight._extras import require
from featherweight.export import adder_int8
from featherweight.export._load import begins_as_safetensors
from featherweight.export._runner import METADATA_KEY, ModelFileError, model_file, network_in

from . import _adder, _plan, _read, _write
from ._program import Conv, FloatConv, Linear, Program

SAYS = "c99.json"  # the file by which a folder is known
SOURCES = (".onnx", ".safetensors")  # of the model that the source was made of
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


def contents(source: Path, name: str, metadata: Mapping[str, object]) -> dict[str, bytes]:
    """Return all files of a folder, by name: the text in C, what it says of itself, and a copy of the model.

    Raises: ModelFileError, UnsupportedError: as `featherweight.export.c99.export`.
    """
    program, found = _network(source)
    about = {**found, **metadata}
    plan = _plan.planned(program)
    counted = _counted(program, plan)
    first = program.maps[0]
    entry = {
        "name": name, "input_shape": [first.channels, first.height, first.width], "num_classes": program.classes,
        "in_float": first.floats, "input_scale": float(first.scale), "input_zero": first.zero,
        "logit_unit": float(program.unit), "sizes": asdict(counted), METADATA_KEY: about,
    }  # fmt: skip
    texts = _write.texts(program, plan, name, _describe(about, source, counted))
    texts[SAYS] = json.dumps(entry, allow_nan=False, indent=1) + "\n"
    suffix = SOURCES[begins_as_safetensors(source)]
    return {file: text.encode() for file, text in texts.items()} | {f"{name}{suffix}": source.read_bytes()}


def check_unchanged(folder: Path) -> dict[str, Any]:
    """Return what a folder says of itself, if every file is what its model gives.

    So nothing is compiled that somebody else has written.

    Raises: FileNotFoundError, ModelFileError.
    """
    found = said(folder)
    source = next((path for suffix in SOURCES if (path := folder / f"{found['name']}{suffix}").is_file()), None)
    if source is None:
        wanted = " or ".join(f"{found['name']}{suffix}" for suffix in SOURCES)
        raise ModelFileError(f"{folder} lacks {wanted}, the int8 model that its source was made of")
    for file, content in contents(source, found["name"], found[METADATA_KEY]).items():
        if not (folder / file).is_file() or (folder / file).read_bytes() != content:
            raise ModelFileError(
                f"{folder / file} is not what this version of featherweight writes of {source.name} beside it, and is "
                "not compiled: write the folder anew with featherweight.export.c99.export"
            )
    return found


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


def _describe(about: Mapping[str, Any], source: Path, counted: Sizes) -> str:
    network = network_in(about, source)
    options = ", ".join(f"{key}={value}" for key, value in (network.get("options") or {}).items())
    text = f"{network.get('name') or 'A network'}{f' ({options})' if options else ''}, written by featherweight " \
           f"{about.get('version')}: {counted.ram_bytes} bytes of RAM at its peak, {counted.constant_bytes} bytes of " \
           "constants in flash."  # fmt: skip
    # In a comment of C: neither its end nor another's start, no trigraph, and nothing that turns the reading around.
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", text)


def said(folder: Path) -> dict[str, Any]:
    """Read what a folder says of itself. Raises: FileNotFoundError, ModelFileError."""
    path = model_file(folder / SAYS)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
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
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        if wanted - found.keys():
            raise ValueError(f"it lacks {', '.join(sorted(wanted - {*found}))}")
        if not re.fullmatch(NAME, str(found["name"])):
            raise ValueError(f"its name is none in C: {found['name']!r}")
        if not isinstance(found[METADATA_KEY], dict):
            raise ValueError(f"its {METADATA_KEY} is no object: {found[METADATA_KEY]!r}")
        if not isinstance(found["sizes"], dict) or {*found["sizes"]} != {one.name for one in fields(Sizes)}:
            raise ValueError(f"its sizes are others than ours: {found['sizes']!r}")
    except ValueError as error:
        raise ModelFileError(f"{path} is damaged: {error}") from error
    return found
