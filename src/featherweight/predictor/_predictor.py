"""The latency of a network that is never run: its units' times, each from a Gaussian process, and what calls add."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, hypot, sqrt
from typing import NamedTuple

import torch

from featherweight.cost import OpCall

from ._features import bytes_moved, features, group_of, multiply_adds, operations
from ._gaussian_process import GaussianProcess
from ._units import Unit, merged_units, single_units

ANY = "any"  # the model of operators that were not among the samples
MOST_UNSEEN = 0.1  # of a network's operations, that such operators may do


class PredictorError(RuntimeError):
    """A predictor cannot be used, or cannot tell what a network takes; the message says why."""


class UnitTime(NamedTuple):
    """What a unit is predicted to take.

    Args:
        module: dotted path of the module whose operator comes first in it.
        kind: as in `featherweight.cost`, or an operator's name.
        seconds: predicted.
    """

    module: str
    kind: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A predicted latency of one picture.

    Args:
        seconds: as likely too high as too low.
        low_seconds, high_seconds: hold the measured one with 90 % probability, if the network is made of what random
            networks are made of, and the machine is as it was when the predictor was made. The farther its layers are
            from those that were measured, the wider.
        unseen: operators that were not among the samples, predicted from their bytes and operations alone.
        units: each by itself, in order; what any run takes comes on top of their sum.
    """

    seconds: float
    low_seconds: float
    high_seconds: float
    unseen: tuple[str, ...] = ()
    units: tuple[UnitTime, ...] = field(default=(), repr=False)

    def in_all(self) -> dict[str, float | tuple[str, ...]]:
        """Return the figures of the whole network, as JSON takes them."""
        return {name: value for name, value in vars(self).items() if name != "units"}


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The rough time of a unit, which the Gaussian processes correct by a factor.

    Args:
        multiply_adds_per_second, bytes_per_second: rates at the most.
        call_seconds: of a unit that does next to nothing.
    """

    multiply_adds_per_second: float
    bytes_per_second: float
    call_seconds: float

    def __call__(self, unit: Unit) -> float:
        return (
            self.call_seconds
            + multiply_adds(unit) / self.multiply_adds_per_second
            + bytes_moved(unit) / self.bytes_per_second
        )


@dataclass(frozen=True, kw_only=True)
class Whole:
    """From units to the network: seconds = share * (sum of the units) + seconds.

    Args:
        share: what the models get wrong on the whole.
        seconds: for each run, whatever runs in it.
        deviation: of the logarithm of a network's time that the models know nothing of.
        usual: deviation that the models do know of, in the median of the networks that were held out.
        width: of nine of ten networks that were held out, the logarithm of the time was off by no more than this times
            its deviation.
    """

    share: float
    seconds: float
    deviation: float
    usual: float
    width: float

    def __call__(self, units: "UnitTimes") -> float:
        return self.share * sum(units.seconds) + self.seconds

    def margin(self, units: "UnitTimes") -> float:
        """Return the factor within which nine of ten networks stay whose units are as well known as these."""
        return exp(self.width * hypot(self.deviation, units.deviation))


@dataclass(frozen=True, kw_only=True)
class LatencyPredictor:
    """Predicts what networks take, one picture at a time, in one runtime on one machine. Made by `learn`.

    Args:
        runtime: a name in `featherweight.bench.RUNTIMES`.
        threads: of the processor.
        machine, versions, date: where, with what and when it learned.
        networks: how many it learned from.
        reference_seconds: what the reference network took meanwhile, in the median: how fast the machine was.
        baseline, models, whole: what it learned; a model for each group of kinds of units, of the logarithm of their
            time over the baseline's.
    """

    runtime: str
    threads: int
    machine: str
    versions: dict[str, str]
    date: str
    networks: int
    reference_seconds: float
    baseline: Baseline
    models: Mapping[str, GaussianProcess]
    whole: Whole

    @property
    def usual_margin(self) -> float:
        """The factor within which nine of ten networks stay whose layers are as well known as those of random ones."""
        return exp(self.whole.width * hypot(self.whole.deviation, self.whole.usual))

    def predict(self, calls: Sequence[OpCall]) -> Prediction:
        """Predict the latency of a traced network.

        Args:
            calls: as `featherweight.cost.trace` gives them.
        Raises:
            UnknownOperatorError: an operator has no cost formula, which says what it reads and does.
            PredictorError: operators that were not among the samples do a good part of the network's work.
        """
        units = units_of(self.runtime, calls)
        unseen = self._unseen(units)
        times = unit_times(units, self.baseline, self.models)
        seconds, margin = self.whole(times), self.whole.margin(times)
        return Prediction(
            seconds=seconds,
            low_seconds=seconds / margin,
            high_seconds=seconds * margin,
            unseen=unseen,
            units=tuple(
                UnitTime(unit.root.module, unit.kind, time * self.whole.share)
                for unit, time in zip(units, times.seconds, strict=True)
            ),
        )

    def _unseen(self, units: Sequence[Unit]) -> tuple[str, ...]:
        """Name the kinds of units that were not learned. Raises: PredictorError: they do much of the work."""
        those = [unit for unit in units if group_of(unit.kind) not in self.models]
        names = tuple(sorted({unit.kind.rpartition("::")[2] for unit in those}))
        share = sum(map(operations, those)) / max(1, sum(map(operations, units)))
        if share > MOST_UNSEEN:
            raise PredictorError(
                f"{share:.0%} of the operations are {', '.join(names)}: nothing is known of them in {self.runtime}"
            )
        return names


class UnitTimes(NamedTuple):
    """What units are predicted to take.

    Args:
        seconds: of each.
        deviation: of their sum, as a share of it.
    """

    seconds: list[float]
    deviation: float


def units_of(runtime: str, calls: Sequence[OpCall]) -> list[Unit]:
    """Cut a trace into what a runtime runs as one."""
    return single_units(calls) if runtime == "eager" else merged_units(calls)


def unit_times(units: Sequence[Unit], baseline: Baseline, models: Mapping[str, GaussianProcess]) -> UnitTimes:
    """Predict the time of each unit: the baseline's, times the factor that its group's model gives."""
    groups: dict[str, list[int]] = defaultdict(list)
    for position, unit in enumerate(units):
        group = group_of(unit.kind)
        groups[group if group in models else ANY].append(position)
    seconds = [0.0] * len(units)
    variance = 0.0
    for group, positions in groups.items():
        x = torch.tensor([features(units[position]) for position in positions], dtype=torch.float64)
        rough = torch.tensor([baseline(units[position]) for position in positions], dtype=torch.float64)
        found = rough * models[group](x)[0].exp()
        variance += models[group](x, found)[1]
        for position, one in zip(positions, found.tolist(), strict=True):
            seconds[position] = one
    return UnitTimes(seconds, sqrt(variance) / max(sum(seconds), 1e-12))
