"""The interleaved convolutions: their paths, their closed forms, and the conditions on their groups."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from featherweight.blocks import (
    InterleavedGroupConv,
    InterleavedLowRankGroupConv,
    InterleavedSparseConv,
    balanced_group_sizes,
    balanced_weights,
    best_number_of_layers,
)


def multiply_adds(module: nn.Module, *shape: int) -> int:
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


def weights(module: nn.Module) -> int:
    return sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Conv2d))


@torch.no_grad()
def paths(module: nn.Module, channels: int) -> Tensor:
    """How many paths lead from each input channel (row) to each output channel: the product with all weights 1."""
    module.eval()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
            nn.init.ones_(layer.weight[:, :, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2])
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-20
    return module(torch.eye(channels)[:, :, None, None])[:, :, 0, 0]


@pytest.mark.parametrize(("primary", "secondary"), [(1, 12), (2, 6), (3, 4), (6, 2), (12, 1)])
def test_group_conv_joins_each_pair_of_channels_by_one_path(primary: int, secondary: int) -> None:
    block = InterleavedGroupConv(12, 12, primary_partitions=primary, secondary_partitions=secondary)
    assert torch.equal(paths(block, 12), torch.ones(12, 12))


def test_group_conv_with_half_of_the_secondary_partitions_has_two_paths() -> None:
    block = InterleavedGroupConv(12, 24, primary_partitions=3, secondary_partitions=4)
    assert torch.equal(paths(block, 12), 2 * torch.ones(12, 24))


def test_group_conv_permutes_back() -> None:
    """With the 1x1 layer the identity, what is left is the primary convolution."""
    block = InterleavedGroupConv(12, 12, primary_partitions=3, secondary_partitions=4, activation=None).eval()
    nn.init.dirac_(block.secondary.conv.weight, groups=4)
    x = torch.randn(2, 12, 5, 5)
    torch.testing.assert_close(block(x), block.primary(x) / (1 + 1e-5) ** 0.5)


def test_group_conv_costs_the_papers_closed_form() -> None:
    block = InterleavedGroupConv(48, 48, primary_partitions=24, secondary_partitions=2)
    assert weights(block) == 24 * 2**2 * 9 + 2 * 24**2
    assert multiply_adds(block, 48, 7, 5) == 7 * 5 * weights(block)
    wide = InterleavedGroupConv(48, 96, primary_partitions=24, secondary_partitions=4, stride=2)
    assert multiply_adds(wide, 48, 7, 5) == 4 * 3 * 96 * (9 * 48 // 24 + 96 // 4)


def test_group_conv_says_what_does_not_divide() -> None:
    with pytest.raises(ValueError, match="50 channels do not divide into 24 primary partitions"):
        InterleavedGroupConv(48, 50, primary_partitions=24, secondary_partitions=2)
    with pytest.raises(ValueError, match=r"24 primary partitions has 2 of 48 channels, .* into 3 secondary"):
        InterleavedGroupConv(48, 48, primary_partitions=24, secondary_partitions=3)
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        InterleavedGroupConv(48, 48, primary_partitions=24, secondary_partitions=2, kernel_size=2)


@pytest.mark.parametrize(
    ("channels", "sizes"), [(64, (8, 8)), (64, (4, 4, 4)), (60, (3, 4, 5)), (7, (7,)), (512, (8, 8, 8))]
)
def test_sparse_conv_joins_each_pair_of_channels_by_one_path(channels: int, sizes: tuple[int, ...]) -> None:
    block = InterleavedSparseConv(channels, channels, group_sizes=sizes)
    assert torch.equal(paths(block, channels), torch.ones(channels, channels))
    assert weights(block) == channels * (9 + sum(sizes))
    assert multiply_adds(block, channels, 3, 2) == 3 * 2 * channels * (9 + sum(sizes))


def test_sparse_conv_of_64_channels_needs_a_quarter_of_the_dense_weights() -> None:
    assert weights(InterleavedSparseConv(64, 64, group_sizes=(8, 8)).pointwise) == 1024 == 64 * 64 // 4


@pytest.mark.parametrize(("channels", "layers"), [(16, 2), (128, 3), (416, 3), (832, 4)])
def test_nearly_complementary_sparse_conv_misses_no_pair(channels: int, layers: int) -> None:
    block = InterleavedSparseConv(channels, channels, group_sizes=(8,) * layers, nearly_complementary=True)
    assert paths(block, channels).min() >= 1


def test_sparse_conv_widens_in_its_channel_wise_layer() -> None:
    block = InterleavedSparseConv(8, 16, stride=2, group_sizes=(4, 4))
    assert block(torch.zeros(1, 8, 7, 5)).shape == (1, 16, 4, 3)
    assert torch.equal(paths(InterleavedSparseConv(8, 16, group_sizes=(4, 4)), 8), 2 * torch.ones(8, 16))


@pytest.mark.parametrize(
    ("sizes", "nearly", "wanted"),
    [
        ((8, 4), False, r"\(8, 4\) multiply to 32, not to 64 channels, .* exactly one path; \(8, 8\) would do"),
        ((8, 8, 8), False, r"multiply to 512, not to 64 channels, .*; \(4, 4, 4\) would do"),
        ((4, 16), False, r"not balanced: they cost 20 weights for each channel; \(8, 8\) cost 16"),
        ((8, 6), False, r"must be one or more divisors of 64 channels; got \(8, 6\)"),
        ((), False, "must be one or more divisors of 64 channels"),
        ((8, 4), True, "multiply to 32, less than 64 channels: some pairs of channels would have no path"),
        ((4, 32), True, r"must all be equal to be balanced; got \(4, 32\)"),
    ],
)
def test_sparse_conv_checks_both_conditions(sizes: tuple[int, ...], nearly: bool, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        InterleavedSparseConv(64, 64, group_sizes=sizes, nearly_complementary=nearly)


def test_sparse_conv_refuses_widths_and_kernels_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="multiple of in_channels; got 48 -> 64"):
        InterleavedSparseConv(48, 64, group_sizes=(8, 8))
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        InterleavedSparseConv(64, 64, kernel_size=4, group_sizes=(8, 8))


def test_balance() -> None:
    """9 * 9**(L - 1) channels are balanced exactly: all K are 9, as large as the 3x3 kernel."""
    for layers in (2, 3, 4):
        channels = 9 ** (layers - 1)
        sizes = balanced_group_sizes(channels, layers - 1)
        assert sizes == (9,) * (layers - 1)
        block = InterleavedSparseConv(channels, channels, group_sizes=sizes)
        assert weights(block) == round(balanced_weights(channels, layers))
    best = best_number_of_layers(512)
    assert balanced_weights(512, round(best)) == min(balanced_weights(512, layers) for layers in range(1, 20))
    with pytest.raises(ValueError, match="layers must be 1 or more; got 0"):
        balanced_group_sizes(64, 0)


@pytest.mark.parametrize("groups", [(1, 1), (2, 2), (2, 4)])
def test_low_rank_conv_costs_its_closed_form(groups: tuple[int, int]) -> None:
    block = InterleavedLowRankGroupConv(16, 24, hidden_channels=96, stride=2, groups=groups)
    first, second = groups
    assert multiply_adds(block, 16, 7, 5) == 7 * 5 * 16 * 96 // first + 4 * 3 * 96 * 9 + 4 * 3 * 96 * 24 // second


def test_low_rank_conv_lets_every_group_see_all_groups() -> None:
    """The loose complementary condition: as many paths for each pair, 48 hidden channels in 2 * 2 crossings."""
    block = InterleavedLowRankGroupConv(8, 8, hidden_channels=48, residual=False)
    block.depthwise.act = nn.Identity()  # what is counted is above 6
    assert torch.equal(paths(block, 8), 12 * torch.ones(8, 8))


@torch.no_grad()
def test_low_rank_conv_adds_its_input_where_shapes_match() -> None:
    x = torch.randn(2, 16, 5, 5)
    for residual, expected in ((True, x), (False, 0 * x)):
        block = InterleavedLowRankGroupConv(16, 16, hidden_channels=96, residual=residual).eval()
        nn.init.zeros_(block.project.norm.weight)
        assert torch.equal(block(x), expected)


def test_low_rank_conv_says_what_does_not_divide() -> None:
    with pytest.raises(ValueError, match="15 in channels do not divide into 2 groups"):
        InterleavedLowRankGroupConv(15, 16, hidden_channels=96)
    with pytest.raises(ValueError, match="18 out channels do not divide into 4 groups"):
        InterleavedLowRankGroupConv(16, 18, hidden_channels=96, groups=(2, 4))
