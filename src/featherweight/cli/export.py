"""`featherweight export`: a trained network as model files for other runtimes, each proven."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featherweight.export._targets import TARGETS, Target

from ._errors import UsageError, usage
from ._exporting import ALL, adder_layers, chosen_precisions, chosen_targets, lacks, places, shipped, table_of
from ._output import Json, messages_to_stderr, note, print_json, print_table
from ._trained import pictures_for, read_trained

if TYPE_CHECKING:
    from ._trained import Trained

TARGETS_HELP = "; ".join(f"{name}: {target.says}" for name, target in TARGETS.items())


def export(
    model: Annotated[Path, typer.Argument(help="A model.safetensors that `featherweight train` or `fit` wrote.")],
    *,
    to: Annotated[
        str, typer.Option(metavar="TARGETS", help=f"Names with commas, or all that can be used here. {TARGETS_HELP}.")
    ] = "onnx",
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32, float16, int8, with commas, or all; int8 needs --data. Default: float32, or what there is."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write, or for several targets the folder for all. Default: beside the model."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="The same as --precision float32,int8.")] = False,
    data: Annotated[
        str | None, typer.Option(help="The pictures it was trained on: proves on its test pictures, calibrates int8.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the split of --data. Default: as when it was trained.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a trained network as model files for other runtimes, and prove that each gives the same answers.

    A float file is kept only if its best class is PyTorch's, and its logits within the target's tolerance, on every
    test picture of --data, or on random inputs without it. int8 may differ: its accuracy is measured and printed beside
    that of the others. Sizes are of all files of a target; times are medians of one picture, in turns. If one of
    several files fails, its row says why, the others are written, and the exit code is 1.

    `featherweight predict` runs what is written.

    AdderNets: --to adder-int8 quantizes a trained network of adder layers (featherweight list 'adder*') and keeps it in
    bytes from layer to layer: sums of absolute differences of bytes, one scale a layer. In ONNX an adder layer is made
    of standard operators: right, but slow to run.

    \b
    Examples:
      featherweight export featherweight-train/model.safetensors
      featherweight export featherweight-train/model.safetensors --int8 --data digits
      featherweight export model.safetensors --to onnx,openvino --precision float32,float16,int8 --data digits
      featherweight export model.safetensors --to all --out phone/ --data pictures/ --json
      featherweight train -n adder_resnet20 -o width=0.5 --time 60s
      featherweight export featherweight-train/model.safetensors --to adder-int8 --data digits
    """
    if int8 and precision is not None:
        raise UsageError("--int8 is --precision float32,int8: give one of the two")
    with messages_to_stderr():
        with usage():
            trained = read_trained(model)
            targets = chosen_targets(to, trained.model)
            chosen = _chosen(targets, "float32,int8" if int8 else precision, explicit=to != ALL)
            if to == ALL and data is None and precision is None and not int8:
                chosen = _without_int8(chosen)
        _refuse(chosen, trained, model, data, words="--int8" if int8 else precision and f"--precision {precision}")
        files = places(chosen, out, model)
        _warn_of_adder_layers(chosen, trained)
        pictures = pictures_for(trained, data, seed)
        pytorch, rows = shipped(files, trained, pictures)
    if as_json:
        told = {"pytorch": pytorch.to_dict(), "files": [row.to_dict() for row in rows]}
        print_json({"source": str(model), "proven_on": pictures.says, **told})
    else:
        print_table(table_of([pytorch, *rows], pictures))
    if any(row.error for row in rows):
        raise typer.Exit(1)


def _chosen(targets: Sequence[Target], words: str | None, *, explicit: bool) -> list[tuple[Target, list[str]]]:
    """Pair targets with precisions; those without any are an error, or left out if nobody named them."""
    chosen = chosen_precisions(targets, words)
    for target, precisions in chosen:
        if not precisions:
            line = f"{target.name} has none of {words}; it has {', '.join(target.precisions)}"
            if explicit:
                raise UsageError(line)
            note(f"{target.name}: left out; {line}")
    return [(target, precisions) for target, precisions in chosen if precisions]


def _without_int8(chosen: Sequence[tuple[Target, list[str]]]) -> list[tuple[Target, list[str]]]:
    """Leave out what can only be int8, where nobody asked for that and there are no pictures to calibrate with."""
    for target, precisions in chosen:
        if "int8" in precisions:
            note(f"{target.name}: left out; it is int8, which needs pictures to calibrate with: --data")
    return [(target, precisions) for target, precisions in chosen if "int8" not in precisions]


def _refuse(
    chosen: Sequence[tuple[Target, Sequence[str]]], trained: "Trained", model: Path, data: str | None, words: str | None
) -> None:
    """Refuse what cannot be: int8 without pictures, and the only target not for this network. Raises: UsageError."""
    for target, precisions in chosen:
        if len(chosen) == 1 and (reason := lacks(target, trained.model)):
            raise UsageError(f"{model}: {reason}; any network becomes int8 with --int8")
        if "int8" in precisions and data is None:
            raise UsageError(
                f"{words or f'--to {target.name}'} needs pictures to calibrate with: --data FOLDER, or --data digits"
            )


def _warn_of_adder_layers(chosen: Sequence[tuple[Target, Sequence[str]]], trained: "Trained") -> None:
    count = adder_layers(trained.model)
    if count and any(target.name != "adder-int8" for target, _ in chosen):
        note(
            f"{count} adder layers: ONNX has no such operator; made of standard ones they are right, but slow to run. "
            "--to adder-int8 writes the network in bytes for our own kernels"
        )
