"""Channels last in training: the layers that PyTorch would write beyond its memory for are spared it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._prims_common import suggest_memory_format
from torch.utils._python_dispatch import TorchDispatchMode

from featherweight.ops.adder.cpu import weight_gradient
from featherweight.train import in_channels_last


class Layouts(TorchDispatchMode):
    """Notes, for each gradient of filters, whether the pictures were channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def __torch_dispatch__(self, operator: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operator is torch.ops.aten.convolution_backward.default:
            self.seen.append(any(suggest_memory_format(one) is torch.channels_last for one in args[:3]))
        return operator(*args, **(kwargs or {}))


def pictures(channels: int) -> Tensor:
    return torch.randn(2, channels, 8, 8).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("layer", "spared"),
    [
        (nn.Conv2d(4, 6, 1, stride=2), True),
        (nn.Conv2d(12, 6, 1, stride=2), True),
        (nn.Conv2d(16, 6, 1, stride=2), False),
        (nn.Conv2d(4, 6, 1), False),
        (nn.Conv2d(4, 6, 3, stride=2), False),
    ],
)
def test_convolutions(layer: nn.Conv2d, spared: bool) -> None:
    with in_channels_last(nn.Sequential(layer)):
        loss = layer(pictures(layer.in_channels)).sum()
        with Layouts() as layouts:
            loss.backward()
    assert layouts.seen == [not spared]
    assert not layer._forward_pre_hooks


@pytest.mark.parametrize(("channels", "spared"), [(4, True), (12, True), (16, False)])
def test_adder_layers(channels: int, spared: bool) -> None:
    x, weight = pictures(channels), torch.randn(6, channels, 1, 1)
    arguments = torch.randn(2, 6, 4, 4), x, weight, [2, 2], [0, 0], [1, 1], 1
    with Layouts() as layouts:
        weight_gradient(*arguments, "paper")
    assert layouts.seen == [not spared]
