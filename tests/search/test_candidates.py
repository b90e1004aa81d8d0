import math

import pytest

from featherweight.networks import create, network, networks
from featherweight.search import AUTO, Budget, candidates, chosen, nearest, shortlist


@pytest.fixture(scope="module")
def found() -> tuple[list, list]:
    return candidates(
        num_classes=10, channels=1, native_side=8, budget=Budget(size_bytes=300_000), names=["mobilenet*"]
    )


def test_within_and_over_are_told_apart_by_the_budget(found: tuple[list, list]) -> None:
    within, over = found
    assert within
    assert over
    assert max(one.size_bytes for one in within) <= 300_000 < min(one.size_bytes for one in over)
    assert {one.resolution for one in within} == {16, 24, 32}


def test_auto_is_a_choice_among_all_without_those_that_are_there_to_compare_with() -> None:
    auto = chosen([AUTO])
    assert 10 < len(auto) < len(chosen(["*"])) == len(list(networks()))
    assert not any(one.reference or one.family == "AdderNet" for one in auto)


def test_a_name_is_one_network_and_a_family_all_of_its_own() -> None:
    assert chosen(["ghostnet"]) == [network("ghostnet")]
    assert chosen(["GhostNet"]) == [one for one in networks() if one.family == "GhostNet"] != chosen(["ghostnet"])


def test_a_candidate_can_be_built_and_has_the_counted_parameters(found: tuple[list, list]) -> None:
    one = found[0][0]
    model = create(one.network, **one.options)
    assert sum(parameter.numel() for parameter in model.parameters()) == one.params


def test_ids_tell_candidates_apart(found: tuple[list, list]) -> None:
    every = [one.id for group in found for one in group]
    assert len(set(every)) == len(every)


def test_the_shortlist_takes_families_in_turn_and_stays_near_the_target(found: tuple[list, list]) -> None:
    within, _ = found
    target = 4e6
    few = shortlist(within, multiply_adds=target, count=3)
    families = {one.family for one in within}
    assert len({one.family for one in few}) == min(3, len(families))
    best = min(within, key=lambda one: abs(math.log(one.multiply_adds / target)))
    assert few[0].multiply_adds <= best.multiply_adds * 2


def test_a_wrong_pattern_names_the_networks_there_are() -> None:
    with pytest.raises(ValueError, match=r"no network fits 'mobile_net'.*mobilenet_v2"):
        candidates(num_classes=2, channels=3, native_side=32, budget=Budget(), names=["mobile_net"])


def test_nearest_says_how_far_over_which_limit(found: tuple[list, list]) -> None:
    within, _ = found
    smallest = min(within, key=lambda one: one.size_bytes)
    one, excess = nearest(within, Budget(size_bytes=smallest.size_bytes // 2), {})
    assert one.size_bytes == smallest.size_bytes
    assert excess["size"] == pytest.approx(2, rel=0.01)
