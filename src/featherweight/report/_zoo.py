"""What the explorer shows, as plain values: every variant with its cost, latencies of some, ceilings of a machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from featherweight.cost import Cost, OpCall, cost_of, trace
from featherweight.networks import Counts, Variant, create, on_meta_device

ADDER = "adder"  # the kind of layers whose pairs of additions stand for multiply-adds
VALUES = "float32"  # what traffic by layer is told for


class ZooLayer(NamedTuple):
    """One layer that multiplies and adds.

    Args:
        module: dotted path.
        terms: multiply-adds, or pairs of additions.
        bytes_moved: read and written, in float32.
    """

    module: str
    kind: str
    terms: int
    bytes_moved: int


@dataclass(frozen=True, kw_only=True)
class ZooNetwork:
    """One variant of a network, counted.

    Args:
        counts: parameters, multiply-adds, additions of adder layers.
        peak_memory_bytes, bytes_moved: for each type of value.
        layers: those that multiply and add, in the order in which they run.
        other_layers: how many others there are, and the bytes that they move in float32.
        parts: names of the classes of its modules.
    """

    variant: Variant
    counts: Counts
    peak_memory_bytes: Mapping[str, int]
    bytes_moved: Mapping[str, int]
    layers: tuple[ZooLayer, ...]
    other_layers: tuple[int, int]
    parts: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one picture takes: a median or a prediction, and the interval around it.

    Args:
        date: when it was measured.
        noise: why a measured median is not to be trusted.
        unseen: operators that the predictor has not learned, and so only guesses.
    """

    seconds: float
    low_seconds: float
    high_seconds: float
    date: str | None = None
    noise: str = ""
    unseen: tuple[str, ...] = ()

    @property
    def doubt(self) -> str:
        """Why the time is a rough one, or an empty text."""
        reasons = [f"roughly estimated: nothing is known of {', '.join(self.unseen)}"] if self.unseen else []
        return "; ".join([*reasons, *([f"noisy: {self.noise}"] if self.noise else [])])


@dataclass(frozen=True, kw_only=True)
class LatencySeries:
    """Latencies that may stand on one axis: of one machine, one runtime, one number of threads.

    Args:
        measured: or predicted.
        timings: by the text of the variant.
        layer_seconds: predicted for each of the variant's `ZooLayer`, by the text of the variant; None where unknown.
    """

    measured: bool
    runtime: str
    threads: int
    machine: str
    timings: Mapping[str, Timing]
    layer_seconds: Mapping[str, Sequence[float | None]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What a machine can do at the most, in float32.

    Args:
        date: when it was found.
        bandwidth_bytes_per_second: bytes of a working set -> rate at which they move.
    """

    machine: str
    date: str
    threads: int
    multiply_adds_per_second: float
    bandwidth_bytes_per_second: Mapping[int, float]


@dataclass(frozen=True, kw_only=True)
class Zoo:
    """All that the explorer shows.

    Args:
        blocks: `block_picture` of each block of `GALLERY` that is shown.
        notes: what is missing and how to have it, each in a sentence.
    """

    networks: Sequence[ZooNetwork]
    latencies: Sequence[LatencySeries] = ()
    ceilings: Sequence[Ceilings] = ()
    blocks: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def look_at(variant: Variant) -> tuple[ZooNetwork, Sequence[OpCall]]:
    """Count a variant; return the trace too, which predictors read.

    Example:
        >>> network, calls = look_at(Variant(name="lenet5_bn", options={}, resolution=32))
        >>> network.counts.params, len(network.layers), calls[0].op
        (61728, 5, 'input')
    """
    with on_meta_device():
        model = create(variant.name, **variant.options)  # type: ignore[arg-type]
    calls = trace(model, variant.resolution)
    parts = frozenset(type(module).__name__ for module in model.modules())
    return _counted(variant, cost_of(calls, variant.name), parts), calls


def _counted(variant: Variant, cost: Cost, parts: frozenset[str]) -> ZooNetwork:
    additions = sum(layer.operations.additions for layer in cost.layers if layer.kind == ADDER)
    every = [
        ZooLayer(
            layer.name,
            layer.kind,
            layer.multiply_adds + (layer.operations.additions // 2 if layer.kind == ADDER else 0),
            layer.bytes_moved[VALUES],
        )
        for layer in cost.layers
    ]
    others = [layer for layer in every if not layer.terms]
    return ZooNetwork(
        variant=variant,
        counts=Counts(cost.params, cost.multiply_adds, additions),
        peak_memory_bytes=cost.peak_memory_bytes,
        bytes_moved=cost.bytes_moved,
        layers=tuple(layer for layer in every if layer.terms),
        other_layers=(len(others), sum(layer.bytes_moved for layer in others)),
        parts=parts,
    )
