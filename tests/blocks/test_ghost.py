"""Ghost modules and bottlenecks against their closed-form cost and the paper's definition."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from featherweight.blocks import GhostBottleneck, GhostModule, SqueezeExcite


def multiply_adds(module: nn.Module, *shape: int) -> int:
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(("out", "ratio"), [(48, 2), (7, 2), (48, 3), (10, 4)])
def test_module_cost_is_the_docstrings(out: int, ratio: int) -> None:
    module = GhostModule(16, out, kernel_size=3, cheap_kernel_size=5, ratio=ratio, stride=2)
    m = -(-out // ratio)
    assert multiply_adds(module, 16, 9, 7) == 5 * 4 * (16 * m * 9 + m * (ratio - 1) * 25)
    assert module(torch.zeros(1, 16, 9, 7)).shape == (1, out, 5, 4)


def test_module_puts_ghosts_behind_the_maps_that_they_come_from() -> None:
    module = GhostModule(4, 7).eval()
    x = torch.randn(2, 4, 5, 5)
    y = module(x)
    computed = module.primary(x)
    assert torch.equal(y[:, :4], computed)
    assert torch.equal(y[:, 4:], module.cheap(computed)[:, :3])


@pytest.mark.parametrize(
    ("out", "stride", "squeeze"), [(24, 1, False), (24, 1, True), (40, 1, False), (24, 2, False), (40, 2, True)]
)
def test_bottleneck_cost_is_the_docstrings(out: int, stride: int, squeeze: bool) -> None:
    h, k = 72, 5
    attention = (lambda channels: SqueezeExcite(channels, 20)) if squeeze else None
    block = GhostBottleneck(24, out, hidden_channels=h, kernel_size=k, stride=stride, attention=attention)
    full, behind = 9 * 7, 9 * 7 if stride == 1 else 5 * 4
    expected = full * (24 * h // 2 + 9 * h // 2) + behind * (h * out // 2 + 9 * out // 2)
    expected += behind * h * k * k * (stride == 2)
    expected += behind * (24 * k * k + 24 * out) * (stride == 2 or out != 24)
    expected += 2 * h * 20 * squeeze
    assert multiply_adds(block, 24, 9, 7) == expected


def test_bottleneck_adds_its_input_and_leaves_it_alone() -> None:
    block = GhostBottleneck(8, 8, hidden_channels=16).eval()
    x = torch.randn(2, 8, 6, 6)
    before = x.clone()
    branch = block.project(block.expand(x))
    assert torch.equal(block(x), branch + x)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("out", "stride"), [(8, 1), (7, 1), (12, 2)])
def test_gradients_reach_all_parameters(out: int, stride: int) -> None:
    block = GhostBottleneck(8, out, hidden_channels=16, stride=stride, attention=lambda c: SqueezeExcite(c, 4))
    block(torch.randn(4, 8, 6, 6)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in block.parameters())


def test_errors_say_what_came() -> None:
    with pytest.raises(ValueError, match=r"ratio must be 2 or more.*got 1"):
        GhostModule(8, 8, ratio=1)
    with pytest.raises(ValueError, match="stride must be 1 or 2; got 3"):
        GhostBottleneck(8, 8, hidden_channels=16, stride=3)
    with pytest.raises(ValueError, match=r"kernel_size must be odd.*got 4"):
        GhostModule(8, 8, kernel_size=4)
