"""recipe.json: with what a run can be repeated."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from featherweight import __version__
from featherweight.networks import network
from featherweight.train import Recipe

from ._choose import Contender
from ._learner import Learner
from ._remedies import NAMES
from ._settings import Settings, SettingsError


def recipe_of(
    settings: Settings, learner: Learner, winner: Contender, remedies: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return what repeats a run: the question, the pictures it was asked of, the network, each of its trainings.

    Args:
        remedies: that were of use when the budget was missed, as `_remedies` has them.
    """
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
        "rescue": [*remedies],
        "threads": torch.get_num_threads(),
    }


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe.json.

    Raises: SettingsError: the file is not a recipe, or a part of it is not what `fit` writes.
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
    try:
        _check(found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"{path} is not a recipe that `fit` wrote: {type(error).__name__}: {error}") from error
    return found


def _check(recipe: dict[str, Any]) -> None:
    """Go through the parts that are read later. Raises: AttributeError, KeyError, TypeError or ValueError."""
    Settings.from_dict(recipe["settings"])
    network(recipe["network"]["network"]).check_options(recipe["network"]["options"])
    numbers = [recipe["threads"], recipe["network"]["resolution"], recipe["pictures"]["count"]]
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        raise ValueError(f"threads, resolution and count must be whole numbers above 0; got {numbers}")
    str.encode(recipe["pictures"]["fingerprint"])
    for stage in [*recipe["stages"], *_trainings(recipe.get("rescue", []))]:
        Recipe.from_dict(stage["recipe"])


def _trainings(remedies: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for remedy in remedies:
        if remedy["name"] not in NAMES:
            raise ValueError(f"unknown remedy {remedy['name']!r}; known: {', '.join(NAMES)}")
        if "number" in remedy:
            yield remedy
        if teacher := remedy.get("teacher"):
            network(teacher["network"]).check_options(teacher["options"])
            yield teacher
