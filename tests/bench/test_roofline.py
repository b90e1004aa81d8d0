"""The roofline: closed forms for bytes and bounds, sums that add up, and models that cannot be measured."""

import gc
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from featherweight.bench import Calibration, Roofline, Subject, WorkerError, roofline
from featherweight.bench import _roofline as measuring
from featherweight.bench._clock import operator_times
from featherweight.bench._layer_times import block_of, uncertainty
from featherweight.bench._roofline import NO_LAYER, call_time, operations_of
from featherweight.bench._worker import Bench
from featherweight.cost import TraceError, UnknownOperatorError, trace
from featherweight.networks import counts, create, network, networks

CEILINGS = Calibration(
    machine="", versions={}, date="", threads=torch.get_num_threads(), multiply_adds_per_second={"float32": 1e10},
    bandwidth_bytes_per_second={2**16: 4e10, 2**22: 1e10}, call_seconds={"convolution": 2e-6, "element-wise": 1e-6},
    caches=[],
)  # fmt: skip


def one_call(model: nn.Module, size: tuple[int, int, int], batch: int = 1):
    (call,) = [call for call in trace(model, size) if call.op not in NO_LAYER]
    return call_time(call, 1.0, CEILINGS, batch, {})


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    ("model", "operations", "activations", "weights"),
    [
        (nn.Conv2d(8, 16, 3, padding=1, bias=False), 100 * 16 * 72, 800 + 1600, 8 * 16 * 9),
        (nn.Conv2d(8, 16, 1), 100 * 16 * 9, 800 + 1600, 8 * 16 + 16),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), 100 * 8 * 9, 1600, 72),
        (nn.ReLU(), 800, 1600, 0),
        (nn.ReLU(inplace=True), 800, 1600, 0),
        (nn.BatchNorm2d(8), 800, 1600, 32),  # scale, shift, mean and variance of 8 channels; not folded
        (nn.MaxPool2d(2), 3 * 200, 800 + 200 + 2 * 200, 0),  # eager writes the positions, too, in eight bytes each
    ],
)
def test_operations_and_bytes(model, operations, activations, weights, batch) -> None:
    one = one_call(model, (8, 10, 10), batch)
    assert one.operations == batch * operations
    assert one.bytes_moved == 4 * (batch * activations + weights)
    assert one.intensity == one.operations / one.bytes_moved


def test_a_tensor_that_is_read_twice_counts_once() -> None:
    class Square(nn.Module):
        def forward(self, x):
            return x * x

    assert one_call(Square(), (1, 10, 10)).bytes_moved == 4 * 200


def test_the_bound_is_what_takes_longest() -> None:
    dense = one_call(nn.Conv2d(64, 64, 3, bias=False), (64, 30, 30))
    assert dense.bounds == {"compute": pytest.approx(784 * 64 * 64 * 9 / 1e10)} and dense.bound == "compute"
    addition = one_call(nn.ReLU(), (64, 30, 30))
    assert addition.bounds == {"memory": pytest.approx(2 * 4 * 57600 / 1e10)} and addition.bound == "memory"
    in_cache = one_call(nn.ReLU(), (8, 30, 30))  # 57.6 kB move at the rate of 64 KiB
    assert in_cache.bounds == {"memory": pytest.approx(2 * 4 * 7200 / 4e10)}
    assert one_call(nn.ReLU(), (1, 2, 2)).bounds == {"call": 1e-6}
    assert one_call(nn.Conv2d(1, 1, 1), (1, 2, 2)).bounds == {"call": 2e-6}
    assert one_call(nn.Flatten(), (1, 2, 2)).bounds == {"call": 1e-6}
    assert addition.fraction == pytest.approx(addition.least_seconds / 1.0)


def test_an_adder_layer_has_operations_too() -> None:
    model = create("adder_lenet5_bn")
    adders = [call for call in trace(model) if "adder2d" in call.op]
    for call in adders:  # a difference, its absolute value and a sum for each weight and place
        assert operations_of(call, 2) == pytest.approx(2 * 3 * call.outputs[0].numel * call.inputs[1].numel
                                                       / call.outputs[0].shape[1], rel=0.01)  # fmt: skip
    assert adders


@pytest.fixture(scope="module")
def measured() -> Roofline:
    return roofline(create("mobilenet_v2", width=0.35, num_classes=10), 64, calibration=CEILINGS, turns=4)


def test_layers_and_overhead_are_the_whole(measured) -> None:
    for what in ("layer", "block", "kind"):
        rows = measured.by(what)
        assert sum(row.seconds for row in rows) + measured.overhead_seconds == pytest.approx(measured.whole_seconds)
        assert sum(row.calls for row in rows) == sum(layer.calls for layer in measured.layers)
        assert sum(row.least_seconds for row in rows) == pytest.approx(
            sum(layer.least_seconds for layer in measured.layers)
        )


def test_blocks_and_kinds(measured) -> None:
    blocks = [row.name for row in measured.by("block")]
    assert blocks == ["stem", *(f"body.{n}" for n in range(18)), "head"]
    assert [row.name for row in measured.by("block", 1)] == ["stem", "body", "head"]
    kinds = {row.kind: row.calls for row in measured.by("kind")}
    assert kinds["depthwise"] == 17 and kinds["batch norm"] == 52
    assert block_of("") == "" and block_of("features.denseblock1.2.conv") == "features.denseblock1.2"


def test_guidelines_of_a_network(measured) -> None:
    found = measured.guidelines()
    pointwise = [row for row in measured.layers if row.kind == "1x1"]
    assert found["G1"][0] == len(pointwise) and found["G2"] == (0, 0)
    assert found["G4"][1] == pytest.approx(
        sum(r.seconds for r in measured.layers if r.kind in ("batch norm", "activation", "element-wise"))
    )


def test_any_module_is_measured_and_left_as_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = roofline(model, (3, 16, 16), calibration=CEILINGS, batch=2, turns=1)
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [(row.name, row.kind) for row in found.layers] == [("0", "3x3"), ("1", "batch norm"), ("2", "activation")]
    assert found.input_shape == (3, 16, 16) and found.batch == 2


class Broken(nn.Module):
    """Fails at its fourth pass, the first that is timed; tells whether garbage collection was on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def forward(self, x):
        self.seen.append(gc.isenabled())
        if len(self.seen) == 4:
            raise KeyboardInterrupt
        return x.relu()


def test_garbage_collection_rests_and_is_on_again() -> None:
    model = Broken()
    with pytest.raises(KeyboardInterrupt):
        operator_times(model, np.zeros((1, 1, 2, 2), np.float32), 2)
    assert model.seen == [True, True, True, False] and gc.isenabled()


@pytest.mark.parametrize(("do", "words"), [("time", {"runs": 3}), ("in_references", {"turns": 3, "seconds": 0.0})])
def test_a_child_collects_garbage_again_after_a_failed_run(do, words) -> None:
    model, bench = Broken(), Bench("eager", 1, [])
    bench.run, bench.reference = lambda: model(torch.zeros(1, 1, 2, 2)), lambda: None
    with pytest.raises(KeyboardInterrupt):
        getattr(bench, do)(**words)
    assert not model.seen[-1] and gc.isenabled()


@pytest.mark.parametrize(("turns", "unsure"), [(5, True), (6, False)])
def test_too_few_turns_do_not_pretend_to_be_sure(turns, unsure) -> None:
    found = roofline(nn.ReLU(), (3, 8, 8), calibration=CEILINGS, turns=turns)
    assert (found.uncertainty is None) == unsure


def test_the_uncertainty_is_of_all_turns_and_holds_the_faster_half() -> None:
    """A machine that is a third slower every other turn or so: passes chosen by their times would hide that."""
    draw = np.random.default_rng(0)

    def passes() -> list[float]:
        return [float(s) for s in np.where(draw.random(20) < 0.4, 1.3, 1.0) + draw.normal(0, 0.01, 20)]

    def figure(seconds: list[float]) -> float:
        return float(np.mean(sorted(seconds)[:10]))

    truth = np.mean([figure(passes()) for _ in range(4000)])
    runs = [passes() for _ in range(500)]
    held = sum(abs(figure(run) - truth) <= (uncertainty(run) or 0) * np.median(run) for run in runs)
    assert held / len(runs) > 0.9
    kept = sum(abs(figure(run) - truth) <= (uncertainty(sorted(run)[:10]) or 0) * np.median(run) for run in runs)
    assert kept / len(runs) < 0.75  # what it was taken from before


def test_a_noisy_turn_counts_though_its_time_is_not_kept(monkeypatch) -> None:
    found = {"whole": [1.0] * 5, "every_whole": [1.0] * 5 + [1.5] * 5, "operators": ["relu"], "seconds": [1.0]}
    monkeypatch.setattr("featherweight.bench._clock.operator_times", lambda *_: {**found, "clock_seconds": {}})
    assert roofline(nn.ReLU(), (1, 2, 2), calibration=CEILINGS).uncertainty == pytest.approx(0.2)


class Sleep(nn.Module):
    """Takes its time in an operator, and outside of any."""

    def __init__(self, outside: float) -> None:
        super().__init__()
        self.outside = outside

    def forward(self, x):
        time.sleep(self.outside)
        return torch.mm(x.flatten(1), torch.ones(4, 4, device=x.device))


def test_what_is_spent_outside_of_operators_is_overhead() -> None:
    found = roofline(Sleep(0.02), (1, 2, 2), calibration=CEILINGS, turns=3)
    assert found.whole_seconds > 0.02 and 0.9 < found.overhead_seconds / found.whole_seconds < 1


def test_a_network_in_a_process_of_its_own() -> None:
    found = roofline(Subject(network="lenet5_bn", input_shape=(1, 32, 32)), calibration=replace(CEILINGS, threads=1))
    assert found.name == "lenet5_bn" and found.input_shape == (1, 32, 32)
    assert found.by("kind")[0].kind == "5x5" and all(row.seconds >= 0 for row in found.layers)


def smallest_of_each_family() -> list[str]:
    by_size = sorted((entry.name for entry in networks()), key=lambda name: -counts(name).params)
    return sorted({network(name).family: name for name in by_size}.values())


@pytest.mark.parametrize("name", smallest_of_each_family())
def test_the_clock_sees_the_operators_that_are_traced(name) -> None:
    model = create(name, num_classes=10, small_input=True).eval()
    side = 32
    traced = [call.op for call in trace(model, side) if call.op not in NO_LAYER]
    found = operator_times(model, np.zeros((2, model.in_channels, side, side), np.float32), 1)
    assert [op for op in found["operators"] if op not in NO_LAYER] == traced
    assert len(found["seconds"]) == len(found["operators"]) and min(found["seconds"]) >= 0 < found["whole"][0]


class Counts(nn.Module):
    def forward(self, x):
        return x[: int(x.sum().item())]


class Halves(nn.Module):
    def forward(self, x):
        return torch.logit(x)


class Mismatched(nn.Module):
    def forward(self, x):
        return x.relu() if x.device.type == "cpu" else x.sigmoid()


@pytest.mark.parametrize(
    ("inner", "error", "message"),
    [
        (Counts(), TraceError, r"the operator aten::_local_scalar_dense, called in 1 \(Counts\), cannot be traced: "),
        (nn.Conv2d(5, 5, 1), TraceError, r"the operator aten::convolution, called in 1 \(Conv2d\), cannot be traced: "),
        (Halves(), UnknownOperatorError, r"no cost formula for the operator aten::logit, called in 1 \(Halves\)"),
        (Mismatched(), WorkerError, "calls other operators .* call 2 is relu in place of sigmoid"),
    ],
)
def test_a_model_that_cannot_be_traced_says_which_operator(inner, error, message) -> None:
    with pytest.raises(error, match=message):
        roofline(nn.Sequential(nn.ReLU(), inner), (3, 8, 8), calibration=CEILINGS, turns=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"turns": 0}, "batch and turns must be 1 or more; got 1 and 0"),
        ({"batch": 0}, "got 0 and 20"),
        ({"calibration": replace(CEILINGS, threads=99)}, r"is for 99 threads, PyTorch uses .* torch.set_num_threads"),
    ],
)
def test_wrong_settings(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        roofline(nn.ReLU(), (1, 2, 2), **{"calibration": CEILINGS, **settings})
    with pytest.raises(ValueError, match="a Subject has its own input shape"):
        roofline(Subject(network="lenet5_bn"), 32, calibration=CEILINGS)


def test_a_network_whose_process_fails_says_why(monkeypatch) -> None:
    monkeypatch.setattr(measuring.Worker, "_command", lambda self: [sys.executable, "-c", "import os; os.abort()"])
    with pytest.raises(WorkerError, match="SIGABRT"):
        roofline(Subject(network="lenet5_bn"), calibration=CEILINGS)
