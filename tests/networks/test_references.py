"""The plain networks to compare with: what the contract, the printed rows and the peers do not show."""

import pytest
import torch
from torch import nn

from featherweight.blocks import PadShortcut
from featherweight.networks import analyze, create, networks, on_meta_device


def build(name: str, **options: object) -> nn.Module:
    with on_meta_device():
        return create(name, **options)


def layers(model: nn.Module) -> int:
    """Count what names count: convolutions and linear layers, without those of shortcuts."""
    return sum(
        isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name for name, module in model.named_modules()
    )


@pytest.mark.parametrize(
    ("name", "depth"),
    [("resnet18", 18), ("resnet20", 20), ("resnet32", 32), ("resnet50", 50), ("resnet56", 56), ("vgg16", 16)],
)
def test_has_as_many_layers_as_its_name_says(name: str, depth: int) -> None:
    assert layers(build(name)) == depth


def test_they_are_marked_as_references() -> None:
    marked = {entry.name for entry in networks() if entry.reference}
    assert marked >= {"resnet18", "resnet20", "resnet32", "resnet50", "resnet56"}
    assert marked >= {"vgg16", "vgg16_cifar", "vgg_small", "alexnet", "lenet5_bn"}


def test_padded_shortcuts_cost_nothing() -> None:
    padded, projected = build("resnet20"), build("resnet20", shortcut="projection")
    assert sum(isinstance(module, PadShortcut) for module in padded.modules()) == 2
    added = sum(p.numel() for p in projected.parameters()) - sum(p.numel() for p in padded.parameters())
    assert added == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


def test_strides_of_the_papers_bottlenecks_are_in_the_first_layer() -> None:
    theirs, paper = (analyze("resnet50", stride_first=first) for first in (False, True))
    assert theirs.params == paper.params
    assert theirs.multiply_adds - paper.multiply_adds == sum(
        (side**2 - (side // 2) ** 2) * into * into // 2 for side, into in ((56, 256), (28, 512), (14, 1024))
    )


@pytest.mark.parametrize(("name", "side"), [("vgg16", 7), ("vgg16_cifar", 1), ("vgg_small", 4), ("lenet5_bn", 5)])
def test_last_map_of_the_papers_picture_fits_the_head_unchanged(name: str, side: int) -> None:
    model = build(name)
    maps = model.forward_features(torch.empty(1, model.in_channels, model.resolution, model.resolution, device="meta"))
    assert maps.shape[2:] == (side, side)


def test_lenet_takes_grey_pictures() -> None:
    assert create("lenet5_bn")(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    assert analyze("lenet5_bn").multiply_adds == 28**2 * 6 * 25 + 10**2 * 16 * 6 * 25 + 400 * 120 + 120 * 84 + 84 * 10
