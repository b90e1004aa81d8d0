"""Nodes that change nothing, by their shapes and by the pixels that they take: no look at their values."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Size
from torch.fx import Node

COPIES = {"clone", "contiguous", "alias", "detach"}
RESHAPES = {"flatten", "view", "reshape"}


@dataclass(frozen=True)
class Part:
    """Some channels, rows and columns of a node, those of each axis in an order."""

    node: Node
    along: tuple[tuple[int, ...], ...]


class Unchanged:
    """Asked about every node in the graph's order, says whose value it gives.

    Args:
        shapes: of each node, [N, ...]; nodes of other types have none.
    """

    def __init__(self, shapes: Mapping[Node, Size]) -> None:
        self.shapes = shapes
        self.parts: dict[Node, Part] = {}

    def of(self, node: Node, name: str) -> Node | None:
        """Return the earlier node whose value this one gives, or gives as one row a picture; None: it gives another."""
        source = node.args[0] if node.args else None
        if name in ("slice", "cat", "mean"):
            return self._moved(node, name)
        if not isinstance(source, Node) or node not in self.shapes or source not in self.shapes:
            return None
        given, made = self.shapes[source], self.shapes[node]
        if name in ("dropout", "feature_dropout"):
            return None if node.args[2] and node.args[1] else source
        one_row = name in RESHAPES and made == (given[0], math.prod(given[1:]))
        same = name in (*RESHAPES, "adaptive_avg_pool2d") and made == given
        return source if name in COPIES or one_row or same else None

    def _moved(self, node: Node, name: str) -> Node | None:
        """Follow the pixels: a pooling to a grid that fits is slices, means over single pixels, and a cat of them."""
        part: Part | None = getattr(self, f"_{name}")(*node.args) if node in self.shapes else None
        if part is None:
            return None
        self.parts[node] = part
        return part.node if part.along == self._part(part.node).along else None

    def _part(self, node: Any) -> Part:
        shape = self.shapes.get(node, ())
        return self.parts.get(node) or Part(node, tuple(tuple(range(side)) for side in shape[1:]))

    def _slice(self, source: Node, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Part | None:
        part = self._part(source)
        dim %= len(part.along) + 1
        if dim == 0:
            return part if start in (None, 0) and end in (None, sys.maxsize) and step == 1 else None
        if any(isinstance(one, Node) for one in (start, end, step)):
            return None
        return _with(part, dim, part.along[dim - 1][start:end:step])

    def _cat(self, sources: list[Node], dim: int = 0) -> Part | None:
        first, *others = parts = [self._part(source) for source in sources]
        dim %= len(first.along) + 1
        if dim == 0 or any(_with(other, dim, ()) != _with(first, dim, ()) for other in others):
            return None
        return _with(first, dim, tuple(index for part in parts for index in part.along[dim - 1]))

    def _mean(self, source: Node, dims: Any = None, keepdim: bool = False) -> Part | None:
        part = self._part(source)
        sides = [0, *map(len, part.along)]
        return part if keepdim and dims and all(sides[dim] == 1 for dim in dims) else None


def _with(part: Part, dim: int, indices: tuple[int, ...]) -> Part:
    return replace(part, along=(*part.along[: dim - 1], indices, *part.along[dim:]))
