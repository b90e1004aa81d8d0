"""Knowledge distillation: a network that is trained learns from a teacher's answers too, and from its features."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._evaluate import in_mode
from ._view import View


@dataclass(frozen=True, kw_only=True, eq=False)
class Distillation:
    """What a student learns from a teacher, beside the labels.

    The loss of a step is (1 - weight) * cross-entropy with the labels + weight * `soft_loss` + for each hint
    hint_weight * `hint_loss`. Teacher and student get the same varied pictures. The teacher is in eval mode, without
    gradients, and is no part of the student or of its checkpoint.

    Args:
        teacher: [N, C, H, W] -> [N, classes], with the student's classes in the student's order.
        view: how the teacher sees the student's pictures; None: as they are.
        temperature: above 0; the higher, the more the teacher's small answers count.
        weight: of the teacher's answers, in [0, 1]; the labels have the rest.
        hints: pairs of names, a module of the student's (see `named_modules`) and the teacher's that it is to follow;
            both give [N, channels, H, W]. `middle_hint` finds a pair.
        hint_weight: of each of them, above 0.
    Raises: ValueError: a number outside its range, or a module that is not there.
    Source: Hinton, Vinyals, Dean 2015, https://arxiv.org/abs/1503.02531, Section 2; hints, Romero et al. 2015,
        https://arxiv.org/abs/1412.6550 (FitNets), Section 2.2. Differs from the paper: hints do not come first, in a
        stage of their own, but along with the answers.

    Example:
        >>> teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> Distillation(teacher=teacher).temperature
        4.0
        >>> Distillation(teacher=teacher, weight=1.5)
        Traceback (most recent call last):
        ...
        ValueError: weight of a distillation must be in [0, 1]; got 1.5
    """

    teacher: nn.Module
    view: View | None = None
    temperature: float = 4.0
    weight: float = 0.5
    hints: Sequence[tuple[str, str]] = ()
    hint_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight of a distillation must be in [0, 1]; got {self.weight}")
        for name in ("temperature", "hint_weight"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} of a distillation must be above 0 and finite; got {getattr(self, name)}")
        _modules(self.teacher, [theirs for _, theirs in self.hints], "teacher")

    def to_dict(self) -> dict[str, object]:
        """Return what decides the result, in plain types; of the teacher and its view a hash."""
        digest = hashlib.blake2b(repr(self.view).encode(), digest_size=8)
        for name, tensor in self.teacher.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return {
            "teacher_hash": digest.hexdigest(),
            "temperature": self.temperature,
            "weight": self.weight,
            "hints": [list(pair) for pair in self.hints],
            "hint_weight": self.hint_weight,
        }


def soft_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 times the divergence of the student's softened answers from the teacher's, mean over pictures.

    KL(softmax(teacher / T) || softmax(logits / T)), whose gradient is that of the cross-entropy with soft targets. T^2
    keeps its size when T changes; for large T and logits of mean 0 its gradient is (logits - teacher) / classes.

    Shape: [N, classes], [N, classes] -> scalar, in nats
    Source: Hinton, Vinyals, Dean 2015, https://arxiv.org/abs/1503.02531, equations 1 to 4.

    Example:
        >>> answer = torch.tensor([[2.0, 0.0]])
        >>> soft_loss(answer, answer, 4.0).item()
        0.0
    """
    divergence = F.kl_div(
        F.log_softmax(logits / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2


def hint_loss(guided: Tensor, hint: Tensor) -> Tensor:
    """Return the mean squared error of a student's regressed features from the teacher's, which are standardised.

    Each channel of the teacher's has mean 0 and variance 1 over the batch then, so that one weight suits all layers
    of all teachers: 0 is the same, 1 no better than 0 everywhere.

    Shape: [N, C, H, W], [N, C, H, W] -> scalar
    Source: Romero et al. 2015, https://arxiv.org/abs/1412.6550, equation 3. Differs from the paper: standardised.
    """
    alone = hint.numel() == hint.shape[1]  # its own mean: the last batch may be of one picture
    return F.mse_loss(guided, torch.zeros_like(hint) if alone else F.batch_norm(hint, None, None, training=True))


class Distiller(nn.Module):
    """A distillation at work: its loss, and for each hint a 1x1 convolution to the teacher's channels.

    The convolutions are trained with the student, and thrown away with this.

    Args:
        student: whose modules the hints name.
        x: a batch as the student gets it, to find the features' shapes with.
        seed: of the convolutions' weights.
    Raises: ValueError: student and teacher have different classes, or a hint is no feature map.
    """

    def __init__(self, distillation: Distillation, student: nn.Module, x: Tensor, *, seed: int) -> None:
        super().__init__()
        if distillation.teacher is student:
            raise ValueError("a network cannot be its own teacher: give a copy of it")
        self.distillation = distillation  # no module itself, so the teacher is none of this one's
        self.facts = distillation.to_dict()
        with lent(distillation.teacher), in_mode(student, training=False), torch.no_grad():
            logits, guided = self._student(student, x[:2])
            answers, hints = self._teacher(x[:2])
        if logits.shape != answers.shape:
            raise ValueError(
                f"a teacher must know the student's classes: the student gives {list(logits.shape[1:])} answers, "
                f"the teacher {list(answers.shape[1:])}"
            )
        for pair, mine, theirs in zip(distillation.hints, guided, hints, strict=True):
            _check_hint(pair, mine, theirs)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.regressors = nn.ModuleList(
                nn.Conv2d(mine.shape[1], theirs.shape[1], 1) for mine, theirs in zip(guided, hints, strict=True)
            )

    def forward(self, student: nn.Module, x: Tensor, y: Tensor, label_smoothing: float) -> Tensor:
        """[N, C, H, W] and [N] -> loss."""
        how = self.distillation
        with torch.no_grad():
            answers, hints = self._teacher(x)
        logits, guided = self._student(student, x)
        loss = (1 - how.weight) * F.cross_entropy(logits, y, label_smoothing=label_smoothing)
        loss = loss + how.weight * soft_loss(logits, answers, how.temperature)
        for regressor, mine, theirs in zip(self.regressors, guided, hints, strict=True):
            small, wanted = _at_one_size(mine, theirs)
            loss = loss + how.hint_weight * hint_loss(regressor(small), wanted)
        return loss

    def _student(self, student: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return _run(student, [mine for mine, _ in self.distillation.hints], x, "student")

    def _teacher(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        how = self.distillation
        return _run(how.teacher, [theirs for _, theirs in how.hints], how.view(x) if how.view else x, "teacher")


def middle_hint(student: nn.Module, teacher: nn.Module, x: Tensor, view: View | None = None) -> tuple[str, str]:
    """Choose a hint: the block in the middle of the student, and the teacher's last one whose features are as large.

    Where none of the teacher's blocks has features of that size, the next in size is taken.

    Args:
        student: from `create`, or any module with its blocks in `body`; `teacher` likewise.
        x: a batch as the student gets it.
    Raises: ValueError: a network without `body`.
    Source: the middle, Romero et al. 2015, https://arxiv.org/abs/1412.6550, Section 3.

    Example:
        >>> from featherweight.networks import create
        >>> student, teacher = create("mobilenet_v1", width=0.25), create("mobilenet_v2", width=0.35)
        >>> middle_hint(student, teacher, torch.zeros(1, 3, 64, 64))
        ('body.6', 'body.12')
    """
    with in_mode(student, training=False), in_mode(teacher, training=False), torch.no_grad():
        mine, theirs = _block_sides(student, x), _block_sides(teacher, view(x) if view else x)
    name = list(mine)[len(mine) // 2]
    nearest = min(abs(side - mine[name]) for side in theirs.values())
    return name, [other for other, side in theirs.items() if abs(side - mine[name]) == nearest][-1]


@contextmanager
def lent(teacher: nn.Module) -> Iterator[None]:
    """Have a teacher in eval mode inside the block; after it, its modules are in the modes that they were in."""
    first = next(chain(teacher.parameters(), teacher.buffers()), None)
    device = None if first is None else first.device
    with in_mode(teacher, training=False):
        try:
            yield
        finally:
            teacher.to(device)


def _block_sides(network: nn.Module, x: Tensor) -> dict[str, int]:
    """Return the height of each block's features."""
    body = getattr(network, "body", None)
    if not isinstance(body, nn.Sequential) or not len(body):
        raise ValueError(f"{type(network).__name__} has no blocks in `body`: name the modules of its hints")
    names = [f"body.{name}" for name, _ in body.named_children()]
    _, features = _run(network, names, x, type(network).__name__)
    return {name: feature.shape[2] for name, feature in zip(names, features, strict=True)}


def _run(network: nn.Module, names: Sequence[str], x: Tensor, whose: str) -> tuple[Tensor, list[Tensor]]:
    """Run a network, and return with its answers what the modules of these names gave."""
    kept: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, module in _modules(network, names, whose).items():
            hooks.callback(module.register_forward_hook(partial(_keep, kept, name)).remove)
        answers = network(x)
    for name in names:
        if not isinstance(kept.get(name), Tensor):
            given = f"gives a {type(kept[name]).__name__}" if name in kept else "is not run when the network is"
            raise ValueError(f"no hints can be taken of the {whose}'s module {name}: it {given}")
    return answers, [kept[name] for name in names]


def _check_hint(pair: tuple[str, str], guided: Tensor, hint: Tensor) -> None:
    if guided.ndim != 4 or hint.ndim != 4:
        shapes = f"{list(guided.shape)} and {list(hint.shape)}"
        raise ValueError(f"hints are features [N, channels, H, W]; {pair[0]} and {pair[1]} give {shapes}")


def _keep(kept: dict[str, Tensor], name: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
    kept[name] = output


def _modules(network: nn.Module, names: Sequence[str], whose: str) -> Mapping[str, nn.Module]:
    """Find modules by name. Raises: ValueError: there is none of a name."""
    modules = dict(network.named_modules())
    if missing := [name for name in names if name not in modules]:
        raise ValueError(f"the {whose} has no module {', '.join(missing)} to take hints of; see its named_modules()")
    return {name: modules[name] for name in names}


def _at_one_size(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Average the larger of two feature maps down to the smaller."""
    size = (min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3]))
    return F.adaptive_avg_pool2d(a, size), F.adaptive_avg_pool2d(b, size)
