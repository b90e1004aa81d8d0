"""A teacher named on the command line of `featherweight train`."""

from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import UsageError
from ._output import note
from ._trained import read_trained

if TYPE_CHECKING:
    from torch import nn

    from featherweight._fit._learner import Learner
    from featherweight.train import Distillation


def distillation_from(
    path: Path,
    *,
    learner: "Learner",
    student: "nn.Module",
    resolution: int,
    temperature: float,
    weight: float,
    hints: bool,
) -> "Distillation":
    """Read a trained network as the teacher of another, and say how well it knows the pictures as that one gets them.

    Raises:
        UsageError: it knows other classes, or was trained on pictures that are the test here.
        ValueError: a number out of range, a file that has no labels, or pictures that it cannot take.
    """
    from featherweight.train import Distillation, View, evaluate, middle_hint

    teacher = read_trained(path)
    _check_labels(path, teacher.labels, list(learner.pictures.classes))
    if learner.pictures.splits is None and teacher.seed != learner.seed:
        raise UsageError(
            f"{path} was trained with --seed {teacher.seed}, so it has seen pictures that are the test with --seed "
            f"{learner.seed}: take the same seed for both"
        )
    view = View(student=learner.preprocessing(resolution), teacher=teacher.preprocessing)
    batches = learner.batches(resolution, "val")
    pairs = [middle_hint(student, teacher.model, batches.batch(0)[0], view)] if hints else []
    found = evaluate(teacher.model, ((view(x), y) for x, y in batches))
    side = teacher.preprocessing.resolution
    note(
        f"the teacher, at {side} px, is right on {found.accuracy:.1%} of the validation pictures"
        + "".join(f"; {mine} is to follow its {other}" for mine, other in pairs)
    )
    return Distillation(teacher=teacher.model, view=view, temperature=temperature, weight=weight, hints=pairs)


def _check_labels(path: Path, theirs: list[str], ours: list[str]) -> None:
    if theirs == ours:
        return
    if sorted(theirs) == sorted(ours):
        raise UsageError(f"{path} knows the classes in another order: {', '.join(theirs)}; here: {', '.join(ours)}")
    raise UsageError(
        f"{path} cannot teach these pictures: it knows {len(theirs)} classes, {', '.join(theirs)}; "
        f"the pictures have {len(ours)}, {', '.join(ours)}"
    )
