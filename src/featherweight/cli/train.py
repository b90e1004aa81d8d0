"""`featherweight train`: one network on one collection of pictures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherweight._files import make_folder, write_atomically

from ._errors import UsageError, usage
from ._options import Data, NetworkOptions, parse_network_options
from ._output import Json, messages_to_stderr, note, print_json, print_table
from ._teacher import check_words, distillation_by_twin, distillation_from
from ._trained import read_trained

if TYPE_CHECKING:
    from torch import nn

    from featherweight._fit._learner import Learner
    from featherweight.train import Distillation, Recipe

WEIGHT, TEMPERATURE = 0.5, 4.0  # of a distillation
EPOCHS = 30  # where neither --epochs nor --time is given
MODEL, HISTORY, CHECKPOINT = "model.safetensors", "history.json", "training.ckpt"


def train(
    data: Data = "digits",
    *,
    network: Annotated[
        str, typer.Option("--network", "-n", help="A name from `featherweight list`, or a saved model.safetensors.")
    ],
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
    teacher: Annotated[
        Path | None, typer.Option(help="A model.safetensors of the same classes, to learn from (distillation).")
    ] = None,
    kernel_teacher: Annotated[
        bool,
        typer.Option(
            "--kernel-teacher",
            help="AdderNets: train the same network of convolutions beside it, and learn from it, layer by layer, too. "
            "A step takes two to three times as long; on the small digits it gained nothing.",
        ),
    ] = False,
    distill: Annotated[
        float | None,
        typer.Option(help=f"Weight of the teacher's answers, 0 to 1; labels have the rest. Default: {WEIGHT}."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help=f"By which answers are softened, above 0. Default: {TEMPERATURE:g}.")
    ] = None,
    hints: Annotated[
        bool, typer.Option("--hints", help="Have the middle block follow the features of one of the teacher's, too.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("featherweight-train"),
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Of the split, the weights and the order of the pictures. Default: 0, or a saved network's own."
        ),
    ] = None,
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
      featherweight train pictures/ -n small.safetensors --time 10min --out again
      featherweight export featherweight-train/model.safetensors --int8 --data pictures/
      featherweight train characters -n mobilenet_v1 -o width=0.25 --epochs 8 --out large
      featherweight train characters -n lenet5_bn --epochs 8 --teacher large/model.safetensors --out small
      featherweight train -n adder_resnet20 -o width=0.5 --time 60s
      featherweight train characters -n adder_resnet20 --kernel-teacher --out adder
      featherweight export featherweight-train/model.safetensors --to adder-int8 --data digits
    """
    from featherweight._fit._state import check_outside
    from featherweight.networks import load_model

    saved = network.endswith(".safetensors")
    with usage():
        if saved and option:
            raise ValueError(f"-o chooses among networks; {network} is one already")
        options = {} if saved else parse_network_options(network, option)
        seconds = training_seconds(time)
        check_outside(out, data)
        check_words(teacher, kernel_teacher=kernel_teacher, hints=hints, numbers=(distill, temperature))
        trained = None if teacher is None else read_trained(teacher)
    _check_folder(out, resume=resume, overwrite=overwrite)
    with messages_to_stderr():
        if saved:
            learner, side = learner_of(Path(network), data)
            if seed not in (None, learner.seed):
                raise UsageError(f"{network} was trained with --seed {learner.seed}, and is again; got --seed {seed}")
            side = resolution or side
            model: nn.Module = load_model(network)
            options = dict(model.options)  # type: ignore[arg-type]
        else:
            learner = _learner(data, seed or 0)
            side = resolution or _resolution(learner)
            options = _options_for(learner, side, options)
            with usage():
                model = learner.build(network, options)
        note(f"{network} with {', '.join(f'{name}={value}' for name, value in options.items())} at {side} px")
        with usage():
            for word, given in (("--adder-p-until", adder_p_until), ("--kernel-teacher", kernel_teacher)):
                if given:
                    _check_adder_layers(model, word)
            recipe = replace(
                learner.recipe(model, int(saved), again=saved, taught=kernel_teacher or trained is not None),
                epochs=epochs or (None if seconds else EPOCHS),
                adder_p_until=adder_p_until,
            )
            weight = WEIGHT if distill is None else distill
            temperature = TEMPERATURE if temperature is None else temperature
            distillation = None
            if kernel_teacher:
                distillation = distillation_by_twin(model, learner.seed, temperature=temperature, weight=weight)
            elif trained is not None:
                distillation = distillation_from(
                    trained, learner=learner, student=model, resolution=side, temperature=temperature, weight=weight,
                    hints=hints,
                )  # fmt: skip
        make_folder(out)
        if not resume:
            (out / CHECKPOINT).unlink(missing_ok=True)
        result = _train(learner, model, recipe, distillation, side=side, seconds=seconds, out=out, resume=resume)
    result = {
        "network": network,
        "options": options,
        "resolution": side,
        "teacher": distillation and {"file": teacher and str(teacher), **distillation.to_dict()},
        **result,
    }
    if as_json:
        print_json(result)
    else:
        _print(result)


def training_seconds(time: str | None) -> float | None:
    """Read a time to train for; None without one. Raises: ValueError: not a time, or none at all."""
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
    from featherweight.data import read_pictures, split_pictures

    pictures = read_pictures(data)
    split = split_pictures(pictures, seed=seed)
    note(
        f"{len(pictures)} pictures in {len(pictures.classes)} classes: {len(split.train)} to train, "
        f"{len(split.val)} to validate, {len(split.test)} to test"
    )
    for bad in pictures.quarantine:
        note(f"left out: {bad.path}: {bad.reason}")
    return Learner(pictures, split, seed)


def learner_of(path: Path, data: str) -> "tuple[Learner, int]":
    """Return the pictures that a saved network was trained on, split as they were then, and its resolution.

    Raises: UsageError: the file is none, or was trained on other pictures.
    """
    with usage():
        trained = read_trained(path)
    learner = _learner(data, trained.seed)
    classes, channels = list(learner.pictures.classes), learner.pictures.channels
    if classes != trained.labels or channels != trained.preprocessing.channels:
        raise UsageError(
            f"{data} is not what {path} was trained on: {channels} channels in the classes {', '.join(classes)}; it "
            f"has {trained.preprocessing.channels} and {', '.join(trained.labels)}"
        )
    return learner, trained.preprocessing.resolution


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


def _check_adder_layers(model: "nn.Module", word: str) -> None:
    from featherweight.blocks import AdderConv2d

    if not any(isinstance(module, AdderConv2d) for module in model.modules()):
        raise ValueError(f"{word} is for networks of adder layers: featherweight list 'adder*'")


def _train(
    learner: "Learner",
    model: "nn.Module",
    recipe: "Recipe",
    distillation: "Distillation | None",
    *,
    side: int,
    seconds: float | None,
    out: Path,
    resume: bool,
) -> dict[str, Any]:
    """Train, write the files, and return the figures."""
    from featherweight.networks import save_model
    from featherweight.train import TrainingInterrupted

    try:
        history = learner.stage(
            model, side, recipe, seconds=seconds, checkpoint=out / CHECKPOINT, resume=resume, distillation=distillation
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
    found = {part: learner.evaluate(model, side, part) for part in ("val", "test")}
    if found["test"].is_guessing:
        note("the network is hardly better than one that guesses: give it more --time or --epochs")
    write_atomically(out / HISTORY, json.dumps(history.to_dict(), indent=1) + "\n")
    (out / CHECKPOINT).unlink()
    return {
        "file": str(path),
        "history_file": str(out / HISTORY),
        "accuracy": {part: one.accuracy for part, one in found.items()},
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
        "trained", f"{result['epochs']} epoch{'s' * (result['epochs'] != 1)} in {format_seconds(result['seconds'])}, "
        f"{result['images_per_second']:.0f} pictures/s",
    )  # fmt: skip
    table.add_row("written", f"{result['file']}, {result['history_file']}")
    print_table(table)
