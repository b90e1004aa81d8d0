"""One run of training as Lightning sees it."""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featherweight.blocks import AdderConv2d, set_adder_p
from featherweight.data import Batches

from ._average import WeightAverage
from ._distill import Distillation, Distiller
from ._errors import TrainingDivergedError
from ._evaluate import evaluate
from ._history import Epoch, History
from ._progress import ProgressBar
from ._recipe import Recipe
from ._schedule import Pace, Schedule, adder_p, learning_rate

LOOKS = 16  # validations in a run, about
LOOKS_SHARE = 0.05  # of a run's time, for all of them together
SAVE_SECONDS = 10.0  # a checkpoint at least this often,
LEAST_SAVE_SECONDS = 1.0  # but epochs shorter than this do not each have one
FORWARD_COST = 0.35  # of a forward pass, as a share of a training step


@dataclass
class Books:
    """What a run counts; part of its checkpoint."""

    step: int = 0
    images: int = 0
    stepping_seconds: float = 0.0
    look_seconds: float = 0.0  # of the last look
    loss_sum: float = 0.0  # since the last look
    loss_count: int = 0
    elapsed: float = 0.0  # when the checkpoint was written
    complete: bool = False


class Run(pl.LightningModule):  # type: ignore[misc]
    """A network while it is trained: weights and their average, where the run stands, and what happens when.

    Args:
        model: trained in place.
        batches: to train on, and `val_batches` to look at the network with.
        schedule: how far the run is at which step.
        pace: lays the schedule against the clock; None when it is laid already.
        distillation: a teacher to learn from; None for none.
        checkpoint: where the state is kept; None for nowhere.
        bar: follows the run.
        began: reading of `time.monotonic` at the run's start.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        val_batches: Batches,
        *,
        recipe: Recipe,
        schedule: Schedule,
        pace: Pace | None,
        distillation: Distillation | None = None,
        checkpoint: Path | None,
        bar: ProgressBar,
        began: float,
    ) -> None:
        super().__init__()
        self.model = model
        self.average = None if recipe.ema_decay is None else WeightAverage(model, recipe.ema_decay)
        self.distiller = None
        if distillation is not None:
            self.distiller = Distiller(distillation, model, batches.batch(0)[0], seed=recipe.seed)
        self.batches, self.val_batches, self.recipe = batches, val_batches, recipe
        self.schedule, self.pace = schedule, pace
        self.checkpoint, self.bar = checkpoint, bar
        self.looks: list[Epoch] = []
        self.books = Books()
        self.interrupted = False  # by Ctrl-C: stop after this step
        self.saved_step: int | None = None
        self._began, self._saved = began, began
        self._stepped = began
        self._loss = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the run's start, those before an interruption included."""
        return self.books.elapsed if self.books.complete else time.monotonic() - self._began

    @property
    def step(self) -> int:
        """Steps done."""
        return self.books.step

    @property
    def network(self) -> nn.Module:
        """The network as it would come out now: the average, or the trained one if there is no average."""
        return self.model if self.average is None else self.average.model

    def taught(self) -> dict[str, object] | None:
        """Say by which teacher and how, in plain types; None without one."""
        return None if self.distiller is None else self.distiller.facts

    def history(self) -> History:
        """Report the run."""
        rate = self.books.images / self.books.stepping_seconds if self.books.stepping_seconds else 0.0
        return History(tuple(self.looks), tuple(self.schedule.knots), self.step, self.elapsed, rate)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make SGD; what has one dimension (normalisation, biases) is not decayed."""
        regressors = () if self.distiller is None else self.distiller.parameters()
        parameters = [p for p in (*self.model.parameters(), *regressors) if p.requires_grad]
        decayed, free = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]
        # fused: three times as fast as foreach on a CPU with the many small tensors of these networks
        return torch.optim.SGD(
            [group for group in groups if group["params"]],
            lr=self.recipe.learning_rate,
            momentum=self.recipe.momentum,
            nesterov=self.recipe.momentum > 0,
            fused=True,
        )

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient; a teacher's beside the student by itself, so that neither's depends on the other's.

        Adder layers' gradients stay as long as their adaptive rate makes them: some hundred times a usual limit.
        """
        if gradient_clip_val is not None:
            teacher = [] if self.distiller is None else self.distiller.trained_teacher()
            adders = [m.weight for m in self.modules() if isinstance(m, AdderConv2d) and m.adaptive_rate is not None]
            known = {*teacher, *adders}
            for parameters in ([p for p in self.parameters() if p not in known], teacher):
                torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def on_train_start(self) -> None:
        """Start the clocks."""
        if self.distiller is not None:
            self.distiller.distillation.teacher.to(self.device)
        self._stepped = time.monotonic()
        if self.pace is not None:
            self.pace.started(self.step, self.elapsed)

    def training_step(self, batch: tuple[Tensor, Tensor], _batch_index: int) -> Tensor:
        """[N, C, H, W] and [N] -> loss. What is drawn at random in a step depends on the seed and the step alone."""
        x, y = batch
        self._seed()
        rate = learning_rate(self.recipe.learning_rate, self.schedule.progress(self.step + 0.5), self.recipe.warmup)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        self._set_adder_p(self.schedule.progress(self.step))
        smoothing = self.recipe.label_smoothing
        if self.distiller is None:
            loss = F.cross_entropy(self.model(x), y, label_smoothing=smoothing)
        else:
            loss = self.distiller(self.model, x, y, smoothing)
        self._loss = loss.item()
        if not math.isfinite(self._loss):
            raise self._diverged(f"the loss became {self._loss}")
        self.books.images += len(y)
        return loss

    def on_train_batch_end(self, _outputs: object, _batch: object, _batch_index: int) -> None:
        """Take the step into the average and the books; stop or save when it is time."""
        if self.average is not None:
            self.average.update(self.step)
        books, now = self.books, time.monotonic()
        books.step += 1
        books.loss_sum += self._loss
        books.loss_count += 1
        books.stepping_seconds += now - self._stepped
        self._stepped = now
        if self.pace is not None:
            self.pace.plan(self.step, self.elapsed, self._last_look_seconds())
        self.bar.step(self.schedule.progress(self.step), self._epoch(), self._loss)
        finished = self.schedule.finished(self.step)
        if finished or self.interrupted:
            self.trainer.should_stop = True
        if self._mid_epoch() and not finished and (self.interrupted or now - self._saved > SAVE_SECONDS):
            self._save()

    def on_train_epoch_end(self) -> None:
        """Look at the network if it is time, and save."""
        finished = self.schedule.finished(self.step)
        if self._mid_epoch() and not finished:
            return  # interrupted, and saved, after a step
        if finished or self._look_is_due():
            self._look(finished)
        if finished:
            self.books.elapsed, self.books.complete = self.elapsed, True
        if finished or self.interrupted or time.monotonic() - self._saved > LEAST_SAVE_SECONDS:
            self._save()
        self._stepped = time.monotonic()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put what Lightning does not know of into the checkpoint."""
        checkpoint["featherweight"] = {
            "recipe": self.recipe.to_dict(),
            "distillation": self.taught(),
            "steps_per_epoch": len(self.batches),
            "knots": list(self.schedule.knots),
            "looks": [asdict(look) for look in self.looks],
            "books": {**asdict(self.books), "elapsed": self.elapsed},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint, after `check_same_run` has approved of it."""
        state = checkpoint["featherweight"]
        self.books = Books(**state["books"])
        self.saved_step = self.step
        self.schedule.knots[:] = state["knots"]
        self.looks = [Epoch(**look) for look in state["looks"]]
        self._began -= self.books.elapsed
        if self.books.complete:
            self.trainer.should_stop = True

    def _epoch(self) -> int:
        """Passes that have ended or been broken off."""
        return -(-self.step // len(self.batches))

    def _mid_epoch(self) -> bool:
        return self.step % len(self.batches) != 0

    def _seed(self) -> None:
        seed = (self.recipe.seed * 1_000_003 + self.step) % 2**32
        torch.default_generator.manual_seed(seed)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)

    def _set_adder_p(self, progress: float) -> None:
        """Set it for the network and its average."""
        if until := self.recipe.adder_p_until:
            set_adder_p(self, adder_p(progress, until))

    def _look_is_due(self) -> bool:
        """Say whether enough of the run, and of its time, has passed since the last look."""
        apart = 1 / LOOKS
        if self.pace is not None:
            apart = max(apart, self._last_look_seconds() / (LOOKS_SHARE * self.pace.seconds))
        last = self.schedule.progress(self.looks[-1].step) if self.looks else 0.0
        return self.schedule.progress(self.step) - last >= apart

    def _calibration_batches(self, finished: bool) -> int:
        """How many training batches batch norm's statistics are measured on: a small share of the run."""
        return min(self.step, max(4, self.step // 100) if not finished else max(8, self.step // 25), 64)

    def _last_look_seconds(self) -> float:
        """Estimate what the look at the run's end will take."""
        each = self.books.stepping_seconds / max(self.step, 1)
        forward = len(self.val_batches) + (self._calibration_batches(finished=True) if self.average else 0)
        return max(self.books.look_seconds, FORWARD_COST * each * forward)

    def _look(self, finished: bool) -> None:
        """Measure the network that would come out now on the validation pictures."""
        began = time.monotonic()
        if finished:
            self._set_adder_p(1.0)  # where a clock breaks off the schedule, too
        if self.average is not None:
            self._seed()
            count = self._calibration_batches(finished)
            self.average.calibrate([self.batches.batch(step) for step in range(self.step - count, self.step)])
        found = evaluate(self.network, self.val_batches)
        rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        loss = self.books.loss_sum / self.books.loss_count
        self.looks.append(Epoch(self._epoch(), self.step, self.elapsed, rate, loss, found.loss, found.accuracy))
        self.books.loss_sum, self.books.loss_count = 0.0, 0
        self.books.look_seconds = time.monotonic() - began
        self.bar.validated(self.schedule.progress(self.step), found.accuracy)

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        state = [value for value in self.model.state_dict().values() if value.is_floating_point()]
        if not torch.nn.utils.get_total_norm(state).isfinite():
            raise self._diverged("weights became infinite or not a number")
        self.trainer.save_checkpoint(self.checkpoint, weights_only=False)
        self._saved, self.saved_step = time.monotonic(), self.step

    def _diverged(self, what: str) -> TrainingDivergedError:
        rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        return TrainingDivergedError(self.step, what, rate, self.checkpoint if self.saved_step is not None else None)
