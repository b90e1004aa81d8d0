"""Where each map lies in one static piece of memory, so that maps that are alive together never overlap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ._program import Add, Adder, Copy, Multiply, Program, sources


@dataclass(frozen=True)
class Plan:
    """Positions of all maps.

    Attributes:
        offsets: of each map of bytes, in bytes; of floats, in floats, in an array of their own.
        arena_bytes: of the whole memory for bytes.
        floats: of the whole array for floats; the picture and the logits, if they are such, are the caller's.
        least_bytes: what the maps alive during one step have together, at most: no plan needs less.
    """

    offsets: tuple[int, ...]
    arena_bytes: int
    floats: int
    least_bytes: int


@dataclass
class _Buffer:
    """Memory of one map, or of several of one size that take each other's place."""

    size: int
    first: int  # step that writes it; -1 is before all
    last: int  # step that reads it last
    maps: list[int]

    def meets(self, other: "_Buffer") -> bool:
        return self.first <= other.last and other.first <= self.last


def planned(program: Program) -> Plan:
    """Return the smallest of the plans that placing the buffers in several orders gives, each in the best gap."""
    buffers = _buffers(program)
    orders: tuple[Callable[[_Buffer], tuple[int, ...]], ...] = (
        lambda one: (-one.size, one.first),
        lambda one: (-one.size * (one.last - one.first + 1), one.first),
        lambda one: (one.first, -one.size),
        lambda one: (-one.last, -one.size),
    )
    plans = [_placed(sorted(buffers, key=order)) for order in orders]
    offsets = min(plans, key=lambda plan: _end(buffers, plan))
    alive = [
        sum(one.size for one in buffers if one.first <= step <= one.last) for step in range(-1, len(program.steps))
    ]
    floats = 0
    for number, own in enumerate(program.maps):
        if own.floats:
            offsets[number] = floats
            floats += own.size if 0 < number < len(program.maps) - 1 else 0
    at = tuple(offsets[number] for number in range(len(program.maps)))
    return Plan(at, _end(buffers, offsets), floats, max(alive))


def _end(buffers: Sequence[_Buffer], offsets: dict[int, int]) -> int:
    return max(offsets[one.maps[0]] + one.size for one in buffers)


def _placed(buffers: Sequence[_Buffer]) -> dict[int, int]:
    """Place one buffer after the other in the smallest gap that holds it, or at the end. Returns: map -> offset."""
    offsets: dict[int, int] = {}
    done: list[tuple[int, _Buffer]] = []
    for buffer in buffers:
        taken = sorted((at, at + one.size) for at, one in done if one.meets(buffer))
        free, end = [], 0
        for at, until in taken:
            if at - end >= buffer.size:
                free.append((at - end, end))
            end = max(end, until)
        offset = min(free)[1] if free else end
        done.append((offset, buffer))
        offsets |= dict.fromkeys(buffer.maps, offset)
    return offsets


def _buffers(program: Program) -> list[_Buffer]:
    """Return each map's memory; a step that can write over what it reads for the last time does."""
    last = dict.fromkeys(range(len(program.maps)), -1)
    first = {0: -1}
    for at, step in enumerate(program.steps):
        last |= dict.fromkeys(sources(step), at)
        first.setdefault(step.output, at)
    last[len(program.maps) - 1] = len(program.steps)
    of: dict[int, _Buffer] = {}
    buffers = []
    for number, own in enumerate(program.maps):
        if own.floats:
            continue
        taken = [of[source] for source in _replaced(program, number) if last[source] == first[number]]
        if taken and taken[0].size == own.size:
            taken[0].last = max(last[number], first[number])
            taken[0].maps.append(number)
            of[number] = taken[0]
        else:
            of[number] = _Buffer(own.size, first[number], max(last[number], first[number]), [number])
            buffers.append(of[number])
    return buffers


def _replaced(program: Program, number: int) -> list[int]:
    """Return the maps whose memory the step that writes a map may write it to: byte by byte in their place."""
    steps = [step for step in program.steps if step.output == number]
    if len(steps) != 1:
        return []
    match steps[0]:
        case Add(sources=(a, b)):
            return [a, b]
        case Multiply(sources=(a, _)):
            return [a]
        case Adder(shortcut=int(shortcut), source=source) if shortcut != source:
            return [shortcut]
        case Copy(channels=None, stride=(1, 1), source=source):
            return [source]
    return []
