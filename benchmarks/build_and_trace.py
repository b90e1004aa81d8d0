"""Seconds to build and to trace each registered variant without weights, on average; the bar is 0.25 s.

Run: python benchmarks/build_and_trace.py
"""

import time
from statistics import mean

import torch

from featherweight.cost import analyze
from featherweight.networks import Variant, create, on_meta_device, variants

BAR_SECONDS = 0.25


def main() -> None:
    torch.set_num_threads(1)
    build_and_trace(variants()[0])  # PyTorch loads some of itself when it is first used
    times = {str(variant): build_and_trace(variant) for variant in variants()}
    for name, (build, trace) in sorted(times.items(), key=lambda item: -sum(item[1]))[:5]:
        print(f"{name:40} build {build:.3f} s  trace {trace:.3f} s")
    average = mean(sum(pair) for pair in times.values())
    print(
        f"average of {len(times)} variants: {average:.3f} s, {average / BAR_SECONDS:.2f} of the bar of {BAR_SECONDS} s"
    )


def build_and_trace(variant: Variant) -> tuple[float, float]:
    start = time.perf_counter()
    with on_meta_device():
        model = create(variant.name, **variant.options)
    built = time.perf_counter()
    analyze(model, variant.resolution)
    return built - start, time.perf_counter() - built


if __name__ == "__main__":
    main()
