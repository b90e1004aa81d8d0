"""How long is measured, what becomes of failures, and that Ctrl-C loses nothing."""

import pytest

from featherweight.bench import WorkerError
from featherweight.predictor import LearningInterrupted, learn
from featherweight.predictor import _learning as learning


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass by one with each look at them."""
    ticks = iter(range(1_000_000))
    monkeypatch.setattr(learning.time, "monotonic", lambda: float(next(ticks)))


def test_measuring_ends_when_the_time_is_over(calibration, fake_worker, clock) -> None:
    told = []
    found = learn("eager", calibration, seconds=30.0, progress=lambda networks, share: told.append((networks, share)))
    assert 20 <= found.networks <= 30
    assert told[0] == (0, pytest.approx(1 / 30)) and told[-1] == (found.networks, 1.0)
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_a_few_networks_may_fail(calibration, fake_worker, clock, monkeypatch) -> None:
    asked = iter(range(1000))

    def every_fourth_fails(do: str) -> None:
        if do == "load" and next(asked) % 4 == 0:
            raise WorkerError("out of memory")

    monkeypatch.setattr(fake_worker, "before", staticmethod(every_fourth_fails))
    assert 20 <= learn("eager", calibration, seconds=40.0).networks <= 30


def test_many_may_not(calibration, fake_worker, clock, monkeypatch) -> None:
    def fails(do: str) -> None:
        raise WorkerError("out of memory")

    monkeypatch.setattr(fake_worker, "before", staticmethod(fails))
    with pytest.raises(WorkerError, match="eager failed on 6 networks, at last: out of memory"):
        learn("eager", calibration)


@pytest.mark.parametrize("where", ["worker", "progress"])
def test_an_interrupt_leaves_a_predictor_of_what_there_is(calibration, fake_worker, monkeypatch, where) -> None:
    def stop(networks: int) -> None:
        if networks == 22:
            raise KeyboardInterrupt

    done = []
    monkeypatch.setattr(fake_worker, "before", staticmethod(lambda do: stop(len(done)) if where == "worker" else None))

    def progress(networks: int, share: float) -> None:
        done[:] = range(networks)
        if where == "progress":
            stop(networks)

    with pytest.raises(LearningInterrupted) as stopped:
        learn("eager", calibration, progress=progress)
    assert stopped.value.predictor.networks == 22 and stopped.value.predictor.runtime == "eager"


def test_an_early_interrupt_leaves_nothing(calibration, fake_worker) -> None:
    def progress(networks: int, share: float) -> None:
        if networks == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        learn("eager", calibration, progress=progress)
    assert not isinstance(stopped.value, LearningInterrupted)
