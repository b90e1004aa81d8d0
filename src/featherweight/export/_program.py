"""From a network to a target that starts from a program of torch.export, and has a float and an int8 form."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._in_environment import InEnvironment
from ._targets import target_named
from .onnx import ExportError, _inference_copy, _input_shape, _made_from

if TYPE_CHECKING:
    from torch import nn

INT8_SHARE = 0.9  # of the weights of convolutions and linear layers, at least; the rest may stay float


def export_program(
    target: InEnvironment,
    model: "nn.Module",
    path: str | os.PathLike[str],
    *,
    precision: str,
    metadata: Mapping[str, object],
    input_size: int | tuple[int, int, int] | None,
    calibration: np.ndarray | None,
) -> Path:
    """Write a folder for a target; the arguments and errors are those of the target's `export`."""
    target_named(target.name).form(precision)
    _demand_calibration(precision, calibration)
    shape = _input_shape(model, input_size, metadata)
    with tempfile.TemporaryDirectory() as temporary:
        program = Path(temporary) / "program.pt2"
        weights = _save(model, shape, program, target.says, strict=calibration is not None)
        request = {"program": str(program), "calibration": calibration}
        said = {**_made_from(model), **metadata}
        with target.written(path, metadata=said, precision=precision, input_shape=shape, request=request) as answer:
            if precision == "int8":
                _demand_int8(target.says, answer["int8_weights"], weights)
    return Path(path)


def _demand_calibration(precision: str, calibration: np.ndarray | None) -> None:
    if precision == "int8" and (calibration is None or not len(calibration)):
        raise ValueError("int8 needs calibration=, training pictures float32 [N, C, H, W]")
    if precision != "int8" and calibration is not None:
        raise ValueError(f"calibration= is for int8; {precision} has no use for it")


def _demand_int8(says: str, int8: int, weights: int) -> None:
    """Check that a file that is called int8 is. Raises: ExportError: its weights have stayed float."""
    if int8 < INT8_SHARE * weights:
        raise ExportError(
            f"{says} left weights in float: {int8} of {weights} are int8, and {INT8_SHARE:.0%} of them were wanted"
        )


def _save(model: "nn.Module", shape: tuple[int, int, int], path: Path, says: str, *, strict: bool) -> int:
    """Write a network as a program for one picture, and return how many weights its layers have.

    Args:
        strict: trace as quantizers need it under PyTorch 2.11; it takes longer.
    Raises: ExportError: the network has operators of ours, which no target has.
    """
    import torch

    with torch.no_grad():
        program = torch.export.export(_inference_copy(model), (torch.zeros(1, *shape),), strict=strict)
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    if ours := sorted(name.split(".")[1] for name in names if name.startswith("featherweight.")):
        raise ExportError(
            f"{says} has no operator {', '.join(ours)}: networks that add in place of multiplying run in PyTorch and, "
            "AdderNets in bytes, in our own kernels (--to adder-int8)"
        )
    torch.export.save(program, path)
    return sum(weight.numel() for weight in program.state_dict.values() if weight.ndim > 1)
