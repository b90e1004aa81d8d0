"""A model file that can be asked: what the runners of all targets share; numpy, no PyTorch."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from featherweight._machine import available_processors

METADATA_KEY = "featherweight"  # of our entry in a file's metadata
BATCH = 64  # pictures per call of the runtime: larger batches cost memory and win nothing
THREADS = 4  # for each processor, at most: many more, and the system refuses them


class ModelFileError(ValueError):
    """A file is not a model, not one of ours, or lacks what is asked of it; the message names the file."""


class Runner(ABC):
    """A loaded model: pictures in, logits out. Made by `load`; each target has its own kind.

    Attributes:
        metadata: what the file says of itself: "version" of featherweight, "network", and what `export` was given,
            usually "labels" and "preprocessing".
        input_shape: channels, height, width.
        num_classes: how many logits a picture gets.
    """

    def __init__(
        self,
        metadata: dict[str, Any],
        input_shape: tuple[int, int, int],
        num_classes: int,
        source: str,
        batch: int = BATCH,
    ) -> None:
        self.metadata, self.input_shape, self.num_classes = metadata, input_shape, num_classes
        self._source, self._batch = source, batch  # pictures per call: of a model for so many, that number

    @abstractmethod
    def _run(self, x: np.ndarray) -> np.ndarray:
        """Float32 pictures [N, C, H, W] of the right shape -> logits [N, num_classes], float32."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes. Raises: ModelFileError: the file has none, or not one for each logit."""
        labels = self._entry("labels")
        if not isinstance(labels, list) or len(labels) != self.num_classes:
            raise ModelFileError(f"{self._source}: wanted {self.num_classes} labels in the metadata; got {labels!r}")
        return tuple(str(label) for label in labels)

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a picture becomes the input. Raises: ModelFileError: the file does not say."""
        preprocessing = self._entry("preprocessing")
        if not isinstance(preprocessing, dict):
            raise ModelFileError(f"{self._source}: the metadata's preprocessing is no object: {preprocessing!r}")
        return preprocessing

    def _entry(self, name: str) -> object:
        if name not in self.metadata:
            raise ModelFileError(f"{self._source}: the metadata has no {name!r}; it has {', '.join(self.metadata)}")
        return self.metadata[name]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Float32 pictures [N, C, H, W], prepared as `preprocessing` says -> logits [N, num_classes].

        Raises:
            TypeError: not an array of float32.
            ValueError: wrong channels or size.
        """
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            raise TypeError(f"wanted a numpy array of float32; got {getattr(x, 'dtype', type(x).__name__)}")
        if x.ndim != 4 or x.shape[1:] != self.input_shape:
            wanted = "N x {} x {} x {}".format(*self.input_shape)
            got = " x ".join(map(str, x.shape)) or "a single number"
            raise ValueError(f"{self._source} takes pictures of shape {wanted} (channels, height, width); got {got}")
        if len(x) <= self._batch:
            return self._run(x)
        return np.concatenate([self._run(x[at : at + self._batch]) for at in range(0, len(x), self._batch)])

    def ready(self, x: np.ndarray) -> Callable[[], object]:
        """Return a function that runs once on these pictures and waits for it."""
        return partial(self, x)

    def over(self, batches: Iterable[Sequence[Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Go through batches of (pictures, labels, ...) and return all logits [N, num_classes] and labels [N].

        Args:
            batches: arrays or CPU tensors; what a batch has behind the labels is ignored.
        Raises:
            TypeError, ValueError: as calling the runner, and a ValueError if there are no batches.
        """
        logits, labels = [], []
        for pictures, truth, *_ in batches:
            logits.append(self(np.ascontiguousarray(pictures)))
            labels.append(np.asarray(truth))
        if not logits:
            raise ValueError("there are no batches to go through")
        return np.concatenate(logits), np.concatenate(labels)

    def describe(self) -> str:
        """Say in one line what is special about the file; "" where nothing is."""
        kept = self.metadata.get("in_float32")
        return f"in float32, because float16 cannot hold their weights: {', '.join(kept)}" if kept else ""

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        return f"{type(self).__name__}({self._source}, {shape} -> {self.num_classes})"


def network_in(metadata: Mapping[str, Any], source: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Return what metadata say of the network, its "name" and "options", as far as they do.

    Raises: ModelFileError: the network or its options are no object.
    """
    network = metadata.get("network")
    if network is None:
        return {}
    if not isinstance(network, Mapping):
        raise ModelFileError(f"{source}: the metadata's network is no object: {network!r}")
    if not isinstance(network.get("options") or {}, Mapping):
        raise ModelFileError(f"{source}: the options of the metadata's network are no object: {network['options']!r}")
    return network


def check_threads(threads: int) -> None:
    """Refuse a number of threads that cannot be meant. Raises: ValueError."""
    processors = available_processors()
    if threads < 1:
        raise ValueError(f"threads must be 1 or more; got {threads}")
    if threads > THREADS * processors:
        raise ValueError(
            f"threads must be {THREADS * processors} or less, {THREADS} for each of the {processors} processors that "
            f"there are; got {threads}"
        )


def model_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there. Raises: FileNotFoundError."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no model file {path}")
    return Path(path)
