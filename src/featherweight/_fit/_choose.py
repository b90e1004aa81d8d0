"""Choosing the network: count all, and measure a few; the most promising of them compete."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from featherweight.compress import fold_batch_norm
from featherweight.cost import measure_latency
from featherweight.export import load, probe
from featherweight.search import (
    LEAST_SECONDS,
    Budget,
    Candidate,
    Rung,
    Score,
    nearest,
    rungs,
    shortlist,
)
from featherweight.train import in_channels_last

from ._learner import Learner

PICTURES_WANTED = 2_000  # times the root of how many there are: 56 epochs of 1259, 22 of 8400,
EPOCHS_WANTED = 60  # but no more than these
TELLING_EPOCHS = 1.5  # of training that tell one network from another
SEARCH_SHARE = 0.35  # of the time for training; the rest is the winner's
PROBING_SHARE = 0.1  # of the time for training, at most, once a candidate is found
MEASURED_AGAIN, NEARLY_FITTING = 3, 4  # how often, how many, when all were too slow
INT8_GAIN = 1.25  # how many times faster an int8 file may be than the float one that is measured here
BURST = 10  # pictures in a turn of measuring
PROBE_SECONDS = 0.15  # of measuring for each candidate, besides its export


Foresight = Callable[[Candidate], float]  # the least seconds that a candidate is likely to take


class NothingFitsError(Exception):
    """No candidate is within the budget; the message says which limit binds and what the nearest candidate is."""


@dataclass
class Contender:
    """A candidate that was measured, and what became of it."""

    candidate: Candidate
    latency_seconds: float | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    scores: list[Score | None] = field(default_factory=list)
    status: str = "not tried"

    def within(self, budget: Budget, gain: float = 1.0) -> bool:
        """Tell whether the candidate keeps the budget, if its file is this many times faster than it was measured."""
        seconds = None if self.latency_seconds is None else self.latency_seconds / gain
        return not self.candidate.excess(budget, seconds)


def nothing_fits(over: Sequence[Candidate], budget: Budget, latencies: dict[str, float]) -> NothingFitsError:
    """Say which limit binds and what comes nearest to the budget."""
    best, excess = nearest(over, budget, latencies)
    limits = budget.texts()
    broken = ", ".join(
        f"{name} {ratio:.3g} times the limit of {limits[name]}"
        for name, ratio in sorted(excess.items(), key=lambda pair: -pair[1])
    )
    return NothingFitsError(
        f"no network is within the budget; the limit that binds is the {max(excess, key=lambda name: excess[name])}. "
        f"Nearest: {best.id}, with {broken}"
    )


def training_rate(learner: Learner, candidate: Candidate) -> float:
    """Measure how many multiply-adds of forward passes this machine trains per second (each with its backward pass)."""
    model = learner.build(candidate.network, candidate.options).train()
    recipe = learner.recipe(model, 0)
    taken: list[float] = []
    pictures = 0
    with in_channels_last(model):
        for number, (x, y) in enumerate(learner.batches(candidate.resolution, "train", recipe)):
            started = time.perf_counter()
            F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
            taken.append(time.perf_counter() - started)
            pictures = len(x)
            if number >= 5 or sum(taken) > 3:
                break
    return candidate.multiply_adds * pictures / min(taken)


class Probed(NamedTuple):
    """What was measured on a few candidates.

    Args:
        latency_seconds: median time of one picture, by candidate.
        export_seconds: that one candidate's file took, on average.
    """

    latency_seconds: dict[str, float]
    export_seconds: float


def measure(candidates: Sequence[Candidate], learner: Learner, threads: int) -> Probed:
    """Measure the median time of one picture for each candidate, all in one interleaved run on `threads` threads.

    Each has its turn for several pictures, as it will have the machine when it is used: with one picture a turn, each
    would find its weights gone from the caches.
    """
    begin = time.monotonic()
    runs: dict[str, Callable[[], object]] = {}
    for one in candidates:
        model = fold_batch_norm(learner.build(one.network, one.options).eval())
        shape = (int(one.options["in_channels"]), one.resolution, one.resolution)  # type: ignore[call-overload]
        runner = load(probe(model, shape), threads=threads)
        x = torch.zeros(1, *shape).numpy()
        runs[one.id] = lambda runner=runner, x=x: [runner(x) for _ in range(BURST)]  # type: ignore[misc]
    export_seconds = (time.monotonic() - begin) / len(candidates)
    found = measure_latency(runs, max_seconds=PROBE_SECONDS * len(candidates))
    return Probed({name: latency.median_seconds / BURST for name, latency in found.items()}, export_seconds)


def contenders(
    within: Sequence[Candidate],
    over: Sequence[Candidate],
    learner: Learner,
    budget: Budget,
    *,
    threads: int,
    training_seconds: float,
    foresee: Foresight | None = None,
) -> tuple[list[Contender], tuple[Rung, ...], float]:
    """Measure the candidates that suit the time there is; return those within the budget first, then the too slow.

    Args:
        foresee: gives the least seconds that a candidate is likely to take; those for which that is too long are not
            measured, unless no other is left.
    Returns: the contenders; the rounds planned for them; and the seconds that one candidate's file took.
    Raises: NothingFitsError: none is within the budget, by its counted cost or by the time measured here.
    """
    if not within:
        raise nothing_fits(over, budget, {})
    rate = training_rate(learner, shortlist(within, multiply_adds=3e6, count=1)[0])
    count = learner.training_count
    wanted = min(PICTURES_WANTED * math.sqrt(count), EPOCHS_WANTED * count)
    target = rate * training_seconds * (1 - SEARCH_SHARE) / wanted
    least = max(LEAST_SECONDS, TELLING_EPOCHS * count * target / rate)
    plan = rungs(SEARCH_SHARE * training_seconds, len(within), least=least)
    racing = plan[0].competitors if plan else 1
    measured = Field(learner, budget, threads, list(within), foresee)
    measured.probe(target, racing, until=time.monotonic() + PROBING_SHARE * training_seconds)
    for _ in range(MEASURED_AGAIN):
        if not measured.fitting:
            measured.probe_again()
    if not measured.fitting:
        measured.probe(target, 1, until=math.inf)
    if not measured.fitting:
        measured.doubt_foresight()
        measured.probe(target, 1, until=math.inf)
    if not measured.fitting:
        fastest = min(measured.found, key=lambda one: one.latency_seconds or math.inf)
        if not fastest.within(budget, INT8_GAIN):
            raise nothing_fits([one.candidate for one in measured.found], budget, measured.latencies())
        fastest.status = "not tried"  # its file may yet keep the limit: it is measured again when it is made
    fit_first = sorted(measured.found, key=lambda one: one.status == "over budget")
    return (
        fit_first,
        rungs(SEARCH_SHARE * training_seconds, len(measured.fitting), least=least),
        measured.export_seconds,
    )


@dataclass
class Field:
    """The candidates that were measured, and those that were not yet."""

    learner: Learner
    budget: Budget
    threads: int
    left: list[Candidate]
    foresee: Foresight | None = None
    foreseen: list[Candidate] = field(default_factory=list)
    found: list[Contender] = field(default_factory=list)
    export_seconds: float = 0.0

    @property
    def fitting(self) -> list[Contender]:
        """Those within the budget."""
        return [one for one in self.found if one.status != "over budget"]

    def latencies(self) -> dict[str, float]:
        """What was measured, by candidate."""
        return {one.candidate.id: one.latency_seconds or 0.0 for one in self.found}

    def probe(self, target: float, wanted: int, until: float) -> None:
        """Measure candidates near `target` multiply-adds until enough are within the budget, or the time is up."""
        while self.left and len(self.fitting) < wanted and time.monotonic() < until:
            few = shortlist(self.left, multiply_adds=target, count=wanted - len(self.fitting))
            self.left = [one for one in self.left if one not in few]
            slow = [one for one in few if self._too_slow(one)]
            if slow:
                self.foreseen += slow
                target = min(target, *(one.multiply_adds / 2 for one in slow))
            if not (few := [one for one in few if one not in slow]):
                continue
            latencies, self.export_seconds = measure(few, self.learner, self.threads)
            for one in few:
                contender = Contender(one, latencies[one.id])
                self.found.append(contender)
                if not contender.within(self.budget):
                    contender.status = "over budget"
                    target = min(target, one.multiply_adds / 2)  # look among smaller ones

    def doubt_foresight(self) -> None:
        """Have those measured, too, that were foreseen to be too slow."""
        self.left, self.foreseen, self.foresee = [*self.left, *self.foreseen], [], None

    def _too_slow(self, one: Candidate) -> bool:
        """Tell whether a candidate is foreseen to break the limit even as an int8 file."""
        limit = self.budget.latency_seconds
        return self.foresee is not None and limit is not None and self.foresee(one) > limit * INT8_GAIN

    def probe_again(self) -> None:
        """Give those that were a little too slow another chance: the machine may have been busy with something else."""
        few = sorted(self.found, key=lambda one: one.latency_seconds or 0.0)[:NEARLY_FITTING]
        if not few:
            return  # all so far were foreseen to be too slow
        latencies, _ = measure([one.candidate for one in few], self.learner, self.threads)
        for one in few:
            one.latency_seconds = min(one.latency_seconds or math.inf, latencies[one.candidate.id])
            if one.within(self.budget):
                one.status = "not tried"
