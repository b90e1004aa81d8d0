"""The main job: `fit`, from pictures to a small, fast, proven model file."""

from ._choose import NothingFitsError
from ._fit import FitInterrupted, fit
from ._run import FitResult
from ._settings import SettingsError

__all__ = ["FitInterrupted", "FitResult", "NothingFitsError", "SettingsError", "fit"]
