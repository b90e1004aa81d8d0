"""What the papers print beside what is counted here: paper, ours, difference, why."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ._listing import Counts, Variant, counts, variants
from ._registry import Published, network, read_printed, rounds_to


class Figure(NamedTuple):
    """One printed count beside ours."""

    what: str  # params, multiply_adds, operations (half multiply-adds) or additions
    printed: str
    counted: int

    @property
    def agrees(self) -> bool:
        """Whether our count rounds to the printed digits."""
        return rounds_to(self.counted, self.printed)

    @property
    def difference(self) -> float:
        """How much more is counted than printed, as a share of what is printed."""
        printed, _ = read_printed(self.printed)
        return float(self.counted / printed - 1)


@dataclass(frozen=True)
class PaperRow:
    """One printed row, with the network that it is about and every count that it prints."""

    variant: Variant
    published: Published
    figures: tuple[Figure, ...]

    def to_dict(self) -> dict[str, object]:
        """Give the row as plain data: counts as numbers, printed numbers as they are printed."""
        entry, row = network(self.variant.name), self.published
        found: dict[str, object] = {
            "family": entry.family,
            "network": entry.name,
            "year": entry.year,
            "options": dict(self.variant.options),
            "resolution": self.variant.resolution,
            "source": row.source,
            "paper": entry.paper,
        }
        for what in WHAT:
            figure = next((figure for figure in self.figures if figure.what == what), None)
            found[f"{what}_printed"] = figure.printed if figure else None
            found[f"{what}_counted"] = figure.counted if figure else None
            found[f"{what}_difference"] = figure.difference if figure else None
        return {
            **found,
            "dataset": row.dataset,
            "top1_percent": row.top1,
            "top5_percent": row.top5,
            "agrees": all(figure.agrees for figure in self.figures),
            "deviation": row.deviation,
        }


FAR = 0.1  # a printed count that differs by more is that of another network than ours
WHAT = ("params", "multiply_adds", "operations", "additions")
"""The counts that a row may print."""


def papers() -> Iterator[PaperRow]:
    """Go through every printed row of the registry, each beside our counts.

    Example:
        >>> row = next(row for row in papers() if row.variant.name == "mobilenet_v2" and row.published.params)
        >>> [(figure.what, figure.printed, figure.counted) for figure in row.figures]
        [('params', '3.4M', 3504872), ('multiply_adds', '300M', 300774272)]
        >>> f"{row.figures[0].difference:+.1%}"
        '+3.1%'
    """
    for variant in variants():
        counted = counts(variant)
        for row in variant.published:
            yield PaperRow(variant, row, compare(row, counted))


def compare(row: Published, counted: Counts) -> tuple[Figure, ...]:
    """Set each count that a row prints beside ours.

    Example:
        >>> compare(Published(params="3.4M", source="a table"), Counts(3_504_872, 300_774_272))
        (Figure(what='params', printed='3.4M', counted=3504872),)
    """
    ours = {
        "params": counted.params,
        "multiply_adds": counted.multiply_adds,
        "operations": 2 * counted.multiply_adds,
        "additions": counted.additions,
    }
    printed = {what: getattr(row, what) for what in WHAT}
    return tuple(Figure(what, text, ours[what]) for what, text in printed.items() if text is not None)


def of_another_network(row: Published, counted: Counts) -> bool:
    """Whether a printed row is on a network that is not ours: a count that it prints is more than a tenth off.

    Example:
        >>> of_another_network(Published(params="3.4M", source="a table"), Counts(3_504_872, 300_774_272))
        False
    """
    return any(abs(figure.difference) > FAR for figure in compare(row, counted))
