"""`featherweight ship`: a trained network as every file that it can become, in one table with their figures."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featherweight._files import make_folder, remove
from featherweight.export._targets import TARGETS

from ._errors import UsageError, usage
from ._exporting import ALL, File, chosen_precisions, chosen_targets, lacks, shipped, table_of, usual_name
from ._options import bound
from ._output import Json, messages_to_stderr, note, print_json, print_table
from ._trained import Trained, pictures_for, read_trained

if TYPE_CHECKING:
    from featherweight.ship import Bounds

NOT_MET = 3  # exit code: a file breaks a bound, or could not be made
UNTRAINED = "what is made of it will hardly do better: train it further"
PAGE, FIGURES = "ship.html", "ship.json"


def ship(
    model: Annotated[Path, typer.Argument(help="A model.safetensors that `featherweight train` or `fit` wrote.")],
    *,
    to: Annotated[
        str, typer.Option(help="Targets, with commas: onnx,openvino; all: every one that can be made here.")
    ] = "all",
    precision: Annotated[str, typer.Option(help="float32, float16, int8, with commas; all.")] = "all",
    data: Annotated[
        str | None, typer.Option(help="The pictures it was trained on: proves on its test pictures, calibrates int8.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the files, ship.html and ship.json.")] = Path(
        "featherweight-ship"
    ),
    max_size: Annotated[str | None, typer.Option(help="Bound on each file: 300kB.")] = None,
    max_latency: Annotated[str | None, typer.Option(help="Bound on the time of one picture here: 2ms.")] = None,
    max_memory: Annotated[
        str | None, typer.Option(help="Bound on what a process grows by that loads and runs the file: 20MB.")
    ] = None,
    min_accuracy: Annotated[str | None, typer.Option(help="Bound on the accuracy on the test pictures: 97%.")] = None,
    max_loss: Annotated[
        str | None, typer.Option(help="Bound on the accuracy lost against PyTorch: 0.5% is half a point.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of latency and memory.")] = 1,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the split of --data. Default: as when it was trained.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove an earlier shipment from the folder first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a trained network as every file that it can become; prove and measure each; one table of all.

    A file in float is kept only if it gives PyTorch's logits on every test picture of --data, or on random inputs
    without it; one in int8 is compared, and its accuracy stands in the table. Latency is measured with all files
    taking turns, memory in a process of its own for each. What breaks a bound is red, in the table and in the page
    ship.html, and the exit code is 3. A target that lacks something here is named with the command that mends it, and
    the others are written.

    \b
    Examples:
      featherweight ship featherweight-train/model.safetensors --data digits
      featherweight ship model.safetensors --data pictures/ --to onnx,openvino --max-latency 2ms --max-loss 0.5%
      featherweight ship model.safetensors --data pictures/ --precision int8 --max-size 300kB --json
    """
    from featherweight._files import write_atomically
    from featherweight.export._runner import check_threads
    from featherweight.report import write_shipment
    from featherweight.ship import shipment

    with messages_to_stderr():
        with usage():
            check_threads(threads)
            bounds = _bounds(max_size, max_latency, max_memory, min_accuracy, max_loss)
            if data is None and (min_accuracy or max_loss):
                raise UsageError("accuracy is measured on pictures: --min-accuracy and --max-loss need --data")
            trained = read_trained(model)
            files = _files(trained, to, precision, out, calibrated=data is not None)
            earlier = _earlier(out, files)
            for path in earlier:
                _demand_apart(path, model, data)
            if earlier and not overwrite:
                raise UsageError(
                    f"{out} has {earlier[0].name} already: --overwrite removes an earlier shipment, --out chooses "
                    "another folder"
                )
        pictures = pictures_for(trained, data, seed)
        make_folder(out)
        for path in earlier:
            remove(path)
        try:
            pytorch, rows = shipped(files, trained, pictures, threads=threads, memory=True, bounds=bounds)
        except KeyboardInterrupt as error:
            kept = ", ".join(path.name for path in _earlier(out, files)) or "nothing"
            note(f"interrupted: in {out} is {kept}; without {PAGE} it is no whole shipment")
            raise typer.Exit(130) from error
        for one in rows if max_memory else ():
            if one.file is not None and one.memory_bytes is None:
                note(f"{one.name}: its memory was not measured, and is not held to --max-memory")
        told = shipment(
            rows, bounds, network=trained.model.name, source=str(model), proven_on=pictures.says, threads=threads,
            pytorch=pytorch.to_dict(),
        )  # fmt: skip
        write_atomically(out / FIGURES, json.dumps(told, indent=1, allow_nan=False) + "\n")
        write_shipment(told, out / PAGE)
    if as_json:
        print_json(told)
    else:
        print_table(table_of([pytorch, *rows], pictures), f"{out / PAGE} shows them; {out / FIGURES} has all figures")
    if pytorch.broken:
        note(f"PyTorch itself: accuracy {pytorch.broken['accuracy']}; {UNTRAINED}")
    if bad := [one.name for one in rows if not one.good]:
        note(f"{len(bad)} of {len(rows)} files break a bound, or could not be made: {', '.join(bad)}")
        raise typer.Exit(NOT_MET)


def _earlier(out: Path, files: list[File]) -> list[Path]:
    """Return what is there of the files to write, and of those that the figures of an earlier shipment name."""
    usual = {usual_name(target, precision) for target in TARGETS.values() for precision in target.precisions}
    try:
        told = json.loads((out / FIGURES).read_text())["files"]
        named = {Path(one["file"]).name for one in told if one["file"]} & usual
    except (OSError, ValueError, LookupError, TypeError):  # there is none, or it is none of ours
        named = set()
    names = dict.fromkeys((*(one.path.name for one in files), *sorted(named), PAGE, FIGURES))
    return [path for name in names if (path := out / name).exists()]


def _demand_apart(path: Path, model: Path, data: str | None) -> None:
    """See that what would be removed is not what is read. Raises: UsageError."""
    for read in (model, *([Path(data)] if data else [])):
        if read.exists() and path.resolve() in (read.resolve(), *read.resolve().parents):
            raise UsageError(f"{path} would be written over, and is, or holds, {read}: --out chooses another folder")


def _bounds(
    max_size: str | None,
    max_latency: str | None,
    max_memory: str | None,
    min_accuracy: str | None,
    max_loss: str | None,
) -> "Bounds":
    """Read quantities with their units. Raises: ValueError."""
    from featherweight._units import parse_bytes, parse_percent, parse_seconds
    from featherweight.ship import Bounds

    return Bounds(
        bytes=None if max_size is None else bound("--max-size", parse_bytes, max_size),
        latency_seconds=None if max_latency is None else bound("--max-latency", parse_seconds, max_latency),
        memory_bytes=None if max_memory is None else bound("--max-memory", parse_bytes, max_memory),
        accuracy=None if min_accuracy is None else bound("--min-accuracy", parse_percent, min_accuracy),
        loss=None if max_loss is None else bound("--max-loss", parse_percent, max_loss),
    )


def _files(trained: Trained, to: str, precision: str, out: Path, *, calibrated: bool) -> list[File]:
    """Choose what to write, and say what is left out and why.

    Raises: TargetError, UsageError: a name that there is not, or a target by its name that lacks something here.
    """
    targets = chosen_targets(to, trained.model)
    for target in targets if to != ALL else ():
        if reason := lacks(target, trained.model):
            raise UsageError(f"{target.name} cannot be made here: {reason}")
    files = []
    for target, precisions in chosen_precisions(targets, precision):
        for one in precisions:
            if one == "int8" and not calibrated:
                note(f"{target.name} int8: left out; it needs pictures to calibrate with: --data")
            else:
                files.append(File(target, one, out / usual_name(target, one)))
    if not files:
        raise UsageError(f"nothing to write: --to {to} --precision {precision}{'' if calibrated else ', no --data'}")
    return files
