"""The picture of the field: every edge leads from a known family to a later one and says what was taken."""

import pytest

from featherweight.networks import Family, history, networks
from featherweight.networks import _history as module
from featherweight.networks._ancestors import ANCESTORS, Ancestor

FIELD = history()
FAMILIES = {family.name: family for family in FIELD.families}


def test_every_family_and_every_ancestor_is_there_once() -> None:
    assert sorted(family.name for family in FIELD.families) == sorted(
        {*(entry.family for entry in networks()), *ANCESTORS}
    )
    for family in FIELD.families:
        assert family.networks == tuple(entry.name for entry in networks() if entry.family == family.name)
        assert family.ancestor == (family.name in ANCESTORS)


def test_edges_lead_forwards_and_say_why() -> None:
    place = {family.name: number for number, row in enumerate(FIELD.rows) for family in row}
    for edge in FIELD.edges:
        assert place[edge.source] < place[edge.target]
        assert FAMILIES[edge.source].year <= FAMILIES[edge.target].year
        assert 10 < len(edge.reason) < 120, f"{edge.target} from {edge.source}: {edge.reason!r} is not one line"
        assert not edge.reason.endswith(".")


def test_rows_are_in_order_and_of_one_year() -> None:
    years = [{family.year for family in row} for row in FIELD.rows]
    assert all(len(year) == 1 for year in years)
    assert [family.year for family in FIELD.families] == sorted(family.year for family in FIELD.families)


def test_an_ancestor_is_there_because_somebody_builds_on_it() -> None:
    assert set(ANCESTORS) <= {edge.source for edge in FIELD.edges}


@pytest.mark.parametrize("family", [family for family in FIELD.families if not family.ancestor], ids=lambda f: f.name)
def test_a_family_says_its_idea_and_what_it_comes_from(family: Family) -> None:
    assert len(family.idea) > 100, f"the docstring of {family.name}'s file does not say its idea"
    assert family.builds_on or family.year < 2000, f"{family.name} builds on nothing"


@pytest.mark.parametrize(
    ("ancestors", "complaint"),
    [({}, "builds on '.*', which is neither a family nor in ANCESTORS"), (None, r"cannot build on .* \(2100\)")],
)
def test_a_wrong_edge_is_named(monkeypatch: pytest.MonkeyPatch, ancestors: object, complaint: str) -> None:
    late = {name: Ancestor(2100, ancestor.paper) for name, ancestor in ANCESTORS.items()}
    monkeypatch.setattr(module, "ANCESTORS", late if ancestors is None else ancestors)
    with pytest.raises(ValueError, match=complaint):
        history()
