"""Layers made narrower: all that was asked for, or nothing."""

import pytest
import torch
from torch import nn

from featherweight.blocks import GhostModule, set_widths


def test_widths_that_do_not_fit_leave_the_network_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), GhostModule(8, 8), nn.Linear(8, 2))
    said, before, parameters = repr(model), {**model.state_dict()}, [*model.parameters()]
    others = {"1": (5,), "2": (7,), "3": (2, 5)}  # all but the first are narrower by then
    for widths, complaint in (
        ((5, 3, 3), r"widths \(5, 3, 3\) of 0 \(Conv2d\): wanted 1 to 1; got 3"),
        ((5, 9, 1), "wanted 1 to 3; got 9"),
        ((5,), r"widths \(5,\) of 0"),
    ):
        with pytest.raises(ValueError, match=complaint):
            set_widths(model, {"0": widths, **others})
        assert repr(model) == said and model[0].out_channels == 8 and model[2].cut is None
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))
    set_widths(model, {"0": (5, 3, 1), **others})
    assert model[0](torch.zeros(1, 3, 3, 3)).shape[1] == model[1].num_features == 5
