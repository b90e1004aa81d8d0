"""Who builds on whom: the families by year, with what each takes from earlier ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from ._ancestors import ANCESTORS
from ._registry import networks


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of networks, or an ancestor, in the picture of the field.

    Args:
        year: of its first appearance.
        paper: address.
        idea: what is new in it, in a few sentences; empty for an ancestor.
        networks: its names in the registry; none for an ancestor.
        reference: a plain network that is here to compare with.
        builds_on: what it takes from earlier families, in one line for each.
    """

    name: str
    year: int
    paper: str
    idea: str = ""
    networks: tuple[str, ...] = ()
    reference: bool = False
    builds_on: Mapping[str, str]

    @property
    def ancestor(self) -> bool:
        """Whether it is not in the registry, and here only because others build on it."""
        return not self.networks


@dataclass(frozen=True, kw_only=True)
class Edge:
    """That one family builds on another, and what it takes from it."""

    source: str
    target: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class History:
    """The field.

    Args:
        rows: the families, by year and then by name; inside a year a family stands in a later row than those that it
            builds on.
    """

    rows: tuple[tuple[Family, ...], ...]

    @property
    def families(self) -> tuple[Family, ...]:
        """All families, each after those that it builds on."""
        return tuple(family for row in self.rows for family in row)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """What each family takes from whom, in the order in which it says so."""
        return tuple(
            Edge(source=source, target=family.name, reason=reason)
            for family in self.families
            for source, reason in family.builds_on.items()
        )

    def to_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {
            "families": [
                {
                    "name": family.name, "year": family.year, "paper": family.paper, "idea": family.idea,
                    "networks": list(family.networks), "ancestor": family.ancestor, "reference": family.reference,
                }
                for family in self.families
            ],
            "edges": [{"from": edge.source, "to": edge.target, "reason": edge.reason} for edge in self.edges],
        }  # fmt: skip


def history() -> History:
    """Read the picture of the field from the registry and the ancestors.

    Raises: ValueError: a family builds on one that is not known, or that came after it.

    Example:
        >>> field = history()
        >>> [(edge.source, edge.reason) for edge in field.edges if edge.target == "MobileNetV2"][0]
        ('MobileNetV1', 'depthwise separable convolutions, now between narrow ends')
    """
    ancestors = (
        Family(name=name, year=ancestor.year, paper=ancestor.paper, builds_on={})
        for name, ancestor in ANCESTORS.items()
    )
    known = {family.name: family for family in (*ancestors, *_registered())}
    for family in known.values():
        for source in family.builds_on:
            if source not in known:
                raise ValueError(f"{family.name} builds on {source!r}, which is neither a family nor in ANCESTORS")
            if known[source].year > family.year:
                raise ValueError(f"{family.name} ({family.year}) cannot build on {source} ({known[source].year})")

    def place(family: Family) -> tuple[int, int]:
        same_year = (known[source] for source in family.builds_on if known[source].year == family.year)
        return family.year, max((place(source)[1] + 1 for source in same_year), default=0)

    ordered = sorted(known.values(), key=lambda family: (place(family), family.name.lower()))
    return History(rows=tuple(tuple(row) for _, row in groupby(ordered, key=place)))


def _registered() -> list[Family]:
    """Put the networks of each family together."""
    by_family = groupby(sorted(networks(), key=lambda entry: entry.family), key=lambda entry: entry.family)
    families = []
    for name, members in by_family:
        entries = tuple(members)
        first = next((entry for entry in entries if entry.builds_on), entries[0])
        families.append(
            Family(
                name=name, year=min(entry.year for entry in entries), paper=first.paper, idea=first.idea,
                networks=tuple(entry.name for entry in entries),
                reference=all(entry.reference for entry in entries),
                builds_on={source: reason for entry in entries for source, reason in entry.builds_on.items()},
            )
        )  # fmt: skip
    return families
