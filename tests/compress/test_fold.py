"""Batch-norm folding against the network that was folded."""

import copy

import pytest
import torch
from torch import nn

from featherweight.blocks import AdderConv2d, ConvNormAct, MitchellConv2d, NormAct
from featherweight.compress import FoldError, fold_batch_norm


@torch.no_grad()
def assert_same_outputs(model, folded, x):
    """Hold the folded network against the other in float64, and in float32 against that network's own rounding."""
    expected, got = model(x), folded(x)
    truth = copy.deepcopy(model).double()(x.double())
    scale = truth.abs().max()
    assert truth.std() > 1e-2 * scale  # the outputs depend on the pictures
    assert (fold_batch_norm(copy.deepcopy(model).double())(x.double()) - truth).abs().max() <= 1e-12 * scale
    assert (got - truth).abs().max() <= 1e-5 * scale + 2 * (expected - truth).abs().max()


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def test_every_registered_network_folds_exactly(tiny):
    before = copy.deepcopy(tiny.state_dict())
    folded = fold_batch_norm(tiny)
    assert norms(folded) == []
    assert_same_outputs(tiny, folded, torch.randn(8, 1, 16, 16))
    assert tiny.state_dict().keys() == before.keys()
    assert all(torch.equal(before[key], value) for key, value in tiny.state_dict().items())


def test_folding_does_not_change_a_network_that_is_training(calibrated):
    model = calibrated(ConvNormAct(3, 8), (3, 4, 4)).train()
    folded = fold_batch_norm(model)
    assert model.training and not folded.training
    assert isinstance(model.norm, nn.BatchNorm2d)


def test_a_batch_norm_in_front_of_its_convolution_becomes_a_scale_and_a_shift(calibrated):
    model = calibrated(nn.Sequential(NormAct(4), nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)), (4, 6, 6))
    folded = fold_batch_norm(model)
    assert norms(folded) == []
    assert [parameter.shape for parameter in folded[0].parameters()] == [(4, 1, 1, 1), (4,)]
    assert_same_outputs(model, folded, torch.randn(2, 4, 6, 6))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("affine", [True, False])
def test_pairs_in_a_sequential(bias, groups, affine):
    model = nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1, bias=bias, groups=groups), nn.BatchNorm2d(8, eps=0.1, affine=affine), nn.ReLU()
    )
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.1, 3)
    if affine:
        nn.init.normal_(model[1].weight)
        nn.init.normal_(model[1].bias)
    folded = fold_batch_norm(model)
    assert_same_outputs(model.eval(), folded, torch.randn(2, 4, 6, 6))


def test_half_precision_stays_half_precision():
    folded = fold_batch_norm(ConvNormAct(3, 8).to(torch.bfloat16))
    assert folded.conv.weight.dtype == folded.conv.bias.dtype == torch.bfloat16


@pytest.mark.parametrize("layer", [AdderConv2d, MitchellConv2d])
def test_behind_filters_that_cannot_be_scaled_scale_and_shift_stay_as_a_layer_of_their_own(layer):
    model = nn.Sequential(layer(3, 6, kernel_size=3), nn.BatchNorm2d(6), nn.ReLU())
    for _ in range(3):
        model(torch.randn(4, 3, 5, 5))
    nn.init.normal_(model[1].weight)
    nn.init.normal_(model[1].bias)
    folded = fold_batch_norm(model)
    assert isinstance(folded[0], layer)
    assert [(type(m), m.groups) for m in folded if hasattr(m, "groups")][1:] == [(nn.Conv2d, 6)]
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(folded(x), model.eval()(x), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_mean_behind_an_adder_layer_is_its_bias_so_that_float16_holds_the_shift():
    model = nn.Sequential(AdderConv2d(8, 16, kernel_size=3, bias=True), nn.BatchNorm2d(16, momentum=None))
    model[0].weight.copy_(model[0].weight.half())
    for _ in range(3):
        model(0.1 * torch.randn(8, 8, 9, 9))
    model[1].bias.uniform_()
    x = 0.1 * torch.randn(2, 8, 9, 9)
    expected, folded = model.eval()(x), fold_batch_norm(model)
    for parameter in folded.parameters():
        parameter.copy_(parameter.half())
    assert model[1].running_mean.abs().min() > 30 * model[1].running_var.sqrt().max()  # by which rounding would grow
    assert (folded(x) - expected).abs().max() <= 1e-3 * expected.abs().max()


class Wired(nn.Module):
    """Runs its children in an order of its own, which names alone do not tell."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(x) + self.conv(x)


class OtherConv(nn.Conv2d):
    """Computes something else than a convolution, as networks without multiplications do."""

    def forward(self, x):
        return super().forward(x).abs()


def shared():
    conv = nn.Conv2d(3, 3, 1)
    return nn.Sequential(conv, nn.BatchNorm2d(3), conv, nn.BatchNorm2d(3))


def hooked(model, name, *, before=False):
    layer = model.get_submodule(name)
    if before:
        layer.register_forward_pre_hook(lambda _, inputs: (inputs[0] + 1,))
    else:
        layer.register_forward_hook(lambda _, inputs, output: output + 1)
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        *(
            (hooked(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), name, before=before), "has forward hooks")
            for name in "01"
            for before in (False, True)
        ),
        (hooked(ConvNormAct(3, 3), "conv"), "norm: it or the convolution before it has forward hooks"),
        (hooked(NormAct(3), "norm"), "norm: it or the convolution before it has forward hooks"),
        (Wired(), "norm: it stands in no ConvNormAct and behind no Conv2d of an nn.Sequential"),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)), "1: it follows a ReLU, not a Conv2d"),
        (nn.Sequential(OtherConv(3, 3, 1), nn.BatchNorm2d(3)), "1: it follows a OtherConv, not a Conv2d"),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)), "no running statistics"),
        (shared(), "3: it or the convolution before it is used in more than one place"),
    ],
)
def test_what_cannot_be_folded_is_named_or_left(model, message):
    with pytest.raises(FoldError, match="strict=False leaves them in") as error:
        fold_batch_norm(model)
    assert message in str(error.value)
    left = fold_batch_norm(model, strict=False)
    assert norms(left)
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(left(x), model.eval()(x))
