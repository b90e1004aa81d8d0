"""Training: from batches of pictures to weights, within a time, stoppable at any moment."""

from ._errors import TrainingDivergedError as TrainingDivergedError
from ._errors import TrainingInterrupted as TrainingInterrupted
from ._evaluate import Evaluation as Evaluation
from ._evaluate import evaluate as evaluate
from ._history import Epoch as Epoch
from ._history import History as History
from ._recipe import Recipe as Recipe
from ._train import train as train
