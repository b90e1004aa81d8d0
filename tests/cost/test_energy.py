"""Energy of the arithmetic: the printed prices, and closed forms of what papers argue with them."""

import pytest
import torch
from torch import nn

from featherweight.blocks import AdderConv2d, MitchellConv2d
from featherweight.cost import ENERGY, OpMix, analyze
from featherweight.networks import create

PICO = 1e-12
TERMS = 36 * 8 * 4 * 9  # 6 x 6 places, 8 outputs, 4 inputs, 3 x 3


def energy(model: nn.Module, size: tuple[int, int, int]) -> dict[str, float]:
    return analyze(model, size).energy_joules


@pytest.mark.parametrize(
    ("layer", "float32", "float16", "int8"),
    [
        (nn.Conv2d(4, 8, 3, padding=1, bias=False), 3.7 + 0.9, 1.1 + 0.4, 0.2 + 0.03),
        (AdderConv2d(4, 8, kernel_size=3), 2 * 0.9, 2 * 0.4, 2 * 0.03),
        (MitchellConv2d(4, 8, kernel_size=3), 0.1 + 0.9, 0.1 + 0.4, 2 * 0.03),
    ],
)
def test_a_term_of_a_convolution_costs_its_product_and_its_sum(layer, float32, float16, int8) -> None:
    expected = {name: pytest.approx(TERMS * each * PICO) for name, each in
                (("float32", float32), ("float16", float16), ("int8", int8))}  # fmt: skip
    assert energy(layer, (4, 6, 6)) == expected


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.MaxPool2d(2, padding=1)])
def test_a_comparison_costs_an_addition(layer) -> None:
    cost = analyze(layer, (1, 8, 8))
    assert cost.operations == OpMix(comparisons=cost.operations.comparisons)
    assert cost.energy_joules["float32"] == pytest.approx(cost.operations.comparisons * 0.9 * PICO)


def test_what_has_no_price_is_left_out() -> None:
    assert analyze(nn.Sigmoid(), (1, 8, 8)).operations == OpMix(additions=64, divisions=64, transcendentals=64)
    assert energy(nn.Sigmoid(), (1, 8, 8))["float32"] == pytest.approx(64 * 0.9 * PICO)
    assert energy(nn.Identity(), (1, 8, 8)) == dict.fromkeys(ENERGY, 0)


def test_every_type_prices_the_same_sorts() -> None:
    sorts = {tuple(row) for row in ENERGY.values()}
    assert sorts == {("multiplies", "additions", "integer_additions", "comparisons", "absolutes")}


def test_additions_of_integers_are_told_apart() -> None:
    class Bits(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.view(torch.int32) + 1).view(torch.float32) + x

    assert analyze(Bits(), (1, 4, 4)).operations == OpMix(integer_additions=16, additions=16)


def test_addernets_argument() -> None:
    """Of ResNet-20 all layers but the first and last add: two additions in the place of a product and its sum."""
    adder, ordinary = (analyze(create(name, **options)) for name, options in (
        ("adder_resnet20", {}), ("resnet20", {"shortcut": "projection"})))  # fmt: skip
    terms = 32**2 * 16 * 9 * 16 * 6  # three blocks of 16 channels
    terms += 16**2 * (16 * 9 * 32 + 32 * 9 * 32 * 5 + 16 * 32)  # of 32, the first from 16
    terms += 8**2 * (32 * 9 * 64 + 64 * 9 * 64 * 5 + 32 * 64)  # of 64
    saved = {name: ordinary.energy_joules[name] - adder.energy_joules[name] for name in ENERGY}
    # What else differs: the batch norms behind adder layers multiply, those behind convolutions are folded.
    norms = sum(layer.operations.multiplies for layer in adder.layers if layer.kind == "batch norm")
    for name, multiply, add in (("float32", 3.7, 0.9), ("float16", 1.1, 0.4), ("int8", 0.2, 0.03)):
        assert saved[name] == pytest.approx((terms * (multiply - add) - norms * multiply) * PICO, rel=2e-3)
    assert ordinary.energy_joules["float32"] > 2.4 * adder.energy_joules["float32"]
    assert ordinary.energy_joules["int8"] > 3.5 * adder.energy_joules["int8"]
