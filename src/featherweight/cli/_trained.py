"""A saved network with what goes with it, and prepared pictures to prove its files with."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ._errors import UsageError
from ._output import note

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from featherweight.data import Preprocessing
    from featherweight.ship import Pictures

RANDOM_INPUTS = 64
CALIBRATION_PICTURES = 256


class Trained(NamedTuple):
    """A saved network with what goes with it."""

    file: Path
    model: "nn.Module"
    labels: list[str]
    preprocessing: "Preprocessing"
    seed: int  # of the split, so that no picture it was trained on is taken for a test


def read_trained(path: Path) -> Trained:
    """Read a saved network with its labels and preprocessing.

    Raises: ValueError: the file is not one of ours, or was saved without labels and preprocessing.
    """
    import safetensors

    from featherweight.data import Preprocessing
    from featherweight.networks import load_model

    model = load_model(path)
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    if missing := {"labels", "preprocessing"} - metadata.keys():
        raise ValueError(f"{path} was saved without {' and '.join(sorted(missing))}; featherweight train writes them")
    try:
        preprocessing, labels = (json.loads(metadata[name]) for name in ("preprocessing", "labels"))
        if not isinstance(preprocessing, dict):
            raise ValueError(f"its preprocessing is no object: {preprocessing!r}")
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ValueError(f"its labels are no list of names: {labels!r}")
        return Trained(path, model, labels, Preprocessing.from_dict(preprocessing), int(metadata.get("seed", "0")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the metadata of {path} is damaged: {error}") from error


def saved_side(path: Path) -> int | None:
    """Return the side in pixels of the pictures that a saved network was trained on; None, if its file does not say.

    Raises: ValueError: what it says of them is damaged.
    """
    import safetensors

    with safetensors.safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get("preprocessing")
    if text is None:
        return None
    from featherweight.data import Preprocessing

    try:
        return Preprocessing.from_dict(json.loads(text)).resolution
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the metadata of {path} is damaged: {error}") from error


def pictures_for(trained: Trained, data: str | None, seed: int | None) -> "Pictures":
    """Prepare test pictures for the proof and training pictures for the calibration; without data, draw inputs.

    Args:
        seed: of the split; None: as when it was trained.
    Raises: UsageError: other classes than it was trained on.
    """
    return _random_inputs(trained) if data is None else _of_data(trained, data, trained.seed if seed is None else seed)


def _of_data(trained: Trained, data: str, seed: int) -> "Pictures":
    import numpy as np
    import torch

    from featherweight.data import read_pictures, split_pictures
    from featherweight.ship import Pictures

    pictures = read_pictures(data)
    if list(pictures.classes) != trained.labels:
        raise UsageError(
            f"{data} is not what this model was trained on: its classes are {', '.join(pictures.classes)}; "
            f"the model's are {', '.join(trained.labels)}"
        )
    split = split_pictures(pictures, seed=seed)
    images = pictures.at(trained.preprocessing)

    def prepared(indices: "np.ndarray") -> "np.ndarray":
        chosen = images[torch.from_numpy(indices)].permute(0, 2, 3, 1).numpy()
        return trained.preprocessing.normalize(chosen)

    of_all_classes = np.random.default_rng(seed).permutation(split.train)[:CALIBRATION_PICTURES]
    return Pictures(prepared(split.test), pictures.labels[split.test], prepared(of_all_classes))


def _random_inputs(trained: Trained) -> "Pictures":
    """Draw inputs without labels, since there is no truth."""
    import numpy as np

    from featherweight.ship import Pictures

    note("no --data: the proof is on random inputs, and says nothing of accuracy")
    shape = (RANDOM_INPUTS, trained.preprocessing.channels, *2 * (trained.preprocessing.resolution,))
    return Pictures(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
