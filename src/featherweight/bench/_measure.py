"""Runtimes against each other, fairly: each in a process of its own, and all take turns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Any

from featherweight.cost import Latency, latency_of

from ._process import Worker, WorkerError
from ._runtimes import RuntimeMissingError, usable

BURST_SECONDS = 0.02  # of a turn, at least one run
NOISY = 0.03  # what a median may be unsure by, or drift, before the result is called noisy
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
        """Why the median is not to be trusted to 3 %, or an empty text where it is."""
        half = (self.latency.high_seconds - self.latency.low_seconds) / 2 / self.latency.median_seconds
        reasons = [f"drifted by {self.drift:+.0%}"] if abs(self.drift) > NOISY else []
        reasons += [f"known to {half:.0%} only"] if half > NOISY else []
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
            workers = {name: stack.enter_context(Worker(name, count, timeout_seconds)) for name in names}
            for subject in subjects:
                for batch in batches:
                    yield from _compared(
                        subject, batch, workers=workers, rounds=rounds, warm_up_seconds=warm_up_seconds,
                        progress=progress,
                    )  # fmt: skip


def _compared(
    subject: Subject, batch: int, *, workers: Mapping[str, Worker], rounds: int, warm_up_seconds: float,
    progress: Callable[[str], None],
) -> Iterator[Measurement | Failure]:  # fmt: skip
    """Measure one network in all runtimes."""
    loaded: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    bursts: dict[str, int] = {}
    times: dict[str, list[list[float]]] = {name: [] for name in workers}
    probes: dict[str, list[float]] = {name: [] for name in workers}
    what = {"network": subject.network, "options": dict(subject.options), "batch": batch, "shape": subject.input_shape}

    def ask(name: str, **request: object) -> dict[str, Any] | None:
        try:
            return workers[name].ask(**request)
        except WorkerError as error:
            failed[name] = str(error)
            return None

    for name in workers:
        progress(f"{subject.network}, batch {batch}: {name} gets ready")
        if (answer := ask(name, do="load", **what)) is None:
            continue
        loaded[name] = answer
        if (warm := ask(name, do="warm_up", seconds=warm_up_seconds)) is not None:
            bursts[name] = max(1, min(100, ceil(BURST_SECONDS / warm["seconds"])))
    for turn in range(rounds):
        progress(f"{subject.network}, batch {batch}: round {turn + 1} of {rounds}")
        for name in _rotated([name for name in bursts if name not in failed], turn):
            if (answer := ask(name, do="time", runs=bursts[name])) is not None:
                times[name].append(answer["seconds"])
                probes[name].append(answer["probe"])
    for name, worker in workers.items():
        if name in failed:
            yield Failure(subject=subject, runtime=name, threads=worker.threads, batch=batch, reason=failed[name])
            continue
        done = Subject(network=subject.network, options=subject.options, input_shape=tuple(loaded[name]["shape"]))
        yield _summary(done, batch, worker=worker, loaded=loaded[name], turns=times[name], probe=median(probes[name]))


def _summary(
    subject: Subject, batch: int, *, worker: Worker, loaded: dict[str, Any], turns: list[list[float]], probe: float
) -> Measurement:
    """Summarize by the medians of the turns: runs of one turn are no independent draws."""
    latency = latency_of([median(turn) for turn in turns])
    half = max(1, len(turns) // 2)
    early, late = (median([median(turn) for turn in some]) for some in (turns[:half], turns[-half:]))
    every = [seconds for turn in turns for seconds in turn]
    return Measurement(
        subject=subject,
        runtime=worker.runtime,
        threads=worker.threads,
        batch=batch,
        latency=latency,
        difference=loaded["difference"],
        load_seconds=loaded["seconds"],
        outliers=sum(seconds > OUTLIER * latency.median_seconds for seconds in every) / len(every),
        drift=late / early - 1,
        probe_seconds=probe,
    )


def _rotated(names: list[str], turn: int) -> list[str]:
    start = turn % max(1, len(names))
    return names[start:] + names[:start]
