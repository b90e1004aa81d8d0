"""A teacher asked for on the command line of `featherweight train`."""

from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import UsageError
from ._output import note
from ._trained import Trained

if TYPE_CHECKING:
    from torch import nn

    from featherweight._fit._learner import Learner
    from featherweight.train import Distillation


HINT_WEIGHT = 0.05  # of each layer's, from a twin: there are twenty of them in a network of twenty layers


def check_words(
    teacher: Path | None, *, kernel_teacher: bool, hints: bool, numbers: tuple[float | None, float | None]
) -> None:
    """Raises: ValueError: words that need a teacher, or another one; `numbers` are --distill's and --temperature's."""
    if teacher is not None and kernel_teacher:
        raise ValueError("--kernel-teacher trains a teacher of its own, --teacher has one: give one of the two")
    if hints and teacher is None:
        raise ValueError("--hints needs a --teacher" + ("; --kernel-teacher follows every layer" * kernel_teacher))
    if numbers != (None, None) and teacher is None and not kernel_teacher:
        raise ValueError("--distill and --temperature need a --teacher or a --kernel-teacher")


def distillation_by_twin(student: "nn.Module", seed: int, *, temperature: float, weight: float) -> "Distillation":
    """Have an AdderNet learn from a convolutional twin that is trained beside it.

    Raises: ValueError: a number out of range, or no adder layers.
    """
    from featherweight.train import Distillation, convolutional_twin, layer_hints

    twin = convolutional_twin(student, seed=seed)
    hints = layer_hints(student, twin)
    note(f"the same network of convolutions is trained beside it; {len(hints)} layers are to follow its layers")
    return Distillation(
        teacher=twin, temperature=temperature, weight=weight, hints=hints, hint_weight=HINT_WEIGHT, kernel=True,
        progressive=True,
    )  # fmt: skip


def distillation_from(
    teacher: Trained,
    *,
    learner: "Learner",
    student: "nn.Module",
    resolution: int,
    temperature: float,
    weight: float,
    hints: bool,
) -> "Distillation":
    """Make a trained network the teacher of another, and say how well it knows the pictures as that one gets them.

    Raises:
        UsageError: it knows other classes, or was trained on pictures that are the test here.
        ValueError: a number out of range, or pictures that it cannot take.
    """
    from featherweight.train import Distillation, View, evaluate, middle_hint

    path = teacher.file
    _check_labels(path, teacher.labels, list(learner.pictures.classes))
    if learner.pictures.splits is None and teacher.seed != learner.seed:
        raise UsageError(
            f"{path} was trained with --seed {teacher.seed}, so it has seen pictures that are the test with --seed "
            f"{learner.seed}: take the same seed for both"
        )
    view = View(student=learner.preprocessing(resolution), teacher=teacher.preprocessing)
    batches = learner.batches(resolution, "val")
    pairs = [middle_hint(student, teacher.model, batches.batch(0)[0], view)] if hints else []
    made = Distillation(teacher=teacher.model, view=view, temperature=temperature, weight=weight, hints=pairs)
    found = evaluate(teacher.model, ((view(x), y) for x, y in batches))
    side = teacher.preprocessing.resolution
    if found.is_guessing:
        note(f"{path} is hardly better than one that guesses: it has little to teach")
    note(
        f"the teacher, at {side} px, is right on {found.accuracy:.1%} of the validation pictures"
        + "".join(f"; {mine} is to follow its {other}" for mine, other in pairs)
    )
    return made


def _check_labels(path: Path, theirs: list[str], ours: list[str]) -> None:
    if theirs == ours:
        return
    if sorted(theirs) == sorted(ours):
        raise UsageError(f"{path} knows the classes in another order: {', '.join(theirs)}; here: {', '.join(ours)}")
    raise UsageError(
        f"{path} cannot teach these pictures: it knows {len(theirs)} classes, {', '.join(theirs)}; "
        f"the pictures have {len(ours)}, {', '.join(ours)}"
    )
