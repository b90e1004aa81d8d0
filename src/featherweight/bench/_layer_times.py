"""Where a network's time goes: layers, blocks and kinds with what they take and what they would have to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from featherweight.cost import latency_of
from featherweight.cost._latency import CONFIDENCE

from ._calibration import Calibration
from ._guidelines import SAYS, Guideline, Remark

Bound = Literal["compute", "memory", "call"]
By = Literal["layer", "block", "kind"]


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """The operators of one kind that one module calls; or those of a block or of a kind, together.

    Args:
        name: dotted path of the module, "" for the model itself; of a block its path; of a kind "".
        kind: as in `featherweight.cost` ("1x1", "depthwise", "batch norm", ...), or "view".
        calls: of operators.
        operations: elementary ones for the batch; a multiplication with its addition is one.
        bytes_moved: read and written in eager PyTorch: each distinct input of an operator once, each output once.
        seconds: measured.
        bounds: what the calls are bound by -> the least time that those take.
        remarks: the guidelines of ShuffleNetV2 that it breaks.
    """

    name: str
    kind: str
    calls: int
    operations: int
    bytes_moved: int
    seconds: float
    bounds: dict[Bound, float]
    remarks: tuple[Remark, ...] = ()

    @property
    def intensity(self) -> float:
        """Operations for each byte moved."""
        return self.operations / self.bytes_moved if self.bytes_moved else 0.0

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def least_seconds(self) -> float:
        """What it takes at the ceilings of the machine."""
        return sum(self.bounds.values())

    @property
    def bound(self) -> Bound:
        """What takes most of that: multiplying, moving bytes, or calling operators."""
        return max(self.bounds, key=lambda name: self.bounds[name])

    @property
    def fraction(self) -> float:
        """How much of the bound is reached: 1 is as fast as the ceilings allow."""
        return self.least_seconds / self.seconds if self.seconds else 0.0

    def cost(self, guideline: Guideline) -> float:
        """What breaking a guideline costs here, in seconds."""
        return sum(remark.seconds for remark in self.remarks if remark.guideline == guideline)


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """Where a network's time goes, and what this machine would allow.

    Args:
        name: of the network.
        input_shape: channels, height, width.
        batch: pictures at a time.
        layers: in the order in which they run.
        whole_seconds: of a pass with no clock in it.
        uncertainty: what `whole_seconds` is sure to, as a share; None where there were too few passes to tell.
        clock_seconds: what the clock added to a call and was taken off: of a convolution, of any other operator.
        calibration: the ceilings.
    """

    name: str
    input_shape: tuple[int, ...]
    batch: int
    layers: tuple[LayerTime, ...]
    whole_seconds: float
    uncertainty: float | None
    clock_seconds: dict[str, float]
    calibration: Calibration

    @property
    def overhead_seconds(self) -> float:
        """Of the whole, what no operator accounts for: Python around them, and the giving back of memory.

        The sum of the layers and the whole come from passes that took turns; noise can make it negative.
        """
        return self.whole_seconds - sum(layer.seconds for layer in self.layers)

    def by(self, what: By, depth: int | None = None) -> tuple[LayerTime, ...]:
        """Group the layers; their figures add up.

        Args:
            what: "layer" leaves them, "block" and "kind" group them.
            depth: how many parts of a layer's path name its block. Default: the path up to its first number, such as
                `body.3` of `body.3.expand.conv`; where there is none, its first part.
        """
        if what == "layer":
            return self.layers
        groups: dict[str, list[LayerTime]] = {}
        for layer in self.layers:
            groups.setdefault(layer.kind if what == "kind" else block_of(layer.name, depth), []).append(layer)
        return tuple(
            merge("", name, parts) if what == "kind" else merge(name, "", parts) for name, parts in groups.items()
        )

    def guidelines(self) -> dict[Guideline, tuple[int, float]]:
        """For each guideline: how many layers break it, and what that costs here in all, in seconds."""
        return {
            name: (
                sum(any(remark.guideline == name for remark in layer.remarks) for layer in self.layers),
                sum(layer.cost(name) for layer in self.layers),
            )
            for name in SAYS
        }


def merge(name: str, kind: str, parts: Sequence[LayerTime]) -> LayerTime:
    """Add up the figures of several layers, or of the calls of one."""
    bounds: dict[Bound, float] = {}
    for part in parts:
        for bound, seconds in part.bounds.items():
            bounds[bound] = bounds.get(bound, 0.0) + seconds
    return LayerTime(
        name=name,
        kind=kind,
        calls=sum(part.calls for part in parts),
        operations=sum(part.operations for part in parts),
        bytes_moved=sum(part.bytes_moved for part in parts),
        seconds=sum(part.seconds for part in parts),
        bounds=bounds,
        remarks=tuple(remark for part in parts for remark in part.remarks),
    )


def uncertainty(seconds: Sequence[float]) -> float | None:
    """Tell how sure a time is that was taken from passes: half the interval of 95 % of their median, as a share of it.

    All passes count, also those that were too slow to be kept: the kept ones were chosen by their times, so they agree
    better than the machine allows. The mean of the faster half is at least as sure as the median of all.

    Returns: None for less than six passes, which give no such interval.

    Example:
        >>> uncertainty([1.0, 1.0, 1.1, 1.0, 1.2, 1.0]), uncertainty([1.0, 1.0])
        (0.09999999999999998, None)
    """
    found = latency_of(list(seconds))
    if found.confidence < CONFIDENCE:
        return None
    return (found.high_seconds - found.low_seconds) / 2 / found.median_seconds


def block_of(path: str, depth: int | None = None) -> str:
    """Name the block of a layer by the beginning of its path.

    Example:
        >>> block_of("body.3.expand.conv"), block_of("stem.conv"), block_of("layer1.0.conv1", 1)
        ('body.3', 'stem', 'layer1')
    """
    parts = path.split(".")
    if depth is None:
        depth = next((place + 1 for place, part in enumerate(parts) if part.isdecimal()), 1)
    return ".".join(parts[:depth])
