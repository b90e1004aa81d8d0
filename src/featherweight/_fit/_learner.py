"""Training candidates on one collection of pictures, each stage written down so that it can be done again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from featherweight.data import Augment, Batches, Pictures, Preprocessing, Split, augment_for, preprocessing_for
from featherweight.networks import create
from featherweight.train import Distillation, Evaluation, History, Recipe, evaluate, train

EVALUATION_BATCH = 256
AGAIN = 0.3  # of the learning rate, for a network that has learned


@dataclass(frozen=True)
class Stage:
    """One training of one network, as it was done.

    Args:
        recipe: what was asked for.
        knots: progress of the schedule at the ends of the epochs; with them the training can be repeated exactly.
        history: what came of it.
    """

    recipe: Recipe
    history: History

    def to_dict(self) -> dict[str, object]:
        """Return what a repetition needs, as plain data."""
        history = self.history
        return {
            "recipe": self.recipe.to_dict(),
            "knots": list(history.knots),
            "steps": history.steps,
            "seconds": history.seconds,
            "images_per_second": history.images_per_second,
        }


@dataclass
class Learner:
    """The pictures, cut into training, validation and test, and how networks are trained on them.

    Args:
        seed: of the run; each stage derives its own from it.
        flip: mirror training pictures; None decides by their kind.
        progress: show progress bars.
    """

    pictures: Pictures
    split: Split
    seed: int
    flip: bool | None = None
    progress: bool = True
    _shapes: dict[int, Preprocessing] = field(default_factory=dict)

    def preprocessing(self, resolution: int) -> Preprocessing:
        """Return how a picture becomes the network's input, with mean and deviation of the training pictures."""
        if resolution not in self._shapes:
            self._shapes[resolution] = preprocessing_for(self.pictures, self.split.train, resolution=resolution)
        return self._shapes[resolution]

    @cached_property
    def augment(self) -> Augment:
        """How training pictures are varied."""
        return augment_for(self.pictures, flip=self.flip, indices=self.split.train)

    def fingerprint(self) -> str:
        """Return a hash of all pictures and their classes: the same for the same collection, wherever it lies."""
        digest = hashlib.blake2b(digest_size=16)
        for label, picture in sorted(zip(self.pictures.labels.tolist(), self.pictures.fingerprints, strict=True)):
            digest.update(f"{self.pictures.classes[label]} {picture}\n".encode())
        return digest.hexdigest()

    @property
    def training_count(self) -> int:
        """How many pictures are trained on."""
        return len(self.split.train)

    def recipe(self, model: nn.Module, stage: int, *, again: bool = False, taught: bool = False) -> Recipe:
        """Return how a network is trained; `stage` counts its trainings, each with its own order and variations.

        A network without batch norm (SqueezeNet) diverges within a few steps at the others' learning rate. A teacher's
        answers, which weigh T^2, make the first gradients several times as large: they are clipped, too.

        Args:
            again: it has learned, and keeps that only with a smaller learning rate.
            taught: it has a teacher.
        """
        normed = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
        batch_size = max(8, min(64, self.training_count // 16))
        return Recipe(
            epochs=None,
            batch_size=batch_size,
            learning_rate=(0.1 if normed else 0.02) * (batch_size / 32) ** 0.5 * (AGAIN if again else 1),
            clip_gradient_norm=None if normed and not taught else 1.0,
            augment=self.augment,
            seed=self.seed * 1_009 + stage,
        )

    def build(self, network: str, options: Mapping[str, Any]) -> nn.Module:
        """Build a network whose weights depend on the run's seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return create(network, **options)

    def stage(
        self,
        model: nn.Module,
        resolution: int,
        recipe: Recipe,
        *,
        seconds: float | None = None,
        knots: Sequence[tuple[int, float]] | None = None,
        checkpoint: Path | None = None,
        resume: bool = False,
        distillation: Distillation | None = None,
    ) -> Stage:
        """Train `model` in place, for a time or along a recorded schedule, by a teacher or not; say how it went."""
        history = train(
            model,
            self.batches(resolution, "train", recipe),
            self.batches(resolution, "val"),
            recipe,
            distillation=distillation,
            time_seconds=seconds,
            schedule=knots,
            checkpoint=checkpoint,
            resume=resume,
            progress=self.progress,
        )
        return Stage(recipe, history)

    def batches(self, resolution: int, part: str, recipe: Recipe | None = None) -> Batches:
        """Return the pictures of a part in batches: shuffled and varied for training, as they are otherwise."""
        shape = self.preprocessing(resolution)
        return Batches(
            self.pictures.at(shape),
            self.pictures.labels,
            self.indices(part),
            batch_size=recipe.batch_size if recipe else EVALUATION_BATCH,
            augment=recipe.augment if recipe else None,
            mean=shape.mean,
            std=shape.std,
            seed=recipe.seed if recipe else 0,
            shuffle=recipe is not None,
        )

    def indices(self, part: str) -> np.ndarray:
        """Return which pictures belong to "train", "val" or "test"."""
        indices: np.ndarray = getattr(self.split, part)
        return indices

    def inputs(self, resolution: int, indices: np.ndarray) -> np.ndarray:
        """Return pictures as a runner takes them: float32 [N, C, resolution, resolution], normalised."""
        shape = self.preprocessing(resolution)
        chosen = self.pictures.at(shape)[torch.from_numpy(indices)]
        return shape.normalize(chosen.permute(0, 2, 3, 1).numpy())

    def evaluate(self, model: nn.Module, resolution: int, part: str) -> Evaluation:
        """Run the model over a part."""
        return evaluate(model, self.batches(resolution, part))
