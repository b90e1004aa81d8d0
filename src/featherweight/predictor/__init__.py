"""Predict what a network takes in a runtime on this machine, without running it.

`learn` runs random networks and learns from them; `save_predictor` and `load_predictor` keep what was learned; a
`LatencyPredictor` predicts any network that `featherweight.cost.trace` can trace, with an interval.
"""

from ._learning import LEARNABLE, LearningInterrupted, Sample, learn
from ._predictor import LatencyPredictor, Prediction, PredictorError, UnitTime
from ._store import load_predictor, predictor_path, save_predictor

__all__ = [
    "LEARNABLE",
    "LatencyPredictor",
    "LearningInterrupted",
    "Prediction",
    "PredictorError",
    "Sample",
    "UnitTime",
    "learn",
    "load_predictor",
    "predictor_path",
    "save_predictor",
]
