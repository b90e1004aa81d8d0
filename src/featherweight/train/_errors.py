"""How a run of training ends before its time."""

from pathlib import Path


class CheckpointError(ValueError):
    """A checkpoint that this run cannot go on from; the message says why."""


class TrainingDivergedError(ArithmeticError):
    """The loss or the weights are no longer finite.

    Args:
        step: number of the step, counted from 0, at which it showed.
        checkpoint: the last good state, if one was written.
    """

    def __init__(self, step: int, what: str, learning_rate: float, checkpoint: Path | None) -> None:
        kept = f"; the last good checkpoint is {checkpoint}" if checkpoint else ""
        super().__init__(
            f"training diverged: {what} at step {step} (learning rate {learning_rate:.3g}){kept}. "
            "Try a smaller learning_rate, a longer warmup, or clip_gradient_norm=1"
        )
        self.step = step
        self.checkpoint = checkpoint


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped with Ctrl-C.

    Args:
        step: steps done when the run stopped.
        checkpoint: the state to go on from, if one was written.
    """

    def __init__(self, step: int, checkpoint: Path | None) -> None:
        way = (
            f"train(..., checkpoint={str(checkpoint)!r}, resume=True) goes on from there"
            if checkpoint
            else "nothing was kept, because no checkpoint was asked for"
        )
        super().__init__(f"training was interrupted after step {step}; {way}")
        self.step = step
        self.checkpoint = checkpoint
