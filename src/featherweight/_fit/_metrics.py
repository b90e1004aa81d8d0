"""What came out of a run, as one plain dictionary: metrics.json, and what the report is made of."""

import base64
import io
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image

from featherweight import __version__
from featherweight.cost import Cost
from featherweight.search import AUTO, Candidate

from ._choose import Contender
from ._finish import Outcome, Shipped
from ._learner import Learner
from ._machine import describe_machine, package_versions
from ._settings import LATENCY_SECONDS, RESCUE_SHARE, Settings

MISTAKES_SHOWN = 24
INT8_LOSS = 0.005  # what the command leaves out, because it is the default
PARTS = ("train", "val", "test")


def metrics(
    *,
    settings: Settings,
    learner: Learner,
    contenders: Sequence[Contender],
    over: Sequence[Candidate],
    winner: Contender,
    outcome: Outcome,
    ledger: Sequence[dict[str, Any]],
    timings: dict[str, float],
) -> dict[str, Any]:
    """Gather everything that is known of a run; plain numbers in SI units, texts, lists and dictionaries.

    Args:
        ledger: what each remedy bought, if the budget was missed at first.
    """
    stage, cost, models, verdict = outcome.stage, outcome.cost, outcome.models, outcome.verdict
    chosen = outcome.ships
    return {
        "featherweight": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(settings),
        "seed": settings.seed,
        "verdict": {
            "met": verdict.met,
            "chosen": "int8" if verdict.chosen == "int8" else "float",
            "file": chosen.file,
            "reason": verdict.reason + _doubt(chosen, learner.pictures.labels[learner.indices("test")]),
            "rows": list(verdict.rows),
        },
        "data": _data(learner),
        "candidates": [_contender(one) for one in contenders] + [_over(one, settings) for one in _shown(over)],
        "training": {
            "history": [asdict(epoch) for epoch in stage.history.epochs],
            "seconds": stage.history.seconds,
            "steps": stage.history.steps,
            "images_per_second": stage.history.images_per_second,
        },
        "network": {
            "name": winner.candidate.network,
            "options": dict(winner.candidate.options),
            "resolution": winner.candidate.resolution,
            "params": cost.params,
            "multiply_adds": cost.multiply_adds,
            "peak_memory_bytes": dict(cost.peak_memory_bytes),
        },
        "rescue": [*ledger],
        "cost": _cost(cost),
        "models": {name: _model(one, settings.threads) for name, one in models.items()},
        "test": _test(learner, models, chosen, winner.candidate.resolution),
        "timings": timings,
        "machine": describe_machine(),
        "versions": package_versions(),
    }


def _doubt(chosen: Shipped, truth: np.ndarray) -> str:
    """Say so where a network has learned nothing, which a budget without an accuracy does not ask for."""
    most_frequent = np.bincount(truth).max() / len(truth)
    if chosen.accuracy > most_frequent:
        return ""
    return "; it is right no more often than a constant answer would be: more --time or more pictures may help"


def command(settings: Settings) -> str:
    """Return the command line that asks for the same run again, with what a shell would take apart in quotes."""
    budget = settings.budget
    unlimited = "none" if settings.data in LATENCY_SECONDS else None  # as "auto" has it
    limits = {
        "--max-latency": unlimited if budget.latency_seconds is None else f"{budget.latency_seconds * 1e3:.12g}ms",
        "--max-size": "none" if budget.size_bytes is None else f"{budget.size_bytes / 1e3:.12g}kB",
        "--max-memory": None if budget.memory_bytes is None else f"{budget.memory_bytes / 1e3:.12g}kB",
        "--min-accuracy": None if budget.accuracy is None else f"{budget.accuracy * 100:.12g}%",
        "--max-int8-loss": None if settings.int8_loss == INT8_LOSS else f"{settings.int8_loss * 100:.12g}%",
        "--time": f"{settings.seconds:.12g}s",
        "--rescue": _rescue(settings),
        "--networks": None if settings.networks == (AUTO,) else ",".join(settings.networks),
        "--seed": str(settings.seed),
        "--threads": None if settings.threads == 1 else str(settings.threads),
    }
    flip = [] if settings.flip is None else ["--flip" if settings.flip else "--no-flip"]
    words = [word for option, given in limits.items() if given is not None for word in (option, given)]
    return shlex.join(["featherweight", "fit", settings.data, *words, *flip])


def _rescue(settings: Settings) -> str | None:
    if settings.rescue_seconds == RESCUE_SHARE * settings.seconds:
        return None
    return f"{settings.rescue_seconds:.12g}s" if settings.rescue_seconds else "none"


def _data(learner: Learner) -> dict[str, Any]:
    pictures, split = learner.pictures, learner.split
    labels = {part: pictures.labels[learner.indices(part)] for part in PARTS}
    counts = {part: np.bincount(labels[part], minlength=len(pictures.classes)) for part in PARTS}
    totals = sum(counts.values())
    return {
        "name": pictures.name,
        "pictures": len(pictures.labels),
        "classes": list(pictures.classes),
        "channels": pictures.channels,
        "native_side": pictures.native_side,
        "splits": {part: len(labels[part]) for part in PARTS},
        "per_class": {
            name: {part: int(counts[part][number]) for part in PARTS} for number, name in enumerate(pictures.classes)
        },
        "duplicates": [asdict(one) for one in split.duplicates],
        "imbalance": {
            "largest": int(np.max(totals)),
            "smallest": int(np.min(totals)),
            "ratio": float(np.max(totals) / np.min(totals)),
        },
        "quarantine": [{"path": str(one.path), "reason": one.reason} for one in pictures.quarantine],
    }


def _shown(over: Sequence[Candidate], most: int = 12) -> list[Candidate]:
    """Choose a few of those over the budget for the report: the nearest of each family."""
    nearest: dict[str, Candidate] = {}
    for one in sorted(over, key=lambda one: one.size_bytes):
        nearest.setdefault(one.family, one)
    return list(nearest.values())[:most]


def _counted(candidate: Candidate) -> dict[str, Any]:
    return {
        "id": candidate.id,
        "name": candidate.network,
        "family": candidate.family,
        "options": dict(candidate.options),
        "resolution": candidate.resolution,
        "params": candidate.params,
        "multiply_adds": candidate.multiply_adds,
        "peak_memory_bytes": candidate.memory_bytes,
        "size_bytes": candidate.size_bytes,
    }


def _contender(one: Contender) -> dict[str, Any]:
    return {
        **_counted(one.candidate),
        "latency_seconds": one.latency_seconds,
        "binding": "latency" if one.status == "over budget" else None,
        "rungs": [
            {
                "rung": number,
                "steps": stage["steps"],
                "seconds": stage["seconds"],
                "val_accuracy": score.accuracy if score else None,
            }
            for number, (stage, score) in enumerate(zip(one.stages, one.scores, strict=False))
        ],
        "status": one.status,
    }


def _over(one: Candidate, settings: Settings) -> dict[str, Any]:
    excess = one.excess(settings.budget)
    binding = max(excess, key=lambda name: excess[name])
    return {**_counted(one), "latency_seconds": None, "binding": binding, "rungs": [], "status": "over budget"}


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "params": layer.params,
                "multiply_adds": layer.multiply_adds,
                "output_shape": list(layer.output_shape),
                "bytes_moved": layer.bytes_moved["float32"],
            }
            for layer in cost.layers
        ],
        "by_kind": [
            {"kind": kind, "params": one.params, "multiply_adds": one.multiply_adds}
            for kind, one in cost.by_kind().items()
        ],
    }


def _model(one: Shipped, threads: int) -> dict[str, Any]:
    latency = one.latency
    return {
        "file": one.file,
        "bytes": one.bytes,
        "accuracy": one.accuracy,
        "held_out_accuracy": one.held_out_accuracy,
        "agreement": one.parity.agreement if one.parity else None,
        "max_logit_difference": one.parity.max_logit_difference if one.parity else None,
        "latency_seconds": {
            "median": latency.median_seconds,
            "low": latency.low_seconds,
            "high": latency.high_seconds,
            "runs": latency.runs,
            "threads": threads,
        },
    }


def _test(learner: Learner, models: dict[str, Shipped], chosen: Shipped, resolution: int) -> dict[str, Any]:
    indices = learner.indices("test")
    labels = learner.pictures.labels[indices]
    predicted = chosen.logits.argmax(1)
    count = len(learner.pictures.classes)
    confusion = np.zeros((count, count), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    scaled = np.exp(chosen.logits - chosen.logits.max(1, keepdims=True))
    confidence = (scaled / scaled.sum(1, keepdims=True)).max(1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong])][:MISTAKES_SHOWN]
    pictures = learner.pictures.at(learner.preprocessing(resolution))
    return {
        "labels": labels.tolist(),
        "predictions": {name: one.logits.argmax(1).tolist() for name, one in models.items()},
        "confusion": confusion.tolist(),
        "mistakes": [
            {
                "path": str(learner.pictures.paths[indices[number]]),
                "truth": learner.pictures.classes[labels[number]],
                "predicted": learner.pictures.classes[predicted[number]],
                "confidence": float(confidence[number]),
                "picture": _data_uri(pictures[int(indices[number])].permute(1, 2, 0).numpy()),
            }
            for number in worst
        ],
    }


def _data_uri(picture: np.ndarray) -> str:
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
