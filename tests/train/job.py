"""A small training job, for the tests and for the processes that they kill.

As a script it imports once, then reads lines `CHECKPOINT DELAY_SECONDS`. For each it forks a process that trains,
writes that one's number, and, when that one has ended, its exit status; its errors go to CHECKPOINT.errors.
"""

import contextlib
import os
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn

from featherweight.data import Augment, Batches
from featherweight.train import History, Recipe, train

AUGMENT = Augment(rotate_degrees=10, translate=0.1)


class Slow(Batches):
    """Batches that take their time, so that a kill hits the middle of the run."""

    delay_seconds = 0.0

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        time.sleep(self.delay_seconds)
        return super().batch(step)


def batches(*, shuffle: bool, count: int = 70) -> Slow:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
    labels = (images[:, :, :4].float().mean((1, 2, 3)) > images[:, :, 4:].float().mean((1, 2, 3))).long()
    augment = AUGMENT if shuffle else None
    return Slow(images, labels, batch_size=10, mean=(0.5,), std=(0.25,), augment=augment, seed=5, shuffle=shuffle)


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(72, 2),
        )


RECIPE = Recipe(epochs=6, batch_size=10, learning_rate=0.05, augment=AUGMENT, seed=5)


def run(
    model: nn.Module, checkpoint: Path | None = None, *, resume: bool = False, delay_seconds: float = 0.0
) -> History:
    """Train; 7 steps per epoch, 42 in all."""
    slow = batches(shuffle=True)
    slow.delay_seconds = delay_seconds
    return train(
        model, slow, batches(shuffle=False), RECIPE, checkpoint=checkpoint, resume=resume, progress=False
    )  # fmt: skip


def work(checkpoint: Path, delay_seconds: float) -> NoReturn:
    """Train, and end this process without tidying up what was imported, which takes longer."""
    with Path(f"{checkpoint}.errors").open("w") as errors, contextlib.redirect_stderr(errors):
        try:
            model = network()
            run(model, checkpoint, resume=True, delay_seconds=delay_seconds)
            torch.save(model.state_dict(), f"{checkpoint}.weights")
        except BaseException:
            traceback.print_exc()
            errors.flush()
            os._exit(1)
    os._exit(0)


def serve() -> None:
    from featherweight.train import _run

    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1)])  # imports much that PyTorch puts off until then
    _run.SAVE_SECONDS = _run.LEAST_SAVE_SECONDS = 0.0  # save after every step, so that a kill can hit a write
    for line in sys.stdin:
        checkpoint, delay_seconds = line.split()
        child = os.fork()
        if child == 0:
            work(Path(checkpoint), float(delay_seconds))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    serve()
