"""What a replacement did to a network, and what it changed about its cost."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from torch import nn

from featherweight._units import format_bytes, format_count, format_percent
from featherweight.cost import Cost

NAMED = 3  # layers that a table names for each reason; all are in `Replaced.left`


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A convolution that was replaced.

    Args:
        name: dotted path of the layer.
        before: the convolution in words: "64 -> 128, 3x3, stride 2".
        after: the block in its place, with what its class says of itself.
        params_before: parameters of the convolution; `params_after`: of the block.
    """

    name: str
    before: str
    after: str
    params_before: int
    params_after: int


@dataclass(frozen=True, kw_only=True)
class Left:
    """A convolution that stays, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """A network with other convolutions, what was changed and left, and the cost before and after.

    Args:
        model: a copy of the network; the new layers have freshly drawn weights.
        changed: in the network's order, a shared layer once.
        left: every other convolution.
        before: cost of one picture; `after` likewise.
    """

    model: nn.Module = field(repr=False)
    changed: tuple[Changed, ...]
    left: tuple[Left, ...]
    before: Cost = field(repr=False)
    after: Cost = field(repr=False)

    def cost_rows(self) -> Iterator[tuple[str, ...]]:
        """Write a heading, then a row for each cost: what it was, what it is, and the share that is left."""
        yield "quantity", "before", "after", "left"
        for name, write, before, after in (
            ("parameters", format_count, self.before.params, self.after.params),
            ("multiply-adds", format_count, self.before.multiply_adds, self.after.multiply_adds),
            ("all operations", format_count, self.before.operations.total, self.after.operations.total),
            *(
                (f"{what}, float32", format_bytes, sizes_before["float32"], sizes_after["float32"])
                for what, sizes_before, sizes_after in (
                    ("peak activation memory", self.before.peak_memory_bytes, self.after.peak_memory_bytes),
                    ("memory traffic", self.before.bytes_moved, self.after.bytes_moved),
                )
            ),
        ):
            share = format_percent(after / before, decimals=1) if before else "-"
            yield name, write(before, digits=4), write(after, digits=4), share

    def changed_rows(self) -> Iterator[tuple[str, ...]]:
        """Write a heading, then a row for each layer that was replaced."""
        yield "layer", "convolution", "replacement", "parameters before", "after"
        for row in self.changed:
            yield row.name, row.before, row.after, format_count(row.params_before), format_count(row.params_after)

    def left_rows(self) -> Iterator[tuple[str, ...]]:
        """Write a heading, then a row for each reason, the commonest first, with the first convolutions that stay."""
        yield "why it stays", "convolutions", "which"
        names: dict[str, list[str]] = {}
        for row in self.left:
            names.setdefault(row.reason, []).append(row.name)
        for reason, which in sorted(names.items(), key=lambda item: -len(item[1])):
            others = f" and {len(which) - NAMED} more" if len(which) > NAMED else ""
            yield reason, str(len(which)), ", ".join(which[:NAMED]) + others

    def headline(self) -> str:
        """Say in a line how much was replaced."""
        return f"{len(self.changed)} of {len(self.changed) + len(self.left)} convolutions replaced"

    def to_dict(self) -> dict[str, object]:
        """Give everything but the model as plain numbers, strings, lists and dicts, ready for JSON."""
        return {
            "changed": [asdict(row) for row in self.changed],
            "left": [asdict(row) for row in self.left],
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }

    def __str__(self) -> str:
        tables = [self.cost_rows()]
        tables += [self.changed_rows()] if self.changed else []
        tables += [self.left_rows()] if self.left else []
        return "\n\n".join((self.headline(), *(_columns(list(rows)) for rows in tables)))


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
