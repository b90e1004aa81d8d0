"""Training: from batches of pictures to weights, within a time, stoppable at any moment."""

from ._distill import Distillation, hint_loss, middle_hint, soft_loss
from ._errors import CheckpointError, TrainingDivergedError, TrainingInterrupted
from ._evaluate import Evaluation, evaluate
from ._history import Epoch, History
from ._layout import in_channels_last
from ._recipe import Recipe
from ._train import train
from ._view import View

__all__ = [
    "CheckpointError",
    "Distillation",
    "Epoch",
    "Evaluation",
    "History",
    "Recipe",
    "TrainingDivergedError",
    "TrainingInterrupted",
    "View",
    "evaluate",
    "hint_loss",
    "in_channels_last",
    "middle_hint",
    "soft_loss",
    "train",
]
