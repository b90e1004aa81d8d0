"""`featherweight calibrate`: what this machine can do at the most, and what networks take on it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ._errors import usage
from ._output import Json, note, print_json, print_table
from .bench import numbers
from .cost import table

if TYPE_CHECKING:
    from featherweight.bench import Calibration
    from featherweight.predictor import LatencyPredictor

NOTHING = "none"


def calibrate(
    *,
    runtimes: Annotated[
        str | None,
        typer.Option(
            help="To learn to predict, with commas between, or 'none'. Default: all of float32 that are here."
        ),
    ] = None,
    threads: Annotated[str, typer.Option(help="Processor threads, such as 1 or 1,2.")] = "1",
    seconds: Annotated[
        float, typer.Option(min=30, help="Of measuring for each runtime; more seconds, better predictions.")
    ] = 200.0,
    as_json: Json = False,
) -> None:
    """Get to know this machine: its ceilings, and what layers take in each runtime.

    First short probes, some ten seconds for each number of threads: products of matrices show the rate of multiply-adds
    for each type of number, copies of growing sets of bytes that of caches and memory, and operators with nothing to do
    what a call costs.

    Then each runtime runs random networks of all blocks, operator by operator, for some four minutes, and a predictor
    learns from them: `featherweight latency` and `featherweight fit` then know what a network takes without running it.
    Interrupted, it learns from what there is. All is kept in your home, a file for each machine, runtime and number of
    threads. Let nothing else run meanwhile.

    \b
    Examples:
      featherweight calibrate
      featherweight calibrate --runtimes onnxruntime_int8
      featherweight calibrate --runtimes none --threads 1,2
    """
    from featherweight.bench import calibrate as probe
    from featherweight.bench import save_calibration
    from featherweight.predictor import LearningInterrupted, save_predictor

    with usage():
        counts = numbers(threads, "--threads")
        names = _chosen(runtimes)
    found: list[Calibration] = []
    predictors: list[LatencyPredictor] = []
    try:
        for count in counts:
            note(f"probing with {count} thread{'s' if count > 1 else ''}")
            found.append(probe(count))
            note(f"kept in {save_calibration(found[-1])}")
            for name in names:
                predictors.append(_learned(name, found[-1], seconds))
                note(f"kept in {save_predictor(predictors[-1])}")
    except LearningInterrupted as stop:
        predictors.append(stop.predictor)
        note(f"interrupted; kept in {save_predictor(stop.predictor)}")
        _show(found, predictors, as_json=as_json)
        raise
    except KeyboardInterrupt:
        _show(found, predictors, as_json=as_json)
        raise
    _show(found, predictors, as_json=as_json)


def _show(found: "list[Calibration]", predictors: "list[LatencyPredictor]", *, as_json: bool) -> None:
    """Print what was found, if anything was."""
    if not found:
        return
    if as_json:
        learned = [
            {"runtime": one.runtime, "threads": one.threads, "networks": one.networks, "margin": one.usual_margin}
            for one in predictors
        ]
        print_json({"calibrations": [asdict(one) for one in found], "predictors": learned})
    else:
        print_table(table(f"{found[0].machine}: at the most", _rows(found), left=()))
        if predictors:
            print_table(table("predictors of latency", _predictor_rows(predictors), left=()))


def _chosen(runtimes: str | None) -> list[str]:
    """Read the runtimes to learn. Raises: ValueError: one that cannot be learned, or cannot run here."""
    from featherweight.bench import missing
    from featherweight.predictor import LEARNABLE

    if runtimes == NOTHING:
        return []
    if runtimes is None:
        return [name for name in ("eager", "onnxruntime", "openvino") if missing(name) is None]
    names = [name.strip() for name in runtimes.split(",")]
    for name in names:
        if (reason := missing(name)) is not None:
            raise ValueError(f"{name} cannot run here: {reason}")
        if name not in LEARNABLE:
            raise ValueError(f"{name} does not tell what its operators take; these do: {', '.join(LEARNABLE)}")
    return names


def _learned(runtime: str, ceilings: "Calibration", seconds: float) -> "LatencyPredictor":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from featherweight.predictor import learn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"{runtime}, {ceilings.threads} thread{'s' if ceilings.threads > 1 else ''}", count="")

        def show(networks: int, share: float) -> None:
            what = f"{networks} networks" if share < 1 else f"{networks} networks, learning"
            bar.update(task, completed=100 * share, count=what)

        return learn(runtime, ceilings, seconds=seconds, progress=show)


def _predictor_rows(predictors: "list[LatencyPredictor]") -> list[list[str]]:
    rows = [["runtime", "threads", "learned from", "usually 9 of 10 within"]]
    for one in predictors:
        margin = f"/ {one.usual_margin:.2f} to x {one.usual_margin:.2f}"
        rows.append([one.runtime, str(one.threads), f"{one.networks} networks", margin])
    return rows


def _rows(found: "list[Calibration]") -> list[list[str]]:
    from featherweight._units import format_bytes, format_count, format_seconds

    rows = [["", *(f"{one.threads} thread{'s' if one.threads > 1 else ''}" for one in found)]]
    for name in found[0].multiply_adds_per_second:
        rates = (f"{format_count(one.multiply_adds_per_second[name])}/s" for one in found)
        rows.append([f"multiply-adds, {name}", *rates])
    for size in found[0].bandwidth_bytes_per_second:
        copies = (f"{format_bytes(one.bandwidth_bytes_per_second[size])}/s" for one in found)
        rows.append([f"copying within {format_bytes(size)}", *copies])
    for name in found[0].call_seconds:
        rows.append([f"a call, {name}", *(format_seconds(one.call_seconds[name]) for one in found)])
    return rows
