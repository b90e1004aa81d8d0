"""What may help a network that misses the budget, each written down so that it can be done again.

A remedy is a plain dictionary, part of the state of a run and of its recipe:

- "name": one of `NAMES`;
- "quantizing": words for `featherweight.compress.quantize`, if it is one of rounding;
- "target": for pruning, the multiply-adds or parameters that are left;
- "teacher": for distillation, its network, options and resolution, and its training as below;
- "number": of the training, from which its seed comes; "planned": the seconds it is given; and once it is done what
  `Stage.to_dict` gives.
"""

import copy
from itertools import islice
from pathlib import Path
from typing import Any

from torch import nn

from featherweight.compress import prune
from featherweight.train import Distillation, Recipe, View

from ._learner import Learner, Stage

ROUND, LOWER_BITS, PRUNE, TRAIN_ON, DISTIL = NAMES = ("round", "lower bits", "prune", "train on", "distil")
IMPORTANCE_BATCHES = 16  # of training pictures, from which a channel's importance is read


def carry_out(
    remedy: dict[str, Any], model: nn.Module, resolution: int, learner: Learner, work: Path | None
) -> tuple[nn.Module, Stage | None]:
    """Apply a remedy to a copy of a network; return it with its training, None if it had none.

    Args:
        remedy: is completed with how its training went.
        work: where checkpoints are kept, from which an interrupted training goes on. None: repeat what is recorded.
    Raises: PruneError, TrainingDivergedError.
    """
    if "number" not in remedy:
        return model, None
    model = pruned(model, resolution, learner, remedy) if remedy["name"] == PRUNE else copy.deepcopy(model)
    distillation = None
    if teacher := remedy.get("teacher"):
        teaching = learner.build(teacher["network"], teacher["options"])
        _train(teacher, teaching, teacher["resolution"], learner, checkpoint=work and work / "teacher.ckpt")
        view = View(learner.preprocessing(resolution), learner.preprocessing(teacher["resolution"]))
        distillation = Distillation(teacher=teaching, view=view)
    checkpoint = work and work / f"{remedy['name'].replace(' ', '-')}.ckpt"
    return model, _train(remedy, model, resolution, learner, checkpoint=checkpoint, distillation=distillation)


def pruned(model: nn.Module, resolution: int, learner: Learner, remedy: dict[str, Any]) -> nn.Module:
    """Return a copy with as few channels as the remedy's target takes, those that the loss misses least gone."""
    recipe = learner.recipe(model, remedy["number"])
    batches = islice(learner.batches(resolution, "train", recipe), IMPORTANCE_BATCHES)
    return prune(model, **remedy["target"], importance="taylor", batches=batches, input_size=resolution).model


def _train(
    record: dict[str, Any],
    model: nn.Module,
    resolution: int,
    learner: Learner,
    *,
    checkpoint: Path | None,
    distillation: Distillation | None = None,
) -> Stage:
    """Train for the planned time, and write down how; or, without a checkpoint, as was written down."""
    if checkpoint is None:
        knots = [(int(step), float(progress)) for step, progress in record["knots"]]
        recipe = Recipe.from_dict(record["recipe"])
        return learner.stage(model, resolution, recipe, knots=knots, distillation=distillation)
    recipe = learner.recipe(model, record["number"], again="network" not in record, taught=distillation is not None)
    stage = learner.stage(
        model,
        resolution,
        recipe,
        seconds=record["planned"],
        checkpoint=checkpoint,
        resume=checkpoint.exists(),
        distillation=distillation,
    )
    record.update(stage.to_dict())
    return stage
