"""In which order a network's channels are removed: what is missed least for what it costs goes first."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd, lcm, log, prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from featherweight.cost import Cost

from ._cut import Anatomy, Unit

Saving = Literal["multiply_adds", "params", "time"]
NUMBERS_PER_MULTIPLY_ADD = 20
"""To order by time: about as many multiply-adds take as long as writing one number (of a map that fits no cache)."""


@dataclass(frozen=True, eq=False)
class Family:
    """Units that stand in the same layers, as many times each: one is as good as another.

    Args:
        units: the least important first.
        step: as many are left as a multiple of this.
        reason: why none can go; None if some can.
    """

    units: Sequence[Unit]
    step: int
    reason: str | None

    @property
    def counts(self) -> Mapping[tuple[str, int], int]:
        """For each layer and axis, how many channels a unit has there."""
        return self.units[0].counts


def families(
    anatomy: Anatomy, scores: NDArray[np.float64], *, round_to: int, kept: frozenset[str] = frozenset()
) -> list[Family]:
    """Put units together that can stand for one another, each family in order of importance.

    Args:
        scores: by the number of a channel.
        round_to: a layer's channels are left in multiples of it.
        kept: layers that keep all that they write.
    """
    together: dict[frozenset[tuple[tuple[str, int], int]], list[Unit]] = {}
    for unit in anatomy.units:
        together.setdefault(frozenset(unit.counts.items()), []).append(unit)
    found = []
    for units in together.values():
        units.sort(key=lambda unit: float(scores[unit.root]))
        step = _step(anatomy, units[0], round_to)
        found.append(Family(units, step, _reason(anatomy, units, step, kept)))
    return found


def _step(anatomy: Anatomy, unit: Unit, round_to: int) -> int:
    """Return how many units make a multiple of `round_to` in each layer, and what the layers ask for beside."""
    step = 1
    for (_, axis), count in unit.counts.items():
        if axis == 0:
            step = lcm(step, round_to // gcd(round_to, count))
    for channels, multiple in anatomy.multiples:
        if count := int((channels == unit.root).sum()):
            step = lcm(step, multiple // gcd(multiple, count))
    return step


def _reason(anatomy: Anatomy, units: Sequence[Unit], step: int, kept: frozenset[str]) -> str | None:
    first = units[0]
    for name, axis in first.counts:
        if axis == 0 and name in kept:
            return f"{name} is kept"
    most = max(first.counts.values())
    if len(units) == 1 and most > 1:
        causes = anatomy.ties.causes(first.root)
        others = f" and {len(causes) - 3} more" if len(causes) > 3 else ""
        return f"{most} channels are tied to one another, by {'; '.join(causes[:3])}{others}"
    if len(units) <= step:
        return f"{len(units) * most} channels are no more than one multiple to round to"
    return None


@dataclass(frozen=True)
class Sizes:
    """What a weight of each layer costs, and a number that it writes."""

    weight: Mapping[str, float]
    written: Mapping[str, float]


def sizes_of(anatomy: Anatomy, cost: Cost, saving: Saving) -> Sizes:
    """Return the prices by which removals are ordered: of a pair of channels that is joined, and of a channel written.

    Args:
        cost: of the network at the size that it is pruned for.
    """
    state = anatomy.model.state_dict()
    maps = {layer.name: layer for layer in cost.layers}
    counted = {layer.name for layer in cost.layers if layer.multiply_adds}
    weight, written = {}, {}
    for name, layer in anatomy.layers.items():
        tensor = next((tensor for tensor, axes in layer.tensors.items() if axes == (0, 1)), None)
        if tensor is None:
            continue
        run = maps.get(name) or maps.get(name.rpartition(".")[0])  # some blocks run their convolution themselves
        pixels = prod(run.output_shape[1:]) if run else 0
        kernel = prod(state[tensor].shape[2:])
        if saving == "params":
            weight[name] = float(kernel)
        elif saving == "time":
            weight[name], written[name] = float(kernel * pixels), float(NUMBERS_PER_MULTIPLY_ADD * pixels)
        elif run and run.name in counted:
            weight[name] = float(kernel * pixels)
    return Sizes(weight, written)


def removals(
    anatomy: Anatomy, found: Sequence[Family], scores: NDArray[np.float64], sizes: Sizes, *, least_left: float
) -> Iterator[list[Unit]]:
    """Yield units that are removed together, least missed for what they cost first, until no more may be removed.

    What is missed of a family whose importance falls from a to b, of t in the beginning, is t * log(a / b): at first
    the sum of what is removed, and more and more as little is left.

    Args:
        least_left: share of each family that stays.
    """
    lengths = {(name, axis): len(where) for name, one in anatomy.layers.items() for axis, where in enumerate(one.axes)}
    left = [len(family.units) for family in found]
    tails = [np.cumsum([scores[unit.root] for unit in family.units][::-1])[::-1] for family in found]

    def saved(family: Family, units: int) -> float:
        total = 0.0
        for name in {name for name, _ in family.counts}:
            out, read = lengths[name, 0], lengths.get((name, 1), 1)
            less = out - units * family.counts.get((name, 0), 0)
            less_read = read - units * family.counts.get((name, 1), 0)
            total += sizes.weight.get(name, 0) * (out * read - less * less_read)
            total += sizes.written.get(name, 0) * (out - less)
        return total

    def entry(number: int) -> tuple[float, int, int] | None:
        family, now = found[number], left[number]
        target = (now - 1) // family.step * family.step
        if family.reason or target < max(family.step, least_left * len(family.units)):
            return None
        begin, end = len(family.units) - now, len(family.units) - target
        total, there, then = (max(float(tails[number][place]), 1e-30) for place in (0, begin, end))
        gain = saved(family, now - target)
        return (total * log(there / then) / gain, number, target) if gain > 0 else None

    queue = [one for number in range(len(found)) if (one := entry(number))]
    heapq.heapify(queue)
    while queue:
        price, number, target = heapq.heappop(queue)
        again = entry(number)  # others may have made it worth less since
        if again is not None and again[0] > price:
            heapq.heappush(queue, again)
            continue
        family, now = found[number], left[number]
        for place, count in family.counts.items():
            lengths[place] -= (now - target) * count
        left[number] = target
        yield list(family.units[len(family.units) - now : len(family.units) - target])
        if following := entry(number):
            heapq.heappush(queue, following)
