"""Runtimes against each other, fairly: each in a process of its own, and all take turns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Any, NamedTuple

from featherweight.cost import Latency, latency_of
from featherweight.cost._latency import CONFIDENCE

from ._process import Worker, WorkerError
from ._runtimes import RuntimeMissingError, usable

BURST_SECONDS = 0.02  # of a turn, at least one run
NOISY = 0.03  # what two measurements may differ by before one of them has to be called noisy; each has half of it
OUTLIER = 1.5  # times the median


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network to measure.

    Args:
        network: a name of the registry, or the path of a model.safetensors.
        options: of the network.
        input_shape: channels, height, width. Default: the network's own.
    """

    network: str
    options: Mapping[str, object] = field(default_factory=dict)
    input_shape: tuple[int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How long one network takes in one runtime.

    Args:
        subject: the network; its input shape is filled in.
        runtime, threads, batch: how it was run.
        latency: of one batch.
        difference: largest difference from eager PyTorch's logits, as a share of the largest logit.
        load_seconds: from nothing to the first answer.
        outliers: share of the runs that took more than one and a half times the median.
        drift: how much later runs were slower than earlier ones, by their medians; negative where faster.
        probe_seconds: median time of a fixed piece of work, measured at each turn: how fast the machine was.
    """

    subject: Subject
    runtime: str
    threads: int
    batch: int
    latency: Latency
    difference: float
    load_seconds: float
    outliers: float
    drift: float
    probe_seconds: float

    @property
    def noise(self) -> str:
        """Why another run's median may differ by more than 3 %, or an empty text where that is not likely."""
        half = (self.latency.high_seconds - self.latency.low_seconds) / 2 / self.latency.median_seconds
        reasons = [f"drifted by {self.drift:+.0%}"] if abs(self.drift) > NOISY else []
        reasons += [f"known to {half:.1%} only"] if half > NOISY / 2 else []
        reasons += ["too few turns to tell"] if self.latency.confidence < CONFIDENCE else []
        reasons += [f"{self.outliers:.0%} outliers"] if self.outliers > 0.1 else []
        return ", ".join(reasons)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A network that a runtime could not run; the others went on."""

    subject: Subject
    runtime: str
    threads: int
    batch: int
    reason: str


def bench(
    subjects: Sequence[Subject],
    runtimes: Sequence[str] | None = None,
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    rounds: int = 20,
    warm_up_seconds: float = 2.0,
    timeout_seconds: float = 600.0,
    progress: Callable[[str], None] = lambda line: None,
) -> Iterator[Measurement | Failure]:
    """Measure networks in runtimes; each result comes as soon as all runtimes have had their turns at a network.

    A runtime lives in a child process, bound to as many cores as it has threads; while one runs, the others wait. A
    turn is a run that brings the caches back, untimed, then runs for 20 ms, at least one.

    Args:
        subjects: what to measure.
        runtimes: names in `RUNTIMES`. Default: all that can run here.
        threads, batches: each combination is measured.
        rounds: turns of each runtime.
        warm_up_seconds: the longest warm-up of a runtime, which ends when it gets no faster.
        timeout_seconds: the longest that a runtime may take to load a network or to run a turn.
        progress: is told what is done at the moment.
    Raises:
        RuntimeMissingError: a runtime that is asked for does not exist or cannot run here.
        ValueError: no networks, or a number that is not positive.
    """
    if not subjects:
        raise ValueError("nothing to measure: no networks")
    if min(*threads, *batches, rounds) < 1:
        raise ValueError(f"threads, batches and rounds must be 1 or more; got {threads}, {batches}, {rounds}")
    names, reasons = usable(runtimes)
    if runtimes is not None and reasons:
        raise RuntimeMissingError("; ".join(f"{name} cannot run here: {reason}" for name, reason in reasons.items()))
    for count in threads:
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker(name, count, timeout_seconds)) for name in names]
            for subject in subjects:
                for batch in batches:
                    turns = take_turns(
                        [Entry(subject, worker) for worker in workers], batch, rounds=rounds,
                        warm_up_seconds=warm_up_seconds, progress=progress,
                    )  # fmt: skip
                    yield from (one.result for one in turns)


class Entry(NamedTuple):
    """What takes turns: a network in a process of its own."""

    subject: Subject
    worker: Worker

    def __str__(self) -> str:
        options = "".join(f" {name}={value}" for name, value in self.subject.options.items())
        return f"{self.subject.network}{options} in {self.worker.runtime}"


class Turns(NamedTuple):
    """What came of an entry: its measurement, and the median of each turn; or why there is none."""

    result: Measurement | Failure
    seconds: list[float]


def take_turns(
    entries: Sequence[Entry], batch: int, *, rounds: int, warm_up_seconds: float, progress: Callable[[str], None]
) -> list[Turns]:
    """Measure networks, each in its own process, in turns; one that fails drops out, the others go on."""
    loaded: dict[int, dict[str, Any]] = {}
    failed: dict[int, str] = {}
    bursts: dict[int, int] = {}
    times: list[list[list[float]]] = [[] for _ in entries]
    probes: list[list[float]] = [[] for _ in entries]

    def ask(place: int, **request: object) -> dict[str, Any] | None:
        try:
            return entries[place].worker.ask(**request)
        except WorkerError as error:
            failed[place] = str(error)
            return None

    for place, (subject, _) in enumerate(entries):
        progress(f"{entries[place]}, batch {batch}: gets ready")
        what = {"network": subject.network, "options": dict(subject.options), "shape": subject.input_shape}
        if (answer := ask(place, do="load", batch=batch, **what)) is None:
            continue
        loaded[place] = answer
        if (warm := ask(place, do="warm_up", seconds=warm_up_seconds)) is not None:
            bursts[place] = max(1, min(100, ceil(BURST_SECONDS / warm["seconds"])))
    for turn in range(rounds):
        progress(f"{entries[0].subject.network}, batch {batch}: round {turn + 1} of {rounds}")
        for place in _rotated([place for place in bursts if place not in failed], turn):
            if (answer := ask(place, do="time", runs=bursts[place])) is not None:
                times[place].append(answer["seconds"])
                probes[place].append(answer["probe"])
    return [
        _failed(entry, batch, failed[place])
        if place in failed
        else _summary(entry, batch, loaded=loaded[place], turns=times[place], probe=median(probes[place]))
        for place, entry in enumerate(entries)
    ]


def _failed(entry: Entry, batch: int, reason: str) -> Turns:
    runtime, threads = entry.worker.runtime, entry.worker.threads
    return Turns(Failure(subject=entry.subject, runtime=runtime, threads=threads, batch=batch, reason=reason), [])


def _summary(entry: Entry, batch: int, *, loaded: dict[str, Any], turns: list[list[float]], probe: float) -> Turns:
    """Summarize by the medians of the turns: runs of one turn are no independent draws."""
    medians = [median(turn) for turn in turns]
    latency = latency_of(medians)
    half = max(1, len(turns) // 2)
    early, late = median(medians[:half]), median(medians[-half:])
    every = [seconds for turn in turns for seconds in turn]
    given = entry.subject
    found = Measurement(
        subject=Subject(network=given.network, options=given.options, input_shape=tuple(loaded["shape"])),
        runtime=entry.worker.runtime,
        threads=entry.worker.threads,
        batch=batch,
        latency=latency,
        difference=loaded["difference"],
        load_seconds=loaded["seconds"],
        outliers=sum(seconds > OUTLIER * latency.median_seconds for seconds in every) / len(every),
        drift=late / early - 1,
        probe_seconds=probe,
    )
    return Turns(found, medians)


def _rotated(places: list[int], turn: int) -> list[int]:
    start = turn % max(1, len(places))
    return places[start:] + places[:start]
