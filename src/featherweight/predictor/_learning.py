"""Learn to predict: random networks are run, operator by operator, and models are put through what was measured."""

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from statistics import fmean, median

import torch

from featherweight.bench import TIMED, Calibration, Worker, WorkerError, versions
from featherweight.cost import METRICS, OpCall, trace
from featherweight.networks import on_meta_device, random_network

from ._clock import Measured, at_usual_speed, corrected
from ._features import features, group_of
from ._gaussian_process import GaussianProcess, fit
from ._matching import MismatchError, seconds_of_units
from ._predictor import ANY, Baseline, LatencyPredictor, Whole, unit_times, units_of
from ._units import Unit

LEARNABLE = tuple(TIMED)
"""Runtimes that tell what their operators take."""

RESOLUTIONS = (224, 224, 224, 224, 160, 128, 96, 64, 32)
LEAST_NETWORKS = 20
LEAST_SECONDS = 1e-7  # of a unit: less, as of one that is merged into others, cannot be told
RESOLVED_SECONDS = 1e-6  # to which the time of an operator is known
FOLDS = 5
NORMAL = 1.4826  # from the median distance to the standard deviation
TURNS, TURN_SECONDS = 5, 0.008
MOST_CALLS, MOST_MULTIPLY_ADDS = 500, 4e9  # of a network that is worth its time
TOO_SLOW_SECONDS = 600.0  # for one network


class LearningInterrupted(KeyboardInterrupt):
    """Measuring was interrupted, and a predictor was made from what there was.

    Args:
        predictor: that one.
    """

    def __init__(self, predictor: LatencyPredictor) -> None:
        super().__init__(f"interrupted after {predictor.networks} networks")
        self.predictor = predictor


@dataclass(frozen=True, eq=False)
class Sample:
    """A network that was run.

    Args:
        units: what the runtime ran, and how long each took.
        seconds: of a run of the network, beside what any run takes.
    """

    units: dict[Unit, float]
    seconds: float


def learn(
    runtime: str,
    calibration: Calibration,
    *,
    seconds: float = 200.0,
    progress: Callable[[int, float], None] = lambda networks, share: None,
) -> LatencyPredictor:
    """Run random networks for a while, and learn to predict others.

    The longer it may measure, the better it predicts.

    Args:
        runtime: one of `LEARNABLE`.
        calibration: of this machine, for as many threads as are to be used.
        seconds: to measure for; learning takes about half a minute more.
        progress: is told how many networks were measured, and the share of the time that is over.
    Raises:
        ValueError: the runtime does not tell what its operators take, or there is too little time for a few networks.
        WorkerError: the runtime failed on most networks; the message has its last reason.
        LearningInterrupted: Ctrl-C came while it measured, and there were enough networks to learn from.
    """
    if runtime not in LEARNABLE:
        raise ValueError(f"{runtime} does not tell what its operators take; these do: {', '.join(LEARNABLE)}")
    measured: list[Measured] = []
    try:
        for one in _measured(runtime, calibration.threads, seconds, progress):
            measured.append(one)
    except KeyboardInterrupt as stop:
        if len(measured) < LEAST_NETWORKS:
            raise
        raise LearningInterrupted(_learned(runtime, calibration, measured)) from stop
    if len(measured) < LEAST_NETWORKS:
        raise ValueError(f"{seconds:.0f} s were enough for {len(measured)} networks; {LEAST_NETWORKS} are needed")
    return _learned(runtime, calibration, measured)


def _learned(runtime: str, calibration: Calibration, measured: Sequence[Measured]) -> LatencyPredictor:
    """Put models through what was measured."""
    whole_seconds, those = corrected(at_usual_speed(measured))
    baseline = Baseline(
        multiply_adds_per_second=calibration.multiply_adds_per_second["float32"],
        bytes_per_second=min(calibration.bandwidth_bytes_per_second.values()),
        call_seconds=calibration.call_seconds["element-wise"],
    )
    samples = [sample_of(runtime, one, whole_seconds) for one in those]
    _trace_of.cache_clear()
    models = models_of(samples, baseline)
    return LatencyPredictor(
        runtime=runtime,
        threads=calibration.threads,
        machine=calibration.machine,
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        networks=len(samples),
        reference_seconds=those[0].reference,
        baseline=baseline,
        models=models,
        whole=whole_of(samples, baseline, models, whole_seconds),
    )


def _measured(runtime: str, threads: int, seconds: float, progress: Callable[[int, float], None]) -> Iterator[Measured]:
    """Run one random network after the other until the time is over; those that fail are left out, if they are few."""
    found, failed = 0, 0
    begin = time.monotonic()
    with Worker(runtime, threads, TOO_SLOW_SECONDS) as worker:
        for seed in count():
            over = (time.monotonic() - begin) / seconds
            progress(found, min(over, 1.0))
            if over >= 1:
                return
            options = drawn(runtime, seed)
            if not _quick(options):
                continue
            try:
                worker.ask(do="load", network="random_network", options=options, batch=1, shape=None, compare=False)
                answer = worker.ask(do="operators", turns=TURNS, seconds=TURN_SECONDS)
                one = Measured(options, answer["operators"], answer["whole"], answer["reference"])
                sample_of(runtime, one, 0.0)
            except (WorkerError, MismatchError) as error:
                failed += 1
                if failed > 5 + found:
                    raise WorkerError(f"{runtime} failed on {failed} networks, at last: {error}") from error
                continue
            found += 1
            yield one


def drawn(runtime: str, seed: int) -> dict[str, int | bool]:
    """Draw the options of a random network; layers without multiplications are for eager PyTorch alone."""
    resolution = random.Random(seed).choice(RESOLUTIONS)
    return {"seed": seed, "resolution": resolution, "adders": runtime == "eager"}


def _quick(options: Mapping[str, int | bool]) -> bool:
    """Tell whether a network is small enough that many like it can be measured."""
    calls = _traced(options)
    return len(calls) < MOST_CALLS and METRICS["multiply_adds"](calls) < MOST_MULTIPLY_ADDS  # type: ignore[operator]


def _traced(options: Mapping[str, int | bool]) -> tuple[OpCall, ...]:
    return _trace_of(**options)


@cache  # asked three times of each network; `learn` clears it
def _trace_of(**options: int | bool) -> tuple[OpCall, ...]:
    with on_meta_device():
        return trace(random_network(**options))  # type: ignore[arg-type]


def sample_of(runtime: str, measured: Measured, run_seconds: float) -> Sample:
    """Join what was measured of a random network with its trace."""
    units = units_of(runtime, _traced(measured.options))
    times = seconds_of_units(units, measured.operators)
    return Sample(dict(zip(units, times, strict=True)), measured.whole - run_seconds)


def models_of(
    samples: Sequence[Sample], baseline: Baseline, like: Mapping[str, GaussianProcess] | None = None
) -> dict[str, GaussianProcess]:
    """Put a model through each group of units, and one through all that are no convolutions or matrix products.

    Args:
        like: models whose length scales are taken instead of searched.
    """
    groups: dict[str, dict[tuple[float, ...], list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        for unit, seconds in sample.units.items():
            known = max(seconds, LEAST_SECONDS)
            found = math.log(known / baseline(unit)), (RESOLVED_SECONDS / known) ** 2
            described = features(unit)
            groups[group_of(unit.kind)][described].append(found)
            if unit.kind == unit.root.op.removesuffix("_"):
                groups[ANY][described].append(found)
    return {name: _model(values, None if like is None else like.get(name)) for name, values in groups.items()}


def _model(
    values: Mapping[tuple[float, ...], Sequence[tuple[float, float]]], like: GaussianProcess | None
) -> GaussianProcess:
    x = torch.tensor(list(values), dtype=torch.float64)
    means = torch.tensor([[fmean(those) for those in zip(*found, strict=True)] for found in values.values()]).double()
    counts = torch.tensor([len(found) for found in values.values()])
    return fit(x, means[:, 0], means[:, 1] / counts, like=like)


def whole_of(
    samples: Sequence[Sample], baseline: Baseline, models: Mapping[str, GaussianProcess], run_seconds: float
) -> Whole:
    """Learn what the units' sum gets wrong, from samples that the models are not put through.

    The models of a fold have the length scales that all samples gave, which saves most of the time.
    """
    found = []
    for learned, held_out in _folds(samples, baseline, models):
        for sample in held_out:
            times = unit_times(list(sample.units), baseline, learned)
            found.append((math.log(sample.seconds / sum(times.seconds)), times.deviation))
    middle = median(error for error, _ in found)
    deviation = NORMAL * median(abs(error - middle) for error, _ in found)
    widths = sorted(abs(error - middle) / math.hypot(deviation, known) for error, known in found)
    usual = median(known for _, known in found)
    width = widths[min(len(widths), math.ceil(0.9 * (len(widths) + 1))) - 1]
    return Whole(share=math.exp(middle), seconds=run_seconds, deviation=deviation, usual=usual, width=width)


def _folds(
    samples: Sequence[Sample], baseline: Baseline, models: Mapping[str, GaussianProcess]
) -> Iterator[tuple[dict[str, GaussianProcess], Sequence[Sample]]]:
    for fold in range(FOLDS):
        learned = [sample for number, sample in enumerate(samples) if number % FOLDS != fold]
        yield models_of(learned, baseline, models), samples[fold::FOLDS]
