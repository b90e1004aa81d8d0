"""A graph whose nodes stand in given rows: who stands where in a row, and how the edges get by without a collision.

The steps are Sugiyama's: an edge that passes other rows gets a place in each of them; rows are ordered so that few
edges cross; then each row is put as near to its neighbours' middle as its order allows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

Node = str | tuple[str, int]  # a box; or the place, in a row, where the edges that leave a box pass
Rows = list[list[Node]]
Links = Mapping[Node, list[Node]]
_SWEEPS = 24
_STRAIGHT = 8  # how much stronger than others the links are that keep the way of an edge straight


class Layout(NamedTuple):
    """Where the boxes of a graph stand, and by which places its edges go.

    Args:
        x: middle of each box, in the unit of the widths; the leftmost edge of all is 0.
        routes: for each edge its places in the rows between: (row, x).
        width: of the whole.
    """

    x: Mapping[str, float]
    routes: Mapping[tuple[str, str], Sequence[tuple[int, float]]]
    width: float


def lay_out(
    rows: Sequence[Sequence[str]], edges: Iterable[tuple[str, str]], *, width: Callable[[str], float], gap: float
) -> Layout:
    """Lay out a graph.

    Edges that leave one box share their way for as long as they pass the same rows.

    Args:
        rows: the boxes of each row, in any order.
        edges: (from, to), each to a later row.
        width: of a box; the way of an edge past a row is as wide as the gap.
        gap: least room between two boxes.
    Raises: ValueError: an edge does not lead to a later row.

    Example:
        >>> layout = lay_out([["a"], ["b"], ["c"]], [("a", "b"), ("a", "c")], width=lambda box: 10, gap=2)
        >>> [row for row, x in layout.routes["a", "c"]], layout.routes["a", "b"]
        ([1], [])
    """
    row_of = {box: number for number, row in enumerate(rows) for box in row}
    order: Rows = [list(row) for row in rows]
    links: list[tuple[Node, Node]] = []
    passes: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for source, target in edges:
        first, last = row_of[source], row_of[target]
        if last <= first:
            raise ValueError(f"an edge must lead to a later row; {source} -> {target} goes from {first} to {last}")
        between = [(source, number) for number in range(first + 1, last)]
        passes[source, target] = between
        way: list[Node] = [source, *between, target]
        links += [link for link in pairwise(way) if link not in links]
        for place in between:
            if place not in order[place[1]]:
                order[place[1]].append(place)
    above, below = _neighbours(links)
    order = _uncross(order, above, below)

    def half(node: Node) -> float:
        return width(node) / 2 if isinstance(node, str) else 0.0

    x = _spread(order, above, below, half, gap)
    left = min(middle - half(node) for node, middle in x.items())
    right = max(middle + half(node) for node, middle in x.items())
    return Layout(
        x={box: x[box] - left for box in row_of},
        routes={edge: [(place[1], x[place] - left) for place in between] for edge, between in passes.items()},
        width=right - left,
    )


def _neighbours(links: Iterable[tuple[Node, Node]]) -> tuple[Links, Links]:
    """Return, for each node, those that it is linked to in the row above, and below."""
    above: dict[Node, list[Node]] = {}
    below: dict[Node, list[Node]] = {}
    for upper, lower in links:
        above.setdefault(lower, []).append(upper)
        below.setdefault(upper, []).append(lower)
    return above, below


def crossings(upper: Sequence[Node], lower: Sequence[Node], below: Links) -> int:
    """Count the pairs of links between two rows that cross.

    Example:
        >>> crossings(["a", "b"], ["c", "d"], {"a": ["d"], "b": ["c", "d"]})
        1
    """
    place = {node: number for number, node in enumerate(lower)}
    ends = [sorted(place[node] for node in below.get(start, ())) for start in upper]
    flat = [end for row in ends for end in row]
    starts = [number for number, row in enumerate(ends) for _ in row]
    return sum(flat[i] > flat[j] and starts[i] < starts[j] for i in range(len(flat)) for j in range(i + 1, len(flat)))


def _all_crossings(order: Rows, below: Links) -> int:
    return sum(crossings(upper, lower, below) for upper, lower in pairwise(order))


def _uncross(order: Rows, above: Links, below: Links) -> Rows:
    """Order the rows by the mean place of their neighbours, down and up again, then swap what still pays."""
    best = [list(row) for row in order]
    least = _all_crossings(best, below)
    for sweep in range(_SWEEPS):
        numbers = range(1, len(order)) if sweep % 2 == 0 else range(len(order) - 2, -1, -1)
        links, step = (above, -1) if sweep % 2 == 0 else (below, 1)
        for number in numbers:
            place = {node: float(at) for at, node in enumerate(order[number + step])}
            own = {node: float(at) for at, node in enumerate(order[number])}
            order[number].sort(key=lambda node: (_mean([place[n] for n in links.get(node, ())], own[node]), own[node]))
        _swap(order, below)
        found = _all_crossings(order, below)
        if found < least:
            best, least = [list(row) for row in order], found
    return best


def _swap(order: Rows, below: Links) -> None:
    """Swap neighbours in a row for as long as that saves crossings."""
    for number, row in enumerate(order):
        better = True
        while better:
            better = False
            for at in range(len(row) - 1):
                pairs = order[max(0, number - 1) : number + 2]
                before = _all_crossings(pairs, below)
                row[at], row[at + 1] = row[at + 1], row[at]
                if _all_crossings(pairs, below) < before:
                    better = True
                else:
                    row[at], row[at + 1] = row[at + 1], row[at]


def _spread(order: Rows, above: Links, below: Links, half: Callable[[Node], float], gap: float) -> dict[Node, float]:
    """Give every node a place: near the middle of its neighbours, in the order of its row, with room between."""
    x: dict[Node, float] = {}
    offsets: list[list[float]] = []
    for row in order:
        ends = [0.0]
        for left, right in pairwise(row):
            ends.append(ends[-1] + half(left) + half(right) + gap)
        offsets.append(ends)
        x |= {node: end - ends[-1] / 2 for node, end in zip(row, ends, strict=True)}
    for sweep in range(2 * _SWEEPS):
        numbers = range(len(order)) if sweep % 2 == 0 else range(len(order) - 1, -1, -1)
        for number in numbers:
            row = order[number]
            wanted = [_pull(node, (*above.get(node, ()), *below.get(node, ())), x) for node in row]
            apart = _rising([want - offset for want, offset in zip(wanted, offsets[number], strict=True)])
            x |= {node: at + offset for node, at, offset in zip(row, apart, offsets[number], strict=True)}
    return x


def _pull(node: Node, neighbours: Sequence[Node], x: Mapping[Node, float]) -> float:
    """Return the middle of a node's neighbours; the way of an edge past several rows is pulled straight."""
    weights = [1 if isinstance(node, str) or isinstance(other, str) else _STRAIGHT for other in neighbours]
    if not neighbours:
        return x[node]
    return sum(weight * x[other] for weight, other in zip(weights, neighbours, strict=True)) / sum(weights)


def _rising(wanted: Sequence[float]) -> list[float]:
    """Return the nearest sequence, by least squares, that never falls: neighbours that would cross meet at their mean.

    Example:
        >>> _rising([1, 5, 3, 8])
        [1.0, 4.0, 4.0, 8.0]
    """
    blocks: list[list[float]] = []  # [sum, count]
    for value in wanted:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    return [total / count for total, count in blocks for _ in range(int(count))]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
