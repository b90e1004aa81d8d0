"""recipe.json: with what a run can be repeated."""

import json
from pathlib import Path
from typing import Any

import torch

from featherweight import __version__

from ._choose import Contender
from ._learner import Learner
from ._settings import Settings, SettingsError


def recipe_of(settings: Settings, learner: Learner, winner: Contender) -> dict[str, Any]:
    """Return what repeats a run: the question, the pictures it was asked of, the network, each of its trainings."""
    return {
        "featherweight": __version__,
        "settings": settings.to_dict(),
        "pictures": {"count": len(learner.pictures.labels), "fingerprint": learner.fingerprint()},
        "network": {
            "network": winner.candidate.network,
            "options": dict(winner.candidate.options),
            "resolution": winner.candidate.resolution,
        },
        "stages": winner.stages,
        "threads": torch.get_num_threads(),
    }


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe.json.

    Raises: SettingsError: the file is not a recipe.
    """
    try:
        found = json.loads(Path(path).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a recipe that `fit` wrote: {error}") from error
    parts = {"settings", "pictures", "network", "stages", "threads"}
    if not isinstance(found, dict) or not parts <= set(found):
        raise SettingsError(
            f"{path} is not a recipe that `fit` wrote: it lacks {', '.join(sorted(parts - set(found)))}"
        )
    return found
