"""Every printed row of every network: our counts round to the printed digits, or the row says why not."""

import pytest

from featherweight.networks import (
    Counts,
    Network,
    Published,
    Variant,
    compare,
    counts,
    network,
    networks,
    papers,
    rounds_to,
    variants,
)
from featherweight.networks._listing import count, written_counts

ROWS = [(entry, row) for entry in networks() for row in entry.published]


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_counts_round_to_the_printed_digits(variant: Variant) -> None:
    fresh = count(variant)
    assert counts(variant) == fresh, "counts.json is stale: run python -m featherweight.networks"
    for row in variant.published:
        differing = disagreements(row, fresh)
        if row.deviation is None:
            assert not differing, f"{row.source}: {'; '.join(differing)}"
        else:
            assert differing, f"{row.source}: nothing deviates, but the row says: {row.deviation}"


def disagreements(row: Published, counted: Counts) -> list[str]:
    """Say which printed numbers of a row the counts do not round to."""
    return [
        f"{figure.printed} {figure.what} printed, {figure.counted:,} counted"
        for figure in compare(row, counted)
        if not figure.agrees
    ]


def test_an_operation_is_half_a_multiply_add() -> None:
    row = Published(params="1.2K", multiply_adds="10", operations="20", additions="30", source="")
    assert disagreements(row, Counts(1200, 10, 30)) == []
    assert disagreements(row, Counts(1251, 10, 30)) == ["1.2K params printed, 1,251 counted"]
    assert disagreements(row, Counts(1200, 11, 30)) == [
        "10 multiply_adds printed, 11 counted", "20 operations printed, 22 counted"
    ]  # fmt: skip
    assert disagreements(row, Counts(1200, 10, 31)) == ["30 additions printed, 31 counted"]


def test_at_least_300_printed_counts_are_checked() -> None:
    assert sum(len(row.figures) for row in papers()) >= 300


def test_counts_file_has_nothing_else() -> None:
    assert set(written_counts()) == {str(variant) for variant in variants()}


@pytest.mark.parametrize(("entry", "row"), ROWS, ids=[f"{entry.name}-{i}" for i, (entry, _) in enumerate(ROWS)])
def test_row_is_complete(entry: Network, row: Published) -> None:
    entry.check_options(row.options)
    assert row.source
    assert any((row.params, row.multiply_adds, row.operations, row.top1, row.top5)), "the row prints nothing"
    assert row.deviation != ""
    if row.top1 and row.top5:
        assert 0 < row.top1 < row.top5 < 100


def test_every_network_has_printed_rows() -> None:
    """Of two, what was printed has only a first digit: "2.x million"."""
    assert [entry.name for entry in networks() if not entry.published] == ["channelnet_v2", "channelnet_v3"]


@pytest.mark.parametrize(
    ("counted", "printed", "agrees"),
    [
        (3_449_999, "3.4M", True),
        (3_450_000, "3.4M", True),
        (3_450_000, "3.5M", True),
        (3_450_001, "3.4M", False),
        (1_248_424, "1,248,424", True),
        (1_248_425, "1,248,424", False),
        (389_600_000, "0.39B", True),
        (395_000_001, "0.39G", False),
        (812_400, "812K", True),
        (1_715_000_000, "1.72G", True),
    ],
)
def test_rounding_to_printed_digits(counted: int, printed: str, agrees: bool) -> None:
    assert rounds_to(counted, printed) is agrees


@pytest.mark.parametrize("printed", ["", "about 3M", "3.4 million", "-1M", "3.M"])
def test_what_is_not_a_number_is_refused(printed: str) -> None:
    with pytest.raises(ValueError, match="not a printed number"):
        rounds_to(1, printed)


def test_accuracy_on_imagenet_is_of_networks_with_its_classes() -> None:
    for variant in variants():
        classes = variant.options.get("num_classes", network(variant.name).default("num_classes"))
        for row in variant.published:
            assert (row.dataset == "ImageNet") == (classes == 1000), f"{variant}, {row.source}: {row.dataset}"
