"""Squeeze-and-excite against its equations."""

import pytest
import torch
from torch import nn

from featherweight.blocks import SqueezeExcite
from featherweight.cost import analyze


@pytest.mark.parametrize(
    ("gate", "activation"), [("hard_sigmoid", "relu"), ("sigmoid", "silu")], ids=["MobileNetV3", "EfficientNet"]
)
def test_scales_channels_by_a_network_of_their_means(gate: str, activation: str) -> None:
    block, x = SqueezeExcite(12, 4, activation=activation, gate=gate), torch.randn(2, 12, 5, 7)
    function = {"relu": nn.functional.relu, "silu": nn.functional.silu}[activation]
    squash = {"hard_sigmoid": lambda t: (t + 3).clamp(0, 6) / 6, "sigmoid": torch.sigmoid}[gate]
    hidden = function(x.mean((2, 3)) @ block.reduce.weight.flatten(1).T + block.reduce.bias)
    scale = squash(hidden @ block.expand.weight.flatten(1).T + block.expand.bias)
    torch.testing.assert_close(block(x), x * scale[:, :, None, None])


def test_input_is_left_as_it_was() -> None:
    x = torch.randn(2, 12, 5, 7)
    before = x.clone()
    SqueezeExcite(12, 4)(x)
    assert torch.equal(x, before)


def test_gradients() -> None:
    block = SqueezeExcite(3, 2, activation="silu", gate="sigmoid").double()
    assert torch.autograd.gradcheck(block, torch.randn(2, 3, 2, 3, dtype=torch.double, requires_grad=True))


def test_cost_is_the_docstring_s() -> None:
    assert analyze(SqueezeExcite(72, 24), (72, 28, 28)).multiply_adds == 2 * 72 * 24


def test_unknown_gate_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown activation 'tanh'; known: relu, .*hard_sigmoid"):
        SqueezeExcite(12, 4, gate="tanh")
