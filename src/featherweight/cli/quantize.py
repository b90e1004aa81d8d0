"""`featherweight quantize`: an int8 file of a trained network, what it loses, and which layer loses it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherweight._files import make_folder

from ._errors import UsageError, usage
from ._output import Json, messages_to_stderr, note, print_json, print_table
from ._trained import Trained, pictures_for, read_trained
from .cost import table

if TYPE_CHECKING:
    import numpy as np

    from featherweight.compress import LayerSensitivity, QuantizationReport
    from featherweight.ship import Pictures

Method = StrEnum("Method", ["auto", "minmax", "percentile", "mse"])


def quantize(
    model: Annotated[Path, typer.Argument(help="A model.safetensors or model.onnx that featherweight wrote.")],
    *,
    data: Annotated[str, typer.Option(help="The pictures it was trained on: calibrates and measures with them.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: as the model, ending in -int8.onnx, or -int4.onnx.")
    ] = None,
    method: Annotated[Method, typer.Option(help="Of choosing an activation's range; auto tries them.")] = Method.auto,
    equalize: Annotated[
        bool | None, typer.Option("--equalize/--no-equalize", help="Scale channels between layers. Default: if better.")
    ] = None,
    bias_correction: Annotated[
        bool, typer.Option("--bias-correction/--no-bias-correction", help="Keep the mean of each channel.")
    ] = True,
    adaround: Annotated[
        bool | None,
        typer.Option(
            "--adaround/--no-adaround", help="Round weights as their layer wants it. Default: below 8 bits or 25 dB."
        ),
    ] = None,
    bits: Annotated[int, typer.Option(help="Of a weight: 8, 6, 5 or 4; activations have 8.")] = 8,
    keep_float: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N|LAYER",
            help="How many of the most sensitive layers stay in float, or the name of one, as --sensitivity shows it; "
            "again for more. Default: the few, if any, it takes to 20 dB.",
        ),
    ] = None,
    least_sqnr: Annotated[
        float | None, typer.Option(metavar="DB", help="Keep as many layers in float as this takes; 20 is 1 % of noise.")
    ] = None,
    sensitivity: Annotated[bool, typer.Option("--sensitivity", help="Show what each layer loses alone.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw what each layer loses alone, into a file.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the split of --data. Default: as when it was trained; 0 for ONNX.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write an int8 ONNX file of a trained network, and measure what that costs.

    Training pictures of --data calibrate; its test pictures say how accurate the float network and the int8 file are.
    SQNR is the power of the logits over that of their error, in decibels: 20 dB is 1 % of noise, 30 dB 0.1 %. A layer's
    is that of the network if this layer alone is in int8: the smallest are the layers that it fails by, and the ones
    that --keep-float leaves in float.

    Weights of 4 bits are half a byte in the ONNX file; those of 5 or 6 are stored as bytes: that file is no smaller,
    but compresses further; of the network itself, `featherweight pack` makes a smaller one.

    \b
    Examples:
      featherweight quantize featherweight-train/model.safetensors --data digits
      featherweight quantize model.onnx --data pictures/ --sensitivity --plot sensitivity.svg
      featherweight quantize model.safetensors --data digits --bits 4 --out small.onnx
      featherweight quantize model.safetensors --data digits --least-sqnr 25 --json
    """
    from featherweight.compress import quantize as write
    from featherweight.compress._quantize import check_choices

    path = _place(model, out, plot, bits)
    with usage():
        kept = _kept_float(keep_float)
        check_choices(method.value, bits, kept)
        trained = _trained(model)
    with messages_to_stderr():
        inputs = pictures_for(trained, data, seed)
    assert inputs.calibration is not None
    for file in (path, plot or path):
        make_folder(file.parent)
    reports: list[QuantizationReport] = []
    with tempfile.TemporaryDirectory(prefix="featherweight-") as folder, _progress() as show:
        source = model if model.suffix == ".onnx" else _exported(trained, Path(folder) / "float.onnx")
        write(
            source, path, inputs.calibration, equalize=equalize, correct_bias=bias_correction,
            method=method.value,  # type: ignore[arg-type]
            adaround=adaround, bits=bits, keep_float=kept, least_sqnr_db=least_sqnr,
            sensitivity=sensitivity or plot is not None, report=reports.append, progress=show,
        )  # fmt: skip
        rows = _measured(model, source, path, inputs)
    [done] = reports
    if plot is not None:
        note(f"wrote {_draw(plot, done)}")
    if as_json:
        print_json({"source": str(model), "files": rows, **done.to_dict()})
    else:
        _print(rows, done, shown=sensitivity)


def _kept_float(words: list[str] | None) -> int | list[str] | None:
    """Return a number, names, or None for nothing said. Raises: ValueError: a number among names, or a negative one."""
    if not words:
        return None
    numbers = [word for word in words if word.lstrip("-").isdigit()]
    if not numbers:
        return words
    if len(words) > 1 or int(numbers[0]) < 0:
        raise ValueError(f"--keep-float is one number, 0 or more, or names of layers; got {', '.join(words)}")
    return int(numbers[0])


def _place(model: Path, out: Path | None, plot: Path | None, bits: int) -> Path:
    """Return the path to write. Raises: UsageError: it would hit the model, or is of another kind."""
    path = out or model.with_name(f"{model.stem}-int{bits}.onnx")
    if model.suffix == ".fwz":
        raise UsageError(f"{model} is a packed network: `featherweight unpack` it first")
    if model.suffix not in (".onnx", ".safetensors"):
        absent = "" if model.exists() else "; there is no such file, either"
        raise UsageError(f"{model} is neither a model.safetensors nor a model.onnx{absent}")
    if path.suffix != ".onnx":
        raise UsageError(f"--out is an ONNX file, FILE.onnx; got {str(path)!r}")
    if path.exists() and model.exists() and path.samefile(model):
        raise UsageError(f"--out {path} is the network itself")
    if plot is not None and plot.suffix != ".svg":
        raise UsageError(f"--plot is a picture, FILE.svg; got {str(plot)!r}")
    return path


def _trained(path: Path) -> Trained:
    """Read what is known of a network. Raises: ValueError, FileNotFoundError."""
    if path.suffix == ".safetensors":
        return read_trained(path)
    from torch import nn

    from featherweight.data import Preprocessing
    from featherweight.export import load

    runner = load(path)
    preprocessing = Preprocessing.from_dict(runner.preprocessing)
    return Trained(path, nn.Identity(), list(runner.labels), preprocessing, 0)  # the file computes, no module is asked


def _exported(trained: Trained, path: Path) -> Path:
    from featherweight.compress import fold_batch_norm
    from featherweight.export import export

    metadata = {"labels": trained.labels, "preprocessing": trained.preprocessing.to_dict()}
    with messages_to_stderr():
        return export(fold_batch_norm(trained.model, strict=False), path, metadata=metadata)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show on a terminal's standard error which step is how far."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("reading", total=1.0)
        yield lambda step, share: bar.update(task, description=step, completed=share)


def _measured(model: Path, source: Path, path: Path, inputs: "Pictures") -> list[dict[str, Any]]:
    """Run both files on the test pictures."""
    from featherweight.export import compare, load

    assert inputs.labels is not None
    reference: np.ndarray = load(source)(inputs.test)
    rows = []
    for name, file in ((f"{model}, float", source), (str(path), path)):
        parity = compare(reference, load(file)(inputs.test), inputs.labels)
        rows.append({
            "file": name, "bytes": file.stat().st_size, "accuracy": parity.accuracy_exported,
            "agreement": parity.agreement,
        })  # fmt: skip
    return rows


def _print(rows: list[dict[str, Any]], done: "QuantizationReport", *, shown: bool) -> None:
    from featherweight._units import format_bytes, format_percent

    cells = [["file", "size", "accuracy", "same answer as float"]]
    cells += [
        [row["file"], format_bytes(row["bytes"]), format_percent(row["accuracy"]), format_percent(row["agreement"])]
        for row in rows
    ]
    lost = 100 * (rows[0]["accuracy"] - rows[1]["accuracy"])
    how = [done.method, f"{done.equalized} pairs equalized", f"{done.bits} bits"]
    how += ["biases corrected"] * done.correct_bias + ["adaptive rounding"] * done.adaround
    change = f"{abs(lost):.2f} points {'gained' if round(lost, 2) < 0 else 'lost'}"
    title = f"{change}; {done.sqnr_db:.1f} dB on the calibration pictures; {', '.join(how)}"
    print_table(table(title, cells, left=("file",)))
    if done.kept_float:
        note(f"in float: {', '.join(done.kept_float)}")
    if shown:
        rows_of_layers = [["layer", "operator", "weights", "SQNR, alone", ""]]
        rows_of_layers += [
            [one.layer, one.operator, f"{one.weights:,}", f"{one.sqnr_db:.1f} dB", _state(one, done)]
            for one in done.sensitivity
        ]
        print_table(table("What each layer loses alone, the worst first", rows_of_layers, left=("layer", "operator")))


def _state(one: "LayerSensitivity", done: "QuantizationReport") -> str:
    return "float" if one.layer in done.kept_float else "int8"


def _draw(path: Path, done: "QuantizationReport") -> Path:
    from featherweight.report import Bar, write_bars

    bars = [
        Bar(
            one.layer, one.sqnr_db, int(one.layer in done.kept_float),
            f"{one.layer}, {one.operator}, {one.weights:,} weights: {one.sqnr_db:.1f} dB, {_state(one, done)}",
        )
        for one in done.sensitivity
    ]  # fmt: skip
    return write_bars(
        path, bars, label="SQNR of the logits if this layer alone is in int8", text=lambda value: f"{value:.0f} dB",
        legend=["int8", "float"] if done.kept_float else ["int8"],
    )  # fmt: skip
