from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.multiprocessing.reductions import StorageWeakRef

from featherweight.cost import METRICS, analyze, trace

SIDE = 8
MAP = SIDE * SIDE  # elements of one channel


class Net(nn.Module):
    """Three convolutions to play with, 4 -> 8 -> 8 -> 2 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 2, 1)


class Chain(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(self.a(x)))


class Residual(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        return self.c(self.b(self.b(y)) + y)


class LateInput(Net):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.c(self.b(self.a(x))), x), 1)


class Concat(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        return torch.cat((self.b(y), self.c(y)), 1)


class InPlace(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu_())


class OutOfPlace(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu())


class View(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        left, _ = y.chunk(2, dim=1)  # keeps all of y alive
        return self.a(left.reshape(1, 4, SIDE, SIDE).view(1, 4, SIDE, SIDE))


class Pooled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(x, 2)


@pytest.mark.parametrize(
    ("model", "channels"),
    [
        (Chain, 8 + 8),
        (Residual, 8 + 8 + 8),
        (LateInput, 4 + 8 + 8),
        (Concat, (8 + 2) * 2),
        (InPlace, 8 + 8),
        (OutOfPlace, 8 + 8),
        (View, 8 + 8),
        (Pooled, 4 + 1),  # without the positions, which nobody reads
        (nn.Identity, 4),
    ],
)
def test_peak_memory_in_closed_form(model, channels):
    peak = analyze(model(), (4, SIDE, SIDE)).peak_memory_bytes
    assert peak == {"float32": channels * MAP * 4, "float16": channels * MAP * 2, "int8": channels * MAP}


def test_an_activation_in_place_needs_no_memory_of_its_own():
    apart, in_place = (nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(inplace=inplace)) for inplace in (False, True))
    assert analyze(apart, (1, SIDE, SIDE)).peak_memory_bytes["int8"] == 16 * MAP
    assert analyze(in_place, (1, SIDE, SIDE)).peak_memory_bytes["int8"] == 9 * MAP


def test_batch_norm_is_folded_where_it_alone_reads_a_convolution():
    class ReadTwice(Net):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(8)

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x)
            return self.norm(y) + y

    folded = nn.Sequential(nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8))
    alone = nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm2d(4))
    by_batch = nn.Sequential(nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8, track_running_stats=False))
    peaks = [analyze(m, (4, SIDE, SIDE)).peak_memory_bytes["int8"] for m in (folded, alone, by_batch, ReadTwice())]
    assert peaks == [12 * MAP, 8 * MAP, 16 * MAP, 24 * MAP]


def test_integers_keep_their_size():
    class Where(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(2).argmax(-1).sum(1)

    peak = analyze(Where(), (1, SIDE, SIDE)).peak_memory_bytes
    assert peak == {"float32": MAP * 4 + 8, "float16": MAP * 2 + 8, "int8": MAP + 8}


def test_bytes_moved_in_closed_form():
    # reads 4 channels and 32 weights and writes 8 channels; batch norm: a bias for each channel; reads and writes 8
    model = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
    values = (4 * MAP + 32 + 8 * MAP) + 8 + (8 * MAP + 8 * MAP)
    assert analyze(model, (4, SIDE, SIDE)).bytes_moved == {"float32": values * 4, "float16": values * 2, "int8": values}


def test_shufflenet_v2s_memory_access_cost():
    """MAC = hw(c1 + c2) + c1 c2 of a 1x1 layer (ShuffleNetV2, Ma et al. 2018, Section 2, G1)."""
    cost = analyze(nn.Conv2d(24, 40, 1, bias=False), (24, 14, 14))
    assert cost.bytes_moved["int8"] == 14 * 14 * (24 + 40) + 24 * 40


def test_an_operator_reads_distinct_tensors_once():
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x

    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            left, right = x.chunk(2, dim=1)
            return left * right

    class Gate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean((2, 3), keepdim=True)

    moved = [analyze(model, (4, SIDE, SIDE)).bytes_moved["int8"] for model in (Square(), Halves(), Gate())]
    assert moved == [8 * MAP, 6 * MAP, (4 * MAP + 4) + (4 * MAP + 4 + 4 * MAP)]


class Watch(fx.Interpreter):
    """Runs a model on real tensors, drops each after its last use, and watches which memory is alive."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model, garbage_collect_values=True)
        self.peak_bytes = 0
        self.seen: dict[int, tuple[StorageWeakRef, int]] = {}

    def note(self, *tensors: Tensor) -> None:
        for tensor in tensors:
            memory = tensor.untyped_storage()
            self.seen[memory._cdata] = (StorageWeakRef(memory), memory.nbytes())
        alive = sum(size for reference, size in self.seen.values() if not reference.expired())
        self.peak_bytes = max(self.peak_bytes, alive)

    def run_node(self, node: fx.Node) -> object:
        result = super().run_node(node)
        if node.op not in ("output", "get_attr"):  # what the network holds, such as an index, is no activation
            self.note(*_tensors(result))
        return result

    def watch(self, picture_size: tuple[int, ...]) -> int:
        picture = next(node for node in self.module.graph.nodes if node.op == "placeholder")
        values = {picture: torch.randn(picture_size)}  # the only reference: it goes when its last reader is done
        self.note(values[picture])
        with torch.no_grad():
            self.run(initial_env=values)
        return self.peak_bytes


def _tensors(result: object) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, (tuple, list)):
        for item in result:
            yield from _tensors(item)


@pytest.mark.parametrize("model", [Chain, Residual, LateInput, Concat, InPlace, OutOfPlace, View])
def test_peak_memory_is_what_a_real_run_holds(model):
    real = Watch(fx.symbolic_trace(model())).watch((1, 4, SIDE, SIDE))
    assert analyze(model(), (4, SIDE, SIDE)).peak_memory_bytes["float32"] == real


def test_peak_memory_of_every_network_is_what_a_real_run_holds(tiny):
    real = Watch(fuse(tiny)).watch((1, 1, 32, 32))  # fuse: PyTorch's own folding of batch norms
    assert analyze(tiny, (1, 32, 32)).peak_memory_bytes["float32"] == real


def test_metrics_of_the_trace_are_those_of_the_analysis(tiny):
    calls, cost = trace(tiny, 16), analyze(tiny, 16)
    assert {name: metric(calls) for name, metric in METRICS.items()} == {name: getattr(cost, name) for name in METRICS}
