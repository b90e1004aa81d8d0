"""FD-MobileNet: the order of its layers."""

import pytest
import torch

from featherweight.networks import create, on_meta_device


@pytest.mark.parametrize("width", [1.0, 0.5, 0.25])
def test_the_picture_is_reduced_32_times_within_12_layers(width: float) -> None:
    with on_meta_device():
        model = create("fd_mobilenet", width=width).eval()
        x = model.stem(torch.empty(1, 3, 224, 224))
        shapes = [x.shape[1:3]]
        for module in model.body:
            x = module(x)
            shapes.append(x.shape[1:3])
    table = [(32, 112), (64, 56), (128, 28), (128, 28), (256, 14), (256, 14), *[(512, 7)] * 5, (1024, 7)]
    assert shapes == [(int(c * width), side) for c, side in table]
    layers = 1 + 2 * next(i for i, (_, side) in enumerate(shapes) if side == 7)  # a pair of layers in each block
    assert layers <= 13
