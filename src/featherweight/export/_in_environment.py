"""What targets in an environment of their own share: a folder with the model and a note, and a runner in a worker."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from featherweight._files import atomic_folder
from featherweight.environments import Worker, WorkerError, missing, require_environment

from ._runner import METADATA_KEY, ModelFileError, Runner, check_threads
from .onnx import ExportError

NOTE = "featherweight.json"  # beside the model: metadata, target, precision, shapes


class WorkerRunner(Runner):
    """A model in a process of its target's environment: pictures in, logits out. Made by `load`."""

    def __init__(self, worker: Worker, note: dict[str, Any], source: str) -> None:
        super().__init__(note["metadata"], tuple(note["input_shape"]), note["num_classes"], source)
        self._worker = worker

    def _run(self, x: np.ndarray) -> np.ndarray:
        logits: np.ndarray = self._worker.ask("logits", x=x)["logits"]
        return logits

    def seconds(self, x: np.ndarray, runs: int = 50) -> list[float]:
        """Time runs of one picture in the worker: what the runtime takes, without the way there and back.

        Args:
            x: float32 [1, C, H, W].
            runs: how many are timed, after one that is not.
        Returns: the time of each, in seconds.
        """
        return [float(time) for time in self._worker.ask("seconds", x=x, runs=runs)["seconds"]]

    def close(self) -> None:
        """End the process; it also ends when nobody holds the runner."""
        self._worker.close()


class InEnvironment:
    """A target: its environment's name, the file that a folder of it holds, and what runs there."""

    def __init__(self, name: str, says: str, holds: str) -> None:
        self.name, self.says, self.holds = name, says, holds
        self.code = Path(__file__).with_name(f"_{name}_worker.py")

    def missing(self) -> str | None:
        """Say what lacks, with the command that mends it; None: nothing."""
        return missing(self.name)

    @contextmanager
    def written(
        self,
        path: str | os.PathLike[str],
        *,
        metadata: Mapping[str, object],
        precision: str,
        input_shape: tuple[int, int, int],
        request: Mapping[str, Any],
    ) -> Iterator[dict[str, Any]]:
        """Let a worker convert, and write the folder; in the block its answer can be looked at before that is kept.

        The model has been run once then, on zeros.

        Raises:
            EnvironmentMissingError: the environment is not installed.
            ExportError: the target's converter cannot do it, or does not run what it wrote.
        """
        python = require_environment(self.name)
        with atomic_folder(path) as folder, Worker(python, self.code) as worker:
            try:
                answer = worker.ask("convert", folder=str(folder), **request)
                worker.ask("load", path=str(folder), threads=1)
                logits = worker.ask("logits", x=np.zeros((1, *input_shape), np.float32))["logits"]
            except WorkerError as error:
                raise ExportError(f"{self.says} cannot take this network: {error}") from error
            note = {
                "format": METADATA_KEY,
                "target": self.name,
                "precision": precision,
                "input_shape": input_shape,
                "num_classes": logits.shape[1],
                "metadata": dict(metadata),
            }
            (folder / NOTE).write_text(json.dumps(note, indent=2, allow_nan=False) + "\n", encoding="utf-8")
            yield answer

    def load(self, source: str | os.PathLike[str], threads: int) -> WorkerRunner:
        """Open a folder in a worker.

        Raises:
            FileNotFoundError: there is no such folder.
            ModelFileError: it is not one of this target, or cannot be run.
            EnvironmentMissingError: the environment is not installed.
        """
        check_threads(threads)
        path = Path(source)
        folder = path.parent if path.name == self.holds else path
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder} of a model of {self.says}")
        note = self._note(folder)
        worker = Worker(require_environment(self.name), self.code, threads)
        try:
            worker.ask("load", path=str(folder.absolute()), threads=threads)
        except WorkerError as error:
            worker.close()
            raise ModelFileError(f"{self.says} cannot run {folder}: {error}") from error
        return WorkerRunner(worker, note, str(source))

    def _note(self, folder: Path) -> dict[str, Any]:
        lacking = [name for name in (NOTE, self.holds) if not (folder / name).is_file()]
        if lacking:
            raise ModelFileError(f"{folder} is no model that featherweight wrote for {self.says}: no {lacking[0]}")
        try:
            note: dict[str, Any] = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelFileError(f"{folder / NOTE} is damaged: {error}") from error
        if note.get("format") != METADATA_KEY or note.get("target") != self.name:
            raise ModelFileError(f"{folder / NOTE} is not of {self.says}: its target is {note.get('target')!r}")
        return note
