"""SqueezeNext's block against its equations."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from featherweight.blocks import SqNxtBlock
from featherweight.cost import analyze


def layer(module: nn.Module, x: Tensor, padding: tuple[int, int] = (0, 0), stride: int = 1) -> Tensor:
    conv = nn.functional.conv2d(x, module.conv.weight, None, stride, padding, 1, module.conv.groups)
    norm = module.norm
    return relu(nn.functional.batch_norm(conv, norm.running_mean, norm.running_var, norm.weight, norm.bias))


@pytest.mark.parametrize(
    ("in_channels", "options"),
    [
        (16, {}),
        (16, {"tall_first": False, "groups": 2}),
        (8, {"stride": 2}),
        (16, {"projection": True}),
        (8, {"stride": 2, "behind_projection": True}),
        (16, {"behind_projection": True}),  # nothing to stand behind
    ],
)
@torch.no_grad()
def test_squeezes_twice_filters_both_ways_expands_and_adds(
    in_channels: int, options: dict[str, object], calibrated
) -> None:
    block = calibrated(SqNxtBlock(in_channels, 16, **options), (in_channels, 9, 7))
    x = torch.randn(2, in_channels, 9, 7)
    before, stride = x.clone(), int(options.get("stride", 1))
    behind = bool(options.get("behind_projection")) and in_channels != 16
    projected = in_channels != 16 or bool(options.get("projection"))
    shortcut = layer(block.projection, x, stride=stride) if projected else x
    paddings = [(1, 0), (0, 1)] if options.get("tall_first", True) else [(0, 1), (1, 0)]
    y = layer(block.branch.squeeze1, shortcut, stride=1) if behind else layer(block.branch.squeeze1, x, stride=stride)
    y = layer(block.branch.squeeze2, y)
    y = layer(block.branch.filter2, layer(block.branch.filter1, y, paddings[0]), paddings[1])
    torch.testing.assert_close(block(x), relu(layer(block.branch.expand, y) + shortcut))
    assert torch.equal(x, before), "the input was changed"


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("behind", [False, True])
def test_cost_is_the_docstring_s(groups: int, behind: bool) -> None:
    block = SqNxtBlock(8, 32, stride=2, groups=groups, behind_projection=behind)
    c, pixels = 32, 5 * 4
    first = (c if behind else 8) * c // 2 // groups
    wanted = pixels * (8 * c + first + c * c // 8 + 9 * c * c // 8 // groups + c * c // 2)
    assert analyze(block, (8, 9, 7)).multiply_adds == wanted


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"with 2 groups, out_channels must divide by 8 .* got 6 -> 12"):
        SqNxtBlock(6, 12, groups=2)
    with pytest.raises(ValueError, match="8 -> 16 channels with stride 1 need a projection"):
        SqNxtBlock(8, 16, projection=False)
