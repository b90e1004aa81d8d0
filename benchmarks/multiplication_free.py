"""Speed and memory of the multiplication-free operators beside the ordinary convolution, as ratios of one run.

Each pair takes turns, in one process, with the same shapes; the median counts. Over the layers of a network the
geometric mean counts, a layer as often as the network has it.

Run: python benchmarks/multiplication_free.py [--threads 1 2] [--rounds 15] [PART ...]

PARTS: forward (AdderNet's layers against convolutions), step (a training step of ResNet-20), published (against the
authors' formulation), memory (of that training step), mitchell (convolution by integer addition), int8 (AdderNet's
layers in bytes against oneDNN's int8 convolutions), network (ResNet-20 in bytes against ONNX Runtime's int8 and, where
it is installed, OpenVINO's of the same file; the faster counts). Default: all.
Both sides of int8 are kept to AVX2 by ONEDNN_MAX_CPU_ISA=AVX2 FEATHERWEIGHT_ISA=avx2.
"""

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featherweight._extras import MissingExtraError
from featherweight.blocks import AdderConv2d
from featherweight.compress import fold_batch_norm, quantize
from featherweight.cost import measure_latency
from featherweight.export import adder_int8, export, load, openvino
from featherweight.networks import create
from featherweight.ops import adder2d, adder2d_int8, mitchell_conv2d

FORWARD_BAR = 0.42  # times the speed of conv2d
STEP_BAR = 2.8  # times the time of the ordinary network's
PUBLISHED_BAR = 80  # times faster
MEMORY_BAR = 1.5  # times the memory
MITCHELL_BAR = 0.35  # times the speed of conv2d
INT8_BAR, AVX2_BAR = 0.9, 1.5  # times the speed of oneDNN's int8 convolution
BATCHES = {1: 1.2, 64: 1.0}  # pictures at once: times the speed of the others' fastest int8 network


class Layer(NamedTuple):
    """The shapes of one layer."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    stride: int
    padding: int


def layers(name: str, batch: int, side: int) -> Counter[Layer]:
    """The adder layers of a network, by what they get."""
    found: Counter[Layer] = Counter()

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[Layer((batch, *inputs[0].shape[1:]), tuple(module.weight.shape), module.stride, module.padding)] += 1

    model = create(name).eval()
    for module in model.modules():
        if isinstance(module, AdderConv2d):
            module.register_forward_pre_hook(look)
    with torch.no_grad():
        model(torch.zeros(1, 3, side, side))
    return found


def ratio(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> float:
    """Their median time over ours: how many times faster we are."""
    found = measure_latency({"ours": ours, "theirs": theirs}, rounds=rounds)
    return found["theirs"].median_seconds / found["ours"].median_seconds


def mean(ratios: dict[Layer, float], counts: Counter[Layer]) -> float:
    """Geometric mean over the layers."""
    return math.exp(sum(math.log(ratios[layer]) * count for layer, count in counts.items()) / counts.total())


@torch.no_grad()
def forward(compare: Callable[[Layer, int], float], against: str, rounds: int) -> None:
    """One kind of layer against another, over the layers of two networks."""
    every = {}
    for name, batch, side in (("adder_resnet20", 64, 32), ("adder_resnet50", 8, 224)):
        counts = layers(name, batch, side)
        ratios = {}
        for layer in counts:
            ratios[layer] = compare(layer, rounds)
            n, c, h, w = layer.x
            print(f"  {n} x {c:4} x {h:2} x {w:2} -> {layer.weight[0]:4}, kernel {layer.weight[2]}, stride "
                  f"{layer.stride}, {counts[layer]:2} times: {ratios[layer]:.2f}")  # fmt: skip
        every[name] = mean(ratios, counts)
        print(f"  {name}, batch {batch}: {every[name]:.3f}")
    both = math.sqrt(math.prod(every.values()))
    print(f"  both: {both:.3f} times the speed of {against}")


def compare_float(operator: Callable[..., Tensor], layer: Layer, rounds: int) -> float:
    """How many times the speed of conv2d an operator has on one layer."""
    x, weight = torch.randn(layer.x).relu_(), torch.randn(layer.weight)
    settings = {"stride": layer.stride, "padding": layer.padding}
    return ratio(lambda: operator(x, weight, **settings), lambda: F.conv2d(x, weight, **settings), rounds)


def training(name: str, batch: int, device: str = "cpu") -> Callable[[], object]:
    """One step of SGD on pictures of 32 x 32."""
    model = create(name).train().to(device)
    x, labels = torch.randn(batch, 3, 32, 32, device=device), torch.randint(0, 10, (batch,), device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step


def step(rounds: int) -> None:
    """A training step of ResNet-20."""
    slower = 1 / ratio(training("adder_resnet20", 128), training("resnet20", 128), rounds)
    print(f"  ResNet-20, batch 128: {slower:.2f} times the time of the ordinary network (bar {STEP_BAR})")


class _Published(torch.autograd.Function):
    """The layer as the authors published it: all terms of all outputs at once, by broadcasting."""

    @staticmethod
    def forward(ctx, filters: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(filters, columns)
        return -(filters.unsqueeze(2) - columns.unsqueeze(0)).abs().sum(1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        filters, columns = ctx.saved_tensors
        difference = columns.unsqueeze(0) - filters.unsqueeze(2)
        of_filters = (difference * grad.unsqueeze(1)).sum(2)
        of_filters = of_filters / of_filters.norm(p=2).clamp(min=1e-12) * math.sqrt(of_filters.numel()) / 5
        return of_filters, (-difference.clamp(-1, 1) * grad.unsqueeze(1)).sum(0)


class PublishedAdder(nn.Module):
    """An adder layer by that formulation, with the weight of ours."""

    def __init__(self, layer: AdderConv2d) -> None:
        super().__init__()
        self.weight, self.stride, self.padding = layer.weight, layer.stride, layer.padding

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, O, H', W']."""
        side = self.weight.shape[2]
        height, width = ((length + 2 * self.padding - side) // self.stride + 1 for length in x.shape[2:])
        columns = F.unfold(x, side, padding=self.padding, stride=self.stride)
        columns = columns.permute(1, 2, 0).reshape(columns.shape[1], -1)
        y = _Published.apply(self.weight.flatten(1), columns)
        return y.view(len(self.weight), height, width, len(x)).permute(3, 0, 1, 2)


def published(rounds: int) -> None:
    """ResNet-20, batch 8: forward and training step."""
    torch.manual_seed(0)
    ours = create("adder_resnet20")
    theirs = create("adder_resnet20")
    for name, module in list(theirs.named_modules()):
        if isinstance(module, AdderConv2d):
            theirs.set_submodule(name, PublishedAdder(module))
    theirs.load_state_dict(ours.state_dict())
    x, labels = torch.randn(8, 3, 32, 32), torch.randint(0, 10, (8,))

    def step(model: nn.Module) -> list[Tensor]:
        model.zero_grad()
        y = model(x)
        F.cross_entropy(y, labels).backward()
        return [y.detach(), *(parameter.grad for parameter in model.parameters())]

    for mine, other in zip(step(ours.train()), step(theirs.train()), strict=True):
        assert torch.allclose(mine, other, rtol=1e-2, atol=1e-3), "both are the same network"
    faster = ratio(lambda: step(ours), lambda: step(theirs), max(3, rounds // 5))
    print(f"  training step: {faster:.0f} times faster (bar {PUBLISHED_BAR})")
    ours.eval(), theirs.eval()
    with torch.no_grad():
        faster = ratio(lambda: ours(x), lambda: theirs(x), max(3, rounds // 5))
    print(f"  forward: {faster:.0f} times faster (bar {PUBLISHED_BAR})")


def memory() -> None:
    """Most memory of a training step of ResNet-20 over what the process has before, each in a process of its own."""
    used = {}
    for name in ("adder_resnet20", "resnet20"):
        done = subprocess.run(
            [sys.executable, __file__, "--memory-of", name], capture_output=True, text=True, check=True,
            env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        )  # fmt: skip
        used[name] = int(done.stdout)
        print(f"  {name}, batch 128: {used[name] / 2**20:.0f} MiB")
    print(f"  {used['adder_resnet20'] / used['resnet20']:.2f} times the memory (bar {MEMORY_BAR})")


def memory_of(name: str) -> None:
    """Print the bytes that two training steps add to the process's largest size."""
    tiny, whole = training(name, 2), training(name, 128)
    tiny()
    before = largest_size()
    whole(), whole()
    print(largest_size() - before)


def largest_size() -> int:
    """Most bytes that this process ever had in memory, as Linux tells."""
    kibibytes = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    assert kibibytes
    return int(kibibytes[1]) * 1024


def compare_int8(layer: Layer, rounds: int) -> float:
    """How many times oneDNN's speed; each side in the memory format it likes best, its weights prepared before."""
    filters = layer.weight[0]
    x, weight = (
        torch.randint(0, 256, layer.x, dtype=torch.uint8),
        torch.randint(0, 256, layer.weight, dtype=torch.uint8),
    )
    scale, shift = torch.full((filters,), -0.01), torch.full((filters,), 100.0)
    both = {"stride": layer.stride, "padding": layer.padding}
    sides = [layer.stride] * 2, [layer.padding] * 2
    signed, scales, zeros = (
        weight.view(torch.int8),
        torch.full((filters,), 0.01),
        torch.zeros(filters, dtype=torch.int64),
    )
    packed = torch.ops.onednn.qconv_prepack(signed, scales, 0.02, 0, *sides, [1, 1], 1, list(layer.x))
    theirs = x.contiguous(memory_format=torch.channels_last)
    convolution = torch.ops.onednn.qconv_pointwise
    return ratio(
        lambda: adder2d_int8(x, weight, scale, shift, **both),
        lambda: convolution(
            theirs, 0.02, 0, packed, scales, zeros, None, *sides, [1, 1], 1, 0.5, 0, torch.uint8, "relu", [], ""
        ),
        rounds,
    )  # fmt: skip


def network(rounds: int) -> None:
    """ResNet-20 on pictures of 32 x 32: ours of adder layers in bytes, others' of convolutions in int8."""
    pictures = torch.rand(128, 3, 32, 32).numpy()
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours.safetensors", Path(folder) / "int8.onnx"
        adder_int8.export(create("adder_resnet20").eval(), ours, pictures)
        export(fold_batch_norm(create("resnet20")), Path(folder) / "float.onnx", metadata={}, input_size=(3, 32, 32))
        quantize(Path(folder) / "float.onnx", theirs, pictures, adaround=False, keep_float=0)
        runners = {"ours": adder_int8.load(ours, threads), "ONNX Runtime": load(theirs, threads)}
        try:
            runners["OpenVINO"] = openvino.load(theirs, threads)
        except MissingExtraError as error:
            print(f"  OpenVINO is not compared: {error}")
    for batch, bar in BATCHES.items():
        calls = {name: partial(runner, pictures[:batch]) for name, runner in runners.items()}
        found = {name: one.median_seconds for name, one in measure_latency(calls, rounds=rounds * 20).items()}
        mine, best = found.pop("ours"), min(found, key=found.__getitem__)
        told = ", ".join(f"{seconds * 1e3:.3f} ms of {name}" for name, seconds in found.items())
        print(f"  batch {batch}: {mine * 1e3:.3f} ms against {told}: {found[best] / mine:.2f} times the speed of "
              f"{best} (bar {bar})")  # fmt: skip


PARTS = {
    "forward": partial(forward, partial(compare_float, adder2d), f"conv2d (bar {FORWARD_BAR})"),
    "step": step,
    "published": published,
    "memory": lambda rounds: memory(),
    "mitchell": partial(forward, partial(compare_float, mitchell_conv2d), f"conv2d (bar {MITCHELL_BAR})"),
    "int8": partial(forward, compare_int8, f"oneDNN (bar {INT8_BAR} with AVX-512 VNNI, {AVX2_BAR} with AVX2)"),
    "network": network,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []], help=", ".join(PARTS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.memory_of:
        memory_of(wanted.memory_of)
        return
    for part in wanted.parts or PARTS:
        for threads in wanted.threads:
            torch.set_num_threads(threads)
            print(f"{part}, {threads} thread{'s' if threads > 1 else ''}:", flush=True)
            PARTS[part](wanted.rounds)


if __name__ == "__main__":
    main()
