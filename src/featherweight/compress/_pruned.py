"""What pruning did to a network, and what it changed about its cost."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from torch import nn

from featherweight._units import format_bytes, format_count, format_percent, format_seconds
from featherweight.cost import Cost

from ._replaced import Left


@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """A layer that lost channels.

    Args:
        name: dotted path of the layer.
        before: channels that it wrote; `after`: that it writes.
        reads_before: channels that it read in all; `reads_after`: that it reads.
    """

    name: str
    before: int
    after: int
    reads_before: int
    reads_after: int


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A network with fewer channels, what was removed and what could not be, and the cost before and after.

    Args:
        model: a copy of the network with smaller tensors, in its mode; trains, exports and is saved as any other.
        importance: by which the channels were chosen.
        layers: that write or read fewer channels, in the network's order.
        left: layers that write as many as before because they must, and why.
        before: cost of one picture; `after` likewise.
        weights_before: bytes of all that is in the state dict; `weights_after` likewise.
        latency_before_seconds: as measured by the function given, None without one; `latency_after_seconds` likewise.
        latency_bound_seconds: the most there may be, None without one.
    """

    model: nn.Module = field(repr=False)
    importance: str
    layers: tuple[Narrowed, ...]
    left: tuple[Left, ...]
    before: Cost = field(repr=False)
    after: Cost = field(repr=False)
    weights_before: int
    weights_after: int
    latency_before_seconds: float | None = None
    latency_after_seconds: float | None = None
    latency_bound_seconds: float | None = None

    @property
    def fast_enough(self) -> bool:
        """Whether the latency, measured at last, is within its bound; True without one."""
        if self.latency_after_seconds is None or self.latency_bound_seconds is None:
            return True
        return self.latency_after_seconds <= self.latency_bound_seconds

    def total_rows(self) -> Iterator[tuple[str, ...]]:
        """Write a heading, then a row for each cost: what it was, what it is, and the share that is left."""
        yield "quantity", "before", "after", "left"
        totals = [
            ("parameters", format_count, self.before.params, self.after.params),
            ("multiply-adds", format_count, self.before.multiply_adds, self.after.multiply_adds),
            ("all operations", format_count, self.before.operations.total, self.after.operations.total),
            ("weights", format_bytes, self.weights_before, self.weights_after),
        ]
        for name, write, before, after in totals:
            share = format_percent(after / before, decimals=1) if before else "-"
            yield name, write(before, digits=4), write(after, digits=4), share
        if self.latency_before_seconds and self.latency_after_seconds:
            was, now = self.latency_before_seconds, self.latency_after_seconds
            yield "latency", format_seconds(was), format_seconds(now), format_percent(now / was, decimals=1)

    def layer_rows(self) -> Iterator[tuple[str, ...]]:
        """Write a heading, then a row for each layer that lost channels."""
        yield "layer", "reads", "now", "writes", "now"
        for row in self.layers:
            yield row.name, *map(str, (row.reads_before, row.reads_after, row.before, row.after))

    def left_rows(self) -> Iterator[tuple[str, ...]]:
        """Write a heading, then a row for each reason, the commonest first, with the first layers that it holds."""
        yield "why all channels stay", "layers", "which"
        names: dict[str, list[str]] = {}
        for row in self.left:
            names.setdefault(row.reason, []).append(row.name)
        for reason, which in sorted(names.items(), key=lambda item: -len(item[1])):
            others = f" and {len(which) - 3} more" if len(which) > 3 else ""
            yield reason, str(len(which)), ", ".join(which[:3]) + others

    def headline(self) -> str:
        """Say in a line how much is left."""
        if not self.layers:
            return f"nothing is removed{': the network is within the budget as it is' if self.fast_enough else ''}"
        share = self.after.multiply_adds / max(self.before.multiply_adds, 1)
        return f"{format_percent(share, decimals=1)} of the multiply-adds left, {len(self.layers)} layers narrower"

    def to_dict(self) -> dict[str, object]:
        """Give everything but the model as plain numbers, strings, lists and dicts, ready for JSON."""
        return {
            "importance": self.importance,
            "layers": [asdict(row) for row in self.layers],
            "left": [asdict(row) for row in self.left],
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "weights_bytes": {"before": self.weights_before, "after": self.weights_after},
            "latency_seconds": {
                "before": self.latency_before_seconds,
                "after": self.latency_after_seconds,
                "bound": self.latency_bound_seconds,
            },
        }
