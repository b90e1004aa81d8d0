"""`featherweight explore`: one page on the whole zoo, to look at, to filter, to choose from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._errors import usage
from ._output import Json, note, print_json

if TYPE_CHECKING:
    from featherweight.networks import Variant
    from featherweight.predictor import LatencyPredictor, Prediction
    from featherweight.report import Zoo, ZooNetwork


NO_STORE = "none"


def explore(
    *,
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page.")] = Path("explore.html"),
    networks: Annotated[str, typer.Option(help="Which networks, with * and ?, in quotes: 'mobilenet*'.")] = "*",
    store: Annotated[
        str | None,
        typer.Option(help="SQLite file that `bench` keeps its results in, or 'none'. Default: the one in your home."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one page on the whole zoo: accuracy against cost, budgets, history, blocks, rooflines.

    Every network in every size that something was printed about, with its published accuracy and source, and our count
    of parameters, multiply-adds, activation memory and memory traffic. What `featherweight bench` measured and what
    `featherweight calibrate` found on this machine is on the page too. It is one file that loads nothing: open it in
    any browser, also on a phone and without a network.

    \b
    Examples:
      featherweight explore
      featherweight explore --out small.html --networks 'mobilenet*'
      featherweight explore --json > zoo.json
    """
    from featherweight.report import write_explorer

    with usage():
        chosen = find(networks)
    zoo = gather(chosen, store)
    path = write_explorer(zoo, out)
    if as_json:
        print_json({"page": str(path), "networks": [_row(one, zoo) for one in zoo.networks], "notes": list(zoo.notes)})
    for line in zoo.notes:
        note(line)
    note(f"wrote {path}: {len(zoo.networks)} networks, {path.stat().st_size / 1e6:.2f} MB")


def find(pattern: str) -> "list[Variant]":
    """Return the variants of the networks that fit, in the order of their names.

    Raises: ValueError: no network fits.
    """
    from featherweight.networks import list_networks, network, variants

    names = list_networks(pattern)
    if not names:
        if not set("*?[") & set(pattern):
            network(pattern)
        raise ValueError(f"no network fits {pattern!r}; `featherweight list` has their names")
    return sorted((one for one in variants() if one.name in names), key=lambda one: one.name)


def gather(chosen: "Sequence[Variant]", store: str | None) -> "Zoo":
    """Count the variants, draw the blocks, and find what is known of latency here."""
    from rich.console import Console
    from rich.progress import track

    from featherweight.networks import variants
    from featherweight.report import Zoo, block_picture

    from ._latencies import ceilings, measured, predicted, predictors

    known, missing = predictors()
    series, notes = measured(chosen, None if store == NO_STORE else store, wanted=store != NO_STORE)
    roofs, more = ceilings()
    found = _with_progress("counting", examine, chosen, known)
    networks = [network for network, _ in found]
    guesses, left_out = predicted(known, found)
    blocks = _blocks_of(networks, every=len(chosen) == len(variants()))
    pictures = [block_picture(name) for name in track(blocks, "drawing", console=Console(stderr=True))]
    return Zoo(
        networks=networks,
        latencies=[*guesses, *series],
        ceilings=roofs,
        blocks=dict(zip(blocks, pictures, strict=True)),
        notes=[*missing, *left_out, *notes, *more],
    )


def _blocks_of(networks: "Sequence[ZooNetwork]", *, every: bool) -> list[str]:
    """Return the blocks of the gallery: those of these networks, or every one."""
    from featherweight.blocks import GALLERY

    parts = {part for one in networks for part in one.parts}
    return [name for name in GALLERY if every or name.partition("-")[0] in parts]


_predictors: "list[LatencyPredictor]" = []  # of this process, set by `_begin`


def examine(variant: "Variant") -> "tuple[ZooNetwork, list[Prediction | str]]":
    """Count one variant, and predict its latency and that of its layers, or say why not; in a process of its own."""
    from featherweight.predictor import PredictorError
    from featherweight.report import look_at

    network, calls = look_at(variant)
    answers: list[Prediction | str] = []
    for one in _predictors:
        try:
            answers.append(one.predict(calls))
        except PredictorError as error:
            answers.append(str(error))
    return network, answers


def _with_progress(
    title: str, job: "Callable[[Any], Any]", items: "Sequence[Any]", known: "Sequence[LatencyPredictor]" = ()
) -> list[Any]:
    """Do a job for each item, while a bar on standard error tells how far it is; on Linux on all processors.

    Elsewhere a new process would run the user's own script again, and import PyTorch, before it could begin. The job
    must not ask for gradients: PyTorch's threads for them, if there are any yet, do not survive the fork.
    """
    import sys
    import warnings
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from rich.console import Console
    from rich.progress import track

    from featherweight._machine import available_processors

    console = Console(stderr=True)
    workers = min(available_processors(), 8)
    if workers < 2 or sys.platform != "linux":
        _know(known)
        return [job(item) for item in track(items, title, console=console)]
    with ProcessPoolExecutor(workers, get_context("fork"), _begin, (known,)) as pool:
        with warnings.catch_warnings():
            # Python 3.12 warns of threads that a fork leaves behind; a child here uses none of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            results = pool.map(job, items, chunksize=2)
        return list(track(results, title, len(items), console=console))


def _know(known: "Sequence[LatencyPredictor]") -> None:
    _predictors[:] = known


def _begin(known: "Sequence[LatencyPredictor]") -> None:
    """Compute on one thread, and do not search what the parent made for garbage: that would take a quarter longer."""
    import gc

    import torch

    _know(known)  # inherited by the fork: they are too large to be sent along with each network
    torch.set_num_threads(1)
    gc.freeze()


def _row(one: "ZooNetwork", zoo: "Zoo") -> dict[str, Any]:
    from dataclasses import asdict

    text = str(one.variant)
    return {
        "network": one.variant.name,
        "options": dict(one.variant.options),
        "resolution": one.variant.resolution,
        **one.counts._asdict(),
        "peak_memory_bytes": dict(one.peak_memory_bytes),
        "bytes_moved": dict(one.bytes_moved),
        "published": [
            {"dataset": row.dataset, "top1_percent": row.top1, "top5_percent": row.top5, "source": row.source}
            for row in one.variant.published
            if row.top1 is not None
        ],
        "latencies": [
            {
                "measured": series.measured, "runtime": series.runtime, "threads": series.threads,
                "machine": series.machine, **asdict(series.timings[text]),
            }
            for series in zoo.latencies
            if text in series.timings
        ],
    }  # fmt: skip
