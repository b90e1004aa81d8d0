"""The recipe that holds an AdderNet in bytes against its float self and against convolutions, in a short form."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from featherweight.blocks import AdderConv2d
from featherweight.cost import analyze
from featherweight.networks import create
from featherweight.ops._native import native

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        return importlib.import_module("adder_digits")


@pytest.mark.skipif(native is None, reason="featherweight._native is not installed: there is no runner")
def test_bytes_keep_what_a_network_of_adder_layers_has_learned(recipe: ModuleType) -> None:
    found = recipe.compare("adder_resnet20", 0, epochs=6, width=0.25)
    assert found.held_out == 359
    assert found.adder > 0.85
    assert abs(found.int8 - found.adder) <= 0.01
    assert found.convolution - found.adder < 0.1
    assert found.int8_bytes < 0.5 * found.float_bytes


def test_the_other_network_differs_in_its_layers_alone(recipe: ModuleType) -> None:
    adder = create("adder_resnet20", width=0.5, in_channels=1)
    other = recipe.with_convolutions(adder)
    assert not any(isinstance(module, AdderConv2d) for module in other.modules())
    shapes = [{name: tensor.shape for name, tensor in model.state_dict().items()} for model in (adder, other)]
    assert shapes[0] == shapes[1]
    assert isinstance(adder.stem.conv, nn.Conv2d)
    assert torch.equal(adder.stem.conv.weight, other.stem.conv.weight)
    in_adder, in_other = (analyze(model, (1, 16, 16)) for model in (adder, other))
    terms = sum(layer.operations.absolutes for layer in in_adder.layers)
    assert in_other.multiply_adds == in_adder.multiply_adds + terms
