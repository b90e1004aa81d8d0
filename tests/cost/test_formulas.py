import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from featherweight.cost import OpMix, UnknownOperatorError, analyze, register_formula
from featherweight.cost._formulas import _RULES, FREE

LIGHT = ["squeezenet*", "mobilenet*", "shufflenet*", "efficientnet*", "mnasnet*", "resnet18"]


def operations(model: nn.Module, size: tuple[int, int, int]) -> OpMix:
    return analyze(model, size).operations


@pytest.mark.parametrize("name", torchvision.models.list_models(module=torchvision.models, include=LIGHT))
def test_multiply_adds_are_half_of_pytorchs_flops(name):
    with torch.device("meta"):
        model = torchvision.models.get_model(name).eval()
    cost = analyze(model, (3, 224, 224))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 224, 224, device="meta"))
    assert 2 * cost.multiply_adds == counter.get_total_flops()
    assert cost.params == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("layer", "multiply_adds"),
    [
        (nn.Conv2d(4, 6, 3), 6 * 6 * 4 * 6 * 9),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), 4 * 4 * 4 * 6 * 9),
        (nn.Conv2d(4, 6, (1, 5), dilation=(1, 1)), 8 * 4 * 4 * 6 * 5),
        (nn.Conv2d(4, 8, 3, groups=2), 6 * 6 * 2 * 8 * 9),
        (nn.Conv2d(4, 8, 3, groups=4), 6 * 6 * 8 * 9),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), 8 * 8 * 4 * 6 * 4),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), 8 * 8 * 2 * 6 * 4),
        (nn.Sequential(nn.Flatten(), nn.Linear(256, 10)), 2560),
        (nn.Linear(8, 5, bias=False), 4 * 8 * 8 * 5),
    ],
)
def test_multiply_adds_in_closed_form(layer, multiply_adds):
    cost = analyze(layer, (4, 8, 8))
    assert cost.multiply_adds == cost.operations.multiplies == multiply_adds
    biases = cost.operations.additions - multiply_adds
    has_bias = any(name.endswith("bias") for name, _ in layer.named_parameters())
    assert biases == (torch.Size(cost.layers[-1].output_shape).numel() if has_bias else 0)


@pytest.mark.parametrize(
    ("layer", "mix"),
    [
        (nn.ReLU(), OpMix(comparisons=64)),
        (nn.ReLU(inplace=True), OpMix(comparisons=64)),
        (nn.ReLU6(), OpMix(comparisons=128)),
        (nn.Hardswish(inplace=True), OpMix(multiplies=128, additions=64, comparisons=128)),
        (nn.Sigmoid(), OpMix(additions=64, divisions=64, transcendentals=64)),
        (nn.MaxPool2d(2), OpMix(comparisons=16 * 3)),
        (nn.MaxPool2d((2, 4)), OpMix(comparisons=8 * 7)),
        (nn.AvgPool2d(2), OpMix(additions=16 * 3, multiplies=16)),
        (nn.AdaptiveAvgPool2d(1), OpMix(additions=4 * 15, multiplies=4)),
        (nn.AdaptiveAvgPool2d(3), OpMix(additions=4 * 9 * 3, multiplies=4 * 9)),  # windows of 2 x 2 that overlap
        (nn.AdaptiveMaxPool2d((1, 2)), OpMix(comparisons=4 * 2 * 7)),
        (nn.BatchNorm2d(4), OpMix(multiplies=64, additions=64)),
        (nn.BatchNorm2d(4, track_running_stats=False), OpMix(multiplies=128, additions=256)),
        (nn.PixelShuffle(2), OpMix()),
        (nn.Flatten(), OpMix()),
        (nn.Dropout(), OpMix()),
    ],
)
def test_operations_in_closed_form(layer, mix):
    assert operations(layer, (4, 4, 4)) == mix


def test_a_folded_batch_norm_leaves_its_bias():
    convolution = nn.Conv2d(4, 8, 1, bias=False)
    products = 4 * 8 * 16
    folded = operations(nn.Sequential(convolution, nn.BatchNorm2d(8)), (4, 4, 4))
    assert folded == OpMix(multiplies=products, additions=products + 8 * 16)
    assert folded == operations(nn.Conv2d(4, 8, 1), (4, 4, 4))


def test_the_product_of_two_activations_is_told_apart():
    class Gram(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(2)
            return x @ x.transpose(1, 2)

    (layer,) = analyze(Gram(), (3, 4, 4)).layers
    assert (layer.kind, layer.multiply_adds) == ("matrix product", 3 * 3 * 16)


class Odd(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


def test_an_unknown_operator_is_named_with_the_way_out():
    with pytest.raises(UnknownOperatorError) as caught:
        analyze(nn.Sequential(nn.Identity(), Odd()), (1, 2, 2))
    assert str(caught.value) == (
        "no cost formula for the operator aten::special_bessel_j0, called in 1 (Odd); add one: "
        "featherweight.cost.register_formula('special_bessel_j0', lambda call: OpMix(additions=call.outputs[0].numel))"
    )


def test_a_registered_formula_is_used(monkeypatch):
    monkeypatch.setattr("featherweight.cost._formulas._RULES", dict(_RULES))
    register_formula("special_bessel_j0", lambda call: OpMix(shifts=3 * call.outputs[0].numel), kind="odd")
    cost = analyze(Odd(), (1, 2, 2))
    assert cost.operations == OpMix(shifts=12)
    assert [layer.kind for layer in cost.layers] == ["odd"]
    assert cost.multiply_adds == 0


def test_an_operator_of_a_library_is_priced_as_a_whole(monkeypatch):
    @torch.library.custom_op("featherweight_test::shift_sum", mutates_args=())
    def shift_sum(x: Tensor) -> Tensor:
        return x.clone()

    shift_sum.register_fake(torch.empty_like)

    class Shifting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return shift_sum(x)

    monkeypatch.setattr("featherweight.cost._formulas._RULES", dict(_RULES))
    with pytest.raises(UnknownOperatorError, match="featherweight_test::shift_sum"):
        analyze(Shifting(), (1, 2, 2))
    register_formula(
        "featherweight_test::shift_sum", lambda call: OpMix(shifts=4, multiplies=1), kind="3x3", multiply_adds=True
    )
    cost = analyze(Shifting(), (1, 2, 2))
    assert (cost.operations, cost.multiply_adds) == (OpMix(shifts=4, multiplies=1), 1)


def test_every_priced_operator_of_pytorch_exists():
    pseudo = {"input", "output", "unread"}
    unknown = [op for op in (*_RULES, *FREE) if "::" not in op and op not in pseudo and not hasattr(torch.ops.aten, op)]
    assert unknown == []


def test_no_operator_is_both_priced_and_free():
    assert FREE.isdisjoint(_RULES)


def test_every_network_is_priced(tiny):
    cost = analyze(tiny, (1, 16, 16))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        tiny(torch.zeros(1, 1, 16, 16))
    assert 2 * cost.multiply_adds == counter.get_total_flops()
    assert cost.params == sum(parameter.numel() for parameter in tiny.parameters())
