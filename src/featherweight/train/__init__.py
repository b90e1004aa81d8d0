"""Training: from batches of pictures to weights, within a time, stoppable at any moment."""

from ._errors import CheckpointError, TrainingDivergedError, TrainingInterrupted
from ._evaluate import Evaluation, evaluate
from ._history import Epoch, History
from ._recipe import Recipe
from ._train import train

__all__ = [
    "CheckpointError",
    "Epoch",
    "Evaluation",
    "History",
    "Recipe",
    "TrainingDivergedError",
    "TrainingInterrupted",
    "evaluate",
    "train",
]
