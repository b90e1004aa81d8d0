r"""What a teacher is worth: a small network trained alone, alone for as long as with a teacher, and by a teacher.

    python benchmarks/distillation.py                                   the built-in characters
    python benchmarks/distillation.py --data digits --resolution 16 --student-width 0.25 --epochs 25 \
        --teacher-epochs 25 --hints --temperature 2 --weight 0.9

One teacher is trained first, without label smoothing, which would take from its answers what they say of the other
classes (Müller et al. 2019, https://arxiv.org/abs/1906.02629). Then each seed draws new weights and orders for the
student. The split, the recipe (that of `featherweight train --teacher`) and the passes over the pictures stay the
same; but "alone, as long" has as many more passes as fit into the processor time that the teacher's answers cost.

Measured on the digits, by the second command, three seeds, on a machine that was busy with other things: alone 80.5 %
(deviation 3.4), taught 82.5 % (2.5), alone for as long 85.0 % (8.6), taught with a hint 77.9 % (11.0). So a teacher
gained 2 points at equal passes, and nothing at equal time: none of these students had learned all it can.
"""

import argparse
import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, stdev
from typing import NamedTuple

import torch
from torch import nn

from featherweight._fit._learner import Learner
from featherweight.data import BUILT_IN, read_pictures, split_pictures
from featherweight.train import Distillation, middle_hint


class Found(NamedTuple):
    """One training: accuracy on the test pictures in 0..1, passes, and processor time."""

    accuracy: float
    epochs: int
    seconds: float


def train(
    learner: Learner,
    model: nn.Module,
    side: int,
    epochs: int,
    distillation: Distillation | None = None,
    **changes: float,
) -> Found:
    """Train a network in place."""
    began = time.process_time()
    recipe = replace(learner.recipe(model, 0), epochs=epochs, **changes)
    learner.stage(model, side, recipe, distillation=distillation)
    seconds = time.process_time() - began
    return Found(learner.evaluate(model, side, "test").accuracy, epochs, seconds)


def rows(learner: Learner, student: nn.Module, teacher: nn.Module, words: argparse.Namespace) -> dict[str, Found]:
    """Train one seed's student in each way, and print as it goes."""
    x, _ = learner.batches(words.resolution, "val").batch(0)
    taught = Distillation(teacher=teacher, temperature=words.temperature, weight=words.weight)
    hinted = replace(taught, hints=[middle_hint(student, teacher, x)])
    found = {}

    def row(name: str, epochs: int, how: Distillation | None) -> None:
        found[name] = train(learner, copy.deepcopy(student), words.resolution, epochs, how, clip_gradient_norm=1.0)
        print(f"seed {learner.seed}, {name}: {found[name].accuracy:.2%} in {found[name].seconds:.0f} s", flush=True)

    row("alone", words.epochs, None)
    row("taught", words.epochs, taught)
    row("alone, as long", round(words.epochs * found["taught"].seconds / found["alone"].seconds), None)
    if words.hints:
        row("taught, with a hint", words.epochs, hinted)
    return found


def print_table(seeds: Sequence[dict[str, Found]]) -> None:
    print(f"\n{'student':22}{'accuracy, mean':>15}{'deviation':>11}{'to alone':>10}{'passes':>8}{'CPU s':>7}")
    for name in seeds[0]:
        accuracies = [seed[name].accuracy for seed in seeds]
        gain = mean(seed[name].accuracy - seed["alone"].accuracy for seed in seeds)
        spread = f"{stdev(accuracies):.2%}" if len(seeds) > 1 else "-"
        passes, seconds = (mean(getattr(seed[name], what) for seed in seeds) for what in ("epochs", "seconds"))
        print(f"{name:22}{mean(accuracies):>15.2%}{spread:>11}{100 * gain:>+10.2f}{passes:>8.0f}{seconds:>7.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="characters", choices=BUILT_IN)
    parser.add_argument("--student", default="lenet5_bn")
    parser.add_argument("--student-width", type=float, default=0.5)
    parser.add_argument("--teacher", default="lenet5_bn")
    parser.add_argument("--teacher-width", type=float, default=2.0)
    parser.add_argument("--resolution", type=int, default=24, help="in pixels")
    parser.add_argument("--epochs", type=int, default=20, help="of a student")
    parser.add_argument("--teacher-epochs", type=int, default=12)
    parser.add_argument("--temperature", type=float, default=4.0)
    parser.add_argument("--weight", type=float, default=0.5, help="of the teacher's answers")
    parser.add_argument("--hints", action="store_true", help="also have the middle block follow one of the teacher's")
    parser.add_argument("--seeds", type=int, default=3)
    words = parser.parse_args()

    pictures = read_pictures(words.data)
    split = split_pictures(pictures, seed=0)
    learner = Learner(pictures, split, seed=0)
    options = {"num_classes": len(pictures.classes), "in_channels": pictures.channels, "small_input": True}
    of_student = {**options, "width": words.student_width}
    teacher = learner.build(words.teacher, {**options, "width": words.teacher_width})
    known = train(learner, teacher, words.resolution, words.teacher_epochs, label_smoothing=0.0)
    student = learner.build(words.student, of_student)
    counts = [sum(p.numel() for p in model.parameters()) for model in (teacher, student)]
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; {words.data}: {len(split.train)} pictures to "
        f"train, {len(split.test)} to test\nteacher {words.teacher}: {counts[0]:,} parameters, {known.accuracy:.2%} "
        f"after {known.epochs} passes in {known.seconds:.0f} CPU s; student {words.student}: {counts[1]:,} parameters; "
        f"T = {words.temperature:g}, weight {words.weight:g}",
        flush=True,
    )
    found = []
    for seed in range(words.seeds):
        learner = Learner(pictures, split, seed=seed)
        found.append(rows(learner, learner.build(words.student, of_student), teacher, words))
    print_table(found)


if __name__ == "__main__":
    main()
