"""From a network to the files of targets, each proven against PyTorch before it is kept."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featherweight._files import atomic_folder, atomic_path

if TYPE_CHECKING:
    from torch import nn

    from featherweight.compress import QuantizationReport
    from featherweight.export import Parity, Target
    from featherweight.export._targets import Form


class NoCalibrationError(ValueError):
    """An int8 file is wanted, and there are no pictures to take the ranges of values from."""


class Sources:
    """A trained network in the forms that targets are made from; each is made when first asked for, once.

    Args:
        model: [N, C, H, W] -> [N, classes], in evaluation mode.
        folder: for the ONNX files that others are made from; it exists.
        metadata: of every file, as `featherweight.export.export`; with "preprocessing", or the model says its size.
        calibration: training pictures float32 [N, C, H, W], for int8; None: there is no int8.
    """

    def __init__(
        self, model: "nn.Module", folder: Path, metadata: Mapping[str, object], calibration: np.ndarray | None = None
    ) -> None:
        self.model, self.folder, self.metadata, self._calibration = model, folder, metadata, calibration
        self._reports: list[QuantizationReport] = []

    @cached_property
    def folded(self) -> "nn.Module":
        """A copy with batch norms folded into the layers before them, where that can be."""
        from featherweight.compress import fold_batch_norm

        return fold_batch_norm(self.model, strict=False)

    @cached_property
    def onnx(self) -> Path:
        """The float32 ONNX file."""
        from featherweight.export import export

        return export(self.folded, self.folder / "float32.onnx", metadata=self.metadata)

    @cached_property
    def int8_onnx(self) -> Path:
        """The int8 ONNX file, of which the most sensitive layers may be in float. Raises: NoCalibrationError."""
        from featherweight.compress import quantize

        return quantize(self.onnx, self.folder / "int8.onnx", self.calibration, report=self._reports.append)

    @cached_property
    def whole_int8_onnx(self) -> Path:
        """The int8 ONNX file with every layer in int8. Raises: NoCalibrationError."""
        from featherweight.compress import quantize

        path = self.int8_onnx
        if not self._reports[0].kept_float:
            return path
        return quantize(self.onnx, self.folder / "whole-int8.onnx", self.calibration, keep_float=0)

    @cached_property
    def int8_file(self) -> Path:
        """The int8 ONNX file, all in int8, or of an AdderNet its file in bytes. Raises: NoCalibrationError."""
        from featherweight.blocks import AdderConv2d
        from featherweight.export import adder_int8, target_named

        if not any(isinstance(module, AdderConv2d) for module in self.model.modules()):
            return self.whole_int8_onnx
        network = self.of(target_named("adder-int8").form("int8"))
        return adder_int8.export(network, self.folder / "adder.safetensors", self.calibration, metadata=self.metadata)

    @property
    def calibration(self) -> np.ndarray:
        """The pictures for int8. Raises: NoCalibrationError: there are none."""
        if self._calibration is None:
            raise NoCalibrationError("int8 needs training pictures to calibrate with")
        return self._calibration

    def of(self, form: "Form") -> Any:
        """Return what a form of a target is made from. Raises: NoCalibrationError."""
        match form.source:
            case "onnx":
                return self.onnx
            case "int8 onnx":
                return self.int8_onnx
            case "int8 file":
                return self.int8_file
            case "unfolded network and pictures":
                return self.model
        return self.folded


def write_proven(
    target: "Target",
    precision: str,
    sources: Sources,
    path: Path,
    *,
    pictures: np.ndarray,
    labels: np.ndarray,
    reference: np.ndarray,
) -> "Parity":
    """Write the file, or folder, of a target, run it, and keep it only if it gives the network's answers.

    Args:
        target, precision: what to write; int8 is compared only, by `featherweight.export.compare`.
        path: of the file or folder; what was there stays if the proof fails.
        pictures: float32 [N, C, H, W], as the network takes them; with their `labels` [N].
        reference: the network's logits on them, [N, classes], as PyTorch computes them.
    Raises:
        TargetError: the target has no such precision.
        NoCalibrationError: int8 without pictures.
        ParityError: the file's logits are off by more than the form's tolerance, or a best class is another one.
        What the target's package raises.
    """
    from featherweight.export import compare, load, prove

    form, code = target.form(precision), target.code()
    more: dict[str, Any] = {"metadata": sources.metadata}
    if form.calibrated:
        more["calibration"] = sources.calibration
    with (atomic_path if target.suffix else atomic_folder)(path) as temporary:
        code.export(sources.of(form), temporary, precision=precision, **more)
        logits = load(temporary)(pictures)
        if form.tolerance is None:
            return compare(reference, logits, labels)
        return prove(reference, logits, labels, tolerance=form.tolerance)


def logits_of(model: "nn.Module", pictures: np.ndarray, batch: int = 256) -> np.ndarray:
    """Compute the logits [N, classes] of pictures float32 [N, C, H, W] in PyTorch."""
    import torch

    with torch.inference_mode():
        return torch.cat([model(part) for part in torch.split(torch.from_numpy(pictures), batch)]).numpy()
