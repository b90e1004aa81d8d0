"""The grid pooling against PyTorch's adaptive one, and the head on it."""

import pytest
import torch
from torch import nn

from featherweight.blocks import FullyConnectedHead, GridPool
from featherweight.cost import analyze


@pytest.mark.parametrize("side", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [(7, 7), (1, 2), (4, 3), (13, 5), (14, 21)])
def test_grid_is_the_adaptive_average(side: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(GridPool(side)(x), nn.functional.adaptive_avg_pool2d(x, side))


def test_head_reads_the_map_place_by_place() -> None:
    head, x = FullyConnectedHead(4, 3, side=2, hidden_channels=(6, 5)).eval(), torch.randn(2, 4, 2, 2)
    (first, _), (second, _) = head.hidden
    expected = head.classifier(second(first(x.flatten(1)).relu()).relu())
    torch.testing.assert_close(head(x), expected)
    assert head.num_features == 5
    assert analyze(head, (4, 2, 2)).multiply_adds == 16 * 6 + 6 * 5 + 5 * 3
    head.reset(0)
    assert torch.equal(head(x), head(x, pre_logits=True))


def test_without_hidden_layers_the_grid_is_classified() -> None:
    head = FullyConnectedHead(4, 3, side=2, pool=nn.MaxPool2d(2))
    assert head.num_features == 16
    assert head(torch.zeros(1, 4, 8, 6)).shape == (1, 3)
