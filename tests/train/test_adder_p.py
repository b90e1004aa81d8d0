"""The power of adder layers' differences while a network trains."""

import pytest
import torch
from torch import nn

from featherweight.blocks import AdderConv2d, set_adder_p
from featherweight.data import Batches
from featherweight.train import Recipe, train
from featherweight.train._schedule import adder_p


def batches(*, shuffle: bool = True) -> Batches:
    """Dark and light squares."""
    labels = torch.arange(64) % 2
    pictures = torch.randint(0, 128, (64, 1, 6, 6)) + 128 * labels[:, None, None, None]
    return Batches(pictures.to(torch.uint8), labels.numpy(), batch_size=16, mean=(0.5,), std=(0.25,), shuffle=shuffle)


class Seen(AdderConv2d):
    """Writes down with which power it trains."""

    powers: list[float]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and torch.is_grad_enabled():
            self.powers.append(self.p)
        return super().forward(x)


def network() -> nn.Sequential:
    layer = Seen(1, 4, 3)
    layer.powers = []
    return nn.Sequential(layer, nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))


@pytest.mark.parametrize("ema_decay", [0.9, None])
def test_it_falls_from_2_to_exactly_1(ema_decay: float | None) -> None:
    model = network()
    recipe = Recipe(epochs=4, batch_size=16, adder_p_until=0.5, ema_decay=ema_decay)
    train(model, batches(), batches(shuffle=False), recipe, progress=False)
    assert model[0].powers == pytest.approx([2 - step / 8 for step in range(8)] + [1.0] * 8)
    assert model[0].powers[8:] == [1.0] * 8
    assert model[0].p == 1.0


def test_a_run_that_the_clock_breaks_off_ends_at_1_too() -> None:
    model = network()
    recipe = Recipe(epochs=4, batch_size=16, adder_p_until=0.9)
    history = train(
        model, batches(), batches(shuffle=False), recipe, progress=False, schedule=[(0, 0.0), (8, 0.5)]
    )  # fmt: skip
    assert (history.steps, model[0].p) == (8, 1.0)
    assert min(model[0].powers) > 1.4


def test_without_it_the_power_is_left_alone() -> None:
    model = network()
    set_adder_p(model, 1.5)
    train(model, batches(), batches(shuffle=False), Recipe(epochs=1, batch_size=16), progress=False)
    assert set(model[0].powers) == {1.5}


def test_the_schedules_ends() -> None:
    assert [adder_p(progress, 0.25) for progress in (0, 0.125, 0.25, 0.7, 1)] == [2, 1.5, 1, 1, 1]
    assert [adder_p(progress, 0) for progress in (0, 1)] == [1, 1]


@pytest.mark.parametrize("share", [-0.1, 1.0, 2])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=rf"adder_p_until must be in \[0, 1\); got {share}"):
        Recipe(adder_p_until=share)


def test_a_network_without_adder_layers_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    with pytest.raises(ValueError, match=r"adder_p_until=0\.5 is for networks of adder layers; this one has none"):
        train(model, batches(), batches(shuffle=False), Recipe(epochs=1, batch_size=16, adder_p_until=0.5))
