"""Compound scaling: the released table comes out of it, and so do the layers of B0 to B7."""

import inspect
from itertools import groupby
from typing import NamedTuple

import pytest
import torch

from featherweight.blocks import InvertedResidual
from featherweight.networks import Network, networks
from featherweight.networks.efficientnet import compound_scaling, equation_3


class Released(NamedTuple):
    """What the released code builds."""

    width: float
    depth: float
    resolution: int
    dropout: float
    stem: int
    stages: tuple[int, ...]
    layers: tuple[int, ...]
    head: int


RELEASED = (
    Released(1.0, 1.0, 224, 0.2, 32, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1), 1280),
    Released(1.0, 1.1, 240, 0.2, 32, (16, 24, 40, 80, 112, 192, 320), (2, 3, 3, 4, 4, 5, 2), 1280),
    Released(1.1, 1.2, 260, 0.3, 32, (16, 24, 48, 88, 120, 208, 352), (2, 3, 3, 4, 4, 5, 2), 1408),
    Released(1.2, 1.4, 300, 0.3, 40, (24, 32, 48, 96, 136, 232, 384), (2, 3, 3, 5, 5, 6, 2), 1536),
    Released(1.4, 1.8, 380, 0.4, 48, (24, 32, 56, 112, 160, 272, 448), (2, 4, 4, 6, 6, 8, 2), 1792),
    Released(1.6, 2.2, 456, 0.4, 48, (24, 40, 64, 128, 176, 304, 512), (3, 5, 5, 7, 7, 9, 3), 2048),
    Released(1.8, 2.6, 528, 0.5, 56, (32, 40, 72, 144, 200, 344, 576), (3, 6, 6, 8, 8, 11, 3), 2304),
    Released(2.0, 3.1, 600, 0.5, 64, (32, 48, 80, 160, 224, 384, 640), (4, 7, 7, 10, 10, 13, 4), 2560),
)
FAMILY = [network for network in networks() if network.family == "EfficientNet"]
EACH = pytest.mark.parametrize(
    ("network", "released"), list(zip(FAMILY, RELEASED, strict=True)), ids=[network.name for network in FAMILY]
)


@EACH
def test_layers_are_the_released_ones(network: Network, released: Released) -> None:
    with torch.device("meta"):
        model = network.build()
    *blocks, last = model.body
    widths = [block.project.conv.out_channels for block in blocks]
    stages = [(width, len(list(same))) for width, same in groupby(widths)]
    assert model.stem.conv.out_channels == released.stem
    assert stages == list(zip(released.stages, released.layers, strict=True))
    assert last.conv.out_channels == model.num_features == released.head
    assert model.head.dropout.p == released.dropout
    assert model.resolution == network.resolution == released.resolution


@EACH
def test_coefficients_are_the_released_ones(network: Network, released: Released) -> None:
    number = RELEASED.index(released)
    assert compound_scaling(number) == (released.depth, released.width, released.resolution)
    defaults = {name: option.default for name, option in inspect.signature(network.build).parameters.items()}
    assert (defaults["depth"], defaults["width"], defaults["resolution"]) == compound_scaling(number)
    assert network.name == f"efficientnet_b{number}"
    assert f"B{number}" in (network.build.__doc__ or "")


def test_scaling_between_two_networks_is_geometric() -> None:
    low, middle, high = compound_scaling(3), compound_scaling(3.5), compound_scaling(4)
    assert middle.depth**2 == pytest.approx(low.depth * high.depth)
    assert middle.width**2 == pytest.approx(low.width * high.width)
    assert middle.resolution == round((low.resolution * high.resolution) ** 0.5)


@pytest.mark.parametrize(("end", "beyond"), [(0, -1.5), (7, 9.25)])
def test_scaling_beyond_the_networks_follows_equation_3(end: int, beyond: float) -> None:
    start, there = compound_scaling(end), compound_scaling(beyond)
    depth, width, resolution = equation_3(beyond - end)
    assert there.depth == pytest.approx(start.depth * depth)
    assert there.width == pytest.approx(start.width * width)
    assert there.resolution == round(start.resolution * resolution)


def test_scaling_grows_with_phi() -> None:
    points = [compound_scaling(phi / 4) for phi in range(-8, 40)]
    for coefficients in zip(*points, strict=True):
        assert list(coefficients) == sorted(coefficients)


def test_equation_3_doubles_the_cost_per_step() -> None:
    depth, width, resolution = equation_3(1)
    assert (depth, width, resolution) == (1.2, 1.1, 1.15)
    assert depth * width**2 * resolution**2 == pytest.approx(2, rel=0.05)


def test_squeeze_comes_from_the_blocks_input() -> None:
    with torch.device("meta"):
        blocks = [block for block in FAMILY[0].build().body if isinstance(block, InvertedResidual)]
    assert [block.attention.reduce.out_channels for block in blocks][:4] == [8, 4, 6, 6]


def test_drop_path_grows_from_nothing() -> None:
    with torch.device("meta"):
        blocks = [block for block in FAMILY[0].build(drop_path=0.4).body if isinstance(block, InvertedResidual)]
    dropped = [(place, block.drop_path.probability) for place, block in enumerate(blocks) if block.residual]
    assert dropped == [(place, pytest.approx(0.4 * place / 16)) for place, _ in dropped]
