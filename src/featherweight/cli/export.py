"""`featherweight export`: a trained network as an ONNX file, proven, and as int8; an AdderNet in bytes."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ._errors import UsageError, usage
from ._output import Json, messages_to_stderr, note, print_json, print_table

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from featherweight.data import Preprocessing
    from featherweight.export import Parity

RANDOM_INPUTS = 64
CALIBRATION_PICTURES = 256
LATENCY_SECONDS = 2.0


class Target(StrEnum):
    """What a network becomes."""

    ONNX = "onnx"
    ADDER_INT8 = "adder-int8"


class Trained(NamedTuple):
    """A saved network with what goes with it."""

    model: "nn.Module"
    labels: list[str]
    preprocessing: "Preprocessing"
    seed: int  # of the split, so that no picture it was trained on is taken for a test


class Inputs(NamedTuple):
    """Prepared pictures: to prove the export with, their labels, and to calibrate int8 with."""

    proof: "np.ndarray"
    labels: "np.ndarray"
    calibration: "np.ndarray | None"


def export(
    model: Annotated[Path, typer.Argument(help="A model.safetensors that `featherweight train` or `fit` wrote.")],
    *,
    to: Annotated[
        Target, typer.Option(help="onnx for ONNX Runtime; adder-int8: an AdderNet in bytes, for our own kernels.")
    ] = Target.ONNX,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write. Default: model.onnx or model-adder-int8.safetensors beside the model."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write an int8 ONNX file; needs --data to calibrate with.")
    ] = False,
    data: Annotated[
        str | None, typer.Option(help="The pictures it was trained on: proves on its test pictures, calibrates int8.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the split of --data. Default: as when it was trained.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a trained network as ONNX, and prove that the file gives the same answers; or an AdderNet in bytes.

    The file is kept only if it agrees with PyTorch on every test picture of --data, or on random inputs without it.
    int8 may differ: its accuracy is measured and printed beside the float file's.

    AdderNets: --to adder-int8 quantizes a trained network of adder layers (featherweight list 'adder*') and keeps it in
    bytes from layer to layer: sums of absolute differences of bytes, one scale a layer. `featherweight predict` runs
    the file with our own kernels. In ONNX an adder layer is made of standard operators: right, but slow to write and
    to run.

    \b
    Examples:
      featherweight export featherweight-train/model.safetensors
      featherweight export featherweight-train/model.safetensors --int8 --data digits
      featherweight export model.safetensors --out phone.onnx --int8 --data pictures/ --json
      featherweight train -n adder_resnet20 -o width=0.5 --time 60s
      featherweight export featherweight-train/model.safetensors --to adder-int8 --data digits
    """
    adder = to is Target.ADDER_INT8
    if adder and int8:
        raise UsageError("--int8 is of --to onnx; --to adder-int8 is int8 as it is")
    if (adder or int8) and data is None:
        words = "--to adder-int8" if adder else "--int8"
        raise UsageError(f"{words} needs pictures to calibrate with: --data FOLDER, or --data digits")
    with messages_to_stderr():
        with usage():
            trained = read_trained(model)
        _look_for_adder_layers(trained.model, model, to)
        inputs = _pictures(trained, data, trained.seed if seed is None else seed) if data else _random(trained)
        if adder:
            rows = _export_adder_int8(trained, inputs, model, out or model.with_name("model-adder-int8.safetensors"))
        else:
            rows = _export(trained, inputs, out or model.with_name("model.onnx"), int8=int8)
    result = {"source": str(model), "proven_on": f"{len(inputs.proof)} {'test pictures' if data else 'random inputs'}"}
    if not data:
        for row in rows:
            row["accuracy"] = None
    if as_json:
        print_json({**result, "files": rows})
    else:
        _print(rows, f"{'compared' if adder else 'proven'} on {result['proven_on']}")


def _look_for_adder_layers(model: "nn.Module", path: Path, to: Target) -> None:
    """Say what becomes of adder layers in ONNX. Raises: UsageError: there are none, and they are wanted."""
    from featherweight.blocks import AdderConv2d

    count = sum(isinstance(module, AdderConv2d) for module in model.modules())
    if count and to is Target.ONNX:
        note(
            f"{count} adder layers: ONNX has no such operator; made of standard ones they are right, but slow to write "
            "and to run. --to adder-int8 writes the network in bytes for our own kernels"
        )
    elif not count and to is Target.ADDER_INT8:
        raise UsageError(
            f"{path} has no adder layers, and --to adder-int8 is for networks of them (featherweight list 'adder*'); "
            "any network becomes int8 with --int8"
        )


def read_trained(path: Path) -> Trained:
    """Read a saved network with its labels and preprocessing.

    Raises: ValueError: the file is not one of ours, or was saved without labels and preprocessing.
    """
    import safetensors

    from featherweight.data import Preprocessing
    from featherweight.networks import load_model

    model = load_model(path)
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    if missing := {"labels", "preprocessing"} - metadata.keys():
        raise ValueError(f"{path} was saved without {' and '.join(sorted(missing))}; featherweight train writes them")
    preprocessing = Preprocessing.from_dict(json.loads(metadata["preprocessing"]))
    return Trained(model, json.loads(metadata["labels"]), preprocessing, int(metadata.get("seed", 0)))


def _pictures(trained: Trained, data: str, seed: int) -> Inputs:
    """Prepare test pictures for the proof and training pictures for the calibration. Raises: UsageError."""
    import numpy as np
    import torch

    from featherweight._fit._run import read_pictures
    from featherweight.data import split_pictures

    pictures = read_pictures(data)
    if list(pictures.classes) != trained.labels:
        raise UsageError(
            f"{data} is not what this model was trained on: its classes are {', '.join(pictures.classes)}; "
            f"the model's are {', '.join(trained.labels)}"
        )
    split = split_pictures(pictures, seed=seed)
    images = pictures.at(trained.preprocessing)

    def prepared(indices: "np.ndarray") -> "np.ndarray":
        chosen = images[torch.from_numpy(indices)].permute(0, 2, 3, 1).numpy()
        return trained.preprocessing.normalize(chosen)

    of_all_classes = np.random.default_rng(seed).permutation(split.train)[:CALIBRATION_PICTURES]
    return Inputs(prepared(split.test), pictures.labels[split.test], prepared(of_all_classes))


def _random(trained: Trained) -> Inputs:
    """Draw inputs; their labels are what the network says, since there is no truth."""
    import numpy as np

    note("no --data: the proof is on random inputs, and says nothing of accuracy")
    shape = (RANDOM_INPUTS, trained.preprocessing.channels, *2 * (trained.preprocessing.resolution,))
    proof = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return Inputs(proof, np.zeros(RANDOM_INPUTS, np.int64), None)


def _export(trained: Trained, inputs: Inputs, path: Path, *, int8: bool) -> list[dict[str, Any]]:
    """Write the files and return what was measured on each."""
    from featherweight.compress import fold_batch_norm, quantize
    from featherweight.export import compare, export_proven, load

    reference = _logits(trained.model, inputs.proof)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"labels": trained.labels, "preprocessing": trained.preprocessing.to_dict()}
    parities = {
        path: export_proven(
            fold_batch_norm(trained.model),
            path,
            [(inputs.proof, inputs.labels)],
            reference=reference,
            metadata=metadata,
        )
    }
    if inputs.calibration is not None and int8:
        small = path.with_name(f"{path.stem}-int8{path.suffix}")
        quantize(path, small, inputs.calibration)
        parities[small] = compare(reference, load(small)(inputs.proof), inputs.labels)
    picture = inputs.proof[:1]
    latencies = _latencies({file: partial(load(file), picture) for file in parities})
    return [_row(file, parity, latencies[file]) for file, parity in parities.items()]


def _row(file: Path, parity: "Parity", latency_seconds: float) -> dict[str, Any]:
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "agreement": parity.agreement,
        "max_logit_difference": parity.max_logit_difference,
        "accuracy": parity.accuracy_exported,
        "latency_seconds": latency_seconds,
    }


def _export_adder_int8(trained: Trained, inputs: Inputs, source: Path, path: Path) -> list[dict[str, Any]]:
    """Write the file and return what was measured on the network in float, by PyTorch, and on the file."""
    from featherweight.export import adder_int8, compare

    assert inputs.calibration is not None
    metadata = {"labels": trained.labels, "preprocessing": trained.preprocessing.to_dict()}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.samefile(source):
        raise UsageError(f"--out {path} is the network itself")
    adder_int8.export(trained.model, path, inputs.calibration, metadata=metadata)
    runner, picture = adder_int8.load(path), inputs.proof[:1]
    in_float = _logits(trained.model, inputs.proof)
    parities = {
        source: compare(in_float, in_float, inputs.labels),
        path: compare(in_float, runner(inputs.proof), inputs.labels),
    }
    with _one_thread():
        latencies = _latencies({source: partial(_logits, trained.model, picture), path: partial(runner, picture)})
    note(f"{path}: {runner.describe()}")
    return [_row(file, parity, latencies[file]) for file, parity in parities.items()]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread inside the block, as the files are measured."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _logits(model: "nn.Module", inputs: "np.ndarray") -> "np.ndarray":
    import torch

    with torch.inference_mode():
        return torch.cat([model(part) for part in torch.split(torch.from_numpy(inputs), 256)]).numpy()


def _latencies(calls: Mapping[Path, Callable[[], object]]) -> dict[Path, float]:
    """Measure the median time of one picture for each file."""
    from featherweight.cost import measure_latency

    found = measure_latency({str(file): call for file, call in calls.items()}, max_seconds=LATENCY_SECONDS)
    return {Path(name): latency.median_seconds for name, latency in found.items()}


def _print(rows: list[dict[str, Any]], title: str) -> None:
    from rich import box
    from rich.table import Table

    from featherweight._units import format_bytes, format_percent, format_seconds

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("file")
    for heading in ("size", "same top-1 as PyTorch", "largest logit difference", "accuracy", "latency, 1 thread"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["file"], format_bytes(row["bytes"]), format_percent(row["agreement"]),
            f"{row['max_logit_difference']:.2g}",
            "" if row["accuracy"] is None else format_percent(row["accuracy"]), format_seconds(row["latency_seconds"]),
        )  # fmt: skip
    print_table(table)
