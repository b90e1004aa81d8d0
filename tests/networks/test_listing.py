"""Finding networks by name, family, year and cost."""

import subprocess
import sys

import pytest

from featherweight.networks import Variant, analyze, counts, list_networks, network, networks, variants

ALL = [entry.name for entry in networks()]


def test_all_by_default_and_sorted() -> None:
    assert list_networks() == sorted(ALL)


def test_pattern_and_filters_narrow() -> None:
    for entry in networks():
        assert entry.name in list_networks(f"{entry.name[:4]}*")
        assert entry.name in list_networks(family=entry.family.upper())
        assert entry.name in list_networks(year=entry.year)
        assert entry.name in list_networks(year=(entry.year - 1, entry.year))
        assert entry.name not in list_networks(year=entry.year + 1)
    assert list_networks("no_such_*") == []


def test_limits_include_their_value() -> None:
    for name in ALL:
        params, terms = counts(name).params, counts(name).terms
        assert name in list_networks(max_params=params, max_multiply_adds=terms)
        assert name not in list_networks(max_params=params - 1)
        assert name not in list_networks(max_multiply_adds=terms - 1)


def test_additions_count_as_work() -> None:
    adder = counts("adder_resnet20")
    assert adder.terms == adder.multiply_adds + adder.additions / 2 > 10 * adder.multiply_adds
    assert "adder_resnet20" not in list_networks(max_multiply_adds=adder.terms - 1)
    assert "adder_resnet20" in list_networks(max_multiply_adds=adder.terms)


def test_unknown_family_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=f"unknown family 'Transformer'; known: .*{network(ALL[0]).family}"):
        list_networks(family="Transformer")


def test_variants_are_distinct_and_keep_every_row() -> None:
    assert len({str(variant) for variant in variants()}) == len(variants())
    rows = [row for variant in variants() for row in variant.published]
    assert sorted(map(id, rows)) == sorted(id(row) for entry in networks() for row in entry.published)
    found = [(variant.name, variant.options, variant.resolution) for variant in variants()]
    for entry in networks():
        assert found.count((entry.name, {}, entry.resolution)) == 1


def test_variant_says_only_what_differs_from_the_defaults() -> None:
    for variant in variants():
        for option, value in variant.options.items():
            assert value != network(variant.name).default(option)


def test_counts_of_what_is_not_written_down() -> None:
    for name in ("mobilenet_v2", "adder_resnet18"):
        small = Variant(name=name, options={"num_classes": 10}, resolution=64)
        cost = analyze(name, 64, num_classes=10)
        counted = counts(small)
        assert (counted.params, counted.multiply_adds) == (cost.params, cost.multiply_adds)
        assert (counted.additions > 0) == name.startswith("adder")
    with pytest.raises(ValueError, match="unknown network"):
        counts("no_such_network")


def test_analyze_takes_a_model_or_a_name() -> None:
    from featherweight.networks import create

    model = create(ALL[0], num_classes=3)
    assert analyze(model, 64).to_dict() == analyze(ALL[0], 64, num_classes=3).to_dict()
    with pytest.raises(TypeError, match=r"options are for a name; this .* is built already: num_classes"):
        analyze(model, 64, num_classes=3)


def test_listing_builds_nothing() -> None:
    """All counts are read: with construction made impossible, filters by cost still answer."""
    code = (
        "import torch\n"
        "from featherweight.networks import list_networks\n"
        "torch.nn.Module.__init__ = None\n"
        "assert len(list_networks(max_params=10**9, max_multiply_adds=10**12)) > 5\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
