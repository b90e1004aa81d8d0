"""A predictor as a file of plain data: safetensors, with what is no tensor as JSON in its metadata."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from featherweight._files import make_folder, set_aside, write_atomically
from featherweight.bench import RUNTIMES, machine, machine_path, versions

from ._gaussian_process import GaussianProcess
from ._predictor import Baseline, LatencyPredictor, PredictorError, Whole

VERSION = 2  # of this form, and of what units and their features are
_TENSORS = ("x", "y", "spread", "scales")
_ABOUT = ("runtime", "threads", "machine", "versions", "date", "networks", "reference_seconds")
_NUMBERS = ("amplitude", "noise", "offset")


def predictor_path(runtime: str, threads: int = 1) -> Path:
    """Return where this machine's predictor for a runtime is kept."""
    return machine_path("predictor", f"{runtime}-{threads}.safetensors")


def save_predictor(predictor: LatencyPredictor, path: str | os.PathLike[str] | None = None) -> Path:
    """Write a predictor; default: where `load_predictor` looks."""
    target = Path(path) if path is not None else predictor_path(predictor.runtime, predictor.threads)
    make_folder(target.parent)
    tensors = {
        f"{name}.{part}": getattr(model, part).contiguous()
        for name, model in predictor.models.items()
        for part in _TENSORS
    }
    about = {
        "version": VERSION,
        **{name: getattr(predictor, name) for name in _ABOUT},
        "baseline": asdict(predictor.baseline),
        "whole": asdict(predictor.whole),
        "models": {
            name: {number: getattr(model, number) for number in _NUMBERS} for name, model in predictor.models.items()
        },
    }
    return write_atomically(target, save(tensors, {"featherweight predictor": json.dumps(about)}))


def load_predictor(runtime: str, threads: int = 1, path: str | os.PathLike[str] | None = None) -> LatencyPredictor:
    """Read this machine's predictor for a runtime.

    Args:
        runtime: a name in `featherweight.bench.RUNTIMES`.
        threads: of the processor.
        path: of another file than the one that `save_predictor` chooses.
    Raises: PredictorError: there is none, it is of another machine or runtime, of another version of featherweight,
        PyTorch, the runtime or this file's form, or it is damaged, and then set aside under another name.
    """
    source = Path(path) if path is not None else predictor_path(runtime, threads)
    again = f"run `featherweight calibrate --runtimes {runtime} --threads {threads}`"
    if not source.is_file():
        raise PredictorError(f"nothing has learned yet what {runtime} takes here: {again}")
    try:
        with safe_open(source, "pt") as file:
            about = json.loads((file.metadata() or {})["featherweight predictor"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        version = about.pop("version")
        predictor = _read(about, tensors) if version == VERSION else None
    except (SafetensorError, ValueError, KeyError, AttributeError, TypeError, RuntimeError) as error:
        aside = set_aside(source).name
        raise PredictorError(f"{source} is damaged ({error}) and is now {aside}: {again}") from error
    if predictor is None:
        raise PredictorError(f"{source} has version {version}; this featherweight reads {VERSION}: {again}")
    _demand(predictor, source, runtime, threads, again)
    return predictor


def _read(about: dict[str, object], tensors: dict[str, torch.Tensor]) -> LatencyPredictor:
    numbers: dict[str, dict[str, float]] = about.pop("models")  # type: ignore[assignment]
    models = {
        name: GaussianProcess(**{part: tensors[f"{name}.{part}"] for part in _TENSORS}, **found)  # type: ignore[arg-type]
        for name, found in numbers.items()
    }
    baseline, whole = Baseline(**about.pop("baseline")), Whole(**about.pop("whole"))  # type: ignore[arg-type]
    return LatencyPredictor(models=models, baseline=baseline, whole=whole, **about)  # type: ignore[arg-type]


def _demand(predictor: LatencyPredictor, source: Path, runtime: str, threads: int, again: str) -> None:
    """Refuse a predictor that is for something else. Raises: PredictorError."""
    if (predictor.runtime, predictor.threads) != (runtime, threads):
        found = f"{predictor.runtime} with {predictor.threads} threads"
        raise PredictorError(f"{source} is for {found}; {runtime} with {threads} was asked for")
    if predictor.machine != machine():
        raise PredictorError(f"{source} is of another machine, {predictor.machine}; this is {machine()}: {again}")
    for package in dict.fromkeys(("featherweight", "torch", RUNTIMES[runtime].package)):
        then, now = predictor.versions.get(package), versions().get(package)
        if then != now:
            raise PredictorError(f"{source} has learned with {package} {then}; this is {now}: {again}")
