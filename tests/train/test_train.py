"""Training on the built-in digits and on pictures of the test's own."""

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from featherweight.blocks import ClassifierHead, ConvNormAct, DepthwiseSeparable, ImageClassifier
from featherweight.data import Augment, Batches, Preprocessing, Split, augment_for, digits, split_pictures
from featherweight.train import (
    Evaluation,
    History,
    Recipe,
    TrainingDivergedError,
    _progress,
    _run,
    _train,
    evaluate,
    train,
)
from featherweight.train._average import WeightAverage
from featherweight.train._progress import ProgressBar


def tiny(*, channels: int = 1, classes: int = 10) -> ImageClassifier:
    stem = ConvNormAct(channels, 16, kernel_size=3, stride=2)
    return ImageClassifier(
        stem, [DepthwiseSeparable(16, 32, stride=2)], ClassifierHead(32, classes), in_channels=channels
    )


def digit_batches(*, augment: Augment | None = None) -> tuple[Batches, Batches]:
    pictures = digits()
    pre = Preprocessing(resolution=8, channels=1, mean=(0.3,), std=(0.35,))
    split: Split = split_pictures(pictures, seed=0)
    images = pictures.at(pre)
    constants = {"mean": pre.mean, "std": pre.std}
    return (
        Batches(images, pictures.labels, split.train, batch_size=32, augment=augment, shuffle=True, **constants),
        Batches(images, pictures.labels, split.val, batch_size=128, **constants),
    )


def noise(count: int = 64, *, scale: float = 1.0) -> Batches:
    images = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8)
    return Batches(images, np.arange(count) % 2, batch_size=16, mean=(0.5,), std=(0.25 / scale,), shuffle=True)


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))


def test_a_tiny_network_learns_the_digits(capfd: pytest.CaptureFixture[str]) -> None:
    train_batches, val_batches = digit_batches(augment=Augment(translate=0.1))
    model = tiny()
    history = train(model, train_batches, val_batches, Recipe(epochs=8), progress=True)
    found = evaluate(model, val_batches)
    assert found.accuracy > 0.8
    assert found.accuracy == history.epochs[-1].val_accuracy
    assert history.epochs[-1].epoch == 8
    assert history.steps == 8 * len(train_batches)
    assert [look.step for look in history.epochs] == sorted({look.step for look in history.epochs})
    assert history.epochs[-1].train_loss < history.epochs[0].train_loss
    assert history.images_per_second > 0
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history
    assert capfd.readouterr() == ("", "")  # not a terminal: no bar, and nothing from Lightning


def test_averaged_weights_are_no_worse_than_the_last_ones() -> None:
    train_batches, val_batches = digit_batches()
    averaged, raw = tiny(), tiny()
    raw.load_state_dict(averaged.state_dict())
    train(averaged, train_batches, val_batches, Recipe(epochs=8, ema_decay=0.98), progress=False)
    train(raw, train_batches, val_batches, Recipe(epochs=8, ema_decay=None), progress=False)
    assert evaluate(averaged, val_batches).accuracy >= evaluate(raw, val_batches).accuracy - 0.01
    assert not torch.equal(averaged.get_classifier().weight, raw.get_classifier().weight)  # type: ignore[arg-type]


def test_batch_norm_of_the_average_is_measured_under_the_average() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    average = WeightAverage(model, 0.9)
    pictures = torch.randn(20, 1, 4, 4) * 3 + 1
    average.calibrate([(pictures, torch.zeros(20))])
    seen = average.model[0](pictures)  # type: ignore[index]
    torch.testing.assert_close(average.model[1].running_mean, seen.mean((0, 2, 3)))  # type: ignore[index]
    torch.testing.assert_close(average.model[1].running_var, seen.var((0, 2, 3)))  # type: ignore[index]


class Clock:
    """A clock that moves only when a network computes: the time of a run without that of the machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (_train, _run, _progress):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.now

    def paces(self, model: nn.Module, seconds: Callable[[int], float]) -> None:
        """Let each step of training take its time, given how many there were before; other passes take a third."""
        steps = 0

        def passed(*_: object) -> None:
            nonlocal steps
            self.now += seconds(steps) * (1 if torch.is_grad_enabled() else 1 / 3)
            steps += torch.is_grad_enabled()

        model.register_forward_hook(passed)


@pytest.mark.parametrize(
    ("seconds", "step_seconds"),
    [
        (0.6, lambda step: 0.01),
        (0.6, lambda step: 0.1 if step == 0 else 0.01),
        (3.0, lambda step: 0.01 * (0.5, 2.0, 1.0, 0.5)[step % 4]),
        (3.0, lambda step: 0.01 if step < 50 else 0.02),
    ],
    ids=["even", "slow at first", "noisy", "slower later"],
)
def test_the_time_is_kept_and_the_run_repeated_from_its_knots(
    seconds: float, step_seconds: Callable[[int], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    train_batches, val_batches = digit_batches(augment=Augment(rotate_degrees=10))
    model, again = tiny(), tiny()
    again.load_state_dict(model.state_dict())
    clock.paces(model, step_seconds)
    began = clock.now
    history = train(model, train_batches, val_batches, Recipe(epochs=None), time_seconds=seconds, progress=False)
    assert history.seconds == pytest.approx(clock.now - began)
    assert 0.9 * seconds < history.seconds <= 1.05 * seconds
    assert history.epochs[-1].step == history.steps
    repeated = train(
        again, train_batches, val_batches, Recipe(epochs=None), time_seconds=seconds, schedule=history.knots,
        progress=False,
    )  # fmt: skip
    assert (repeated.steps, repeated.knots) == (history.steps, history.knots)
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_the_network_comes_back_as_it_went_in() -> None:
    model = tiny()
    model.eval()
    state = torch.get_rng_state()
    train(model, *digit_batches(), Recipe(epochs=1), progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(value.is_contiguous() for value in model.state_dict().values())
    assert not any(module.training for module in model.modules())
    assert logging.getLogger("lightning.pytorch").level != logging.WARNING


def test_a_loss_that_is_not_finite_stops_with_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_run, "SAVE_SECONDS", 0.0)

    class Breaking(Batches):
        def batch(self, step: int) -> tuple[Tensor, Tensor]:
            x, y = super().batch(step)
            return (x * float("nan") if step == 5 else x), y

    images = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)
    broken = Breaking(images, [0, 1] * 32, batch_size=8, mean=(0.5,), std=(0.25,), shuffle=True)
    with pytest.raises(TrainingDivergedError, match=r"loss became nan at step 5 .*last good checkpoint is .*run\.ckpt"):
        train(linear(), broken, noise(), Recipe(epochs=2), checkpoint=tmp_path / "run.ckpt", progress=False)
    kept = torch.load(tmp_path / "run.ckpt", weights_only=True)
    assert kept["featherweight"]["books"]["step"] == 5
    assert all(value.isfinite().all() for value in kept["state_dict"].values())


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    model = linear()
    model[1].weight.register_hook(lambda gradient: gradient * float("inf"))  # type: ignore[union-attr]
    with pytest.raises(TrainingDivergedError, match="diverged"):
        train(model, noise(16), noise(16), Recipe(epochs=1), checkpoint=tmp_path / "run.ckpt", progress=False)
    assert not (tmp_path / "run.ckpt").exists()


def test_clipping_limits_the_step() -> None:
    model = linear()
    before = model[1].weight.detach().clone()
    recipe = Recipe(epochs=1, learning_rate=1.0, momentum=0.0, weight_decay=0.0, warmup=0.0, ema_decay=None,
                    clip_gradient_norm=1e-3)  # fmt: skip
    train(model, noise(16), noise(16), recipe, progress=False)
    assert 0 < (model[1].weight - before).norm() <= 1e-3


def test_weight_decay_leaves_normalisation_and_biases_alone() -> None:
    run = _run.Run(
        tiny(), noise(), noise(), recipe=Recipe(), schedule=None, pace=None, checkpoint=None, bar=None, began=0.0
    )  # type: ignore[arg-type]
    decayed, free = run.configure_optimizers().param_groups
    assert decayed["weight_decay"] > 0 and all(p.ndim > 1 for p in decayed["params"])
    assert free["weight_decay"] == 0 and all(p.ndim == 1 for p in free["params"])


def test_evaluate_gives_logits_in_order_and_restores_each_mode() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 2))
    model[0].eval()
    images = torch.randint(0, 256, (9, 1, 8, 8), dtype=torch.uint8)
    batches = Batches(images, [0] * 9, batch_size=4, mean=(0.5,), std=(0.25,))
    found = evaluate(model, batches)
    assert [module.training for module in model] == [False, True, True, True]
    model.eval()
    with torch.inference_mode():
        wanted = torch.cat([model(x) for x, _ in batches])
    np.testing.assert_array_equal(found.logits, wanted.numpy())
    assert found.labels.tolist() == [0] * 9
    assert found.accuracy == (wanted.argmax(1) == 0).double().mean().item()
    assert found.loss == pytest.approx(nn.functional.cross_entropy(wanted, torch.zeros(9, dtype=torch.long)).item())


@pytest.mark.parametrize(
    ("counts", "right", "guessing"),
    [
        ((2, 2), 4, False), ((2, 2), 2, True), ((95, 5), 100, False), ((95, 5), 96, True), ((95, 5), 98, False),
        ((18,) * 10, 26, True), ((18,) * 10, 60, False), ((1,), 1, False),
    ],
)  # fmt: skip
def test_a_network_that_guesses_is_told_from_one_that_knows(
    counts: tuple[int, ...], right: int, guessing: bool
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    logits = np.zeros((len(labels), len(counts)), np.float32)
    assert Evaluation(logits, labels, right / len(labels), 1.0).is_guessing == guessing


def test_evaluate_on_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no batch"):
        evaluate(linear(), [])


def test_the_bar_shows_loss_accuracy_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr("featherweight.train._progress.REDRAW_SECONDS", 0.0)
    with ProgressBar(True, Console(file=text, force_terminal=True, width=100)) as bar:
        bar.step(0.25, 2, 1.5)
        bar.validated(0.5, 0.875)
        bar.step(0.5, 3, 1.5)
    for words in ("epoch 3", "50 %", "loss 1.500", "accuracy 87.5%", "left"):
        assert words in text.getvalue()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipe": Recipe(epochs=None)}, "nothing ends the run"),
        ({"time_seconds": -1.0}, "time_seconds must be above 0; got -1.0"),
        ({"resume": True}, "needs a checkpoint"),
        ({"checkpoint": Path("/no/such/folder/run.ckpt")}, "its folder does not exist"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    recipe = arguments.pop("recipe", Recipe(epochs=1))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(linear(), noise(), noise(), recipe, **arguments)  # type: ignore[arg-type]


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(epochs=3, augment=augment_for(digits()), clip_gradient_norm=1.0)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    with pytest.raises(ValueError, match="a recipe has no lr; it has epochs"):
        Recipe.from_dict({"lr": 0.1})
