"""The call that trains a network."""

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from featherweight._extras import require
from featherweight.blocks import AdderConv2d
from featherweight.data import Batches

from ._distill import Distillation, lent
from ._errors import TrainingInterrupted
from ._evaluate import in_mode
from ._history import History
from ._layout import in_channels_last
from ._progress import ProgressBar
from ._recipe import Recipe
from ._schedule import Knot, Pace, Schedule
from ._stream import Stream

if TYPE_CHECKING:
    from ._run import Run


def train(
    model: nn.Module,
    train_batches: Batches,
    val_batches: Batches,
    recipe: Recipe,
    *,
    distillation: Distillation | None = None,
    time_seconds: float | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: bool = True,
    schedule: Sequence[Knot] | None = None,
) -> History:
    """Train a network in place; with `recipe.ema_decay` it ends with the averaged weights.

    The learning rate follows the run's progress from 0 to 1. With `time_seconds` the progress is planned anew from the
    measured speed all along, so that it reaches 1 when the time is up, inside an epoch if need be. A run is repeated
    exactly (on the same number of threads of the same kind of CPU) by the same arguments and `schedule=history.knots`.

    Args:
        model: [N, C, H, W] -> [N, classes].
        train_batches: with shuffle, made from the same recipe.
        val_batches: looked at about sixteen times in a run, and at its end.
        recipe: how to train.
        distillation: a teacher to learn from; its share of the time counts.
        time_seconds: for everything in this call, and what came before an interruption. None: `recipe.epochs` count.
        checkpoint: file in which the state is kept, at the ends of epochs and at least every ten seconds. It is
            replaced as a whole, so that a kill at any moment leaves a good one.
        resume: go on from `checkpoint` if it is there, and begin otherwise. The weights at the end are those of a run
            that was not interrupted, bit for bit on the CPU.
        progress: show a progress bar, if the error stream is a terminal.
        schedule: (step, progress) knots of an earlier run.
    Raises:
        TrainingDivergedError: the loss or the weights are no longer finite; the last good checkpoint is kept.
        TrainingInterrupted: Ctrl-C, a KeyboardInterrupt; it has the step and the checkpoint, and says how to go on.
        MissingExtraError: Lightning is not installed.
        CheckpointError: the checkpoint is of another run.
        ValueError: nothing ends the run, the recipe has an `adder_p_until` for a network without adder layers, or the
            teacher does not fit the student.

    Example:
        >>> import torch
        >>> from featherweight.data import Batches
        >>> pictures = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)
        >>> labels = (pictures.float().mean((1, 2, 3)) > 127).long()
        >>> batches = Batches(pictures, labels, batch_size=16, mean=(0.5,), std=(0.25,), shuffle=True)
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
        >>> history = train(model, batches, batches, Recipe(epochs=2), progress=False)
        >>> history.steps, history.epochs[-1].epoch
        (8, 2)
    """
    began = time.monotonic()
    _check(train_batches, recipe, time_seconds, checkpoint, resume)
    if recipe.adder_p_until and not any(isinstance(module, AdderConv2d) for module in model.modules()):
        raise ValueError(f"adder_p_until={recipe.adder_p_until} is for networks of adder layers; this one has none")
    if recipe.epochs is None and time_seconds is None and schedule is None:
        raise ValueError("nothing ends the run: give recipe.epochs, time_seconds or a schedule")
    require("lightning.pytorch", extra="fit")
    from ._run import Run

    plan, pace = _plan(recipe, len(train_batches), time_seconds, schedule)
    bar = ProgressBar(progress)
    teaching = nullcontext() if distillation is None else lent(distillation.teacher)
    with teaching, in_mode(model, training=True), in_channels_last(model):
        run = Run(
            model, train_batches, val_batches, recipe=recipe, schedule=plan, pace=pace,
            distillation=distillation, checkpoint=checkpoint, bar=bar, began=began,
        )  # fmt: skip
        with _quiet(), _interruptible(run), torch.random.fork_rng(_random_devices()), bar:
            _fit(run, train_batches, resume)
        model.load_state_dict(run.network.state_dict())
    return run.history()


def _check(
    train_batches: Batches, recipe: Recipe, time_seconds: float | None, checkpoint: Path | None, resume: bool
) -> None:
    if len(train_batches) == 0:
        raise ValueError("nothing to train on: there is no batch in an epoch")
    if time_seconds is not None and not time_seconds > 0:
        raise ValueError(f"time_seconds must be above 0; got {time_seconds}")
    if checkpoint is None:
        if resume:
            raise ValueError("resume=True needs a checkpoint to go on from; got checkpoint=None")
    elif not checkpoint.parent.is_dir():
        raise FileNotFoundError(f"cannot keep a checkpoint at {checkpoint}: its folder does not exist")


def _plan(
    recipe: Recipe, steps_per_epoch: int, time_seconds: float | None, knots: Sequence[Knot] | None
) -> tuple[Schedule, Pace | None]:
    """Lay the run's schedule, or begin to lay it against the clock."""
    if knots is not None:
        return Schedule(knots), None
    most = None if recipe.epochs is None else recipe.epochs * steps_per_epoch
    if time_seconds is None:
        assert most is not None
        return Schedule([(0, 0.0), (most, 1.0)]), None
    plan = Schedule([(0, 0.0), (1, 1.0 if most == 1 else 0.0)])
    return plan, Pace(plan, time_seconds, most)


def _fit(run: "Run", batches: Batches, resume: bool) -> None:
    """Have Lightning go through the run, from its checkpoint if there is one to go on from."""
    import lightning.pytorch as pl

    from ._checkpoint import AtomicCheckpointIO, check_same_run, remove_leftovers

    path = run.checkpoint
    going_on = path is not None and resume and path.is_file()
    if path is not None:
        remove_leftovers(path)
        if going_on:
            check_same_run(path, run.recipe, len(batches), run.taught(), run.state_dict())
    trainer = pl.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=-1,  # the schedule says when it is over
        limit_val_batches=0,  # the run looks for itself
        gradient_clip_val=run.recipe.clip_gradient_norm,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=None if path is None else path.parent,
    )
    try:
        trainer.fit(run, Stream(batches, lambda: run.step), ckpt_path=path if going_on else None, weights_only=True)
    except SystemExit as error:  # Lightning's answer to a KeyboardInterrupt that it has met itself
        if isinstance(error.__context__, KeyboardInterrupt):
            run.interrupted = True
        else:
            raise
    if run.interrupted:
        raise TrainingInterrupted(run.step, path if run.saved_step is not None else None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's remarks on hardware and its other products off the terminal; its warnings stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning's use of a deprecated torch name
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _interruptible(run: "Run") -> Iterator[None]:
    """Let the first Ctrl-C stop the run after its current step, and the second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(_number: int, _frame: object) -> None:
        run.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _random_devices() -> list[int]:
    return [torch.cuda.current_device()] if torch.cuda.is_available() else []
