"""The progress bar: how far, loss, accuracy, time left."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

REDRAW_SECONDS = 0.2


class ProgressBar:
    """A line on the terminal that follows a run; on something that is not a terminal there is none.

    Args:
        shown: False for no line anywhere.
        console: default the terminal's error stream, so that output can be piped.
    """

    def __init__(self, shown: bool, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  loss {task.fields[loss]}  accuracy {task.fields[accuracy]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            disable=not (shown and console.is_terminal),
            auto_refresh=False,
        )
        self._task = self._bar.add_task("training", total=1.0, epoch=1, loss="-", accuracy="-")
        self._drawn = 0.0
        self._loss: float | None = None

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self, progress: float, epoch: int, loss: float) -> None:
        """Take in a step's loss (shown as a running mean); redraw now and then."""
        self._loss = loss if self._loss is None else self._loss + 0.05 * (loss - self._loss)
        now = time.monotonic()
        if not self._bar.disable and now - self._drawn > REDRAW_SECONDS:
            self._drawn = now
            self._bar.update(self._task, completed=progress, epoch=epoch, loss=f"{self._loss:.3f}")
            self._bar.refresh()

    def validated(self, progress: float, accuracy: float) -> None:
        """Show an accuracy, in 0..1."""
        self._bar.update(self._task, completed=progress, accuracy=f"{accuracy:.1%}", refresh=True)
