"""ShuffleNetV2's guidelines: closed forms, and planted layers that must and must not break each."""

import math

import pytest
from torch import nn

from featherweight.bench import Calibration
from featherweight.bench._clock import pair_seconds
from featherweight.bench._guidelines import convolution_of, excess, least_elements, twin
from featherweight.bench._roofline import NO_LAYER, call_time
from featherweight.cost import trace

CEILINGS = Calibration(
    machine="", versions={}, date="", threads=1, multiply_adds_per_second={"float32": 1e10},
    bandwidth_bytes_per_second={2**20: 1e10}, call_seconds={"convolution": 1e-6, "element-wise": 1e-7}, caches=[],
)  # fmt: skip


def calls(model: nn.Module, size: tuple[int, int, int]) -> list:
    return [call for call in trace(model, size) if call.op not in NO_LAYER]


def broken(model: nn.Module, size: tuple[int, int, int] = (64, 28, 28), alone=(3.0, 2.0)) -> dict[str, float]:
    """Guideline -> cost of the model's one call, if it and its twin take these seconds by themselves."""
    (call,) = calls(model, size)
    conv = convolution_of(call, 1)
    times = {conv: alone} if conv is not None and twin(conv) is not None else {}
    return {remark.guideline: remark.seconds for remark in call_time(call, 1.0, CEILINGS, 1, times).remarks}


@pytest.mark.parametrize("positions", [1, 49, 3136])
@pytest.mark.parametrize("channels", [8, 64, 100])
def test_equal_channels_move_the_least(positions: int, channels: int) -> None:
    """Ma et al., equation of G1: the bound is attained where the channels are equal, and only there."""
    multiply_adds = positions * channels**2
    assert least_elements(positions, multiply_adds) == pytest.approx(2 * positions * channels + channels**2)
    for ratio in (2, 6, 12):  # the paper's Table 1
        wide, narrow = channels * math.sqrt(ratio), channels / math.sqrt(ratio)
        moved = positions * (wide + narrow) + wide * narrow
        assert moved > least_elements(positions, multiply_adds)
        assert moved - least_elements(positions, multiply_adds) == pytest.approx(
            positions * (wide + narrow - 2 * channels)
        )


def test_g1_is_broken_by_unequal_channels_of_dense_1x1_convolutions() -> None:
    assert broken(nn.Conv2d(64, 256, 1)) == {"G1": pytest.approx(1.0)}
    assert broken(nn.Conv2d(64, 64, 1)) == {}
    assert broken(nn.Conv2d(64, 256, 3, padding=1)) == {}
    assert broken(nn.Conv2d(64, 256, 1, stride=2)) == {}


def test_g1_says_how_many_times_the_least_bytes() -> None:
    (call,) = calls(nn.Conv2d(16, 256, 1), (16, 7, 7))
    conv = convolution_of(call, 2)
    assert conv is not None and conv.x == (2, 16, 7, 7)
    assert excess(conv) == pytest.approx((98 * 272 + 4096) / (98 * 128 + 4096))


def test_g2_is_broken_by_groups_but_not_by_depthwise_convolutions() -> None:
    assert broken(nn.Conv2d(64, 64, 1, groups=4)) == {"G2": pytest.approx(1.0)}
    assert broken(nn.Conv2d(64, 64, 3, padding=1, groups=16)) == {"G2": pytest.approx(1.0)}
    assert broken(nn.Conv2d(64, 64, 3, padding=1)) == {}
    assert broken(nn.Conv2d(64, 64, 3, padding=1, groups=64)) == {}


def test_a_twin_that_was_rounded_counts_for_as_many_multiply_adds() -> None:
    (call,) = calls(nn.Conv2d(60, 60, 1, groups=3), (60, 28, 28))
    conv = convolution_of(call, 1)
    assert conv is not None
    guideline, dense = twin(conv)
    assert guideline == "G2" and dense.weight == (35, 35, 1, 1) and dense.x == (1, 35, 28, 28)
    (remark,) = call_time(call, 1.0, CEILINGS, 1, {conv: (3.0, 2.0)}).remarks
    assert remark.seconds == pytest.approx(3.0 - 2.0 * (60 * 20) / 35**2)


def test_g3_is_broken_by_what_has_less_to_do_than_its_call() -> None:
    assert broken(nn.Conv2d(4, 4, 3), (4, 5, 5)) == {"G3": 1e-6}
    assert "G3" not in broken(nn.Conv2d(4, 4, 3), (4, 64, 64))
    assert broken(nn.Flatten(), (4, 64, 64)) == {"G3": 1e-7}  # a view: nothing but the call


@pytest.mark.parametrize("module", [nn.ReLU(), nn.BatchNorm2d(64), nn.ChannelShuffle(4)])
def test_g4_is_broken_by_all_that_only_touches_elements(module: nn.Module) -> None:
    assert broken(module) == {"G4": 1.0}


@pytest.mark.parametrize("module", [nn.Conv2d(64, 64, 3), nn.AvgPool2d(2), nn.Conv2d(64, 64, 3, groups=64)])
def test_g4_is_not_broken_by_what_sums(module: nn.Module) -> None:
    assert "G4" not in broken(module)


def test_a_convolution_in_one_dimension_or_transposed_has_no_twin() -> None:
    for module in (nn.ConvTranspose2d(8, 16, 1), nn.Sequential(nn.Flatten(2), nn.Conv1d(8, 16, 1))):
        assert convolution_of(calls(module, (8, 6, 6))[-1], 1) is None


def test_a_large_convolution_takes_longer_than_a_small_one() -> None:
    large, small = (
        ((1, channels, 28, 28), (channels, channels, 3, 3), (1, 1), (1, 1), (1, 1), 1) for channels in (64, 4)
    )
    ((first, second),) = pair_seconds([(large, small)])
    assert first > 3 * second
