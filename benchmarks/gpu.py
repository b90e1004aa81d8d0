"""The adder layer on a GPU: its share of what the card can do, and a training step beside the best public kernel's.

The ceiling is two additions a term, at the rate at which this card does additions, found by a loop in registers.
The best public kernel takes 0.316 s for a training step of ResNet-20, on an RTX 2080 Ti, as its authors print:
https://github.com/LingYeAI/AdderNetCUDA.

Run: python benchmarks/gpu.py
"""

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from multiplication_free import layers, training

from featherweight.ops import adder2d

CEILING_BAR, STEP_BAR, PUBLIC_SECONDS = 0.6, 10, 0.316
PROGRAMS, TURNS, NUMBERS = 4096, 4096, 4096  # of the loop in registers; numbers a program


@triton.jit
def _additions(x, turns, NUMBERS: tl.constexpr):  # noqa: N803
    at = x + tl.arange(0, NUMBERS)
    number = tl.load(at)
    total = number
    for _ in range(turns):
        total += tl.abs(number - total)
    tl.store(at, total)


def seconds(work: object) -> float:
    """Median time of a call."""
    return triton.testing.do_bench(work, return_mode="median") * 1e-3


def main() -> None:
    if not torch.cuda.is_available():
        print("not run: torch.cuda.is_available() is False; benchmarks/gpu_instructions.py needs no GPU")
        return
    x = torch.randn(NUMBERS, device="cuda")
    ceiling = PROGRAMS * NUMBERS * TURNS / seconds(lambda: _additions[(PROGRAMS,)](x, TURNS, NUMBERS=NUMBERS))
    print(f"{torch.cuda.get_device_name()}: at most {ceiling / 1e12:.1f} T terms/s")
    for name, batch, side in (("adder_resnet20", 240, 32), ("adder_resnet50", 32, 224)):
        terms = time = 0.0
        for layer, count in layers(name, batch, side).items():
            x, weight = torch.randn(layer.x, device="cuda").relu_(), torch.randn(layer.weight, device="cuda")
            settings = {"stride": layer.stride, "padding": layer.padding}
            one = seconds(lambda: adder2d(x, weight, **settings))  # noqa: B023
            beside = seconds(lambda: F.conv2d(x, weight, **settings))  # noqa: B023
            number = adder2d(x, weight, **settings).numel() * weight[0].numel()
            terms, time = terms + count * number, time + count * one
            print(f"  {layer}: {number / one / 1e12:.2f} T terms/s, {number / one / ceiling:.0%} of the ceiling, "
                  f"{beside / one:.2f} times the speed of conv2d")  # fmt: skip
        print(f"{name}, batch {batch}: {terms / time / ceiling:.0%} of the ceiling (bar {CEILING_BAR:.0%})")
    ours, ordinary = (seconds(training(name, 240, "cuda")) for name in ("adder_resnet20", "resnet20"))
    print(
        f"a training step of ResNet-20, batch 240: {ours * 1e3:.1f} ms, {ours / ordinary:.1f} times the ordinary one's"
    )
    print(f"  {PUBLIC_SECONDS / ours:.1f} times faster than the best public kernel's published time (bar {STEP_BAR})")


if __name__ == "__main__":
    main()
