"""The same network measured again: do medians agree within 3 %, or does the report say that the machine was too noisy?

`bench` measures each network several times in the same processes, then again in new ones. Of every two medians of a
runtime that differ by more than 3 %, at least one has to be called noisy; a pair that differs while neither is breaks
the bar.

Run: python benchmarks/repeatability.py [--runtimes eager,onnxruntime,openvino] [--repeats 4] [NAME ...]
"""

import argparse
from itertools import combinations

from featherweight.bench import Failure, Measurement, Subject, bench

BAR = 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["mobilenet_v2", "resnet18"])
    parser.add_argument("--runtimes", default="eager,onnxruntime,openvino")
    parser.add_argument("--repeats", type=int, default=4)
    wanted = parser.parse_args()
    silent = pairs = 0
    for name in wanted.names:
        found = [measured(name, wanted.runtimes, wanted.repeats)]  # in the same processes
        found += [measured(name, wanted.runtimes, 1) for _ in range(wanted.repeats)]  # in new ones
        for runtime in wanted.runtimes.split(","):
            again = [[one for one in those if one.runtime == runtime] for those in found]
            for where, those in (("in one process", again[0]), ("across processes", sum(again[1:], again[0][:1]))):
                apart = [(a, b) for a, b in combinations(those, 2) if difference(a, b) > BAR]
                unsaid = [(a, b) for a, b in apart if not a.noise and not b.noise]
                every = len(those) * (len(those) - 1) // 2
                print(
                    f"{name:14} {runtime:12} {where:17} "
                    + " ".join(f"{one.latency.median_seconds * 1e3:7.2f}{'*' if one.noise else ' '}" for one in those)
                    + f" ms; {len(apart)} of {every} pairs differ by more than 3 %, {len(unsaid)} without a word",
                    flush=True,
                )
                silent, pairs = silent + len(unsaid), pairs + every
    print(f"* called noisy. {silent} of {pairs} pairs differ by more than 3 % without a word (bar 0)")


def measured(name: str, runtimes: str, repeats: int) -> list[Measurement]:
    found = list(bench([Subject(network=name)] * repeats, runtimes.split(",")))
    failed = [one for one in found if isinstance(one, Failure)]
    if failed:
        raise SystemExit(f"{failed[0].runtime} failed: {failed[0].reason}")
    return [one for one in found if isinstance(one, Measurement)]


def difference(a: Measurement, b: Measurement) -> float:
    return abs(a.latency.median_seconds / b.latency.median_seconds - 1)


if __name__ == "__main__":
    main()
