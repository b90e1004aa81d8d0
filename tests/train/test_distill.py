"""Distillation: its losses against closed forms, the teacher left alone, and runs that go on bit for bit."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featherweight.data import Preprocessing
from featherweight.networks import create
from featherweight.train import (
    CheckpointError,
    Distillation,
    TrainingInterrupted,
    View,
    hint_loss,
    middle_hint,
    soft_loss,
    train,
)
from featherweight.train._distill import Distiller
from featherweight.train._run import Run

_spec = importlib.util.spec_from_file_location("training_job", Path(__file__).with_name("job.py"))
assert _spec
assert _spec.loader
job = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(job)


def teacher() -> nn.Sequential:
    """A network that is wider than the job's, with batch norm and dropout, in train mode as it comes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        layers = nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Dropout(0.5)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(12 * 64, 2))


THREE = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))  # classes


def distillation(**given: Any) -> Distillation:
    return Distillation(**{"teacher": teacher(), "hints": [("2", "2")], **given})


def run(model: nn.Module, how: Distillation | None, **given: Any) -> None:
    batches = job.batches(shuffle=True), job.batches(shuffle=False, count=20)
    train(model, *batches, job.RECIPE, distillation=how, progress=False, **given)


def test_soft_loss_has_the_gradient_of_equation_2() -> None:
    logits, wanted = torch.randn(5, 7, requires_grad=True), torch.randn(5, 7)
    soft_loss(logits, wanted, 3.0).backward()
    by_hand = 3.0**2 * (F.softmax(logits / 3, 1) - F.softmax(wanted / 3, 1)) / 3 / 5
    torch.testing.assert_close(logits.grad, by_hand.detach())


def test_at_high_temperature_it_is_the_difference_of_the_logits() -> None:
    logits, wanted = (torch.randn(4, 6) for _ in range(2))
    logits, wanted = logits - logits.mean(1, keepdim=True), wanted - wanted.mean(1, keepdim=True)
    logits.requires_grad_()
    soft_loss(logits.double(), wanted.double(), 1e4).backward()
    torch.testing.assert_close(logits.grad, (logits.detach() - wanted) / 6 / 4, rtol=1e-3, atol=1e-5)


def test_hint_loss_is_the_share_of_the_teachers_variance_that_is_missed() -> None:
    hint = torch.randn(64, 3, 5, 5) * torch.tensor([1.0, 5.0, 0.1]).view(3, 1, 1) + 7
    spread, mean = torch.var_mean(hint, dim=(0, 2, 3), correction=0, keepdim=True)
    same = (hint - mean) / spread.sqrt()
    assert hint_loss(same, hint).item() == pytest.approx(0, abs=1e-5)
    assert hint_loss(0.5 * same, hint).item() == pytest.approx(0.25, rel=1e-3)
    assert hint_loss(torch.zeros_like(hint), hint).item() == pytest.approx(1, rel=1e-3)


def test_the_loss_of_a_step_is_the_sum_that_is_promised() -> None:
    student, how = job.network(), distillation(weight=0.3, temperature=2.0, hint_weight=0.7)
    x, y = torch.randn(6, 1, 8, 8), torch.arange(6) % 2
    distiller = Distiller(how, student, x, seed=0)
    student.eval(), how.teacher.eval()
    features, theirs = student[:3](x), F.adaptive_avg_pool2d(how.teacher[:3](x), 3)
    wanted = (
        0.7 * F.cross_entropy(student(x), y, label_smoothing=0.1)
        + 0.3 * soft_loss(student(x), how.teacher(x), 2.0)
        + 0.7 * hint_loss(distiller.regressors[0](features), theirs)
    )
    torch.testing.assert_close(distiller(student, x, y, 0.1), wanted)
    assert not student[2]._forward_hooks


def test_a_teacher_is_left_as_it_was_and_no_part_of_the_student() -> None:
    student, how = job.network(), distillation()
    before = {name: value.clone() for name, value in how.teacher.state_dict().items()}
    names = student.state_dict().keys()
    run(student, how)
    assert student.state_dict().keys() == names
    assert all(torch.equal(before[name], value) for name, value in how.teacher.state_dict().items())
    assert all(module.training for module in how.teacher.modules())
    assert all(parameter.grad is None for parameter in how.teacher.parameters())


def test_weight_0_without_hints_trains_as_without_a_teacher() -> None:
    plain, taught = job.network(), job.network()
    run(plain, None)
    run(taught, distillation(weight=0.0, hints=[]))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(taught.state_dict()[name], value)


def test_a_student_without_labels_learns_its_teachers_answers() -> None:
    known, student = teacher(), job.network()
    with torch.no_grad():
        known[5].weight.mul_(20)  # a teacher that is sure, whatever it is sure of
    x = torch.cat([x for x, _ in job.batches(shuffle=False)])
    answers = known.eval()(x).argmax(1)

    def agreement() -> float:
        return (student.eval()(x).argmax(1) == answers).double().mean().item()

    before = agreement()
    run(student, Distillation(teacher=known, weight=1.0, temperature=1.0))
    assert agreement() > 0.7 > before


class TestResuming:
    @pytest.fixture
    def stopped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A checkpoint of step 10. What Ctrl-C does to reach that is test_resume's."""
        original = Run.training_step

        def stepping(self: Run, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
            self.interrupted = self.step == 9
            return original(self, batch, number)

        with monkeypatch.context() as patch, pytest.raises(TrainingInterrupted, match="after step 10"):
            patch.setattr(Run, "training_step", stepping)
            run(job.network(), distillation(), checkpoint=tmp_path / "run.ckpt")
        return tmp_path / "run.ckpt"

    def test_an_interrupted_run_ends_at_the_same_weights(self, stopped: Path) -> None:
        whole, halves = job.network(), job.network()
        run(whole, distillation())
        run(halves, distillation(), checkpoint=stopped, resume=True)
        assert all(torch.equal(halves.state_dict()[name], value) for name, value in whole.state_dict().items())

    def test_the_checkpoint_holds_no_teacher(self, stopped: Path) -> None:
        weights = torch.load(stopped, weights_only=True)["state_dict"]
        assert {name for name in weights if "distiller" in name} == {
            "distiller.regressors.0.weight",
            "distiller.regressors.0.bias",
        }

    def test_another_teacher_or_none_is_refused(self, stopped: Path) -> None:
        other = teacher()
        nn.init.zeros_(other[5].bias)
        for how, complaint in (
            (distillation(temperature=2.0), r"distillation's temperature was 4.0, now 2.0$"),
            (distillation(teacher=other), r"distillation's teacher_hash was '\w{16}', now '\w{16}'$"),
            (None, r"distillation's teacher_hash was '\w{16}', now None; .*hints was \[\['2', '2'\]\], now None"),
        ):
            with pytest.raises(CheckpointError, match=complaint):
                run(job.network(), how, checkpoint=stopped, resume=True)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"weight": -0.1}, r"weight of a distillation must be in \[0, 1\]; got -0.1"),
        ({"temperature": 0}, "temperature of a distillation must be above 0 and finite; got 0"),
        ({"temperature": math.inf}, "temperature of a distillation must be above 0 and finite; got inf"),
        ({"hint_weight": float("nan")}, "hint_weight of a distillation must be above 0 and finite; got nan"),
        ({"hints": [("2", "body.3")]}, "the teacher has no module body.3 to take hints of"),
        ({"hints": [("stem", "2")]}, "the student has no module stem to take hints of"),
        ({"hints": [("4", "2")]}, r"hints are features \[N, channels, H, W\]; 4 and 2 give \[2, 72\] and \[2, 12"),
        ({"teacher": THREE, "hints": []}, r"the student gives \[2\] answers, the teacher \[3\]"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        run(job.network(), distillation(**given))


def test_a_network_is_not_its_own_teacher() -> None:
    student = job.network()
    with pytest.raises(ValueError, match="cannot be its own teacher"):
        run(student, Distillation(teacher=student))


def test_a_view_gives_what_the_teachers_own_preprocessing_gives() -> None:
    mine = Preprocessing(resolution=8, channels=1, mean=(0.3,), std=(0.2,))
    theirs = Preprocessing(resolution=8, channels=3, mean=(0.5, 0.4, 0.1), std=(0.25, 0.1, 1.0))
    picture = torch.randint(0, 256, (8, 8, 1), dtype=torch.uint8).numpy()
    given, wanted = (torch.from_numpy(p.normalize(p.fit(picture)))[None] for p in (mine, theirs))
    torch.testing.assert_close(View(mine, theirs)(given), wanted)
    assert torch.equal(View(mine, mine)(given), given)


def test_a_view_that_would_show_something_else_is_refused() -> None:
    grey = Preprocessing(resolution=8, channels=1, mean=(0.3,), std=(0.2,))
    colour = Preprocessing(resolution=8, channels=3, mean=(0.3,) * 3, std=(0.2,) * 3)
    cut = Preprocessing(resolution=8, channels=1, mean=(0.3,), std=(0.2,), resize="crop")
    with pytest.raises(ValueError, match="the teacher takes grey pictures, and the student's are in colour"):
        View(student=colour, teacher=grey)
    with pytest.raises(ValueError, match="by 'crop' for the teacher, and by 'squash' for the student"):
        View(student=grey, teacher=cut)


def test_the_middle_hint_is_a_block_of_the_same_size() -> None:
    student, wise = create("mobilenet_v1", width=0.25, num_classes=3), create("resnet18", num_classes=3)
    x = torch.zeros(1, 3, 32, 32)
    mine, theirs = middle_hint(student, wise, x)
    features = [network.get_submodule(name) for network, name in ((student, mine), (wise, theirs))]
    sides = []
    for module in features:
        module.register_forward_hook(lambda _module, _inputs, output: sides.append(output.shape[2]))
    student(x.repeat(2, 1, 1, 1)), wise(x.repeat(2, 1, 1, 1))
    assert sides == [2, 2]
    with pytest.raises(ValueError, match="Sequential has no blocks in `body`"):
        middle_hint(job.network(), wise, x)


def test_a_batch_of_one_teaches_what_is_left_of_it() -> None:
    assert hint_loss(torch.full((1, 3, 1, 1), 2.0), torch.randn(1, 3, 1, 1)).item() == 4  # from its mean, 0


def test_a_teacher_without_parameters_teaches() -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 20 * torch.stack([x.mean((1, 2, 3)), -x.mean((1, 2, 3))], 1)

    x = torch.cat([x for x, _ in job.batches(shuffle=False)])
    wanted = F.softmax(Mean()(x), 1)

    def off(student: nn.Module) -> float:
        return F.cross_entropy(student.eval()(x), wanted).item()

    before, student = off(job.network()), job.network()
    run(student, Distillation(teacher=Mean(), weight=1.0, temperature=1.0))
    assert off(student) < 0.9 * before


def test_a_module_that_gives_no_features_is_named() -> None:
    spare = teacher()
    spare[0].spare = nn.Conv2d(1, 1, 1)
    with pytest.raises(ValueError, match=r"the teacher's module 0.spare: it is not run when the network is"):
        run(job.network(), Distillation(teacher=spare, hints=[("2", "0.spare")]))
