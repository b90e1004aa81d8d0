"""The times of a network's layers in eager PyTorch, added up, over the time of the whole: what the roofline rests on.

One picture of the network's own size, medians over runs of the sum, of the whole, and of their ratio within a run. The
bar is a sum within 10 % of the whole; the rest is what the roofline shows as overhead. "known to" is how well the
whole is known in the noisiest run: above 3 % the machine was busy, and a ratio says little.

Run: python benchmarks/layer_times.py [--threads 1] [--runs 3] [--turns 30] [NAME ...]
"""

import argparse
from statistics import median

from featherweight.bench import Subject, calibrated, roofline

BAR = 0.10
NETWORKS = (
    "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "shufflenet_v1", "shufflenet_v2",
    "ghostnet", "efficientnet_b0", "mnasnet_b1", "squeezenet", "xception", "resnet18", "resnet50", "condensenet",
    "micronet_m0",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--turns", type=int, default=30)
    wanted = parser.parse_args()
    calibration = calibrated(wanted.threads, tell=print)
    ratios = {}
    for name in wanted.names or NETWORKS:
        subject = Subject(network=name)
        runs = [roofline(subject, calibration=calibration, turns=wanted.turns) for _ in range(wanted.runs)]
        wholes = [run.whole_seconds for run in runs]
        sums = [run.whole_seconds - run.overhead_seconds for run in runs]
        ratios[name] = median(total / whole for total, whole in zip(sums, wholes, strict=True))
        noises = [run.uncertainty for run in runs if run.uncertainty is not None]
        known = f"known to {max(noises):.0%}" if noises else "too few turns to tell noise"
        mark = "" if abs(ratios[name] - 1) <= BAR else "  outside the bar"
        print(
            f"{name:20} {median(sums) * 1e3:7.2f} ms / {median(wholes) * 1e3:7.2f} ms = {ratios[name]:.3f}   "
            f"{known}{mark}",
            flush=True,
        )
    inside = sum(abs(ratio - 1) <= BAR for ratio in ratios.values())
    print(
        f"{inside} of {len(ratios)} sums are within {BAR:.0%} of the whole; median ratio {median(ratios.values()):.3f}"
    )


if __name__ == "__main__":
    main()
