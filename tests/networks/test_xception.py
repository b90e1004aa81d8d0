"""Xception against its Figure 5."""

import torch
from torch import nn

from featherweight.blocks import SeparableConv, XceptionBlock
from featherweight.networks import create, on_meta_device


def test_36_layers_in_14_modules() -> None:
    with on_meta_device():
        model = create("xception").eval()
    modules = [module for module in model.body if isinstance(module, XceptionBlock)]
    assert len(modules) == 12  # and the first and the last, which have no shortcut
    assert sum(isinstance(module, SeparableConv | nn.Conv2d) for module in without_shortcuts(model)) == 36


def without_shortcuts(model: nn.Module) -> list[nn.Module]:
    """Layers of the way through all modules; a separable convolution is one."""
    return [
        module
        for name, module in model.named_modules()
        if ".shortcut" not in name and not name.endswith(("depthwise", "pointwise"))
    ]


def test_maps_have_the_sides_of_figure_5() -> None:
    with on_meta_device():
        model = create("xception").eval()
        x = model.stem(torch.empty(1, 3, 299, 299))
        shapes = [x.shape[1:]]
        for module in model.body:
            x = module(x)
            shapes.append(x.shape[1:])
    assert shapes == [
        (64, 147, 147), (128, 74, 74), (256, 37, 37), *[(728, 19, 19)] * 9,
        (1024, 10, 10), (1536, 10, 10), (2048, 10, 10),
    ]  # fmt: skip
