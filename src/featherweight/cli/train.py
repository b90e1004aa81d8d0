"""`featherweight train`: one network on one collection of pictures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._errors import UsageError, usage
from ._options import NetworkOptions, parse_network_options
from ._output import Json, messages_to_stderr, note, print_json, print_table

if TYPE_CHECKING:
    from torch import nn

    from featherweight._fit._learner import Learner
    from featherweight.train import Recipe

EPOCHS = 30  # where neither --epochs nor --time is given
MODEL, HISTORY, CHECKPOINT = "model.safetensors", "history.json", "training.ckpt"


def train(
    data: Annotated[
        str, typer.Argument(help="A folder class/*.png or train|val|test/class/*, or 'digits', which is built in.")
    ] = "digits",
    *,
    network: Annotated[str, typer.Option("--network", "-n", help="A name from `featherweight list`.")],
    option: NetworkOptions = None,
    resolution: Annotated[
        int | None, typer.Option(min=8, help="Side of the input in pixels. Default: near the pictures' own.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help=f"Passes over the pictures. Default: {EPOCHS}, or what --time allows.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="For the training: 90s, 10min, 1h30m.")] = None,
    adder_p_until: Annotated[
        float,
        typer.Option(
            help="AdderNets: share of the training over which distances |x - w|^p go from p = 2 to 1; 0: always 1."
        ),
    ] = 0.0,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("featherweight-train"),
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the weights and the order of the pictures.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted training in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Train one network of your choice; write model.safetensors and history.json.

    A fifth of the pictures is held out as the test, unless the folders say which; the accuracy on it is printed.
    After Ctrl-C, the same command with --resume goes on, and ends at the same weights.

    \b
    Examples:
      featherweight train -n mobilenet_v1 -o width=0.25
      featherweight train pictures/ -n mobilenet_v3_small --resolution 96 --time 10min
      featherweight export featherweight-train/model.safetensors --int8 --data pictures/
      featherweight train -n adder_resnet20 -o width=0.5 --time 60s
      featherweight export featherweight-train/model.safetensors --to adder-int8 --data digits
    """
    from featherweight._fit._state import check_outside

    with usage():
        options = parse_network_options(network, option)
        seconds = _seconds(time)
        check_outside(out, data)
    _check_folder(out, resume=resume, overwrite=overwrite)
    with messages_to_stderr():
        learner = _learner(data, seed)
        side = resolution or _resolution(learner)
        options = _options_for(learner, side, options)
        with usage():
            model = learner.build(network, options)
        note(f"{network} with {', '.join(f'{name}={value}' for name, value in options.items())} at {side} px")
        with usage():
            recipe = _recipe(learner, model, epochs or (None if seconds else EPOCHS), adder_p_until)
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            (out / CHECKPOINT).unlink(missing_ok=True)
        result = _train(learner, model, recipe, side=side, seconds=seconds, out=out, resume=resume)
    result = {"network": network, "options": options, "resolution": side, **result}
    if as_json:
        print_json(result)
    else:
        _print(result)


def _seconds(time: str | None) -> float | None:
    from featherweight._units import parse_seconds

    seconds = parse_seconds(time) if time else None
    if seconds == 0:
        raise ValueError("the training needs some time; got 0 s")
    return seconds


def _check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Hold what is in the folder of the results against what was asked for. Raises: UsageError."""
    if resume and not (out / CHECKPOINT).exists():
        raise UsageError(f"nothing to resume: there is no {out / CHECKPOINT}")
    if not resume and not overwrite:
        for name, way in ((CHECKPOINT, "--resume goes on with it, "), (MODEL, "")):
            if (out / name).exists():
                raise UsageError(f"{out / name} is there already: {way}--overwrite replaces it, --out chooses a folder")


def _learner(data: str, seed: int) -> "Learner":
    from featherweight._fit._learner import Learner
    from featherweight._fit._run import read_pictures
    from featherweight.data import split_pictures

    pictures = read_pictures(data)
    split = split_pictures(pictures, seed=seed)
    note(
        f"{len(pictures)} pictures in {len(pictures.classes)} classes: {len(split.train)} to train, "
        f"{len(split.val)} to validate, {len(split.test)} to test"
    )
    for bad in pictures.quarantine:
        note(f"left out: {bad.path}: {bad.reason}")
    return Learner(pictures, split, seed)


def _resolution(learner: "Learner") -> int:
    """Return the smallest usual side that holds the pictures' own, or the largest usual one."""
    from featherweight.search import resolutions_for

    native = learner.pictures.native_side
    sides = resolutions_for(native)
    return next((side for side in sides if side >= native), sides[-1])


def _options_for(learner: "Learner", side: int, options: dict[str, object]) -> dict[str, object]:
    """Add what the pictures decide: classes, channels, and whether early strides are kept at 1."""
    from featherweight.search import SMALL_INPUT_UP_TO

    decided = {"num_classes": len(learner.pictures.classes), "in_channels": learner.pictures.channels}
    for name, value in decided.items():
        if options.get(name, value) != value:
            raise UsageError(f"option {name} of the network: the pictures have {value}; got {options[name]}")
    return {"small_input": side <= SMALL_INPUT_UP_TO, **options, **decided}


def _recipe(learner: "Learner", model: "nn.Module", epochs: int | None, adder_p_until: float) -> "Recipe":
    """Return how the network is trained. Raises: ValueError: adder_p_until is out of range, or not for this network."""
    from featherweight.blocks import AdderConv2d

    if adder_p_until and not any(isinstance(module, AdderConv2d) for module in model.modules()):
        raise ValueError("--adder-p-until is for networks of adder layers: featherweight list 'adder*'")
    return replace(learner.recipe(model, 0), epochs=epochs, adder_p_until=adder_p_until)


def _train(
    learner: "Learner",
    model: "nn.Module",
    recipe: "Recipe",
    *,
    side: int,
    seconds: float | None,
    out: Path,
    resume: bool,
) -> dict[str, Any]:
    """Train, write the files, and return the figures."""
    from featherweight._files import write_atomically
    from featherweight.networks import save_model
    from featherweight.train import TrainingInterrupted

    try:
        history = learner.stage(
            model, side, recipe, seconds=seconds, checkpoint=out / CHECKPOINT, resume=resume
        ).history  # fmt: skip
    except TrainingInterrupted as error:
        note(f"interrupted after {error.step} steps; the same command with --resume goes on from there")
        raise typer.Exit(130) from error
    metadata = {
        "labels": json.dumps(list(learner.pictures.classes)),
        "preprocessing": json.dumps(learner.preprocessing(side).to_dict()),
        "seed": str(learner.seed),
    }
    path = save_model(model, out / MODEL, metadata)
    write_atomically(out / HISTORY, json.dumps(history.to_dict(), indent=1) + "\n")
    (out / CHECKPOINT).unlink()
    return {
        "file": str(path),
        "history_file": str(out / HISTORY),
        "accuracy": {part: learner.evaluate(model, side, part).accuracy for part in ("val", "test")},
        "pictures": {part: len(learner.indices(part)) for part in ("train", "val", "test")},
        "epochs": history.epochs[-1].epoch,
        "steps": history.steps,
        "seconds": history.seconds,
        "images_per_second": history.images_per_second,
    }


def _print(result: dict[str, Any]) -> None:
    from rich.table import Table

    from featherweight._units import format_percent, format_seconds

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_row("accuracy, test", f"{format_percent(result['accuracy']['test'])} of {result['pictures']['test']}")
    table.add_row("accuracy, validation", f"{format_percent(result['accuracy']['val'])} of {result['pictures']['val']}")
    table.add_row(
        "trained", f"{result['epochs']} epochs in {format_seconds(result['seconds'])}, "
        f"{result['images_per_second']:.0f} pictures/s",
    )  # fmt: skip
    table.add_row("written", f"{result['file']}, {result['history_file']}")
    print_table(table)
