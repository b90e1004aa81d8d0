"""Which layers of an AdderNet add, which multiply, and that it learns."""

import pytest
import torch
from torch import nn

from featherweight.blocks import AdderConv2d
from featherweight.cost import OpMix
from featherweight.networks import analyze, counts, create, networks, on_meta_device

NAMES = [entry.name for entry in networks() if entry.family == "AdderNet"]


@pytest.mark.parametrize("name", [name for name in NAMES if "lenet" not in name])
def test_only_the_first_and_the_last_layer_multiply(name):
    with on_meta_device():
        model = create(name)
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear | AdderConv2d)]
    assert [type(layer) for layer in (layers[0], layers[-1])] == [nn.Conv2d, nn.Conv2d]
    assert all(isinstance(layer, AdderConv2d) and layer.bias is None for layer in layers[1:-1])
    assert [type(child) for child in model.head.classifier] == [nn.Conv2d, nn.BatchNorm2d]


def test_lenet_multiplies_nowhere_but_in_batch_norms():
    cost = analyze("adder_lenet5_bn")
    assert cost.multiply_adds == 0
    assert {layer.kind for layer in cost.layers if layer.operations.multiplies} == {"batch norm"}


@pytest.mark.parametrize("name", NAMES)
def test_additions_are_two_for_each_multiply_add_of_the_ordinary_network(name):
    cost = analyze(name)
    adders = sum((layer.operations for layer in cost.layers if layer.kind == "adder"), OpMix())
    assert counts(name).additions == adders.additions == 2 * adders.absolutes
    options = {"shortcut": "projection"} if name in ("adder_resnet20", "adder_resnet32") else {}
    ordinary = analyze(name.removeprefix("adder_"), **options).multiply_adds
    assert adders.absolutes + cost.multiply_adds == ordinary


def test_it_learns_to_tell_pictures_apart():
    model = create("adder_resnet20", width=0.25, in_channels=1, num_classes=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    labels = torch.arange(16) % 2
    stripes = torch.zeros(2, 1, 8, 8)
    stripes[0, :, ::2], stripes[1, :, :, ::2] = 1.0, 1.0
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(stripes[labels] + 0.5 * torch.randn(16, 1, 8, 8)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
