"""ShuffleNet's units against their closed-form cost, the paper's figures and what a shuffle is for."""

import io

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from featherweight.blocks import ShuffleUnitV1, ShuffleUnitV2, channel_shuffle


def multiply_adds(module: nn.Module, *shape: int) -> int:
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


def reached(module: nn.Module, x: Tensor, channel: int) -> list[int]:
    """Input channels that an output channel depends on."""
    x = x.clone().requires_grad_()
    module(x)[:, channel].sum().backward()
    assert x.grad is not None
    return x.grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist()


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_shuffling_back_restores(groups: int) -> None:
    x = torch.randn(2, 6, 3, 5)
    assert torch.equal(channel_shuffle(channel_shuffle(x, groups), 6 // groups), x)


def test_shuffle_is_reshape_and_transpose_in_any_memory_layout() -> None:
    x = torch.randn(2, 12, 3, 5)
    expected = x.reshape(2, 3, 4, 3, 5).transpose(1, 2).reshape(2, 12, 3, 5)
    assert torch.equal(channel_shuffle(x, 3), expected)
    assert torch.equal(channel_shuffle(torch.cat((x, x), dim=1)[:, :12], 3), expected)
    last = channel_shuffle(x.to(memory_format=torch.channels_last), 3)
    assert torch.equal(last, expected)
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_shuffle_can_be_exported() -> None:
    unit = ShuffleUnitV2(12, 12).eval()
    exported = torch.export.export(
        unit, (torch.randn(2, 12, 6, 6),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    ).module()
    x = torch.randn(3, 12, 6, 6)
    assert torch.equal(exported(x), unit(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the tracing exporter itself
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_shuffle_is_plain_onnx_for_the_tracing_exporter() -> None:
    file = io.BytesIO()
    torch.onnx.export(ShuffleUnitV2(12, 12), (torch.randn(1, 12, 6, 6),), file, dynamo=False)
    nodes = {node.op_type for node in onnx.load_from_string(file.getvalue()).graph.node}
    assert {"Reshape", "Transpose"} <= nodes


def test_shuffle_names_channels_that_do_not_divide() -> None:
    with pytest.raises(RuntimeError, match="Got 6 channels and 4 groups"):
        channel_shuffle(torch.zeros(1, 6, 1, 1), 4)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("squeeze_excite", [False, True])
def test_v1_cost_is_the_docstrings(groups: int, squeeze_excite: bool) -> None:
    keep = ShuffleUnitV1(240, 240, groups=groups, squeeze_excite=squeeze_excite)
    excite = 2 * 240 * 15 * squeeze_excite
    assert multiply_adds(keep, 240, 14, 14) == 14 * 14 * (2 * 240 * 60 // groups + 9 * 60) + excite  # the paper's
    down = ShuffleUnitV1(24, 240, groups=groups, stride=2, squeeze_excite=squeeze_excite)
    excite = 2 * 216 * 13 * squeeze_excite
    expected = 15 * 13 * 24 * 60 // groups + 8 * 7 * 60 * 9 + 8 * 7 * 60 * 216 // groups + excite
    assert multiply_adds(down, 24, 15, 13) == expected


def test_v1_shuffle_lets_every_group_see_all_channels() -> None:
    x = torch.randn(4, 24, 6, 6)
    torch.manual_seed(0)
    mixed = ShuffleUnitV1(24, 24, groups=2).train()
    apart = ShuffleUnitV1(24, 24, groups=2, shuffle=False).train()
    for channel in (0, 23):
        assert reached(mixed, x, channel) == list(range(24))
    assert reached(apart, x, 0) == list(range(12))
    assert reached(apart, x, 23) == list(range(12, 24))


def test_v1_with_stride_2_puts_the_average_first() -> None:
    x = torch.rand(2, 6, 7, 7)
    y = ShuffleUnitV1(6, 18, groups=3, stride=2).eval()(x)
    assert y.shape == (2, 18, 4, 4)
    assert torch.equal(y[:, :6], nn.functional.avg_pool2d(x, 3, 2, 1))


def test_v1_rounds_a_bottleneck_up_to_its_groups() -> None:
    unit = ShuffleUnitV1(136, 136, groups=4)
    assert unit.reduce.conv.out_channels == 36  # 136 / 4 is 34


def test_v2_passes_half_of_the_channels_by() -> None:
    x = torch.randn(2, 8, 5, 5)
    y = ShuffleUnitV2(8, 8)(x)
    assert torch.equal(y[:, ::2], x[:, :4])


@pytest.mark.parametrize("shortcut", [None, 24])
def test_v2_cost_is_the_docstrings(shortcut: int | None) -> None:
    assert multiply_adds(ShuffleUnitV2(116, 116), 116, 9, 7) == 9 * 7 * (2 * 58 * 58 + 9 * 58)
    s = shortcut or 58
    down = ShuffleUnitV2(24, 116, stride=2, shortcut_channels=shortcut)
    expected = 5 * 4 * (9 * 24 + 24 * s) + 9 * 7 * 24 * 58 + 5 * 4 * (9 * 58 + 58 * (116 - s))
    assert multiply_adds(down, 24, 9, 7) == expected


def test_units_that_widen_at_full_size_keep_their_input_or_half_of_the_output_apart() -> None:
    x = torch.rand(2, 6, 7, 7)
    assert torch.equal(ShuffleUnitV1(6, 18, groups=3).eval()(x)[:, :6], x)
    wide = ShuffleUnitV2(6, 18)
    assert wide(x).shape == (2, 18, 7, 7)
    assert multiply_adds(wide, 6, 7, 7) == 7 * 7 * (9 * 6 + 6 * 9 + 6 * 9 + 9 * 9 + 9 * 9)


def test_v2_with_residual_adds_half_of_the_channels_to_what_is_made_of_them() -> None:
    x = torch.randn(2, 8, 5, 5)
    unit = ShuffleUnitV2(8, 8, residual=True)
    nn.init.zeros_(unit.project.norm.weight)
    assert torch.equal(unit(x)[:, 1::2], x[:, 4:].relu())


def test_v2_squeeze_excite_costs_its_two_layers() -> None:
    plain, weighed = (ShuffleUnitV2(64, 64, squeeze_excite=excite) for excite in (False, True))
    assert multiply_adds(weighed, 64, 5, 5) - multiply_adds(plain, 64, 5, 5) == 2 * 32 * 2


@pytest.mark.parametrize(
    "unit",
    [
        ShuffleUnitV1(12, 12, groups=3),
        ShuffleUnitV1(12, 24, groups=3, stride=2),
        ShuffleUnitV2(12, 12),
        ShuffleUnitV2(12, 24, stride=2),
        ShuffleUnitV2(12, 12, residual=True, squeeze_excite=True),
    ],
    ids=["v1", "v1-halve", "v2", "v2-halve", "v2-residual-excite"],
)
def test_units_leave_their_input_alone_and_reach_all_parameters(unit: nn.Module) -> None:
    x = torch.randn(2, 12, 8, 8)
    before = x.clone()
    unit.train()(x).square().sum().backward()
    assert torch.equal(x, before)
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in unit.parameters())


@pytest.mark.parametrize("unit", [lambda i, o, s: ShuffleUnitV1(i, o, groups=1, stride=s), None])
def test_units_say_which_channels_a_stride_allows(unit: object) -> None:
    make = unit or (lambda i, o, s: ShuffleUnitV2(i, o, stride=s))
    with pytest.raises(ValueError, match="stride must be 1 or 2; got 3"):
        make(8, 8, 3)
    with pytest.raises(ValueError, match=r"than before, .* as many; got 16 -> 8 with stride 1"):
        make(16, 8, 1)
    with pytest.raises(ValueError, match=r"than before, .* as many; got 16 -> 16 with stride 2"):
        make(16, 16, 2)


def test_v1_says_what_does_not_divide() -> None:
    with pytest.raises(ValueError, match=r"12 to 96 channels with stride 2 has 84 branch channels.* 8 groups"):
        ShuffleUnitV1(12, 96, groups=8, stride=2, reduce_groups=1)
    with pytest.raises(ValueError, match="10 in channels, which do not divide into 4 groups"):
        ShuffleUnitV1(10, 10, groups=4)


def test_v2_says_what_is_wrong_with_its_halves() -> None:
    with pytest.raises(ValueError, match=r"must be even.*got 7"):
        ShuffleUnitV2(7, 7)
    with pytest.raises(ValueError, match="leave channels for the other branch; got 24 of 24"):
        ShuffleUnitV2(8, 24, stride=2, shortcut_channels=24)
    with pytest.raises(ValueError, match="is for stride 2"):
        ShuffleUnitV2(8, 8, shortcut_channels=4)
