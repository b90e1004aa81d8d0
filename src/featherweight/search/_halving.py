"""Successive halving: train many a little under equal time, keep the better ones, train those more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Rung(NamedTuple):
    """One round: how many compete in it, and how long each is trained."""

    competitors: int
    seconds: float


class Score(NamedTuple):
    """What one competitor reached in a rung; a larger tuple is better."""

    accuracy: float  # on the validation pictures, in 0..1
    minus_loss: float  # decides between equal accuracies


@dataclass(frozen=True)
class Standing(Generic[Item]):
    """How far a competitor came: its score in each rung that it took part in (None where it diverged)."""

    item: Item
    scores: tuple[Score | None, ...]


KEEP = 3  # a third of each rung goes on
LEAST_SECONDS = 2.0


def rungs(seconds: float, available: int, *, least: float = LEAST_SECONDS, most: int = 8) -> tuple[Rung, ...]:
    """Plan the rounds: as many competitors as can be trained long enough to tell, every rung equally long.

    Args:
        seconds: for the whole competition.
        available: how many candidates there are.
        least: seconds of training that tell one network from another.
    Example:
        >>> rungs(20.0, available=9)
        (Rung(competitors=5, seconds=2.0), Rung(competitors=2, seconds=5.0))
        >>> rungs(1.0, available=9)  # no time to compare: the first candidate it is
        ()
    """
    for count in range(min(available, most), 1, -1):
        counts = [count]
        while counts[-1] > KEEP:
            counts.append(-(-counts[-1] // KEEP))
        each = seconds / len(counts)
        if each / count >= least:
            return tuple(Rung(number, each / number) for number in counts)
    return ()


def successive_halving(
    items: Sequence[Item], plan: Sequence[Rung], train: Callable[[Item, int, float], Score | None]
) -> list[Standing[Item]]:
    """Run the competition; return all standings, the best first.

    Args:
        items: the competitors; the first `plan[0].competitors` take part.
        plan: of `rungs`.
        train: (item, rung number, seconds) -> its score, training on from where its last rung ended; None if its
            training diverged, which puts it behind all others.
    Example:
        >>> best, *_ = successive_halving("abc", [Rung(3, 1.0)], lambda item, rung, seconds: Score(ord(item), 0.0))
        >>> best.item
        'c'
    """
    if not items:
        raise ValueError("successive halving needs at least one candidate")
    racing = [Standing(item, ()) for item in items[: plan[0].competitors if plan else 1]]
    out: list[Standing[Item]] = []
    for number, rung in enumerate(plan):
        out = [*racing[rung.competitors :], *out]
        racing = [
            Standing(one.item, (*one.scores, train(one.item, number, rung.seconds)))
            for one in racing[: rung.competitors]
        ]
        racing.sort(key=lambda one: one.scores[-1] or Score(-1.0, 0.0), reverse=True)
    return [*racing, *out]
