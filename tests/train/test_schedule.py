import pytest

from featherweight.train._schedule import Pace, Schedule, learning_rate


def run_against_the_clock(
    seconds: float, step_seconds: float, *, jitter: float = 0.0, most_steps: int | None = None, reserve: float = 0.0
) -> tuple[Schedule, int, float]:
    """Step on a clock of our own; every tenth step takes `jitter` longer, the first one ten times as long."""
    schedule = Schedule([(0, 0.0), (1, 0.0)])
    pace = Pace(schedule, seconds, most_steps)
    step, now = 0, 0.1
    pace.started(step, now)
    while not schedule.finished(step):
        step += 1
        now += step_seconds * (10 if step == 1 else 1) + (jitter if step % 10 == 0 else 0)
        pace.plan(step, now, reserve)
    return schedule, step, now


@pytest.mark.parametrize("step_seconds", [0.001, 0.05, 0.9])
@pytest.mark.parametrize("jitter", [0.0, 0.01])
def test_progress_reaches_one_when_the_time_is_up(step_seconds: float, jitter: float) -> None:
    schedule, _, now = run_against_the_clock(60.0, step_seconds, jitter=jitter, reserve=2.0)
    assert 58.0 - 1.2 * step_seconds - 0.6 <= now <= 58.6
    assert schedule.knots[-1][1] == pytest.approx(1.0, abs=0.02)
    assert len(schedule.knots) < 120


def test_the_plan_slows_down_with_the_machine() -> None:
    schedule = Schedule([(0, 0.0), (1, 0.0)])
    pace = Pace(schedule, 100.0, None)
    step, now = 0, 0.0
    pace.started(step, now)
    while not schedule.finished(step):
        step += 1
        now += 0.05 if now < 50 else 0.1
        pace.plan(step, now, 0.0)
    assert 97.0 <= now <= 102.0
    assert 1400 <= step <= 1550


def test_a_run_ends_with_its_steps_if_time_is_left() -> None:
    schedule, step, now = run_against_the_clock(60.0, 0.01, most_steps=300)
    assert (step, schedule.knots[-1]) == (300, (300, 1.0))
    assert now < 4


def test_no_time_is_one_step() -> None:
    schedule, step, _ = run_against_the_clock(0.01, 0.5)
    assert (step, schedule.knots) == (1, [(0, 0.0), (1, 0.0)])


def test_progress_is_the_same_from_the_knots_of_a_run() -> None:
    schedule, steps, _ = run_against_the_clock(10.0, 0.013, jitter=0.004)
    replayed = Schedule(schedule.knots)
    assert [replayed.progress(step + 0.5) for step in range(steps)] == [
        schedule.progress(step + 0.5) for step in range(steps)
    ]
    assert replayed.finished(steps) and not replayed.finished(steps - 1)


@pytest.mark.parametrize(
    "knots", [[], [(0, 0.0)], [(1, 0.0), (2, 1.0)], [(0, 0.0), (5, 0.6), (9, 0.5)], [(0, 0.0), (5, 1.5)]]
)
def test_knots_that_no_run_can_follow_are_refused(knots: list[tuple[int, float]]) -> None:
    with pytest.raises(ValueError, match="rising from"):
        Schedule(knots)


def test_learning_rate_without_warm_up_begins_at_its_peak() -> None:
    assert learning_rate(0.1, 0.0, warmup=0.0) == 0.1
