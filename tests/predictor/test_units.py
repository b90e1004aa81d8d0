"""What a runtime runs as one, whose time a node's is, and what a clock adds."""

import pytest
import torch
from torch import nn

from featherweight.cost import UnknownOperatorError, analyze, trace
from featherweight.networks import create, list_networks, on_meta_device, random_network
from featherweight.predictor._clock import Measured, corrected
from featherweight.predictor._features import bytes_moved, features, group_of, multiply_adds
from featherweight.predictor._matching import MismatchError, module_path, seconds_of_units
from featherweight.predictor._units import merged_units, single_units


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x)) + x)


def test_a_convolution_takes_along_what_follows_on_its_result() -> None:
    units = merged_units(trace(nn.Sequential(Residual(), nn.Conv2d(4, 2, 1)), (4, 8, 8)))
    assert [(unit.kind, [call.op for call in unit.tail]) for unit in units] == [
        ("3x3", ["native_batch_norm", "add", "relu"]), ("1x1", []),
    ]  # fmt: skip


def test_a_result_that_two_read_ends_a_unit() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return torch.sigmoid(y) * y

    units = merged_units(trace(Twice(), (4, 8, 8)))
    assert [unit.kind for unit in units] == ["1x1", "sigmoid"]
    assert [call.op for call in units[1].tail] == ["mul"]


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2", "ghostnet", "condensenet", "micronet_m1"])
def test_units_have_all_multiply_adds(name) -> None:
    with on_meta_device():
        model = create(name)
    calls = trace(model)
    for units in (single_units(calls), merged_units(calls)):
        assert sum(multiply_adds(unit) for unit in units) == analyze(model).multiply_adds
        assert len({len(features(unit)) for unit in units}) == 1


def test_bytes_of_a_merged_unit_in_closed_form() -> None:
    (unit,) = merged_units(trace(Residual(), (4, 8, 8)))
    pixels = 64
    weights, norm = 4 * 4 * 9, 4 * 4  # scale, shift, mean and variance of each channel
    assert bytes_moved(unit) == 4 * (pixels * 4 + weights + norm + pixels * 4)


def test_an_operator_without_formula_is_named() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.matrix_exp(x)

    with pytest.raises(UnknownOperatorError, match="linalg_matrix_exp"):
        merged_units(trace(Odd(), (3, 8, 8)))


@pytest.mark.parametrize(
    ("scopes", "path"),
    [
        (["body.1", "shortcut", "shortcut.0", "conv"], "body.1.shortcut.0.conv"),
        (["stem", "stem.0", "act"], "stem.0.act"),
        ([], ""),
    ],
)
def test_scopes_of_an_onnx_file_are_paths_of_modules(scopes, path) -> None:
    assert module_path(scopes) == path


def test_nodes_of_a_graph_find_their_units() -> None:
    units = merged_units(trace(nn.Sequential(Residual(), nn.Conv2d(4, 2, 1)), (4, 8, 8)))
    nodes = {
        "ReorderInput": 1.0,  # in front of the convolution that wants it
        "/0/conv/Conv_output_0_nchwc": 2.0,
        "/0/Relu": 4.0,
        "ReorderOutput_token_3": 8.0,  # behind what came before it
        "/1/Conv/WithoutBiases": 16.0,
        "somewhere_abcd_acdb_/1/Conv": 32.0,
    }
    assert seconds_of_units(units, nodes) == [15.0, 48.0]


def test_nodes_with_names_that_say_nothing_are_no_match() -> None:
    units = merged_units(trace(nn.Sequential(Residual(), nn.Conv2d(4, 2, 1)), (4, 8, 8)))
    few = {"/0/conv/Conv": 10.0, "fused_op_17": 1.0, "/1/Conv": 10.0}
    assert seconds_of_units(units, few) == [11.0, 10.0]
    with pytest.raises(MismatchError, match=r"67% of the time is in nodes of no layer that is known, most in 'op_18'"):
        seconds_of_units(units, {"/0/conv/Conv": 1.5, "op_17": 1.0, "op_18": 2.0})


def test_numbered_calls_have_to_be_those_that_were_traced() -> None:
    units = single_units(trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), (3, 8, 8)))
    assert seconds_of_units(units, {"0 convolution": 1.0, "1 relu": 2.0}) == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"from operator 1 on \['sigmoid'\], traced \['relu'\]"):
        seconds_of_units(units, {"0 convolution": 1.0, "1 sigmoid": 2.0})


def test_all_kernels_are_one_group_but_pointwise_ones() -> None:
    assert {group_of(kind) for kind in ("3x3", "5x5", "1x3", "64x1")} == {"dense"}
    assert group_of("1x1") == "1x1"
    assert group_of("grouped 3x3") == group_of("grouped 1x1") == "grouped"


def test_a_clock_that_adds_to_each_operator_is_taken_off() -> None:
    """Runs of known operators, each slowed by 4 us by the clock, and 30 us for each run without it."""
    measured = []
    for number in range(2, 40):
        times = {f"{i}": 1e-6 * (10 + (i * number) % 7) for i in range(number)}
        measured.append(Measured({}, {name: found + 4e-6 for name, found in times.items()}, sum(times.values()) + 3e-5))
    run, found = corrected(measured)
    assert run == pytest.approx(3e-5, rel=1e-3)
    assert found[-1].operators["3"] == pytest.approx(measured[-1].operators["3"] - 4e-6, rel=1e-3)
    assert len(found) < len(measured)  # the smallest take mostly what any run takes


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_run_and_are_the_same_for_the_same_seed(seed) -> None:
    network, again = (random_network(seed, resolution=32, num_classes=5) for _ in range(2))
    assert str(network) == str(again)
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def test_random_networks_are_none_of_the_zoo_and_have_every_block() -> None:
    kinds: set[str] = set()
    for seed in range(60):
        with on_meta_device():
            network = random_network(seed, adders=True)
        kinds |= {type(module).__name__ for module in network.modules()}
    wanted = {
        "InvertedResidual", "FusedInvertedResidual", "ShuffleUnitV1", "ShuffleUnitV2", "GhostBottleneck", "Fire",
        "SqNxtBlock", "EffNetBlock", "XceptionBlock", "InterleavedGroupConv", "InterleavedLowRankGroupConv",
        "InterleavedSparseConv", "CondenseLayer", "MicroBlockC", "AdderConv2d", "BasicBlock", "BottleneckBlock",
        "SqueezeExcite", "FullyConnectedHead",
    }  # fmt: skip
    assert wanted <= kinds
    assert not any(name.startswith("random") for name in list_networks())


def test_too_small_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="8 or more; got 4"):
        random_network(0, resolution=4)
