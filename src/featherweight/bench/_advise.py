"""What would make a network faster on this machine: each change is measured, in turns with the network as it is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from featherweight.cost import latency_of
from featherweight.cost._latency import CONFIDENCE
from featherweight.networks import Published, analyze, load_model, network, variants

from ._changes import Change, changes
from ._measure import NOISY, Entry, Failure, Measurement, Subject, Turns, take_turns
from ._process import Worker
from ._runtimes import RuntimeMissingError, missing

Verdict = Literal["faster", "no difference", "unclear", "slower", "failed"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a change alters beside the time.

    Args:
        params: parameters.
        multiply_adds: for one picture.
        top1: accuracy on ImageNet in percent, as first published for these options at this size; None where nothing
            was.
    """

    params: int
    multiply_adds: int
    top1: float | None


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One change, measured.

    Args:
        change: what was tried.
        before: the network as it is.
        after: with the change, or why that failed.
        speed: how many times as fast it is with the change: the median over the turns; 0 where it failed.
        low_speed, high_speed: the ends of its confidence interval.
        confidence: that the interval holds the median; at least 0.95 from six turns on.
        facts_before, facts_after: what else the change alters; equal for another runtime.
    """

    change: Change
    before: Measurement
    after: Measurement | Failure
    speed: float
    low_speed: float
    high_speed: float
    confidence: float
    facts_before: Facts
    facts_after: Facts

    @property
    def verdict(self) -> Verdict:
        """What the interval allows to say: there is no difference where all of it is within 3 % of 1.

        Too few turns give no interval of 95 %, and so no verdict.
        """
        if isinstance(self.after, Failure):
            return "failed"
        if self.confidence < CONFIDENCE:
            return "unclear"
        if 1 - NOISY <= self.low_speed <= self.high_speed <= 1 + NOISY:
            return "no difference"
        if self.low_speed <= 1 <= self.high_speed:
            return "unclear"
        return "faster" if self.speed > 1 else "slower"


def advise(
    subjects: Sequence[Subject],
    runtime: str = "eager",
    *,
    runtimes: Sequence[str] | None = None,
    threads: int = 1,
    batch: int = 1,
    rounds: int = 20,
    warm_up_seconds: float = 2.0,
    timeout_seconds: float = 600.0,
    progress: Callable[[str], None] = lambda line: None,
) -> Iterator[list[Advice] | Failure]:
    """Measure what would make networks faster here; the list of each network begins with what helps most.

    Of a network that cannot be run as it is comes why; the others go on.

    The network as it is and all its changes live in processes of their own and take turns; the speed of a change is
    taken within each turn. What does not help is listed, too.

    Args:
        subjects: the networks.
        runtime: that they run in now.
        runtimes: to try; default: all that can run here, but for the compilers, which take long to get ready.
        threads, batch: how they run.
        rounds: turns of each.
        warm_up_seconds, timeout_seconds: the longest warm-up, and the longest that a process may take.
        progress: is told what is done at the moment.
    Raises:
        RuntimeMissingError: a runtime that is asked for does not exist or cannot run here.
        ValueError: a number that is not positive.
    """
    if min(threads, batch, rounds) < 1:
        raise ValueError(f"threads, batch and rounds must be 1 or more; got {threads}, {batch} and {rounds}")
    for name in (runtime, *(runtimes or ())):
        if (reason := missing(name)) is not None:
            raise RuntimeMissingError(f"{name} cannot run here: {reason}")
    for subject in subjects:
        progress(f"{subject.network}: what could be changed")
        tried = changes(subject, runtime, runtimes)
        with ExitStack() as stack:
            entries = [
                Entry(one, stack.enter_context(Worker(where, threads, timeout_seconds)))
                for one, where in [(subject, runtime), *((change.subject, change.runtime) for change in tried)]
            ]
            as_is, *others = take_turns(
                entries, batch, rounds=rounds, warm_up_seconds=warm_up_seconds, progress=progress
            )
        if isinstance(as_is.result, Failure):
            yield as_is.result
            continue
        found = [_advice(change, as_is, other) for change, other in zip(tried, others, strict=True)]
        yield sorted(found, key=lambda advice: -advice.speed)


def _advice(change: Change, as_is: Turns, other: Turns) -> Advice:
    assert isinstance(as_is.result, Measurement)
    ratios = [before / after for before, after in zip(as_is.seconds, other.seconds, strict=False)]
    speed = latency_of(ratios or [0.0])
    before, shape = as_is.result, as_is.result.subject.input_shape
    return Advice(
        change=change,
        before=before,
        after=other.result,
        speed=speed.median_seconds,
        low_speed=speed.low_seconds,
        high_speed=speed.high_seconds,
        confidence=speed.confidence,
        facts_before=facts(before.subject, shape),
        facts_after=facts(change.subject, shape),
    )


def facts(subject: Subject, shape: tuple[int, int, int] | None) -> Facts:
    """Count a network, and look up what accuracy was published for it."""
    if subject.network.endswith(".safetensors"):
        cost, row = analyze(load_model(subject.network), shape), None
    else:
        cost, row = analyze(subject.network, shape, **subject.options), published(subject, shape)
    return Facts(params=cost.params, multiply_adds=cost.multiply_adds, top1=None if row is None else row.top1)


def published(subject: Subject, shape: tuple[int, int, int] | None) -> Published | None:
    """Return the first row with an accuracy on ImageNet for these options at this size.

    Example:
        >>> published(Subject(network="shufflenet_v1", options={"groups": 8}), (3, 224, 224)).top1
        67.6
        >>> published(Subject(network="shufflenet_v1", options={"width": 0.9}), (3, 224, 224)) is None
        True
    """
    entry = network(subject.network)
    chosen = {option: value for option, value in subject.options.items() if value != entry.default(option)}
    sides = None if shape is None else set(shape[1:])
    for variant in variants():
        if variant.name == entry.name and variant.options == chosen and sides in (None, {variant.resolution}):
            for row in variant.published:
                if row.top1 is not None and row.dataset == "ImageNet":
                    return row
    return None
