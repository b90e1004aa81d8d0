"""The clock of a run: what is left of the time the user gave, and what the last stage will need of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

LEAST_SECONDS = 30.0  # reading, one short training, export and proof do not fit in less


@dataclass
class Deadline:
    """When a run has to be done, and how its time is dealt out.

    Args:
        seconds: the user's whole time for the run.
        spent: seconds that the run had used up before this process, when it goes on after an interruption.
        started: reading of `clock` at which this process began; default now.
        clock: seconds, only ever forward.

    Example:
        >>> deadline = Deadline(90.0, started=0.0, clock=lambda: 10.0)
        >>> deadline.elapsed(), deadline.left()
        (10.0, 80.0)
    """

    seconds: float
    spent: float = 0.0
    started: float | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if self.started is None:
            self.started = self.clock()

    def elapsed(self) -> float:
        """Return the seconds used so far, those before an interruption included."""
        assert self.started is not None
        return self.spent + self.clock() - self.started

    def left(self) -> float:
        """Return the seconds until the end; negative when it has passed."""
        return self.seconds - self.elapsed()


def enough_seconds(seconds: float) -> float:
    """Return the time for a run as it is.

    Raises: ValueError: less than a run can be done in.

    Example:
        >>> enough_seconds(5.0)
        Traceback (most recent call last):
        ...
        ValueError: a run needs at least 30 s to train, export and prove a network; got 5 s
    """
    if seconds < LEAST_SECONDS:
        least = f"a run needs at least {LEAST_SECONDS:.0f} s to train, export and prove a network"
        raise ValueError(f"{least}; got {seconds:g} s")
    return seconds
