"""The main job: `fit`, from pictures to a small, fast, proven model file."""

from ._choose import NothingFitsError
from ._run import FitInterrupted, FitResult, fit
from ._settings import SettingsError

__all__ = ["FitInterrupted", "FitResult", "NothingFitsError", "SettingsError", "fit"]
