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
    """The field: families by year and name, and the edges between them, by target and in the order they were said."""

    families: tuple[Family, ...]
    edges: tuple[Edge, ...]

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
    families = sorted((*ancestors, *_registered()), key=lambda family: (family.year, family.name.lower()))
    years = {family.name: family.year for family in families}
    edges = []
    for family in families:
        for source, reason in family.builds_on.items():
            if source not in years:
                raise ValueError(f"{family.name} builds on {source!r}, which is neither a family nor in ANCESTORS")
            if years[source] > family.year:
                raise ValueError(f"{family.name} ({family.year}) cannot build on {source} ({years[source]})")
            edges.append(Edge(source=source, target=family.name, reason=reason))
    return History(families=tuple(families), edges=tuple(edges))


def _registered() -> list[Family]:
    """Put the networks of each family together."""
    by_family = groupby(sorted(networks(), key=lambda entry: entry.family), key=lambda entry: entry.family)
    families = []
    for name, members in by_family:
        first, *others = members
        entries = (first, *others)
        builds_on = {source: reason for entry in entries for source, reason in entry.builds_on.items()}
        families.append(
            Family(
                name=name, year=min(entry.year for entry in entries), paper=first.paper, idea=first.idea,
                networks=tuple(entry.name for entry in entries), reference=first.reference, builds_on=builds_on,
            )
        )  # fmt: skip
    return families
