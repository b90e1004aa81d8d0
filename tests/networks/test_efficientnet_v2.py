"""EfficientNetV2's layers are the released ones, which no printed number says."""

from itertools import groupby
from typing import NamedTuple

import pytest

from featherweight.blocks import FusedInvertedResidual, ImageClassifier
from featherweight.networks import create, network, on_meta_device


class Layers(NamedTuple):
    """What the authors' code builds."""

    stem: int
    stages: tuple[int, ...]
    layers: tuple[int, ...]
    head: int
    resolution: int
    dropout: float


RELEASED = {
    "s": Layers(24, (24, 48, 64, 128, 160, 256), (2, 4, 4, 6, 9, 15), 1280, 384, 0.2),
    "m": Layers(24, (24, 48, 80, 160, 176, 304, 512), (3, 5, 5, 7, 14, 18, 5), 1280, 480, 0.3),
    "l": Layers(32, (32, 64, 96, 192, 224, 384, 640), (4, 7, 7, 10, 19, 25, 7), 1280, 480, 0.4),
    "xl": Layers(32, (32, 64, 96, 192, 256, 512, 640), (4, 8, 8, 16, 24, 32, 8), 1280, 512, 0.4),
    "b0": Layers(32, (16, 32, 48, 96, 112, 192), (1, 2, 2, 3, 5, 8), 1280, 224, 0.2),
    "b1": Layers(32, (16, 32, 48, 96, 112, 192), (2, 3, 3, 4, 6, 9), 1280, 240, 0.2),
    "b2": Layers(32, (16, 32, 56, 104, 120, 208), (2, 3, 3, 4, 6, 10), 1408, 260, 0.3),
    "b3": Layers(40, (16, 40, 56, 112, 136, 232), (2, 3, 3, 5, 7, 12), 1536, 300, 0.3),
}


def on_meta(size: str, **options: object) -> ImageClassifier:
    with on_meta_device():
        return create(f"efficientnet_v2_{size}", **options)


@pytest.mark.parametrize("size", RELEASED)
def test_layers_are_the_released_ones(size: str) -> None:
    model, released = on_meta(size), RELEASED[size]
    *blocks, last = model.body
    stages = [(width, len(list(same))) for width, same in groupby(block.project.conv.out_channels for block in blocks)]
    assert model.stem.conv.out_channels == released.stem
    assert stages == list(zip(released.stages, released.layers, strict=True))
    assert last.conv.out_channels == model.num_features == released.head
    assert (model.resolution, model.head.dropout.p) == (released.resolution, released.dropout)
    fused = [isinstance(block, FusedInvertedResidual) for block in blocks]
    assert fused == sorted(fused, reverse=True)
    assert sum(fused) == sum(released.layers[:3])


def test_squeeze_comes_from_the_blocks_input() -> None:
    blocks = [block for block in on_meta("b0").body if getattr(block, "attention", None)]
    assert [block.attention.reduce.out_channels for block in blocks][:4] == [12, 24, 24, 24]


def test_widths_round_to_the_nearest_eight() -> None:
    """MobileNetV2's limit of 90 % would make 24 of B3's 1.2 * 16, and another count of parameters."""
    assert on_meta("b3").body[0].project.conv.out_channels == 16


def test_drop_path_grows_from_nothing() -> None:
    blocks = list(on_meta("b1", drop_path=0.4).body)[:-1]
    dropped = [(place, block.drop_path.probability) for place, block in enumerate(blocks) if block.drop_path]
    assert dropped == [(place, pytest.approx(0.4 * place / 27)) for place, _ in dropped]
    assert dropped


def test_the_family_says_what_it_builds_on() -> None:
    assert network("efficientnet_v2_s").builds_on.keys() == {"EfficientNet"}
