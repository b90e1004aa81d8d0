"""How far a run is, from 0 to 1: by counted steps, by a clock, or as an earlier run went."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise

Knot = tuple[int, float]  # steps done, progress there

SEGMENTS = 64  # a run against the clock plans anew about this often


class Schedule:
    """Progress as straight lines between knots; the run ends at the last of them.

    Args:
        knots: (steps done, progress), with rising steps and progress that never falls, within [0, 1].
    Raises: ValueError: knots that no run can follow.

    Example:
        >>> schedule = Schedule([(0, 0.0), (200, 1.0)])
        >>> schedule.progress(50), schedule.finished(199), schedule.finished(200)
        (0.25, False, True)
        >>> Schedule([(0, 0.0), (0, 1.0)])
        Traceback (most recent call last):
        ...
        ValueError: a schedule's knots are (step, progress), rising from (0, 0.0); got [(0, 0.0), (0, 1.0)]
    """

    def __init__(self, knots: Iterable[Knot]) -> None:
        self.knots = [(int(step), float(progress)) for step, progress in knots]
        steps = [step for step, _ in self.knots]
        heights = [height for _, height in self.knots]
        rising = all(a < b for a, b in pairwise(steps)) and heights == sorted(heights)
        if len(steps) < 2 or self.knots[0] != (0, 0.0) or not rising or not heights[-1] <= 1:
            raise ValueError(f"a schedule's knots are (step, progress), rising from (0, 0.0); got {self.knots}")

    def progress(self, step: float) -> float:
        """Return the progress after `step` steps; a half step is the middle of one."""
        right = min(max(bisect_right(self.knots, (step, math.inf)), 1), len(self.knots) - 1)
        (start, low), (end, high) = self.knots[right - 1], self.knots[right]
        return low + (high - low) * (step - start) / (end - start)

    def finished(self, step: int) -> bool:
        """Say whether a run that has done `step` steps is at its end."""
        return step >= self.knots[-1][0]


class Pace:
    """Lays a schedule's knots ahead of a run, from its measured speed, so that it ends when its time is up.

    The first lines are short (1, 1, 2, 4... steps), later ones about a sixty-fourth of the run. Everything that the
    run does counts into its speed, so validation and checkpoints slow the plan, not the end.

    Args:
        schedule: to which knots are added.
        seconds: the time to fill, counted from the run's start.
        most_steps: the run ends there even if time is left; None for no such end.
    """

    def __init__(self, schedule: Schedule, seconds: float, most_steps: int | None) -> None:
        self.schedule = schedule
        self.seconds = seconds
        self.most_steps = most_steps
        self._mark = (0, 0.0)  # step and time from which on speed is measured

    def seconds_per_step(self, step: int, elapsed: float) -> float:
        """Return the mean time of a step until now; the first, which is slow, counts only while it is alone."""
        since, began = self._mark
        return (elapsed - began) / (step - since) if step > since else 0.0

    def started(self, step: int, elapsed: float) -> None:
        """Note that stepping begins (again, after an interruption) now."""
        self._mark = (step, elapsed)

    def plan(self, step: int, elapsed: float, reserve_seconds: float) -> None:
        """At the schedule's end, lay the next line, unless progress is 1 or the time is up.

        Args:
            elapsed: seconds since the run's start.
            reserve_seconds: what will be needed after the last step.
        """
        end, progress = self.schedule.knots[-1]
        if step < end or progress >= 1.0:
            return
        each = max(self.seconds_per_step(step, elapsed), 1e-6)
        if step == 1:
            self._mark = (step, elapsed)
        left = int((self.seconds - reserve_seconds - elapsed) / each)
        if self.most_steps is not None:
            left = min(left, self.most_steps - step)
        if left < 1:
            return
        length = min(left, step, max(1, round(self.seconds / each / SEGMENTS)))
        higher = 1.0 if length == left else progress + (1 - progress) * length / left
        self.schedule.knots.append((step + length, higher))


def learning_rate(peak: float, progress: float, warmup: float) -> float:
    """Rise evenly from a hundredth of `peak` over the first `warmup` of the run, then fall as a cosine to 0.

    Source: warm-up, Goyal et al. 2017, https://arxiv.org/abs/1706.02677, Section 2.2; cosine, Loshchilov & Hutter
    2017, https://arxiv.org/abs/1608.03983, equation 5, without restarts.

    Example:
        >>> [round(learning_rate(0.1, progress, warmup=0.2), 3) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]
        [0.001, 0.05, 0.1, 0.05, 0.0]
    """
    if progress < warmup:
        return peak * max(progress / warmup, 0.01)
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def adder_p(progress: float, until: float) -> float:
    """Fall evenly from 2 to 1 over the first `until` of the run: the power of adder layers' differences.

    Source: that training goes from l_2 to l_1, Li et al. 2021, https://arxiv.org/abs/2105.05530; the straight line is
    ours.

    Example:
        >>> [adder_p(progress, until=0.5) for progress in (0.0, 0.25, 0.5, 1.0)]
        [2.0, 1.5, 1.0, 1.0]
    """
    return 2 - progress / until if progress < until else 1.0
