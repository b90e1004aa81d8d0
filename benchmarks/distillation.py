r"""What a teacher is worth: a small network trained alone, alone for as long as with a teacher, and by a teacher.

    python benchmarks/distillation.py                                   the built-in characters
    python benchmarks/distillation.py --data digits --resolution 16 --student-width 0.25 --epochs 25 \
        --teacher-epochs 25 --hints --temperature 2 --weight 0.9
    python benchmarks/distillation.py --kernel --data digits --student adder_lenet5_bn --student-width 0.25 \
        --resolution 16 --epochs 20

One teacher is trained first, without label smoothing, which would take from its answers what they say of the other
classes (Müller et al. 2019, https://arxiv.org/abs/1906.02629). Then each seed draws new weights and orders for the
student. The split, the recipe (that of `featherweight train --teacher`) and the passes over the pictures stay the
same; but "alone, as long" has as many more passes as fit into the processor time that the teacher's answers cost.

Measured on the digits, by the second command, three seeds, on a machine that was busy with other things: alone 80.5 %
(deviation 3.4), taught 82.5 % (2.5), alone for as long 85.0 % (8.6), taught with a hint 77.9 % (11.0). So a teacher
gained 2 points at equal passes, and nothing at equal time: none of these students had learned all it can.

With --kernel the student is an AdderNet, and its teacher a convolutional twin that is trained beside it (PKKD).
Measured on the digits, by the third command, three seeds, likewise busy: alone 87.4 % (deviation 1.1), taught by
kernels 85.7 % (1.9), alone for as long 90.9 % (1.6), by the twin's answers without kernels 84.8 % (3.1). So it gained
nothing here: at equal passes it lost 2 points, about what seeds differ by, and 5 at equal time. The student has 4,224
parameters; the paper's are far larger.
"""

import argparse
import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean, stdev
from typing import NamedTuple

import torch
from torch import nn

from featherweight._fit._learner import Learner
from featherweight.data import BUILT_IN, read_pictures, split_pictures
from featherweight.train import Distillation, convolutional_twin, layer_hints, middle_hint

Ways = Mapping[str, Distillation]


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


def by_a_teacher(learner: Learner, student: nn.Module, teacher: nn.Module, words: argparse.Namespace) -> Ways:
    """Say how a student learns from a network that is trained."""
    taught = Distillation(teacher=teacher, temperature=words.temperature, weight=words.weight)
    if not words.hints:
        return {"taught": taught}
    x, _ = learner.batches(words.resolution, "val").batch(0)
    return {"taught": taught, "taught, with a hint": replace(taught, hints=[middle_hint(student, teacher, x)])}


def by_a_twin(learner: Learner, student: nn.Module, words: argparse.Namespace) -> Ways:
    """Say how an AdderNet learns from a convolutional twin that is trained beside it."""
    twin = convolutional_twin(student, seed=learner.seed)
    beside = Distillation(teacher=twin, temperature=words.temperature, weight=words.weight, progressive=True)
    hints = layer_hints(student, twin)
    kernels = replace(beside, hints=hints, kernel=True, hint_weight=words.hint_weight)
    return {"taught by kernels": kernels, "by the twin's answers": beside}


def rows(learner: Learner, student: nn.Module, ways: Ways, words: argparse.Namespace) -> dict[str, Found]:
    """Train one seed's student alone and in each way, and print as it goes."""
    found = {}

    def row(name: str, epochs: int, how: Distillation | None) -> None:
        found[name] = train(learner, copy.deepcopy(student), words.resolution, epochs, how, clip_gradient_norm=1.0)
        print(f"seed {learner.seed}, {name}: {found[name].accuracy:.2%} in {found[name].seconds:.0f} s", flush=True)

    first, *more = ways
    row("alone", words.epochs, None)
    row(first, words.epochs, ways[first])
    row("alone, as long", round(words.epochs * found[first].seconds / found["alone"].seconds), None)
    for name in more:
        row(name, words.epochs, ways[name])
    return found


def print_table(seeds: Sequence[dict[str, Found]]) -> None:
    print(f"\n{'student':22}{'accuracy, mean':>15}{'deviation':>11}{'to alone':>10}{'passes':>8}{'CPU s':>7}")
    for name in seeds[0]:
        accuracies = [seed[name].accuracy for seed in seeds]
        gain = mean(seed[name].accuracy - seed["alone"].accuracy for seed in seeds)
        spread = f"{stdev(accuracies):.2%}" if len(seeds) > 1 else "-"
        passes, seconds = (mean(getattr(seed[name], what) for seed in seeds) for what in ("epochs", "seconds"))
        print(f"{name:22}{mean(accuracies):>15.2%}{spread:>11}{100 * gain:>+10.2f}{passes:>8.0f}{seconds:>7.0f}")


def trained_teacher(learner: Learner, options: Mapping[str, object], words: argparse.Namespace) -> nn.Module:
    teacher = learner.build(words.teacher, {**options, "width": words.teacher_width})
    known = train(learner, teacher, words.resolution, words.teacher_epochs, label_smoothing=0.0)
    print(
        f"teacher {words.teacher}: {parameters(teacher):,} parameters, {known.accuracy:.2%} after {known.epochs} "
        f"passes in {known.seconds:.0f} CPU s",
        flush=True,
    )
    return teacher


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


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
    parser.add_argument("--kernel", action="store_true", help="an AdderNet, taught by its convolutional twin (PKKD)")
    parser.add_argument("--hint-weight", type=float, default=0.05, help="of each layer's, with --kernel")
    parser.add_argument("--seeds", type=int, default=3)
    words = parser.parse_args()

    pictures = read_pictures(words.data)
    split = split_pictures(pictures, seed=0)
    learner = Learner(pictures, split, seed=0)
    options = {"num_classes": len(pictures.classes), "in_channels": pictures.channels, "small_input": True}
    of_student = {**options, "width": words.student_width}
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; {words.data}: {len(split.train)} pictures to "
        f"train, {len(split.test)} to test; T = {words.temperature:g}, weight {words.weight:g}",
        flush=True,
    )
    print(f"student {words.student}: {parameters(learner.build(words.student, of_student)):,} parameters", flush=True)
    teacher = None if words.kernel else trained_teacher(learner, options, words)
    found = []
    for seed in range(words.seeds):
        learner = Learner(pictures, split, seed=seed)
        student = learner.build(words.student, of_student)
        ways = by_a_twin(learner, student, words) if teacher is None else by_a_teacher(learner, student, teacher, words)
        found.append(rows(learner, student, ways, words))
    print_table(found)


if __name__ == "__main__":
    main()
