"""Whether a network with fewer channels would keep the budget, before it is trained again."""

from typing import Any

import torch
from torch import nn

from featherweight.compress import fold_batch_norm
from featherweight.cost import analyze, measure_latency
from featherweight.export import load, probe
from featherweight.search import Budget, int8_file_bytes

from ._finish import Outcome

AIM = {"size": 0.98, "latency": 0.93, "memory": 1.0}  # of the limit, as the estimate has it
PROBE_SECONDS = 0.6  # of measuring


def estimate(outcome: Outcome, made: nn.Module, budget: Budget, resolution: int, threads: int) -> dict[str, float]:
    """Foresee by how much a pruned network's int8 file breaks the limits, from that of the network before."""
    before = outcome.models["int8"]
    figures: dict[str, Any] = {
        "size_bytes": before.bytes * int8_file_bytes(made) / int8_file_bytes(outcome.model) / AIM["size"],
        "memory_bytes": analyze(made, resolution).peak_memory_bytes["int8"] / AIM["memory"],
    }
    if budget.latency_seconds is not None:
        ratio = _faster(outcome, made, resolution, threads)
        figures["latency_seconds"] = before.latency.median_seconds * ratio / AIM["latency"]
    return budget.excess(**figures)


def limits_missed(outcome: Outcome, budget: Budget) -> dict[str, float]:
    """Return how many times over each limit the int8 file is, whether it ships or not: after a training it may."""
    small = outcome.models["int8"]
    return budget.excess(
        size_bytes=small.bytes,
        latency_seconds=small.latency.median_seconds,
        memory_bytes=outcome.cost.peak_memory_bytes["int8"],
    )


def _faster(outcome: Outcome, made: nn.Module, resolution: int, threads: int) -> float:
    """Measure what share of the time a pruned network takes, both as float files, in turns."""
    shape = (int(made.in_channels), resolution, resolution)  # type: ignore[arg-type]
    picture = torch.zeros(1, *shape).numpy()
    runners = {
        "before": load(outcome.folder / "model.onnx", threads=threads),
        "after": load(probe(fold_batch_norm(made.eval()), shape), threads=threads),
    }
    runs = {name: (lambda runner=runner: runner(picture)) for name, runner in runners.items()}
    found = measure_latency(runs, max_seconds=PROBE_SECONDS)
    return found["after"].median_seconds / found["before"].median_seconds
