"""The main job: from pictures to a small, fast, proven model file."""

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from featherweight._extras import require

from ._metrics import command
from ._recipe import read_recipe
from ._run import FitResult, Run
from ._settings import DIGITS, Settings
from ._state import State, check_outside

NEEDED = (
    ("onnx", "export"),
    ("onnxscript", "export"),
    ("onnxruntime", "export"),
    ("jinja2", "report"),
    ("lightning.pytorch", "fit"),
)


def fit(
    data: str | Path = DIGITS,
    *,
    max_latency: str | float | None = "auto",
    max_size: str | float | None = "300kB",
    max_memory: str | float | None = None,
    min_accuracy: str | float | None = None,
    max_int8_loss: str | float = "0.5%",
    time: str | float = "90s",
    rescue: str | float | None = "auto",
    networks: str | Sequence[str] = "auto",
    out: str | Path = "featherweight-fit",
    seed: int = 0,
    threads: int = 1,
    flip: bool | None = None,
    recipe: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    tell: Callable[[str], None] | None = None,
    started: float | None = None,
) -> FitResult:
    """Find, train, compress, export and prove the best small network for these pictures within a budget.

    Reads the pictures; counts every network x width x resolution and measures a few; lets those compete under equal
    training time; trains the winner for the rest of the time; folds, exports and quantizes it; proves on every test
    picture that the files agree with PyTorch; writes files and a report. If the budget is missed, it tries what may
    help: see `rescue`.

    Args:
        data: "digits" or "characters", which are built in, or a folder `class/*.png` or `train|val|test/class/*`.
        max_latency: of one picture on this machine, with `threads` threads: "2ms", or seconds; None for no limit;
            "auto" is 0.3 ms for the digits and no limit for others.
        max_size: of the model file: "300kB", or bytes; None for no limit.
        max_memory: of the activations alive at once: "1MB", or bytes.
        min_accuracy: on the test pictures: "97%", or a share in 0..1.
        max_int8_loss: accuracy that the int8 file may lose against float: "0.5%" is half a point.
        time: for everything: "90s", "10min", or seconds.
        rescue: how much longer it may take if the budget is missed, to prune, to train on, with a teacher too, to
            round to fewer bits or better: "60s", or seconds; None for not at all; "auto" is half of `time`. The results
            say what each of these bought.
        networks: names, patterns of names, or families to choose from: "mobilenet*,ghostnet"; "*" for all, which takes
            longer to count; "auto" for those that do best on small devices.
        out: folder of the results.
        seed: of the split, the weights and the order of the pictures.
        threads: of the latency that is measured.
        flip: mirror pictures in training; default: only where they look like photographs.
        recipe: a recipe.json to repeat: its settings count in place of those given here (but for `data`, which may
            lie elsewhere now), nothing is searched, and on the same machine the weights are the same.
        resume: go on with the unfinished run in `out`.
        overwrite: replace the results in `out`.
        progress: show progress bars.
        tell: called with a line on each step; default: nothing is said.
        started: `time.monotonic()` at which the time began to count; default now.
    Returns: the folder and all figures; `result.met` tells whether the budget is kept.
    Raises:
        NothingFitsError: no network is within the budget, nor could be pruned to it.
        DataError: the pictures cannot be used.
        FileExistsError: `out` holds results and `overwrite` is False.
        SettingsError: an option that cannot be read, or `out` lies among the pictures.
        ParityError: the exported file does not agree with PyTorch.
        FitInterrupted: Ctrl-C; what was done is kept, and `resume=True` goes on with it.
    """
    repeated = read_recipe(recipe) if recipe else None
    where = data if isinstance(data, str) else f"{data}{os.sep}"  # Path("digits") is a folder of that name
    if repeated:
        settings = Settings.from_dict({**repeated["settings"], **({} if where == DIGITS else {"data": where})})
    else:
        settings = Settings.parse(
            data=where, max_latency=max_latency, max_size=max_size, max_memory=max_memory,
            min_accuracy=min_accuracy, max_int8_loss=max_int8_loss, time=time, rescue=rescue, networks=networks,
            seed=seed, threads=threads, flip=flip,
        )  # fmt: skip
    for package, extra in NEEDED:
        require(package, extra=extra)  # now, not after the training
    check_outside(out, settings.data)
    state = State(out, settings, resume=resume, overwrite=overwrite)
    run = Run(settings, state, tell or (lambda line: None), progress, started)
    try:
        return run.repeat(repeated) if repeated else run.go()
    except KeyboardInterrupt as interrupt:
        state.save(run.deadline.elapsed())
        repeating = f" --recipe {shlex.quote(str(recipe))}" if recipe else ""
        again = f"{command(settings)}{repeating} --out {shlex.quote(str(out))} --resume"
        raise FitInterrupted(f"interrupted; to go on: {again}") from interrupt
    except Exception:
        if "contenders" in state.facts:
            state.save(run.deadline.elapsed())
        else:
            state.discard()
        raise


class FitInterrupted(KeyboardInterrupt):
    """The run was stopped with Ctrl-C; the message says how to go on."""
