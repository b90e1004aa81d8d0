"""Learned group convolutions: what is dropped and when, and the form for use against the form for training."""

import pytest
import torch
from torch import nn

from featherweight.blocks import CondensedConv, CondenseLayer, LearnedGroupConv, NormAct
from featherweight.cost import analyze


@torch.no_grad()
def lively(module: nn.Module, channels: int) -> nn.Module:
    """Give batch norms statistics and scales that differ between channels."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0.0, 0.3)
    module.train()
    for _ in range(3):
        module(torch.randn(4, channels, 6, 6) * torch.rand(channels, 1, 1))
    return module.eval()


def test_it_begins_as_a_dense_convolution() -> None:
    conv = lively(LearnedGroupConv(8, 12, groups=4), 8)
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(conv(x), conv.conv(conv.before(x)))
    assert conv.kept == 8
    assert not conv.condensed


def test_filters_are_dealt_to_the_groups_in_turn() -> None:
    conv = LearnedGroupConv(8, 12, groups=4)
    conv.mask[1] = False
    used = conv(torch.randn(2, 8, 5, 5)).abs().amax((0, 2, 3)) > 0
    assert used.tolist() == [o % 4 != 1 for o in range(12)]


def test_importance_is_the_sum_of_absolute_weights_of_a_groups_filters() -> None:
    conv = LearnedGroupConv(8, 12, groups=4)
    weight = conv.conv.weight.flatten(1)
    for group in range(4):
        torch.testing.assert_close(conv.importance()[group], weight[group::4].abs().sum(0))


def test_each_group_drops_its_own_least_important_inputs_for_good() -> None:
    conv = LearnedGroupConv(16, 32, groups=4)
    before = conv.importance()
    conv.drop()
    for group in range(4):
        assert set((~conv.mask[group]).nonzero().flatten().tolist()) == set(before[group].argsort()[:4].tolist())
    assert torch.equal(conv.importance(), before * conv.mask)
    dropped = ~conv.mask.clone()
    nn.init.normal_(conv.conv.weight)
    conv.drop()
    assert conv.mask.sum(1).tolist() == [8] * 4
    assert not (conv.mask & dropped).any()


@pytest.mark.parametrize(
    ("groups", "condensation", "dues"),
    [
        (4, 4, [1 / 6, 1 / 3, 1 / 2]),  # 120 epochs: after 20, 40, 60; 300 epochs: after 50, 100, 150
        (8, 8, [s / 14 for s in range(1, 8)]),
        (4, 2, [1 / 2]),
        (4, 1, []),
    ],
)
def test_schedule(groups: int, condensation: int, dues: list[float]) -> None:
    conv = LearnedGroupConv(16, 16, groups=groups, condensation=condensation)
    step = 16 // condensation
    for done, due in enumerate(dues):
        conv.condense_to(due - 1e-6)
        assert conv.mask.sum(1).tolist() == [16 - done * step] * groups
        conv.condense_to(due)
        assert conv.mask.sum(1).tolist() == [16 - (done + 1) * step] * groups
    mask = conv.mask.clone()
    conv.condense_to(1.0)
    conv.condense_to(0.0)
    assert torch.equal(conv.mask, mask)
    assert conv.condensed
    assert mask.sum(1).tolist() == [step] * groups
    with pytest.raises(RuntimeError, match=f"is condensed: each group keeps {step} of 16 inputs"):
        conv.drop()


def test_a_step_that_was_missed_is_made_up_for() -> None:
    conv = LearnedGroupConv(16, 16, groups=8)
    conv.condense_to(0.5)
    assert conv.kept == 2


def test_group_lasso_is_the_sum_of_norms_until_condensed() -> None:
    conv = LearnedGroupConv(8, 12, groups=4)
    weight = conv.conv.weight.flatten(1)
    norms = [weight[group::4, j].norm() for group in range(4) for j in range(8)]
    torch.testing.assert_close(conv.lasso(), torch.stack(norms).sum())
    conv.drop()
    conv.lasso().backward()
    assert conv.conv.weight.grad is not None
    dropped = ~conv.mask.repeat(3, 1)[:, :, None, None]
    assert not conv.conv.weight.grad[dropped].any()
    conv.condense_to(1)
    assert conv.lasso() == 0


def trained(groups: int, condensation: int | None = None) -> LearnedGroupConv:
    """A layer that was condensed while its weights moved."""
    conv = LearnedGroupConv(16, 24, groups=groups, condensation=condensation)
    optimizer = torch.optim.SGD(conv.parameters(), lr=0.05)
    for step in range(16):
        conv.condense_to(step / 15)
        loss = conv(torch.randn(4, 16, 5, 5)).square().mean() + 1e-2 * conv.lasso()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return lively(conv, 16)


@pytest.mark.parametrize(("groups", "condensation"), [(4, None), (8, None), (2, 4), (4, 2), (1, 1)])
def test_the_converted_form_gives_the_same_outputs(groups: int, condensation: int | None) -> None:
    conv, x = trained(groups, condensation), torch.randn(3, 16, 7, 5)
    converted = conv.convert()
    assert isinstance(converted, CondensedConv)
    assert not converted.training
    torch.testing.assert_close(converted(x), conv(x), atol=1e-5, rtol=1e-5)
    share = condensation or groups
    assert len(converted.index) == groups * 16 // share
    assert converted.conv.weight.numel() == 24 * 16 // share
    assert analyze(converted, (16, 7, 5)).multiply_adds == 35 * 16 * 24 // share
    assert analyze(conv, (16, 7, 5)).multiply_adds == 35 * 16 * 24


def test_the_converted_form_trains_alike() -> None:
    conv, x = trained(4).train(), torch.randn(3, 16, 7, 5)
    converted = conv.convert()
    assert converted.training
    torch.testing.assert_close(converted(x), conv(x), atol=1e-5, rtol=1e-5)


def test_what_is_not_condensed_is_not_converted() -> None:
    conv = LearnedGroupConv(16, 24)
    conv.condense_to(0.4)
    with pytest.raises(ValueError, match=r"each group still uses 8 of 16 inputs, not 4: call condense_to\(1\) first"):
        conv.convert()


def test_a_new_layer_for_use_is_an_ordinary_grouped_one() -> None:
    conv, x = CondensedConv(8, 12, groups=4).eval(), torch.randn(2, 8, 5, 5)
    y = nn.functional.conv2d(conv.before(x.clone()), conv.conv.weight, groups=4)
    torch.testing.assert_close(conv(x)[:, [0, 4, 8]], y[:, :3])
    assert CondensedConv(8, 12, groups=4, condensation=2).index.tolist() == [*range(8), *range(8)]


@pytest.mark.parametrize("groups", [4, 8])
def test_dense_layer(groups: int) -> None:
    layer = CondenseLayer(16, 8, groups=groups)
    layer.reduce.condense_to(1)
    lively(layer, 16)
    x = torch.randn(2, 16, 6, 5)
    before = x.clone()
    y, converted = layer(x), layer.convert()
    assert torch.equal(y[:, :16], x)
    assert torch.equal(x, before)
    torch.testing.assert_close(converted(x), y, atol=1e-5, rtol=1e-5)
    places, k = 30, 8
    assert analyze(layer, (16, 6, 5)).multiply_adds == places * (16 * 4 * k + 36 * k * k // groups)
    assert analyze(converted, (16, 6, 5)).multiply_adds == places * (16 * 4 * k // groups + 36 * k * k // groups)
    with pytest.raises(ValueError, match="converted already"):
        converted.convert()


def test_every_output_of_a_dense_layer_reads_all_groups_of_the_first_convolution() -> None:
    """That is what the shuffle is for."""
    layer = CondenseLayer(16, 8, converted=True).eval()
    x = torch.randn(1, 16, 4, 4, requires_grad=True)
    for output in range(16, 24):
        (gradient,) = torch.autograd.grad(layer(x)[0, output].sum(), x)
        assert all(gradient[0, 4 * group : 4 * group + 4].any() for group in range(4))


def test_masks_and_indices_are_saved() -> None:
    conv = LearnedGroupConv(16, 16)
    conv.condense_to(1)
    again = LearnedGroupConv(16, 16)
    again.load_state_dict(conv.state_dict())
    assert torch.equal(again.mask, conv.mask)
    assert again.condensed
    converted, copied = conv.convert(), CondensedConv(16, 16)
    copied.load_state_dict(converted.state_dict())
    assert torch.equal(copied.index, converted.index)


def test_norm_act_leaves_its_input_alone() -> None:
    x = torch.randn(2, 4, 3, 3)
    before = x.clone()
    assert (NormAct(4)(x) >= 0).all()
    assert torch.equal(x, before)


def test_errors_say_what_came() -> None:
    with pytest.raises(ValueError, match="18 channels must divide by the condensation 4, and 16 by the 4 groups"):
        LearnedGroupConv(18, 16)
    with pytest.raises(ValueError, match="16 channels must divide by the condensation 4, and 6 by the 4 groups"):
        CondenseLayer(16, 6)
    with pytest.raises(ValueError, match="progress must be the share of the training that is done, 0 to 1; got 20"):
        LearnedGroupConv(16, 16).condense_to(20)
