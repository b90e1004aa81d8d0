"""Replacing convolutions in networks of ours, of torchvision and of a user: shapes, reasons, nothing else touched."""

import copy
import re

import pytest
import torch
import torchvision
from torch import Tensor, nn

from featherweight.blocks import CompConv, ConvNormAct, DepthwiseSeparable, GhostModule
from featherweight.compress import REPLACEMENTS, FoldError, ReplaceError, fold_batch_norm, replace
from featherweight.cost import analyze
from featherweight.networks import create, save_model

SIZE = (3, 32, 32)
MULTIPLICATION_FREE = ("adder", "mitchell")


class Other(nn.Conv2d):
    """Computes something else than a convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).abs()


def reasons(report) -> dict[str, str]:
    return {row.name: row.reason for row in report.left}


def names(report) -> list[str]:
    return [row.name for row in report.changed]


class Users(nn.Module):
    """A network as users write them: nested, one convolution used twice, one never, one that is not square."""

    def __init__(self) -> None:
        super().__init__()
        self.begin = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.ModuleDict({"a": nn.Sequential(nn.Conv2d(16, 16, 3, padding=1)), "b": nn.ModuleList()})
        self.blocks["b"].append(nn.Sequential(nn.Conv2d(16, 32, 5, 2, 2, bias=False), nn.ReLU()))
        self.again = self.blocks["a"][0]
        self.unused = nn.Conv2d(16, 16, 3)
        self.last = nn.Conv2d(32, 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(self.blocks["a"](self.begin(x)))
        return self.last(self.blocks["b"][0](x)).mean((2, 3))


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_every_replacement_in_a_network_of_torchvision(name: str) -> None:
    model = torchvision.models.resnet18(num_classes=5)
    before = copy.deepcopy(model.state_dict())
    report = replace(model, nn.Conv2d, name, input_size=SIZE)
    assert len(report.changed) >= (16 if name != "channel_wise" else 13)  # that cannot add channels
    assert reasons(report)["conv1"] == "kept as the stem: the first convolution to run"
    assert len(report.changed) + len(report.left) == 20
    assert not any(isinstance(module, REPLACEMENTS[name].block) for module in model.modules())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert (report.before, report.after) == (analyze(model, SIZE), analyze(report.model, SIZE))
    saved = sum(row.params_before - row.params_after for row in report.changed)
    assert report.after.params == report.before.params - saved <= report.before.params


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_gradient_reaches_every_parameter(name: str) -> None:
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.Conv2d(8, 64, 3, 2, 1))
    model = nn.Sequential(*(module for conv in layers for module in (conv, nn.BatchNorm2d(conv.out_channels))))
    new = replace(model, nn.Conv2d, name, keep="0", input_size=(3, 8, 8)).model
    new(torch.randn(4, 3, 8, 8)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in new.parameters())


@pytest.mark.parametrize("name", REPLACEMENTS)
@pytest.mark.parametrize("bias", [False, True])
def test_a_replacement_is_a_convolution_and_no_more(name: str, bias: bool) -> None:
    conv = nn.Conv2d(32, 32, 3, stride=2, padding=1, bias=bias)
    if name == "channel_wise" and bias:
        with pytest.raises(ValueError, match="it has a bias, for which"):
            REPLACEMENTS[name].make(conv)
        return
    new = REPLACEMENTS[name].make(conv)
    x = torch.randn(2, 32, 6, 5)
    assert new(x).shape == (2, 32, 3, 3)
    assert not any(isinstance(module, nn.BatchNorm2d | nn.ReLU | nn.ReLU6) for module in new.modules())
    assert any(key.endswith("bias") for key in new.state_dict()) == bias
    if name not in MULTIPLICATION_FREE:  # which compute something else, or nearly it; biases are zero at first
        assert torch.allclose(new(-x), -new(x), atol=1e-5)


def test_layers_without_multiplications_have_none_in_the_report() -> None:
    model = torchvision.models.resnet18()
    for name in MULTIPLICATION_FREE:
        report = replace(model, nn.Conv2d, name, input_size=SIZE)
        layers = {layer.name: layer for layer in report.after.layers}
        assert len(report.changed) == 19
        assert all(layers[row.name].multiply_adds == 0 for row in report.changed)
        assert all(layers[row.name].operations.additions > 0 for row in report.changed)


def test_mitchell_takes_the_weights_over() -> None:
    model = torchvision.models.resnet18().eval()
    new = replace(model, nn.Conv2d, "mitchell", input_size=SIZE).model
    assert all(torch.equal(value, new.state_dict()[key]) for key, value in model.state_dict().items())


def test_mobilenet_says_what_is_depthwise_already() -> None:
    report = replace(torchvision.models.mobilenet_v2(), nn.Conv2d, GhostModule, input_size=(3, 64, 64))
    assert list(reasons(report).values()).count("depthwise already") == 17
    assert (len(report.changed), len(report.left)) == (34, 18)
    none = replace(torchvision.models.mobilenet_v2(), nn.Conv2d, CompConv, input_size=(3, 64, 64))
    assert none.changed == ()
    assert re.search("a 1x1 kernel: CompConv is for larger ones +34", str(none))
    assert none.after == none.before


def test_ours_keep_stem_and_head_by_name_and_cannot_be_saved_as_what_they_were(tmp_path) -> None:
    model = create("squeezenet", num_classes=5)
    report = replace(model, nn.Conv2d, "ghost")
    assert set(reasons(report).values()) == {"kept by name: stem", "kept by name: head"}
    assert report.before.input_shape == (3, model.resolution, model.resolution)
    assert model.name == "squeezenet"
    with pytest.raises(
        ValueError, match=r"only a network made by featherweight\.create, with its own layers, can be saved"
    ):
        save_model(report.model, tmp_path / "model.safetensors")


def test_a_users_network() -> None:
    model = Users().eval()
    report = replace(model, nn.Conv2d, GhostModule, input_size=SIZE, ratio=4)
    assert names(report) == ["blocks.a.0", "blocks.b.0.0"]
    assert reasons(report) == {
        "begin.0": "kept as the stem: the first convolution to run",
        "unused": "a padding of 0 x 0, not half its kernel",
        "last": "kept as the head: the last layer with weights to run",
    }
    assert report.changed[1].before == "16 -> 32, 5x5, stride 2"
    new = report.model
    assert new.again is new.blocks["a"][0]
    assert isinstance(new.again, GhostModule)
    assert new.again.primary.conv.out_channels == 4
    assert new.again.primary.conv.bias is not None
    assert new.blocks["b"][0][0].primary.conv.bias is None
    assert not new.again.training
    assert type(model.again) is nn.Conv2d
    assert new(torch.zeros(1, *SIZE)).shape == (1, 7)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), "depthwise already"),
        (nn.Conv2d(8, 8, 3, padding=1, groups=2), "grouped: 2 groups"),
        (nn.Conv2d(8, 8, 3, padding=2, dilation=2), "dilated: 2 x 2"),
        (nn.Conv2d(8, 8, 2), "an even kernel: 2 x 2"),
        (nn.Conv2d(8, 8, (1, 3), padding=(0, 1)), "an uneven kernel: 1 x 3"),
        (nn.Conv2d(8, 8, 3, stride=(1, 2), padding=1), "uneven strides: 1 x 2"),
        (nn.Conv2d(8, 8, 3, padding="valid"), "a padding of 0 x 0, not half its kernel"),
        (nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), "its padding is reflect, not zeros"),
        (nn.ConvTranspose2d(8, 8, 2, stride=2), "a ConvTranspose2d, not a plain Conv2d"),
        (Other(8, 8, 1), "an Other, not a plain Conv2d"),
        (nn.utils.spectral_norm(nn.Conv2d(8, 8, 1)), "it has hooks, which would be lost"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1)), "a fully connected layer in effect"),
        (nn.Conv2d(8, 7, 1), "7 channels will not do"),
    ],
)
def test_reasons(layer: nn.Module, reason: str) -> None:
    def refuses_seven(conv: nn.Conv2d) -> nn.Module:
        if conv.out_channels == 7:
            raise ValueError("7 channels will not do")
        return nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, padding="same")

    report = replace(nn.Sequential(nn.ReLU(), layer), nn.Conv2d, refuses_seven, keep=(), input_size=(8, 9, 9))
    assert len(report.left) == 1
    assert report.left[0].reason.startswith(reason)
    assert report.model is not None


def test_what_shares_or_does_not_run() -> None:
    first, second = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(2))
    second.weight = first.weight
    report = replace(nn.Sequential(first, second), nn.Conv2d, "ghost", keep=(), input_size=(8, 5, 5))
    assert reasons(report) == {"0": "it shares its weight with 1", "1": "it shares its weight with 0"}
    googlenet = torchvision.models.googlenet(aux_logits=True, init_weights=False)
    report = replace(googlenet, nn.Conv2d, "ghost", input_size=(3, 64, 64))
    idle = [name for name, reason in reasons(report).items() if reason == "it does not run in evaluation mode"]
    assert idle == ["aux1.conv.conv", "aux2.conv.conv"]


def test_keep_and_where_choose() -> None:
    model = torchvision.models.resnet18()
    report = replace(
        model, nn.Conv2d, "ghost", keep=("conv1", "layer1", "*.downsample.0"), input_size=SIZE,
        where=lambda name, conv: conv.stride == (1, 1),
    )  # fmt: skip
    assert reasons(report)["layer1.0.conv2"] == "kept by name: layer1"
    assert reasons(report)["layer3.0.downsample.0"] == "kept by name: *.downsample.0"
    assert reasons(report)["layer4.0.conv1"] == "left by where="
    assert names(report) == [f"layer{i}.{block}" for i in (2, 3, 4) for block in ("0.conv2", "1.conv1", "1.conv2")]
    with pytest.raises(ValueError, match=r"keep='layer9': no module of this ResNet has that name or matches it"):
        replace(model, nn.Conv2d, "ghost", keep="layer9", input_size=SIZE)


def test_a_model_that_is_one_convolution() -> None:
    model = nn.Conv2d(8, 8, 3, padding=1, dtype=torch.float64)
    report = replace(model, nn.Conv2d, DepthwiseSeparable, keep=(), input_size=(8, 5, 5))
    assert isinstance(report.model, DepthwiseSeparable)
    assert {parameter.dtype for parameter in report.model.parameters()} == {torch.float64}


def test_classes_that_the_table_does_not_have_get_the_usual_arguments() -> None:
    report = replace(Users(), nn.Conv2d, ConvNormAct, input_size=SIZE, activation="silu")
    assert isinstance(report.model.again.act, nn.SiLU)


def test_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = torchvision.models.resnet18()
    report = replace(model, nn.Conv2d, "comp_conv", input_size=SIZE)
    assert {parameter.device.type for parameter in report.model.parameters()} == {"meta"}


@pytest.mark.parametrize(
    "brick",
    [lambda: ConvNormAct(3, 8, kernel_size=3), lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))],
)
def test_folding_does_not_take_a_replacement_for_a_convolution(brick) -> None:
    new = replace(brick(), nn.Conv2d, "ghost", keep=(), input_size=SIZE).model
    with pytest.raises(FoldError, match="it follows a GhostModule, not a Conv2d"):
        fold_batch_norm(new)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (lambda conv: nn.Conv2d(16, 16, 3), r"for blocks\.a\.0 makes \[1, 16, 30, 30\] of \[1, 16, 32, 32\]"),
        (lambda conv: nn.Conv2d(5, 16, 3), r"the Conv2d for blocks\.a\.0 cannot take \[1, 16, 32, 32\]"),
    ],
)
def test_shapes_that_would_change_are_an_error_that_names_the_layer(factory, message: str) -> None:
    with pytest.raises(ReplaceError, match=message):
        replace(Users(), nn.Conv2d, factory, input_size=SIZE)


def test_errors_say_what_came() -> None:
    model = Users()
    with pytest.raises(ValueError, match=r"unknown replacement 'gost'; did you mean ghost\?"):
        replace(model, nn.Conv2d, "gost", input_size=SIZE)
    with pytest.raises(ValueError, match=r"only nn\.Conv2d and classes derived from it can be replaced; got Linear"):
        replace(model, nn.Linear, "ghost", input_size=SIZE)
    with pytest.raises(ValueError, match="Users has no attribute resolution: give the input size"):
        replace(model, nn.Conv2d, "ghost")
    with pytest.raises(TypeError, match="rato"):
        replace(model, nn.Conv2d, "ghost", input_size=SIZE, rato=4)


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"ratio": 0}, ValueError, "ratio of the replacement must be a whole number above 0; got 0"),
        ({"ratio": "4"}, ValueError, "ratio of the replacement must be a whole number above 0; got '4'"),
        ({"ratoi": 4}, TypeError, "the replacement has no option 'ratoi'; it has: .*ratio"),
    ],
)
def test_options_that_cannot_be_are_refused(options, error, complaint) -> None:
    with pytest.raises(error, match=complaint):
        replace(Users(), nn.Conv2d, "ghost", input_size=SIZE, **options)


def test_a_function_must_give_a_module() -> None:
    with pytest.raises(ReplaceError, match=r"the replacement of Conv2d\(.* is no module: None"):
        replace(Users(), nn.Conv2d, lambda conv: None, keep=(), input_size=SIZE)


def test_a_class_that_takes_no_convolutions_arguments_is_told_what_they_are() -> None:
    with pytest.raises(TypeError, match=r"takes \(in_channels, out_channels, kernel_size=, stride=\) .*; ReLU "):
        replace(Users(), nn.Conv2d, nn.ReLU, input_size=SIZE)
