"""Knowledge distillation: a network that is trained learns from a teacher's answers too, and from its features."""

import copy
import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featherweight.blocks import AdderConv2d

from ._evaluate import in_mode
from ._hints import check_hint, check_kinds, modules_named, run_with_features
from ._kernel import adder_kernel, convolution_kernel
from ._view import View


@dataclass(frozen=True, kw_only=True, eq=False)
class Distillation:
    """What a student learns from a teacher, beside the labels.

    The loss of a step is (1 - weight) * cross-entropy with the labels + weight * `soft_loss` + for each hint
    hint_weight * `hint_loss`. Teacher and student get the same varied pictures. The teacher is in eval mode, without
    gradients, and is no part of the student or of its checkpoint; but see `progressive`.

    With both `kernel` and `progressive`, a `convolutional_twin` for the teacher, and `layer_hints` for the hints, this
    is the progressive kernel based distillation of AdderNets (PKKD).

    Args:
        teacher: [N, C, H, W] -> [N, classes], with the student's classes in the student's order.
        view: how the teacher sees the student's pictures; None: as they are.
        temperature: above 0; the higher, the more the teacher's small answers count.
        weight: of the teacher's answers, in [0, 1]; the labels have the rest.
        hints: pairs of names, a module of the student's (see `named_modules`) and the teacher's that it is to follow;
            both give [N, channels, H, W]. `middle_hint` finds a pair.
        hint_weight: of each of them, above 0.
        kernel: hints are pairs of an adder layer and a convolution, compared behind kernels, because their features are
            distributed differently: exp(-distance / (2 sigma^2)), and exp(-product / (2 sigma^2)) of the teacher.
        progressive: a copy of the teacher is trained beside the student, in train mode, by its cross-entropy with the
            labels alone (not smoothed, which would take from its answers what they say of other classes). It is part
            of the checkpoint, and thrown away at the end; the teacher given stays as it was.
    Raises: ValueError: a number outside its range, a module that is not there, kernels without hints or for other
        layers, a progressive teacher without parameters to train.
    Source: Hinton, Vinyals, Dean 2015, https://arxiv.org/abs/1503.02531, Section 2; hints, Romero et al. 2015,
        https://arxiv.org/abs/1412.6550 (FitNets), Section 2.2; kernels, and a twin that is trained at the same time, Xu
        et al. 2020, https://arxiv.org/abs/2009.13044 (PKKD). Differs from the papers: hints do not come first, in a
        stage of their own, but along with the answers. sigma^2 is a layer's standard deviation in the batch, and its
        mean is subtracted in the exponent, a constant factor that is left to the linear map behind it. Only the
        student's side has that map, a 1x1 convolution; the teacher's is standardised (`hint_loss`), so that the two
        cannot agree on a constant.

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
    kernel: bool = False
    progressive: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight of a distillation must be in [0, 1]; got {self.weight}")
        for name in ("temperature", "hint_weight"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} of a distillation must be above 0 and finite; got {getattr(self, name)}")
        followed = modules_named(self.teacher, [theirs for _, theirs in self.hints], "teacher")
        if self.kernel:
            if not self.hints:
                raise ValueError("kernel=True is of hints, and there are none; `layer_hints` finds them")
            check_kinds(followed, nn.Conv2d, "teacher")
        if self.progressive and not any(parameter.requires_grad for parameter in self.teacher.parameters()):
            raise ValueError("a progressive teacher is trained, and this one has no parameter that requires a gradient")

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
            "kernel": self.kernel,
            "progressive": self.progressive,
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
    """A distillation at work: its loss, for each hint a 1x1 convolution to the teacher's channels, a teacher to train.

    The convolutions and that teacher are trained with the student, and thrown away with this.

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
        self.teacher: nn.Module | None = None  # that is trained
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
            check_hint(pair, mine, theirs)
        if distillation.kernel:
            check_kinds(
                modules_named(student, [mine for mine, _ in distillation.hints], "student"), AdderConv2d, "student"
            )
        if distillation.progressive:
            self.teacher = copy.deepcopy(distillation.teacher).train()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.regressors = nn.ModuleList(
                nn.Conv2d(mine.shape[1], theirs.shape[1], 1) for mine, theirs in zip(guided, hints, strict=True)
            )

    def forward(self, student: nn.Module, x: Tensor, y: Tensor, label_smoothing: float) -> Tensor:
        """[N, C, H, W] and [N] -> loss."""
        how = self.distillation
        with torch.set_grad_enabled(how.progressive):
            answers, hints = self._teacher(x)
        logits, guided = self._student(student, x)
        loss = (1 - how.weight) * F.cross_entropy(logits, y, label_smoothing=label_smoothing)
        loss = loss + how.weight * soft_loss(logits, answers.detach(), how.temperature)
        for regressor, mine, theirs in zip(self.regressors, guided, hints, strict=True):
            features = (adder_kernel(mine), convolution_kernel(theirs)) if how.kernel else (mine, theirs)
            small, wanted = _at_one_size(features[0], features[1].detach())
            loss = loss + how.hint_weight * hint_loss(regressor(small), wanted)
        return loss + F.cross_entropy(answers, y) if how.progressive else loss

    def trained_teacher(self) -> list[nn.Parameter]:
        """Return the parameters of a progressive teacher; none without one."""
        return [] if self.teacher is None else list(self.teacher.parameters())

    def _student(self, student: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return run_with_features(student, [mine for mine, _ in self.distillation.hints], x, "student")

    def _teacher(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        how = self.distillation
        teacher = how.teacher if self.teacher is None else self.teacher
        return run_with_features(
            teacher, [theirs for _, theirs in how.hints], how.view(x) if how.view else x, "teacher"
        )


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


def _at_one_size(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Average the larger of two feature maps down to the smaller."""
    size = (min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3]))
    return F.adaptive_avg_pool2d(a, size), F.adaptive_avg_pool2d(b, size)
