"""A cost as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from featherweight._units import format_bytes, format_count, format_joules, format_percent

from ._energy import PROCESS

if TYPE_CHECKING:
    from ._analyze import Cost


def table(cost: Cost) -> str:
    """Write a cost for reading: totals, kinds of layers, layers; traffic and memory of these for float32."""
    title = f"{cost.model}, input {shape(cost.input_shape)}"
    rows = (total_rows(cost), 1), (kind_rows(cost), 1), (layer_rows(cost), 3)
    return "\n\n".join((title, *(_columns(each, left) for each, left in rows)))


def total_rows(cost: Cost) -> Iterable[tuple[str, str]]:
    """Write a heading, then a row for each quantity; of the sorts of operations, those that occur."""
    yield "quantity", "value"
    yield "parameters", format_count(cost.params, digits=4)
    yield "multiply-adds", format_count(cost.multiply_adds, digits=4)
    for sort, count in asdict(cost.operations).items():
        if count:
            yield f"operations, {sort.replace('_', ' ')}", format_count(count, digits=4)
    for what, write, by_type in (
        (f"arithmetic energy at {PROCESS}", format_joules, cost.energy_joules),
        ("peak activation memory", format_bytes, cost.peak_memory_bytes),
        ("memory traffic", format_bytes, cost.bytes_moved),
    ):
        yield from ((f"{what}, {name}", write(value)) for name, value in by_type.items())


def kind_rows(cost: Cost) -> Iterable[tuple[str, ...]]:
    """Write a heading, then a row for each kind of layer."""
    yield "kind", "parameters", "share", "multiply-adds", "share", "traffic, float32"
    for name, kind in cost.by_kind().items():
        yield (
            name,
            format_count(kind.params),
            format_percent(kind.params_share),
            format_count(kind.multiply_adds),
            format_percent(kind.multiply_adds_share),
            format_bytes(kind.bytes_moved["float32"]),
        )


def layer_rows(cost: Cost) -> Iterable[tuple[str, ...]]:
    """Write a heading, then a row for each layer."""
    yield "layer", "kind", "output", "parameters", "multiply-adds", "traffic, float32", "memory in use"
    for layer in cost.layers:
        yield (
            layer.name or "(model)",
            layer.kind,
            shape(layer.output_shape),
            format_count(layer.params),
            format_count(layer.multiply_adds),
            format_bytes(layer.bytes_moved["float32"]),
            format_bytes(layer.peak_memory_bytes["float32"]),
        )


def shape(sizes: Sequence[int]) -> str:
    """Write a shape as `3 x 224 x 224`."""
    return " x ".join(map(str, sizes))


def _columns(rows: Iterable[tuple[str, ...]], left: int) -> str:
    """Set rows in columns, the first `left` of them flush left, the others flush right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
