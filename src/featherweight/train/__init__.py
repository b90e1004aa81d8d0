"""Training: from batches of pictures to weights, within a time, stoppable at any moment."""

from ._distill import Distillation, hint_loss, soft_loss
from ._errors import CheckpointError, TrainingDivergedError, TrainingInterrupted
from ._evaluate import Evaluation, evaluate
from ._hints import middle_hint
from ._history import Epoch, History
from ._kernel import convolutional_twin, layer_hints
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
    "convolutional_twin",
    "evaluate",
    "hint_loss",
    "in_channels_last",
    "layer_hints",
    "middle_hint",
    "soft_loss",
    "train",
]
