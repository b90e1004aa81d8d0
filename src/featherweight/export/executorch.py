"""ExecuTorch: writes networks as .pte files whose layers XNNPACK computes, in an environment of its own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._in_environment import InEnvironment, WorkerRunner
from ._program import export_program

if TYPE_CHECKING:
    from torch import nn

HERE = InEnvironment("executorch", "ExecuTorch", holds="model.pte")
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
    """Write a network for ExecuTorch: a folder with model.pte, which is the model, and featherweight.json.

    The second has labels, preprocessing and shapes. One picture at a time, [1, C, H, W] -> [1, classes].
    Needs the environment: `featherweight environment install executorch`.

    Args:
        model: [N, C, H, W] -> [N, classes]; batch norms folded (`featherweight.compress.fold_batch_norm`).
        path: of the folder; the one that it lies in exists.
        precision: "float32" or "int8": weights per channel and activations, by XNNPACK's quantizer.
        metadata, input_size: as `featherweight.export.export`.
        calibration: for int8, training pictures float32 [N, C, H, W].
    Returns: `path` as a Path.
    Raises:
        EnvironmentMissingError: the environment is not installed.
        ExportError: the network has operators of ours, or ExecuTorch cannot take it, or its weights have stayed float.
        TargetError: another precision.
        ValueError: int8 without calibration.
    """
    return export_program(
        HERE, model, path, precision=precision, metadata=metadata, input_size=input_size, calibration=calibration
    )


def load(source: str | os.PathLike[str], threads: int = 1) -> WorkerRunner:
    """Open a folder that `export` wrote, in a process of ExecuTorch's environment.

    Args:
        source: path of the folder, or of the model.pte in it.
        threads: processor threads per picture.
    Raises:
        EnvironmentMissingError: the environment is not installed.
        FileNotFoundError: there is no such folder.
        ModelFileError: not one for ExecuTorch, or ExecuTorch cannot run it.
        ValueError: threads less than 1, or more than 4 for each processor.
    """
    return HERE.load(source, threads)
