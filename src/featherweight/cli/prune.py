"""`featherweight prune`: a network with fewer channels, within a budget, and trained again."""

from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherweight._files import make_folder

from ._errors import UsageError, usage
from ._options import bound
from ._output import Json, messages_to_stderr, note, print_json, print_table
from ._trained import saved_side
from .cost import table
from .pack import progress_bar, read_saved
from .train import learner_of, training_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

    from featherweight._fit._learner import Learner
    from featherweight.compress import Pruned

Importance = StrEnum("Importance", ["magnitude", "taylor"])
NOT_MET = 3  # exit code: the latency, measured at last, is above its bound
LATENCY_SECONDS = 1.0  # of measuring, each time
TAYLOR_BATCHES = 16


def prune(
    model: Annotated[Path, typer.Argument(help="A model.safetensors that `featherweight train` or `fit` wrote.")],
    *,
    multiply_adds: Annotated[str | None, typer.Option(help="The most there may be: 50% of its own, or 30M.")] = None,
    params: Annotated[str | None, typer.Option(help="Parameters: 50% of its own, or 100k.")] = None,
    size: Annotated[str | None, typer.Option(help="Bytes of the weights: 50% of its own, or 300kB.")] = None,
    max_latency: Annotated[
        str | None, typer.Option(help="One picture in ONNX Runtime on one thread, measured: 2ms, or 65% of its own.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="The pictures that it was trained on, a folder or 'digits': to see accuracy.")
    ] = None,
    importance: Annotated[
        Importance | None,
        typer.Option(help="taylor: what channels do to the loss, with --data the default; magnitude: of the weights."),
    ] = None,
    retrain: Annotated[str | None, typer.Option(help="Train it again with --data, for so long: 90s, 10min.")] = None,
    round_to: Annotated[int, typer.Option(min=1, help="Channels are left in multiples of this.")] = 8,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="A layer that keeps its channels, or a pattern; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: MODEL-pruned.safetensors beside it.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file --out, if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Remove channels from a trained network, the least important of all layers, until it meets a budget.

    The result is a network as before with smaller tensors, in a file that every other command takes. Channels that are
    tied, by a sum, a shuffle, a depthwise layer, go together; what cannot go is listed with its reason. Without
    training again, half of a network is of little use: --retrain, or `featherweight train --network` with the file.
    Latency is measured again at last; if it is above --max-latency with all removed that can be, the exit code is 3.

    \b
    Examples:
      featherweight prune featherweight-train/model.safetensors --multiply-adds 50% --data digits --retrain 60s
      featherweight prune model.safetensors --max-latency 2ms --data pictures/ --retrain 10min --out small.safetensors
      featherweight prune model.safetensors --size 300kB --importance magnitude --json
    """
    with usage():
        network, metadata = read_saved(model)
        budget = _budget(multiply_adds=multiply_adds, params=params, size=size, max_latency=max_latency)
        path = out or model.with_name(f"{model.stem}-pruned.safetensors")
        if path.suffix != ".safetensors":
            raise UsageError(f"--out is a network, FILE.safetensors; got {str(path)!r}")
        if path.exists() and path.samefile(model):
            raise UsageError(f"--out {path} is the network itself")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} is there already: --overwrite replaces it, --out chooses another")
        by = importance or Importance("taylor" if data else "magnitude")
        if data is None and (retrain or by == "taylor"):
            raise UsageError(f"{'--retrain' if retrain else '--importance taylor'} needs pictures: --data")
        seconds = training_seconds(retrain)
        saved = saved_side(model)
    from featherweight.networks import save_model

    make_folder(path.parent)
    with messages_to_stderr():
        learner, side = (None, saved) if data is None else learner_of(model, data)
        result = _prune(network, learner, side, budget, importance=by.value, round_to=round_to, keep=keep or [])
        save_model(result.model, path, metadata)
        try:
            accuracy = _accuracies(network, result.model, learner, side, seconds)
        except KeyboardInterrupt as error:
            note(f"interrupted: {path} is pruned, not trained again; `featherweight train --network {path}` does that")
            raise typer.Exit(130) from error
    save_model(result.model, path, metadata)
    if as_json:
        print_json({"source": str(model), "file": str(path), "accuracy": accuracy, **result.to_dict()})
    else:
        _print(result, accuracy, path)
    if not result.fast_enough:
        note(_too_slow(result))
        raise typer.Exit(NOT_MET)


def _budget(**words: str | None) -> dict[str, Any]:
    """Read the bounds; a share is a number up to 1. Raises: ValueError: one cannot be read, or there is none."""
    from featherweight._units import parse_bytes, parse_count, parse_percent, parse_seconds

    names: dict[str, tuple[str, Callable[[str], float]]] = {
        "multiply_adds": ("multiply_adds", parse_count),
        "params": ("params", parse_count),
        "size": ("size_bytes", parse_bytes),
        "max_latency": ("latency_seconds", parse_seconds),
    }
    budget: dict[str, Any] = {}
    for word, text in words.items():
        if text is not None:
            name, parse = names[word]
            share = text.strip().endswith("%")
            option = "--" + word.replace("_", "-")
            most = bound(option, parse_percent if share else parse, text)
            if not most or (most <= 1 and not share and name != "latency_seconds"):
                raise ValueError(f"{option} must leave something, and a share is written as 50%; got {text}")
            budget[name] = (most, share)
    if not budget:
        raise ValueError("no budget: give --multiply-adds, --params, --size or --max-latency")
    return budget


def latency(model: "nn.Module", side: int | None) -> float:
    """Measure one picture in ONNX Runtime on one thread: the median, in seconds."""
    import numpy as np

    from featherweight.compress import fold_batch_norm
    from featherweight.cost import measure_latency
    from featherweight.export import load, probe

    shape = (int(model.in_channels), *2 * (side or int(model.resolution),))  # type: ignore[arg-type]
    runner = load(probe(fold_batch_norm(model.eval()), shape), threads=1)
    picture = np.zeros((1, *shape), np.float32)
    found = measure_latency({"pruned": lambda: runner(picture)}, rounds=200, max_seconds=LATENCY_SECONDS)
    return found["pruned"].median_seconds


def _prune(
    network: "nn.Module",
    learner: "Learner | None",
    side: int | None,
    budget: dict[str, Any],
    *,
    importance: str,
    round_to: int,
    keep: list[str],
) -> "Pruned":
    from featherweight.compress import PruneError
    from featherweight.compress import prune as prune_channels

    choices: dict[str, Any] = {}
    for name, (most, share) in budget.items():
        if name == "latency_seconds":
            choices["latency"] = lambda made: latency(made, side)
            choices[name] = most * latency(network, side) if share else most
        else:
            choices[name] = most
    batches: Iterable[tuple[Tensor, Tensor]] | None = None
    if learner is not None and side is not None:
        batches = islice(learner.batches(side, "train", learner.recipe(network, 0)), TAYLOR_BATCHES)
    try:
        with progress_bar("pruning") as show:
            return prune_channels(
                network, importance=importance, batches=batches, round_to=round_to, keep=keep, input_size=side,
                progress=show, **choices,
            )  # fmt: skip
    except PruneError:
        raise
    except ValueError as error:  # a word of the user's
        raise UsageError(str(error)) from error


def _accuracies(
    network: "nn.Module", pruned: "nn.Module", learner: "Learner | None", side: int | None, seconds: float | None
) -> dict[str, float]:
    """Return the accuracy on the test pictures before, pruned, and trained again, as far as there are pictures."""
    if learner is None or side is None:
        return {}
    found = {
        "before": learner.evaluate(network, side, "test").accuracy,
        "pruned": learner.evaluate(pruned, side, "test").accuracy,
    }
    if seconds:
        learner.stage(pruned, side, learner.recipe(pruned, 1, again=True), seconds=seconds)
        found["retrained"] = learner.evaluate(pruned, side, "test").accuracy
    return found


def _too_slow(result: "Pruned") -> str:
    from featherweight._units import format_seconds

    assert result.latency_after_seconds is not None and result.latency_bound_seconds is not None
    now, most = (format_seconds(seconds) for seconds in (result.latency_after_seconds, result.latency_bound_seconds))
    return f"all is removed that can be, and the latency, measured again, is {now}; wanted at most {most}"


def _print(result: "Pruned", accuracy: dict[str, float], path: Path) -> None:
    from featherweight._units import format_percent

    totals = [*result.total_rows()]
    if accuracy:
        now = accuracy.get("retrained", accuracy["pruned"])
        name = "accuracy, retrained" if "retrained" in accuracy else "accuracy, to be retrained"
        totals.append((name, format_percent(accuracy["before"]), format_percent(now), ""))
    tables = [table(result.headline(), totals)]
    if result.layers:
        tables.append(table("channels", result.layer_rows()))
    if result.left:
        tables.append(table("left", result.left_rows(), left=("which",)))
    print_table(*tables)
    note(f"written: {path}")
