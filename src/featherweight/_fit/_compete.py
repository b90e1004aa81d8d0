"""The most promising networks compete: each trains for the same time, and the better half goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from featherweight.networks import load_model, save_model
from featherweight.search import Rung, Score, successive_halving
from featherweight.train import TrainingDivergedError

from ._choose import Contender
from ._learner import Learner

LEAST_TRAINING = 0.5  # seconds, even when the time for the competition is over


def compete(
    racing: Sequence[Contender],
    plan: Sequence[Rung],
    *,
    learner: Learner,
    work: Path,
    left: Callable[[], float],
    note: Callable[[], None],
    tell: Callable[[str], None],
) -> Contender:
    """Train the contenders in rungs of equal time; return the winner. What was trained before is not trained again.

    Setting up and validating take time too, more on a busy machine: what the trainings before took beyond their time is
    taken from those that follow, in equal shares.

    Args:
        racing: all within the budget; the first `plan[0].competitors` compete.
        work: where the weights are kept between rungs.
        left: returns the seconds until the competition has to be over.
        note: called after each training, to write down how far the run is.
        tell: says in a line what is being done.
    """
    planned = [sum(rung.competitors * rung.seconds for rung in plan)]  # that is not spent yet

    def train_one(contender: Contender, rung: int, seconds: float) -> Score | None:
        if len(contender.scores) > rung:
            planned[0] -= seconds
            return contender.scores[rung]
        planned[0] -= seconds
        share = max(LEAST_TRAINING, min(seconds, seconds * left() / (planned[0] + seconds)))
        tell(f"round {rung + 1} of {len(plan)}: {contender.candidate.id} for {share:.1f} s")
        contender.scores.append(_train(contender, rung, share, learner, work))
        note()
        return contender.scores[rung]

    standings = successive_halving(racing, plan, train_one)
    for standing in standings[1:]:
        if standing.scores:
            diverged = standing.scores[-1] is None
            standing.item.status = "diverged" if diverged else f"dropped in round {len(standing.scores)}"
    standings[0].item.status = "winner"
    return standings[0].item


def weights_file(work: Path, contender: Contender) -> Path:
    """Return where a contender's weights are kept between its trainings."""
    return work / f"{contender.candidate.id.replace(' ', '_').replace('@', 'at')}.safetensors"


def contender_model(contender: Contender, learner: Learner, work: Path) -> torch.nn.Module:
    """Return the contender as it was trained last, or freshly drawn."""
    weights = weights_file(work, contender)
    if contender.stages:
        return load_model(weights)
    return learner.build(contender.candidate.network, contender.candidate.options)


def _train(contender: Contender, rung: int, seconds: float, learner: Learner, work: Path) -> Score | None:
    resolution = contender.candidate.resolution
    model = contender_model(contender, learner, work)
    try:
        stage = learner.stage(model, resolution, learner.recipe(model, rung), seconds=seconds)
    except TrainingDivergedError:
        return None
    save_model(model, weights_file(work, contender))
    contender.stages.append(stage.to_dict())
    last = stage.history.epochs[-1]
    return Score(last.val_accuracy, -last.val_loss)
