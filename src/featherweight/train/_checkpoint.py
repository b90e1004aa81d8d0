"""Checkpoints: written whole or not at all, read without unpickling anything but tensors and plain values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from torch import Tensor

from featherweight._files import atomic_path

from ._errors import CheckpointError
from ._recipe import Recipe


class AtomicCheckpointIO(CheckpointIO):  # type: ignore[misc]
    """Lightning's way to the disk: temporary file, flush, rename; a kill at any moment leaves the old one whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write the checkpoint; `storage_options` has no meaning here."""
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; whatever is asked for, nothing but weights and plain values is unpickled."""
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete the file."""
        Path(path).unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Delete the temporary files of writes to `path` that a kill cut short."""
    for leftover in path.parent.glob(f".{path.name}.*{path.suffix}"):
        leftover.unlink(missing_ok=True)


def check_same_run(
    path: Path,
    recipe: Recipe,
    steps_per_epoch: int,
    distillation: Mapping[str, object] | None,
    weights: Mapping[str, Tensor],
) -> None:
    """Refuse a checkpoint that this run cannot go on from.

    Raises: CheckpointError: it is not one of ours, or of another recipe, number of pictures, teacher or network;
        the message says what differs.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    state = checkpoint.get("featherweight")
    if state is None:
        raise CheckpointError(f"cannot go on from {path}: it is not a checkpoint of featherweight's training")
    kept = _facts(Recipe.from_dict(state["recipe"]), state["steps_per_epoch"], state.get("distillation"))
    wanted = _facts(recipe, steps_per_epoch, distillation)
    other = [
        f"{name} was {kept.get(name)!r}, now {wanted.get(name)!r}"
        for name in {**wanted, **kept}
        if kept.get(name) != wanted.get(name)
    ]
    if other:
        raise CheckpointError(f"cannot go on from {path}, it is of another run: {'; '.join(other)}")
    theirs = {name: tensor.shape for name, tensor in checkpoint["state_dict"].items()}
    if theirs != {name: tensor.shape for name, tensor in weights.items()}:
        raise CheckpointError(f"cannot go on from {path}, it is of another network")


def _facts(recipe: Recipe, steps_per_epoch: int, distillation: Mapping[str, object] | None) -> dict[str, object]:
    if distillation is not None:  # checkpoints of before there was a choice do not tell
        distillation = {"kernel": False, "progressive": False, **distillation}
    of_distillation = {f"distillation's {name}": value for name, value in (distillation or {}).items()}
    return {**recipe.to_dict(), "steps per epoch": steps_per_epoch, **of_distillation}
