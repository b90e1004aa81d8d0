"""LiteRT: writes networks as .tflite files, in an environment of its own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._in_environment import InEnvironment, WorkerRunner
from ._program import export_program

if TYPE_CHECKING:
    from torch import nn

HERE = InEnvironment("litert", "LiteRT", holds="model.tflite")
missing = HERE.missing


def export(
    model: "nn.Module",
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    metadata: Mapping[str, object],
    input_size: int | tuple[int, int, int] | None = None,
    calibration: np.ndarray | None = None,
) -> Path:
    """Write a network for LiteRT: a folder with model.tflite, which is the model, and featherweight.json.

    The second has labels, preprocessing and shapes. One picture at a time, [1, C, H, W] -> [1, classes].
    Needs the environment: `featherweight environment install litert`.

    Args:
        model: [N, C, H, W] -> [N, classes]; batch norms folded (`featherweight.compress.fold_batch_norm`).
        path: of the folder; the one that it lies in exists.
        precision: "float32" or "int8": weights per channel and activations, by AI Edge Quantizer.
        metadata, input_size: as `featherweight.export.export`.
        calibration: for int8, training pictures float32 [N, C, H, W].
    Returns: `path` as a Path.
    Raises:
        EnvironmentMissingError: the environment is not installed.
        ExportError: the network has operators of ours, or LiteRT cannot take it, or its weights have stayed float.
        TargetError: another precision.
        ValueError: int8 without calibration.
    """
    return export_program(
        HERE, model, path, precision=precision, metadata=metadata, input_size=input_size, calibration=calibration
    )


def load(source: str | os.PathLike[str], threads: int = 1) -> WorkerRunner:
    """Open a folder that `export` wrote, in a process of LiteRT's environment.

    Args:
        source: path of the folder, or of the model.tflite in it.
        threads: processor threads per picture.
    Raises:
        EnvironmentMissingError: the environment is not installed.
        FileNotFoundError: there is no such folder.
        ModelFileError: not one for LiteRT, or LiteRT cannot run it.
        ValueError: threads less than 1, or more than 4 for each processor.
    """
    return HERE.load(source, threads)
