"""Distillation of AdderNets: kernels against closed forms, a teacher that learns by itself, runs that go on."""

import copy
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featherweight.blocks import AdderConv2d
from featherweight.networks import create, list_networks
from featherweight.train import (
    CheckpointError,
    Distillation,
    Recipe,
    TrainingInterrupted,
    convolutional_twin,
    hint_loss,
    layer_hints,
    soft_loss,
    train,
)
from featherweight.train._distill import Distiller
from featherweight.train._kernel import adder_kernel, convolution_kernel
from featherweight.train._run import Run

_spec = importlib.util.spec_from_file_location("training_job", Path(__file__).with_name("job.py"))
assert _spec
assert _spec.loader
job = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(job)

ADDER_NETWORKS = [name for name in list_networks() if name.startswith("adder_")]


def network() -> nn.Sequential:
    """A convolution, two adder layers, dropout; for the job's pictures."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            AdderConv2d(4, 6, kernel_size=3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.2),
            AdderConv2d(6, 8, kernel_size=3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2),
        )  # fmt: skip


def distillation(**given: Any) -> Distillation:
    teacher = convolutional_twin(network(), seed=2)
    pairs = [("3", "3"), ("7", "7")]
    return Distillation(**{"teacher": teacher, "hints": pairs, "kernel": True, "progressive": True, **given})


def run(model: nn.Module, how: Distillation | None, recipe: Recipe = job.RECIPE, **given: Any) -> None:
    batches = job.batches(shuffle=True), job.batches(shuffle=False, count=20)
    train(model, *batches, recipe, distillation=how, progress=False, **given)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


class TestKernels:
    @pytest.mark.parametrize(("kernel", "sign"), [(adder_kernel, 1), (convolution_kernel, -1)])
    def test_are_the_exponential_over_twice_the_deviation(self, kernel: Callable[[Tensor], Tensor], sign: int) -> None:
        output = (300 + 40 * torch.randn(8, 5, 6, 6, dtype=torch.double)).requires_grad_()
        factor = kernel(output) / torch.exp(sign * output / (2 * output.std(correction=0)))
        torch.testing.assert_close(factor, torch.full_like(factor, factor.mean().item()))
        assert kernel(output).log().std().item() == pytest.approx(0.5, rel=1e-3)
        kernel(output).sum().backward()  # deviation and mean are constants of the batch
        wanted = sign * kernel(output) / (2 * output.std(correction=0))
        torch.testing.assert_close(output.grad, wanted.detach())

    def test_of_a_constant_are_1(self) -> None:
        assert torch.equal(adder_kernel(torch.full((1, 2, 1, 1), -1e4)), torch.ones(1, 2, 1, 1))

    def test_a_smaller_distance_is_more_alike(self) -> None:
        layer = AdderConv2d(1, 1, kernel_size=1)
        near, far = adder_kernel(layer(layer.weight.detach() + torch.tensor([0.1, 3.0]).view(1, 1, 1, 2))).flatten()
        assert near > far


class TestTwin:
    @pytest.mark.parametrize("name", ADDER_NETWORKS)
    def test_every_adder_layer_has_its_convolution(self, name: str) -> None:
        student = create(name, width=0.25)
        twin = convolutional_twin(student, seed=0)
        adders = [name for name, module in student.named_modules() if isinstance(module, AdderConv2d)]
        assert layer_hints(student, twin) == [(name, name) for name in adders]
        x = torch.zeros(2, student.in_channels, student.resolution, student.resolution, device="meta")
        assert twin.to("meta")(x).shape == student.to("meta")(x).shape

    def test_is_drawn_anew_by_the_seed_alone(self) -> None:
        student = network()
        before, random = state(student), torch.get_rng_state()
        twin, again, other = (convolutional_twin(student, seed=seed) for seed in (3, 3, 4))
        assert same(state(twin), state(again)) and not same(state(twin), state(other))
        assert same(state(student), before)
        assert torch.equal(torch.get_rng_state(), random)
        with torch.no_grad():
            student[0].weight.fill_(7), student[1].running_mean.fill_(7)
        assert same(state(convolutional_twin(student, seed=3)), state(twin))

    def test_has_convolutions_of_the_same_shape(self) -> None:
        student = nn.Sequential(AdderConv2d(4, 6, kernel_size=3, stride=2, padding=2, dilation=2, groups=2, bias=True))
        twin = convolutional_twin(student, seed=0)
        assert str(twin[0]) == str(nn.Conv2d(4, 6, 3, 2, 2, 2, 2))
        x = torch.zeros(1, 4, 9, 9)
        assert twin(x).shape == student(x).shape

    def test_of_a_network_without_adder_layers_is_refused(self) -> None:
        with pytest.raises(ValueError, match="Sequential has no adder layers to put convolutions in the place of"):
            convolutional_twin(job.network(), seed=0)


class TestLayerHints:
    def test_first_and_last_layers_that_multiply_are_none(self) -> None:
        assert layer_hints(network(), convolutional_twin(network(), seed=0)) == [("3", "3"), ("7", "7")]
        student, teacher = create("adder_vgg_small", width=0.25), create("vgg_small", width=0.25)
        assert [name for name, _ in layer_hints(student, teacher)] == [
            name for name, module in student.named_modules() if isinstance(module, AdderConv2d)
        ]

    @pytest.mark.parametrize(
        ("teacher", "complaint"),
        [
            (lambda: create("resnet20"), r"the teacher's body.4.first.conv, Conv2d\(32, 32.*\), is not of the shape of "
                                         r"the student's body.3.shortcut.conv, AdderConv2d\(16, 32, kernel_size=1"),
            (lambda: create("adder_resnet20"), r"the teacher's body.0.first.conv, AdderConv2d\(16, 16, .* is not of"),
            (lambda: nn.Sequential(nn.Conv2d(3, 16, 3)),
             r"no convolution at the place of the student's body.0.first.conv, AdderConv2d\(16, 16"),
            (lambda: nn.Sequential(convolutional_twin(create("adder_resnet20"), seed=0), nn.Conv2d(1, 2, 3)),
             r"the teacher has a layer more than the student: 1, Conv2d\(1, 2"),
        ],
    )  # fmt: skip
    def test_another_architecture_is_refused_by_its_first_difference(
        self, teacher: Callable[[], nn.Module], complaint: str
    ) -> None:
        with pytest.raises(ValueError, match=complaint):
            layer_hints(create("adder_resnet20"), teacher())

    def test_a_student_without_adder_layers_is_refused(self) -> None:
        with pytest.raises(ValueError, match="Sequential has no adder layers to take hints of"):
            layer_hints(job.network(), job.network())


class TestLoss:
    X, Y = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2

    def distiller(self, student: nn.Module) -> Distiller:
        how = distillation(weight=0.3, temperature=2.0, hint_weight=0.7)
        return Distiller(how, student, self.X, seed=0)

    def test_is_the_sum_that_is_promised(self) -> None:
        student = network().eval()  # without dropout
        distiller = self.distiller(student)
        teacher = distiller.teacher
        assert isinstance(teacher, nn.Sequential)
        assert all(module.training for module in teacher.modules())
        teacher[6].eval()
        mine, theirs = student(self.X), teacher(self.X)
        wanted = (
            0.7 * F.cross_entropy(mine, self.Y, label_smoothing=0.1)
            + 0.3 * soft_loss(mine, theirs, 2.0)
            + F.cross_entropy(theirs, self.Y)
        )
        for number, regressor in zip((4, 8), distiller.regressors, strict=True):
            followed, following = teacher[:number](self.X), student[:number](self.X)
            wanted = wanted + 0.7 * hint_loss(regressor(adder_kernel(following)), convolution_kernel(followed))
        torch.testing.assert_close(distiller(student, self.X, self.Y, 0.1), wanted)

    def test_teaches_the_teacher_by_its_own_cross_entropy_alone(self) -> None:
        student = network()
        distiller = self.distiller(student)
        alone = copy.deepcopy(distiller.teacher)
        assert alone is not None
        torch.manual_seed(0)  # of the dropout
        distiller(student, self.X, self.Y, 0.1).backward()
        torch.manual_seed(0)
        F.cross_entropy(alone(self.X), self.Y).backward()
        for taught, own in zip(distiller.trained_teacher(), alone.parameters(), strict=True):
            assert torch.equal(taught.grad, own.grad)
        assert all(
            parameter.grad is not None for parameter in (*student.parameters(), *distiller.regressors[0].parameters())
        )

    def test_without_progress_the_teacher_has_no_gradient(self) -> None:
        student, how = network(), distillation(progressive=False)
        distiller = Distiller(how, student, self.X, seed=0)
        distiller(student, self.X, self.Y, 0.1).backward()
        assert distiller.teacher is None and distiller.trained_teacher() == []
        assert all(parameter.grad is None for parameter in how.teacher.parameters())


@pytest.mark.parametrize("limit", [None, 0.01])
def test_a_progressive_teacher_learns_as_it_would_alone(tmp_path: Path, limit: float | None) -> None:
    how, recipe = distillation(), replace(job.RECIPE, ema_decay=None, label_smoothing=0.0, clip_gradient_norm=limit)
    alone = copy.deepcopy(how.teacher)
    run(alone, None, recipe)
    run(network(), how, replace(recipe, label_smoothing=0.1), checkpoint=tmp_path / "run.ckpt")
    kept = torch.load(tmp_path / "run.ckpt", weights_only=True)["state_dict"]
    beside = {name.removeprefix("distiller.teacher."): value for name, value in kept.items() if ".teacher." in name}
    assert beside.keys() == alone.state_dict().keys()
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(beside[name], value, rtol=1e-4, atol=1e-5)


def test_the_given_teacher_is_left_as_it_was_and_no_part_of_the_student() -> None:
    student, how = network(), distillation()
    before, names = state(how.teacher), student.state_dict().keys()
    run(student, how)
    assert student.state_dict().keys() == names
    assert same(state(how.teacher), before)
    assert all(module.training for module in how.teacher.modules())
    assert all(parameter.grad is None for parameter in how.teacher.parameters())


def test_a_run_is_repeated_exactly() -> None:
    one, other = network(), network()
    run(one, distillation())
    run(other, distillation())
    assert same(state(one), state(other))


class TestResuming:
    @pytest.fixture
    def stop(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Distillation], Path]:
        """Make a checkpoint of step 10. What Ctrl-C does to reach that is test_resume's."""
        original = Run.training_step

        def stepping(self: Run, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
            self.interrupted = self.step == 9
            return original(self, batch, number)

        def stopped(how: Distillation) -> Path:
            with monkeypatch.context() as patch, pytest.raises(TrainingInterrupted, match="after step 10"):
                patch.setattr(Run, "training_step", stepping)
                run(network(), how, checkpoint=tmp_path / "run.ckpt")
            return tmp_path / "run.ckpt"

        return stopped

    def test_an_interrupted_run_ends_at_the_same_weights(self, stop: Callable[[Distillation], Path]) -> None:
        whole, halves = network(), network()
        run(whole, distillation())
        run(halves, distillation(), checkpoint=stop(distillation()), resume=True)
        assert same(state(halves), state(whole))

    def test_another_way_is_refused(self, stop: Callable[[Distillation], Path]) -> None:
        with pytest.raises(CheckpointError, match=r"distillation's kernel was True, now False; .*progressive was True"):
            run(network(), distillation(kernel=False, progressive=False), checkpoint=stop(distillation()), resume=True)

    def test_a_checkpoint_of_before_there_was_a_choice_goes_on(self, stop: Callable[[Distillation], Path]) -> None:
        old = {"kernel": False, "progressive": False}
        path = stop(distillation(**old, hints=[]))
        checkpoint = torch.load(path, weights_only=True)
        for name in old:
            del checkpoint["featherweight"]["distillation"][name]
        torch.save(checkpoint, path)
        with pytest.raises(CheckpointError, match="distillation's progressive was False, now True"):
            run(network(), distillation(), checkpoint=path, resume=True)
        run(network(), distillation(**old, hints=[]), checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"hints": []}, "kernel=True is of hints, and there are none; `layer_hints` finds them"),
        ({"hints": [("3", "4")]}, "the teacher's 4 is of class BatchNorm2d"),
        ({"hints": [("0", "0")]}, "an AdderConv2d of the student with a Conv2d .*; the student's 0 is of class Conv2d"),
        ({"teacher": nn.Flatten(), "hints": [], "kernel": False}, "has no parameter that requires a gradient"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        run(network(), distillation(**given))


def test_a_limit_leaves_the_gradients_of_adder_layers_as_long_as_their_rate_makes_them() -> None:
    student = network()
    before = state(student)
    run(student, None, Recipe(epochs=1, momentum=0, weight_decay=0, ema_decay=None, warmup=0, clip_gradient_norm=1e-6))
    moved = {name: (value - before[name]).norm().item() for name, value in student.named_parameters()}
    assert moved["3.weight"] > 0.1
    assert max(far for name, far in moved.items() if name not in ("3.weight", "7.weight")) < 1e-5
