"""Layers without multiplications: what they compute, how they train, what they cost, where they run."""

from math import sqrt

import pytest
import torch
from torch import nn

from featherweight.blocks import AdderConv2d, MitchellConv2d, MitchellLinear, set_adder_p
from featherweight.cost import OpMix, analyze
from featherweight.ops import adder2d, adder2d_p, mitchell_conv2d, mitchell_linear

both = pytest.mark.parametrize("layer", [AdderConv2d, MitchellConv2d])


def test_they_are_their_operators():
    x = torch.randn(2, 4, 6, 6)
    adder = AdderConv2d(4, 6, kernel_size=3, stride=2, groups=2, bias=True)
    assert torch.equal(adder(x), adder2d(x, adder.weight, adder.bias, stride=2, padding=1, groups=2))
    dilated = AdderConv2d(4, 6, kernel_size=3, dilation=2, p=1.5)
    assert torch.equal(dilated(x), adder2d_p(x, dilated.weight, p=1.5, padding=2, dilation=2))
    mitchell = MitchellConv2d(4, 6, kernel_size=3, padding=0, groups=2, bias=True, compensation=0.058)
    expected = mitchell_conv2d(x, mitchell.weight, mitchell.bias, groups=2, compensation=0.058)
    assert torch.equal(mitchell(x), expected)
    linear = MitchellLinear(6, 3)
    assert torch.equal(linear(x), mitchell_linear(x, linear.weight, linear.bias))


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_the_adaptive_rate_gives_the_filters_gradient_a_norm(scale):
    x = torch.randn(2, 4, 6, 6)
    layer = AdderConv2d(4, 6, kernel_size=3, adaptive_rate=0.1)
    plain = AdderConv2d(4, 6, kernel_size=3, adaptive_rate=None)
    plain.load_state_dict(layer.state_dict())
    grad = torch.randn(2, 6, 6, 6)
    for each in (layer, plain):
        (each(x) * grad * scale).sum().backward()
    k = layer.weight.numel()
    assert layer.weight.grad.norm().item() == pytest.approx(0.1 * sqrt(k), rel=1e-5)
    direction = nn.functional.cosine_similarity(layer.weight.grad.flatten(), plain.weight.grad.flatten(), dim=0)
    assert direction.item() == pytest.approx(1, abs=1e-5)


def test_without_training_or_gradient_nothing_is_scaled():
    layer = AdderConv2d(2, 3, kernel_size=1).eval()
    layer(torch.randn(1, 2, 4, 4)).sum().backward()
    assert layer.weight.grad.norm().item() != pytest.approx(0.2 * sqrt(6), rel=1e-3)
    layer.train().zero_grad()
    (layer(torch.randn(1, 2, 4, 4)) * 0).sum().backward()
    assert torch.equal(layer.weight.grad, torch.zeros_like(layer.weight))


def test_an_adder_layer_learns_another_ones_filters():
    target = AdderConv2d(2, 4, kernel_size=3).eval()
    learner = nn.Sequential(AdderConv2d(2, 4, kernel_size=3))
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.05)
    losses = []
    for _ in range(150):
        x = torch.randn(8, 2, 6, 6)
        loss = nn.functional.mse_loss(learner(x), target(x).detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("backward", ["approximate", "exact"])
def test_a_mitchell_layer_learns_a_convolution(backward):
    target = nn.Conv2d(2, 4, 3, padding=1)
    learner = MitchellConv2d(2, 4, kernel_size=3, bias=True, backward=backward)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    losses = []
    for _ in range(60):
        x = torch.randn(4, 2, 5, 5)
        loss = nn.functional.mse_loss(learner(x), target(x).detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_the_power_of_a_whole_network_is_set():
    model = nn.Sequential(nn.Conv2d(2, 4, 1), AdderConv2d(4, 4, kernel_size=3), nn.Sequential(AdderConv2d(4, 4, 1)))
    x = torch.randn(1, 2, 5, 5)
    as_trained = model.eval()(x)
    assert set_adder_p(model, 2) == 2
    assert not torch.equal(model(x), as_trained)
    assert str(model[1]) == "AdderConv2d(4, 4, kernel_size=3, stride=1, p=2)"
    for p in (0.5, 3, float("nan")):
        with pytest.raises(ValueError, match=f"the power p must be from 1 to 2; got {p}"):
            set_adder_p(model, p)
    assert set_adder_p(model, 1) == 2
    assert torch.equal(model(x), as_trained)
    assert set_adder_p(nn.Conv2d(2, 4, 1), 2) == 0


def test_first_weights():
    adder = AdderConv2d(16, 64, kernel_size=3, bias=True)
    assert adder.weight.std().item() == pytest.approx(1, abs=0.05)
    assert 0 <= adder.bias.min() < adder.bias.max() <= 1
    mitchell = MitchellConv2d(16, 64, kernel_size=3, bias=True)
    assert mitchell.weight.std().item() == pytest.approx(sqrt(2 / (9 * 64)), rel=0.05)
    assert mitchell.bias.abs().max() == 0


TERMS = 4 * 4 * 8 * 2 * 9  # 4 x 4 places, 8 outputs, of 4 inputs in 2 groups


@pytest.mark.parametrize("bias", [False, True])
def test_cost_is_the_docstrings(bias):
    more = OpMix(additions=8 * 16) if bias else OpMix()
    options = {"kernel_size": 3, "stride": 2, "groups": 2, "bias": bias}
    for layer, kind, mix in (
        (AdderConv2d(4, 8, **options), "adder", OpMix(additions=2 * TERMS, absolutes=TERMS)),
        (MitchellConv2d(4, 8, **options), "mitchell", OpMix(integer_additions=TERMS, additions=TERMS)),
    ):
        cost = analyze(layer, (4, 8, 8))
        assert [row.kind for row in cost.layers] == [kind]
        assert (cost.multiply_adds, cost.operations) == (0, mix + more)
        assert cost.params == sum(parameter.numel() for parameter in layer.parameters())


def test_cost_of_a_linear_layer():
    cost = analyze(nn.Sequential(nn.Flatten(), MitchellLinear(48, 10)), (3, 4, 4))
    assert (cost.multiply_adds, cost.operations) == (0, OpMix(integer_additions=480, additions=480 + 10))
    assert cost.params == 490


def test_the_batch_norm_behind_still_multiplies():
    cost = analyze(nn.Sequential(AdderConv2d(3, 5, kernel_size=1), nn.BatchNorm2d(5)), (3, 2, 2))
    assert cost.operations.multiplies == 5 * 4


@both
def test_one_node_in_an_exported_graph(layer):
    program = torch.export.export(layer(3, 5, kernel_size=3).eval(), (torch.randn(2, 3, 6, 6),))
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert [str(call).partition(".")[0] for call in calls] == ["featherweight"]


@both
def test_channels_last_and_autocast(layer):
    model, x = layer(3, 5, kernel_size=3).eval(), torch.randn(2, 3, 6, 6)
    y = model(x)
    assert torch.equal(model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last)), y)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(x), y)


@both
def test_what_cannot_be_is_refused(layer):
    with pytest.raises(ValueError, match=r"kernel_size must be odd, .* got 4"):
        layer(4, 4, kernel_size=4)
    assert layer(4, 4, kernel_size=4, padding=1)(torch.zeros(1, 4, 5, 5)).shape == (1, 4, 4, 4)
    with pytest.raises(ValueError, match="groups must divide both channel counts; got 4 -> 6, groups=4"):
        layer(4, 6, kernel_size=3, groups=4)


@both
def test_the_modules_text_says_what_matters(layer):
    assert "dilation" not in str(layer(4, 8, kernel_size=3))
    text = str(layer(4, 8, kernel_size=3, stride=2, padding=0, groups=2, bias=True))
    assert text == f"{layer.__name__}(4, 8, kernel_size=3, stride=2, padding=0, groups=2, bias=True)"


def test_dilation_keeps_the_size_and_is_shown():
    layer = AdderConv2d(4, 8, kernel_size=3, dilation=3)
    assert layer(torch.zeros(1, 4, 7, 7)).shape == (1, 8, 7, 7)
    assert str(layer) == "AdderConv2d(4, 8, kernel_size=3, stride=1, dilation=3)"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gradient": "l2"}, "unknown gradient 'l2'; known: sign, paper"),
        ({"adaptive_rate": -1.0}, "adaptive_rate must be above 0 and finite, or None; got -1.0"),
        ({"p": 3}, "the power p must be from 1 to 2; got 3"),
    ],
)
def test_settings_are_held_against_what_there_is_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        AdderConv2d(2, 4, kernel_size=3, **settings)
