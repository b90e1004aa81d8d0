"""One network as every file: each written, proven against PyTorch, and measured, all in one sitting."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from featherweight import __version__
from featherweight._exports import Sources, logits_of, write_proven
from featherweight._files import make_folder, size_on_disk
from featherweight.cost import Latency, latency_of, measure_latency
from featherweight.export import TARGETS, ModelFileError, Target, TargetError, load
from featherweight.export._memory import MeasurementError, peak_memory_bytes

from ._bounds import Bounds

# What a program raises that is wrong itself: tools wrap theirs, so these are ours, and no reason why there is no file.
DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)
LATENCY_SECONDS = 0.5  # of measuring, for each file, at most


class Pictures(NamedTuple):
    """Prepared pictures, float32 [N, C, H, W].

    Args:
        test: on which every file is proven, the first also measured.
        labels: their classes, [N]; None where there is no truth, and no accuracy is told.
        calibration: training pictures; None: nothing is made in int8.
    """

    test: np.ndarray
    labels: np.ndarray | None = None
    calibration: np.ndarray | None = None

    @property
    def says(self) -> str:
        """What files are proven on, in words."""
        return f"{len(self.test)} {'random inputs' if self.labels is None else 'test pictures'}"


File = tuple[Target, str, Path]  # what to write: of a target, in a precision, where


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """One file, or folder, with what was measured on it; what could not be made has an error and no figures.

    Args:
        target, precision: what it is; "PyTorch" is the network itself, for comparison.
        file: its path; None where there is none.
        bytes: of the file, or of all files of the folder; of C99 source what it takes in flash.
        accuracy, loss: on the test pictures, and how much less that is than PyTorch's, in 0..1.
        agreement: share of the test pictures on which the best class is PyTorch's.
        max_logit_difference: from PyTorch's logits; allowed_logit_difference: by the target's tolerance, None for int8.
        latency: of one picture.
        memory_bytes: by how much a process grows that loads and runs it.
        broken: the bounds that it breaks, each in words.
        error: why there is no file, or what could not be measured of it.
    """

    target: str
    precision: str
    file: Path | None = None
    bytes: int | None = None
    accuracy: float | None = None
    loss: float | None = None
    agreement: float | None = None
    max_logit_difference: float | None = None
    allowed_logit_difference: float | None = None
    latency: Latency | None = None
    memory_bytes: int | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def good(self) -> bool:
        """Tell whether there is a file, all of it was measured, and no bound is broken."""
        return self.error is None and not self.broken

    @property
    def name(self) -> str:
        """Target and precision."""
        return f"{self.target} {self.precision}"

    @property
    def latency_seconds(self) -> float | None:
        """The median."""
        return None if self.latency is None else self.latency.median_seconds

    def to_dict(self) -> dict[str, Any]:
        """Give all as plain data, ready for JSON."""
        file = None if self.file is None else str(self.file)
        return {**asdict(self), "file": file, "latency_seconds": self.latency_seconds}


def write_files(
    model: nn.Module, files: Sequence[File], pictures: Pictures, *, metadata: Mapping[str, object]
) -> Iterator[Shipped]:
    """Write a network as every file that is wanted, one after the other, each proven against PyTorch.

    A file in float is kept only if it gives PyTorch's logits on every test picture, up to its target's tolerance. One
    in int8 is compared. What fails for one of several files is said in its row and does not stop the others. Latency
    and memory are left for `measured`.

    Args:
        model: [N, C, H, W] -> [N, classes], in evaluation mode.
        files: to write; the folders that they lie in are made.
        pictures: to prove and calibrate with.
        metadata: what every file carries: "labels", "preprocessing".
    """
    reference = logits_of(model, pictures.test)
    truth = pictures.labels
    with tempfile.TemporaryDirectory(prefix="featherweight-") as between:
        sources = Sources(model, Path(between), metadata, pictures.calibration)
        for target, precision, file in files:
            row = Shipped(target=target.name, precision=precision)
            try:
                if reason := target.missing():
                    raise TargetError(reason)
                make_folder(file.parent)
                parity = write_proven(
                    target, precision, sources, file, pictures=pictures.test, reference=reference,
                    labels=reference.argmax(1) if truth is None else truth,
                )  # fmt: skip
                held = getattr(target.code(), "shipped_bytes", size_on_disk)(file)
            except DEFECTS:
                raise
            except Exception as error:  # whatever a target's tools raise
                if len(files) == 1:
                    raise
                yield replace(row, error=_in_a_line(error))
                continue
            tolerance = target.form(precision).tolerance
            yield replace(
                row,
                file=file,
                bytes=held,
                accuracy=None if truth is None else parity.accuracy_exported,
                loss=None if truth is None else parity.accuracy_reference - parity.accuracy_exported,
                agreement=parity.agreement,
                max_logit_difference=parity.max_logit_difference,
                allowed_logit_difference=None if tolerance is None else tolerance * parity.logit_scale,
            )


def measured(
    files: Sequence[Shipped],
    picture: np.ndarray,
    *,
    threads: int = 1,
    memory: bool = True,
    bounds: Bounds | None = None,
) -> list[Shipped]:
    """Measure latency and memory, each file's in a process of its own, and hold all to the bounds.

    Files that run in this process take turns; what runs in another is timed there, after the others.

    Args:
        files: from `write_files`.
        picture: float32 [1, C, H, W].
        threads: of latency and memory.
        memory: measure it.
        bounds: that every file is held to.
    """
    latencies: dict[str, Latency] = {}
    runs: dict[str, Callable[[], object]] = {}
    problems: dict[str, str] = {}
    for one in files:
        if one.file is None:
            continue
        try:
            runner = load(one.file, 1 if TARGETS[one.target].single_threaded else threads)
            if timed := getattr(runner, "seconds", None):  # it runs in a process of its own, and is timed there
                latencies[one.name] = latency_of(timed(picture))
            else:
                runs[one.name] = runner.ready(picture)
        except (ModelFileError, RuntimeError) as error:  # the others are still measured
            problems[one.name] = _in_a_line(error)
    latencies |= measure_latency(runs, max_seconds=LATENCY_SECONDS * len(runs)) if runs else {}
    rows = []
    for one in files:
        row = replace(one, latency=latencies.get(one.name), error=problems.get(one.name, one.error))
        if memory and one.file is not None:
            try:
                row = replace(row, memory_bytes=peak_memory_bytes(TARGETS[one.target], one.file, threads))
            except MeasurementError as error:
                row = replace(row, error=str(error))
        rows.append(replace(row, broken=(bounds or Bounds()).broken(row)))
    return rows


def of_pytorch(model: nn.Module, file: Path, pictures: Pictures, *, threads: int = 1) -> Shipped:
    """Measure the network itself, in eager PyTorch, for comparison.

    Args:
        file: with its weights.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        latency = measure_latency({"": partial(logits_of, model, pictures.test[:1])}, max_seconds=LATENCY_SECONDS)[""]
    finally:
        torch.set_num_threads(before)
    right = None
    if pictures.labels is not None:
        right = float((logits_of(model, pictures.test).argmax(1) == pictures.labels).mean())
    return Shipped(
        target="PyTorch", precision="float32", file=file, bytes=size_on_disk(file), accuracy=right, latency=latency
    )


def _in_a_line(error: Exception) -> str:
    """Return the first line of what an error says, and of which kind it is where that is not one of ours."""
    kind, line = type(error), str(error).strip().partition("\n")[0]
    return line if line and kind.__module__.partition(".")[0] == "featherweight" else f"{kind.__name__}: {line}"


def shipment(files: Sequence[Shipped], bounds: Bounds, **more: object) -> dict[str, Any]:
    """Return what ship.json holds: who wrote what when, the bounds, and every file with its figures.

    Args:
        more: "network", "source", "proven_on", "threads" and "pytorch".
    """
    return {
        "featherweight": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
        "bounds": asdict(bounds),
        "files": [one.to_dict() for one in files],
    }
