"""A cost as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._analyze import Cost


def table(cost: Cost) -> str:
    """Write a cost for reading: totals, kinds of layers, layers; memory for float32."""
    size = "x".join(map(str, cost.input_shape))
    totals = (
        f"{cost.model}, input {size}: {count(cost.params)} parameters, {count(cost.multiply_adds)} multiply-adds\n"
        f"peak activation memory: {_by_type(cost.peak_memory_bytes)}\n"
        f"bytes moved: {_by_type(cost.bytes_moved)}"
    )
    kinds = [("kind", "parameters", "share", "multiply-adds", "share", "bytes moved")] + [
        (
            kind, count(k.params), f"{k.params_share:.2%}", count(k.multiply_adds), f"{k.multiply_adds_share:.2%}",
            memory(k.bytes_moved["float32"]),
        )
        for kind, k in cost.by_kind().items()
    ]  # fmt: skip
    layers = [("layer", "kind", "output", "parameters", "multiply-adds", "bytes moved", "memory in use")] + [
        (
            layer.name or "(model)", layer.kind, "x".join(map(str, layer.output_shape)),
            count(layer.params), count(layer.multiply_adds),
            memory(layer.bytes_moved["float32"]), memory(layer.peak_memory_bytes["float32"]),
        )
        for layer in cost.layers
    ]  # fmt: skip
    return "\n\n".join((totals, _columns(kinds, left=1), _columns(layers, left=3)))


def count(number: float) -> str:
    """Write a count with its unit.

    Example:
        >>> [count(number) for number in (0, 999, 1280, 300_774_272, 4_866_300_000)]
        ['0', '999', '1.28 k', '300.77 M', '4.87 G']
    """
    return _scaled(number, 1000, ("", "k", "M", "G", "T"))


def memory(size_bytes: float) -> str:
    """Write a number of bytes with its unit.

    Example:
        >>> [memory(size) for size in (512, 200_704, 4_816_896)]
        ['512 B', '196.00 KiB', '4.59 MiB']
    """
    return _scaled(size_bytes, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def _scaled(number: float, step: int, units: Sequence[str]) -> str:
    if number < step:
        return f"{number:.0f} {units[0]}".rstrip()
    for unit in units[1:]:
        number /= step
        if number < step or unit == units[-1]:
            break
    return f"{number:.2f} {unit}"


def _by_type(sizes: dict[str, int]) -> str:
    return ", ".join(f"{memory(size)} in {name}" for name, size in sizes.items())


def _columns(rows: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> Iterable[str]:
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            yield cell.ljust(width) if place < left else cell.rjust(width)

    return "\n".join("  ".join(line(row)).rstrip() for row in rows)
