"""The links of each step, held against what each block's paper says."""

import pytest
import torch
from torch import Tensor, nn

from featherweight.blocks import (
    GALLERY,
    ConvNormAct,
    GhostModule,
    InterleavedGroupConv,
    InterleavedSparseConv,
    InvertedResidual,
    Link,
    Row,
    ShuffleUnitV2,
    SqueezeExcite,
    channel_shuffle,
    connectivity,
    levels,
    wiring,
)


def only(row: Row) -> Tensor:
    (links,) = row.reads.values()
    return links


def test_a_depthwise_and_a_grouped_step() -> None:
    block = nn.Sequential(ConvNormAct(6, 6, kernel_size=3, groups=6), ConvNormAct(6, 4, groups=2))
    _, depthwise, grouped = wiring(block, 6)
    assert (depthwise.words, grouped.words) == ("3x3 depthwise", "1x1 in 2 groups down")
    assert torch.equal(only(depthwise), torch.eye(6).bool())
    assert torch.equal(only(grouped), torch.block_diag(torch.ones(2, 3), torch.ones(2, 3)).bool())


def test_a_shuffle_step_is_the_permutation() -> None:
    _, _, shuffle, *_ = wiring(InterleavedGroupConv(6, 6, primary_partitions=3, secondary_partitions=2), 6)
    dealt = channel_shuffle(torch.arange(6.0).reshape(1, 6, 1, 1), 3).flatten().long()
    assert only(shuffle).long().argmax(1).tolist() == dealt.tolist()


def test_a_shuffle_written_out_is_one_too() -> None:
    class Transposing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)

    _, shuffle = wiring(Transposing(), 6)
    assert only(shuffle).long().argmax(1).tolist() == [0, 3, 1, 4, 2, 5]


def test_a_split_reads_its_part_only() -> None:
    rows = wiring(ShuffleUnitV2(8, 8), 8)
    pointwise, join = rows[1], next(row for row in rows if row.words == "join")
    assert not only(pointwise)[:, :4].any()
    assert only(pointwise)[:, 4:].all()
    assert torch.equal(join.reads[0], torch.eye(8)[:, :8].bool() & (torch.arange(8) < 4))


def test_a_shortcut_is_read_beside_the_branch() -> None:
    rows = wiring(InvertedResidual(6, 6, hidden_channels=12, attention=lambda c: SqueezeExcite(c, 4)), 6)
    assert [row.words for row in rows] == ["input", "1x1 up", "3x3 depthwise", "squeeze-excite", "1x1 down", "add"]
    assert torch.equal(only(rows[3]), torch.eye(12).bool())
    assert {number: torch.equal(links, torch.eye(6).bool()) for number, links in rows[-1].reads.items()} == {
        0: True, 4: True,
    }  # fmt: skip
    assert levels(rows) == [0, 1, 2, 3, 4, 5]


def test_one_path_joins_each_pair_of_channels_of_igcv2() -> None:
    composed = torch.eye(16)
    for row in wiring(InterleavedSparseConv(16, 16, group_sizes=(4, 4)), 16)[1:]:
        composed = only(row).float() @ composed
    assert torch.equal(composed, torch.ones(16, 16))


def test_ghosts_are_made_from_what_was_computed() -> None:
    *_, cheap, join = wiring(GhostModule(6, 6), 6)
    assert torch.equal(only(cheap), torch.eye(3).bool())
    assert sorted(int(links.sum()) for links in join.reads.values()) == [3, 3]


@pytest.mark.parametrize("name", GALLERY)
def test_steps_compose_to_the_block(name: str) -> None:
    """A direct link from end to end is a path through the steps, and each step is named."""
    example = GALLERY[name]
    block = example.make()
    rows = wiring(block, example.in_channels)
    assert all(row.words and row.reads for row in rows[1:])
    paths = [torch.eye(example.in_channels)]
    for row in rows[1:]:
        paths.append(sum((links.float() @ paths[number] for number, links in row.reads.items()), torch.zeros(())))
    direct = connectivity(block, example.in_channels, side=9).channels == Link.DIRECT
    if "mean" not in [row.words for row in rows]:
        assert torch.equal(paths[-1] > 0, direct)
