"""From the trained network to files: fold, export, quantize, prove, measure, and decide which file ships."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from featherweight.compress import fold_batch_norm, quantize
from featherweight.cost import Cost, Latency, analyze, measure_latency
from featherweight.export import Parity, compare, export_proven, load
from featherweight.networks import save_model
from featherweight.search import Budget

from ._learner import Learner, Stage
from ._settings import Settings

CALIBRATION_PICTURES = 256
LATENCY_ROUNDS, LATENCY_SECONDS = 1000, 2.0  # of measuring the exported files, at most
EAGER_SECONDS = 0.5  # of measuring PyTorch, at most


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """One of the files that came out, with what was measured on it.

    Args:
        parity: against PyTorch on every test picture; None for PyTorch's own file.
        logits: of the test pictures.
        held_out_accuracy: on validation and test pictures together.
    """

    file: str
    bytes: int
    accuracy: float
    held_out_accuracy: float
    latency: Latency
    parity: Parity | None
    logits: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Which file ships, why, and whether it is within the budget.

    Args:
        too_lossy: int8 loses more accuracy than it may.
    """

    chosen: str
    reason: str
    rows: tuple[dict[str, Any], ...]
    too_lossy: bool = False

    @property
    def met(self) -> bool:
        """Tell whether every limit that was given is kept."""
        return not self.missed

    @property
    def missed(self) -> dict[str, float]:
        """Return, for each limit that is broken, how many times too much it is, or for the accuracy too little."""
        return {
            row["name"]: (row["budget"] / max(row["achieved"], 1e-9)) ** (1 if row["name"] == "accuracy" else -1)
            for row in self.rows
            if row["met"] is False
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A trained network and the files that were made of it.

    Args:
        stage: its last training.
        folder: where the files lie.
        quantizing: how its int8 file was made, in the words of `featherweight.compress.quantize`.
    """

    model: nn.Module
    stage: Stage
    cost: Cost
    models: dict[str, Shipped]
    verdict: Verdict
    folder: Path
    quantizing: dict[str, Any]

    @property
    def ships(self) -> Shipped:
        """Return the file that ships."""
        return self.models[self.verdict.chosen]


def outcome_of(
    model: nn.Module,
    stage: Stage,
    resolution: int,
    learner: Learner,
    folder: Path,
    *,
    settings: Settings,
    quantizing: Mapping[str, Any],
) -> Outcome:
    """Make the files of a trained network, measure them and hold them to the budget. Raises: ParityError."""
    cost = analyze(model, resolution)
    models = write_models(model, resolution, learner, folder, threads=settings.threads, quantizing=quantizing)
    memory = dict(cost.peak_memory_bytes)
    verdict = decide(models, settings.budget, memory_bytes=memory, int8_loss=settings.int8_loss)
    return Outcome(
        model=model, stage=stage, cost=cost, models=models, verdict=verdict, folder=folder, quantizing={**quantizing}
    )


def write_models(
    model: nn.Module,
    resolution: int,
    learner: Learner,
    folder: Path,
    *,
    threads: int,
    quantizing: Mapping[str, Any],
) -> dict[str, Shipped]:
    """Write the three files and measure each on the same pictures; "pytorch", "onnx", "int8".

    Args:
        quantizing: passed to `featherweight.compress.quantize`.
    Raises: ParityError: the exported file does not agree with PyTorch; it is not kept.
    """
    model = model.eval().to(memory_format=torch.contiguous_format)
    shape = learner.preprocessing(resolution)
    test, val = (learner.inputs(resolution, learner.indices(part)) for part in ("test", "val"))
    held_out = np.concatenate([val, test])
    labels = learner.pictures.labels[np.concatenate([learner.indices("val"), learner.indices("test")])]
    metadata = {"preprocessing": shape.to_dict(), "labels": list(learner.pictures.classes)}

    texts = {name: json.dumps(value) for name, value in metadata.items()} | {"seed": str(learner.seed)}
    save_model(model, folder / "model.safetensors", texts)
    expected = _logits(model, held_out)
    export_proven(
        fold_batch_norm(model), folder / "model.onnx", [(held_out, labels)], reference=expected, metadata=metadata
    )
    plain = {"adaround": quantizing.get("bits", 8) < 8}  # it takes long: what is tried if the budget is missed
    pictures = _calibration(learner, resolution)
    quantize(folder / "model.onnx", folder / "model-int8.onnx", pictures, **{**plain, **quantizing})

    files = {"pytorch": "model.safetensors", "onnx": "model.onnx", "int8": "model-int8.onnx"}
    runners = {name: load(folder / files[name], threads=threads) for name in ("onnx", "int8")}
    found = {"pytorch": expected, **{name: runner(held_out) for name, runner in runners.items()}}
    latencies = _latencies(model, runners, test[:1], threads)
    return {
        name: _shipped(
            folder / file,
            found[name],
            expected,
            labels,
            val=len(val),
            latency=latencies[name],
            reference=name == "pytorch",
        )
        for name, file in files.items()
    }


def _calibration(learner: Learner, resolution: int) -> np.ndarray:
    """Draw training pictures of all classes, from which the ranges of the activations are read."""
    indices = learner.indices("train")
    drawn = np.random.default_rng(learner.seed).permutation(len(indices))[:CALIBRATION_PICTURES]
    return learner.inputs(resolution, indices[drawn])


def _shipped(
    path: Path,
    logits: np.ndarray,
    expected: np.ndarray,
    labels: np.ndarray,
    *,
    val: int,
    latency: Latency,
    reference: bool,
) -> Shipped:
    right = logits.argmax(1) == labels
    return Shipped(
        file=path.name, bytes=path.stat().st_size, accuracy=float(right[val:].mean()),
        held_out_accuracy=float(right.mean()), latency=latency, logits=logits[val:],
        parity=None if reference else compare(expected[val:], logits[val:], labels[val:]),
    )  # fmt: skip


def _logits(model: nn.Module, inputs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        parts = [model(torch.from_numpy(inputs[start : start + 256])) for start in range(0, len(inputs), 256)]
    return torch.cat(parts).numpy()


def _latencies(model: nn.Module, runners: dict[str, Any], x: np.ndarray, threads: int) -> dict[str, Latency]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    picture = torch.from_numpy(x)

    def eager() -> object:
        with torch.inference_mode():
            return model(picture)

    try:
        # The files take turns with each other, not with PyTorch, whose work would empty the caches for them.
        reference = measure_latency({"pytorch": eager}, max_seconds=EAGER_SECONDS)
        runs = {name: (lambda runner=runner: runner(x)) for name, runner in runners.items()}
        return reference | measure_latency(runs, rounds=LATENCY_ROUNDS, max_seconds=LATENCY_SECONDS)
    finally:
        torch.set_num_threads(before)


def decide(models: dict[str, Shipped], budget: Budget, *, memory_bytes: dict[str, int], int8_loss: float) -> Verdict:
    """Choose between the float and the int8 file.

    int8 ships unless it loses more accuracy than allowed (on the test pictures, or on validation and test pictures
    together) or is slower than float here. A slower int8 file still ships where only it is within the budget: that is
    what it is for.

    Args:
        memory_bytes: peak of activations, for "float32" and "int8".
        int8_loss: accuracy that int8 may lose, in 0..1.
    """
    full, small = models["onnx"], models["int8"]
    lost = max(full.accuracy - small.accuracy, full.held_out_accuracy - small.held_out_accuracy)
    rows = {
        "onnx": _rows(full, budget, memory_bytes["float32"]),
        "int8": _rows(small, budget, memory_bytes["int8"]),
    }
    keeps = {name: all(row["met"] is not False for row in own) for name, own in rows.items()}
    faster = full.latency.median_seconds / small.latency.median_seconds
    if lost > int8_loss:
        chosen, reason = (
            "onnx",
            f"int8 loses {100 * lost:.2f} points of accuracy, more than the {100 * int8_loss:.2f} allowed",
        )
    elif faster < 1 and keeps["onnx"]:
        chosen, reason = "onnx", f"int8 takes {1 / faster:.2f} times the time of float on this machine"
    elif faster < 1:
        chosen, reason = (
            "int8",
            f"int8 takes {1 / faster:.2f} times the time of float here, but float is over the budget",
        )
    else:
        gain = f"{full.bytes / small.bytes:.1f} times smaller and {faster:.2f} times as fast as float"
        chosen, reason = "int8", f"int8 is {gain}, and loses {100 * max(lost, 0.0):.2f} points of accuracy"
    return Verdict(chosen=chosen, reason=reason, rows=tuple(rows[chosen]), too_lossy=lost > int8_loss)


def _rows(one: Shipped, budget: Budget, memory_bytes: int) -> list[dict[str, Any]]:
    figures: Sequence[tuple[str, str, float | None, float]] = (
        ("accuracy", "fraction", budget.accuracy, one.accuracy),
        ("size", "bytes", budget.size_bytes, one.bytes),
        ("latency", "seconds", budget.latency_seconds, one.latency.median_seconds),
        ("memory", "bytes", budget.memory_bytes, memory_bytes),
    )
    return [
        {
            "name": name,
            "unit": unit,
            "budget": limit,
            "achieved": achieved,
            "met": None if limit is None else (achieved >= limit if name == "accuracy" else achieved <= limit),
        }
        for name, unit, limit, achieved in figures
    ]
