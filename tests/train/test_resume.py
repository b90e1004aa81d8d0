"""A run that is stopped and goes on ends at the weights of one that was not stopped, bit for bit."""

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from featherweight.train import Recipe, TrainingInterrupted, _run, train

JOB = Path(__file__).with_name("job.py")


def _load_job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_job", JOB)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


job = _load_job()


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, torch.Tensor]:
    model = job.network()
    job.run(model)
    return model.state_dict()


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


class StopAfter:
    """Press Ctrl-C in this process at the end of a step."""

    def __init__(self, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
        original = _run.Run.training_step

        def stepping(run: _run.Run, batch: object, number: int) -> torch.Tensor:
            if run.step == step - 1:
                # Called, not delivered: some library leaves test processes a stack for signals that is no longer there.
                handler = signal.getsignal(signal.SIGINT)
                assert callable(handler)
                handler(signal.SIGINT, None)
            return original(run, batch, number)

        monkeypatch.setattr(_run.Run, "training_step", stepping)


# first step, mid-epoch, one before an epoch's end, at it, one after it, one before the last, the last
@pytest.mark.parametrize("step", [1, 3, 6, 7, 8, 14, 41, 42])
def test_ctrl_c_keeps_a_checkpoint_to_go_on_from(
    step: int, tmp_path: Path, uninterrupted: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "run.ckpt"
    before = signal.getsignal(signal.SIGINT)  # a shell starts what runs in its background with Ctrl-C ignored
    with monkeypatch.context() as patch:
        StopAfter(step, patch)
        with pytest.raises(TrainingInterrupted, match=f"after step {step}; .*resume=True") as caught:
            job.run(job.network(), checkpoint)
    assert caught.value.step == step
    assert signal.getsignal(signal.SIGINT) is before
    model = nn.Sequential(*job.network())
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    history = job.run(model, checkpoint, resume=True)
    assert history.steps == 42
    assert history.epochs[-1].step == 42
    assert_same(model.state_dict(), uninterrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt"]


def test_a_complete_run_resumed_is_what_it_was(tmp_path: Path, uninterrupted: dict[str, torch.Tensor]) -> None:
    first = job.run(job.network(), tmp_path / "run.ckpt")
    model = job.network()
    again = job.run(model, tmp_path / "run.ckpt", resume=True)
    assert again.epochs == first.epochs
    assert again.seconds == pytest.approx(first.seconds, abs=0.5)
    assert_same(model.state_dict(), uninterrupted)


def test_ctrl_c_without_a_checkpoint_says_that_nothing_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    StopAfter(2, monkeypatch)
    with pytest.raises(TrainingInterrupted, match="nothing was kept"):
        job.run(job.network())


def test_resume_with_another_recipe_says_what_differs(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.ckpt"
    pictures = job.batches(shuffle=True)
    train(job.network(), pictures, pictures, Recipe(epochs=1), checkpoint=checkpoint, progress=False)
    with pytest.raises(ValueError, match=r"of another run: epochs was 1, now 2; seed was 0, now 9"):
        train(
            job.network(), pictures, pictures, Recipe(epochs=2, seed=9), checkpoint=checkpoint, resume=True,
            progress=False,
        )  # fmt: skip


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "run.ckpt")
    with pytest.raises(ValueError, match="not a checkpoint of featherweight"):
        job.run(job.network(), tmp_path / "run.ckpt", resume=True)


class Server:
    """Starts training processes of `job.py` without importing everything for each."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(JOB)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def start(self, checkpoint: Path, *, delay_seconds: float) -> int:
        assert self.process.stdin
        self.process.stdin.write(f"{checkpoint} {delay_seconds}\n")
        self.process.stdin.flush()
        return self._number()

    def status(self) -> int:
        return self._number()

    def _number(self) -> int:
        assert self.process.stdout
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.process.kill()
    server.process.communicate(timeout=60)


def _wait_for_step(checkpoint: Path, beyond: int) -> None:
    end = time.monotonic() + 60
    while not checkpoint.exists() or _step(checkpoint) <= beyond:
        assert time.monotonic() < end, f"no step beyond {beyond} in a minute"
        time.sleep(0.005)


def _step(checkpoint: Path) -> int:
    step: int = torch.load(checkpoint, weights_only=True)["featherweight"]["books"]["step"]
    return step


def test_killed_at_random_moments_it_ends_at_the_same_weights(
    tmp_path: Path, uninterrupted: dict[str, torch.Tensor], server: Server
) -> None:
    """Each process saves after every step and is killed without warning, often in the middle of a write."""
    checkpoint = tmp_path / "run.ckpt"
    chance = random.Random(11)
    step = 0
    for _ in range(4):
        number = server.start(checkpoint, delay_seconds=0.005)
        _wait_for_step(checkpoint, beyond=step)
        time.sleep(chance.uniform(0.0, 0.03))
        os.kill(number, signal.SIGKILL)
        assert server.status() == signal.SIGKILL
        step = _step(checkpoint)
    assert 4 <= step < 42
    server.start(checkpoint, delay_seconds=0.0)
    assert server.status() == 0, Path(f"{checkpoint}.errors").read_text()
    assert_same(torch.load(f"{checkpoint}.weights", weights_only=True), uninterrupted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.ckpt", "run.ckpt.errors", "run.ckpt.weights"]


def test_sigint_in_a_process_of_its_own(tmp_path: Path, server: Server) -> None:
    checkpoint = tmp_path / "run.ckpt"
    number = server.start(checkpoint, delay_seconds=0.01)
    _wait_for_step(checkpoint, beyond=0)
    os.kill(number, signal.SIGINT)
    assert server.status() != 0
    assert "goes on from there" in Path(f"{checkpoint}.errors").read_text().splitlines()[-1]


def test_a_kill_during_a_write_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.ckpt"
    job.run(job.network(), checkpoint)
    before = checkpoint.read_bytes()
    half = tmp_path / ".run.ckpt.0123abcd.ckpt"
    half.write_bytes(before[: len(before) // 2])  # what a killed write leaves behind
    job.run(job.network(), checkpoint, resume=True)
    assert checkpoint.read_bytes() == before
    assert not half.exists()
