"""What a run of training reports of itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Epoch:
    """One look at the network while it is trained: at the end of an epoch, and at the end of the run.

    Short epochs are not all looked at: about sixteen times in a run.

    Args:
        epoch: passes over the training pictures that have ended or been broken off.
        step: batches trained on since the start.
        seconds: time since the start.
        learning_rate: of the last step.
        train_loss: mean since the last look, with label smoothing, augmentation and distillation.
        val_loss: of the averaged weights on the validation pictures, plain cross-entropy.
        val_accuracy: likewise, in 0..1.
    """

    epoch: int
    step: int
    seconds: float
    learning_rate: float
    train_loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class History:
    """How a run of training went.

    Args:
        epochs: the looks taken, in order; the last is the network that came out.
        knots: (step, progress) between which the run's progress went in straight lines; `schedule=knots` repeats it.
        steps: batches trained on.
        seconds: time from start to end, interruptions left out.
        images_per_second: training pictures per second of stepping; setting up and validation left out.
    """

    epochs: tuple[Epoch, ...]
    knots: tuple[tuple[int, float], ...]
    steps: int
    seconds: float
    images_per_second: float

    def to_dict(self) -> dict[str, object]:
        """Return the history in plain types, as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "History":
        """Make a history from `to_dict`'s result, also after a passage through JSON.

        Example:
            >>> import json
            >>> history = History((Epoch(1, 45, 2.0, 0.1, 1.2, 0.9, 0.8),), ((0, 0.0), (45, 1.0)), 45, 2.5, 720.0)
            >>> History.from_dict(json.loads(json.dumps(history.to_dict()))) == history
            True
        """
        rows, knots = values["epochs"], values["knots"]
        plain = {
            "epochs": tuple(Epoch(**row) for row in rows),  # type: ignore[attr-defined]
            "knots": tuple((step, progress) for step, progress in knots),  # type: ignore[attr-defined]
        }
        return cls(**{**values, **plain})  # type: ignore[arg-type]
