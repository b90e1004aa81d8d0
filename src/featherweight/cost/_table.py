"""A cost as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from featherweight._units import format_bytes, format_count, format_percent

if TYPE_CHECKING:
    from ._analyze import Cost


def table(cost: Cost) -> str:
    """Write a cost for reading: totals, kinds of layers, layers; traffic and memory of these for float32."""
    totals = (
        f"{cost.model}, input {shape(cost.input_shape)}: {format_count(cost.params, digits=4)} parameters, "
        f"{format_count(cost.multiply_adds, digits=4)} multiply-adds",
        f"peak activation memory: {_by_type(cost.peak_memory_bytes)}",
        f"memory traffic: {_by_type(cost.bytes_moved)}",
    )
    return "\n\n".join(("\n".join(totals), _columns(kind_rows(cost), left=1), _columns(layer_rows(cost), left=3)))


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


def _by_type(sizes: dict[str, int]) -> str:
    return ", ".join(f"{format_bytes(size)} in {name}" for name, size in sizes.items())


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
