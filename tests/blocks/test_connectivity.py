"""What reaches what, held against what is derived by hand."""

import pytest
import torch
from torch import Tensor, nn

from featherweight.blocks import (
    ChannelWiseConv,
    Connectivity,
    ConvNormAct,
    DepthwiseSeparable,
    InterleavedGroupConv,
    InvertedResidual,
    Link,
    ShuffleUnitV1,
    ShuffleUnitV2,
    SqueezeExcite,
    connectivity,
)


def direct(links: Tensor) -> Tensor:
    return links == Link.DIRECT


def block_diagonal(groups: int, outputs: int, inputs: int) -> Tensor:
    return torch.block_diag(*[torch.ones(outputs // groups, inputs // groups)] * groups).bool()


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (ConvNormAct(6, 8), torch.ones(8, 6).bool()),
        (ConvNormAct(6, 6, kernel_size=3, groups=6), torch.eye(6).bool()),
        (ConvNormAct(6, 12, kernel_size=3, groups=6), block_diagonal(6, 12, 6)),
        (ConvNormAct(6, 9, groups=3, activation="relu6"), block_diagonal(3, 9, 6)),
        (DepthwiseSeparable(6, 8), torch.ones(8, 6).bool()),
        (InterleavedGroupConv(6, 6, primary_partitions=3, secondary_partitions=2), torch.ones(6, 6).bool()),
        (ChannelWiseConv(6, 6, kernel_size=3), torch.ones(6, 6).triu(-1).tril(1).bool()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_channels(block: nn.Module, expected: Tensor) -> None:
    links = connectivity(block, 6)
    assert torch.equal(direct(links.channels), expected)
    assert torch.equal(links.channels > 0, expected)


def test_a_shuffle_unit_reads_two_of_three_groups_and_its_shortcut() -> None:
    """Two bottleneck channels a group, a a | b b | c c, are dealt out to a b | c a | b c."""
    read_by_group = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1]]).bool()
    expected = read_by_group.repeat_interleave(8, 0).repeat_interleave(8, 1) | torch.eye(24).bool()
    assert torch.equal(direct(connectivity(ShuffleUnitV1(24, 24, groups=3), 24).channels), expected)


def test_half_of_the_channels_pass_a_unit_of_shufflenet_v2() -> None:
    channels = direct(connectivity(ShuffleUnitV2(8, 8), 8).channels)
    assert torch.equal(channels[0::2], torch.eye(4, 8).bool())
    assert torch.equal(channels[1::2], torch.cat((torch.zeros(4, 4), torch.ones(4, 4)), dim=1).bool())


@pytest.mark.parametrize(
    ("block", "side"),
    [
        (ConvNormAct(4, 4), 1),
        (ConvNormAct(4, 4, kernel_size=3), 3),
        (ConvNormAct(4, 4, kernel_size=3, stride=2), 3),
        (nn.Sequential(ConvNormAct(4, 4, kernel_size=3), ConvNormAct(4, 4, kernel_size=5)), 7),
        (nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)), 3),
    ],
)
def test_pixels(block: nn.Module, side: int) -> None:
    pixels = connectivity(block, 4).pixels > 0
    rows, columns = pixels.any(1).nonzero().flatten().tolist(), pixels.any(0).nonzero().flatten().tolist()
    assert (len(rows), len(columns), int(pixels.sum())) == (side, side, side * side)
    assert rows[side // 2] in (7, 8)


def test_squeeze_excite_links_everything_faintly() -> None:
    alone = connectivity(SqueezeExcite(6, 3), 6)
    assert torch.equal(direct(alone.channels), torch.eye(6).bool())
    assert bool((alone.channels > 0).all())
    inside = connectivity(InvertedResidual(6, 6, hidden_channels=12, attention=lambda c: SqueezeExcite(c, 6)), 6)
    assert int(direct(inside.pixels).sum()) == 9
    assert bool((inside.pixels > 0).all())


def test_groups() -> None:
    assert connectivity(ConvNormAct(6, 4, groups=2), 6).groups() == ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1])
    assert Connectivity(channels=torch.tensor([[0, 2], [1, 0]]), pixels=torch.ones(1, 1)).groups() == (
        [-1, 0], [0, -1],
    )  # fmt: skip


def test_the_block_is_left_alone() -> None:
    block = ConvNormAct(4, 4)
    before = {name: value.clone() for name, value in block.state_dict().items()}
    connectivity(block, 4)
    assert block.training
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())
    assert connectivity(block, 4).channels.equal(connectivity(block, 4).channels)


def test_a_head_is_refused() -> None:
    with pytest.raises(ValueError, match=r"from pictures to pictures \[N, C, H, W\]; got \(16, 4\) out of it"):
        connectivity(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 4)
