"""What runs in LiteRT's environment: a program of torch.export becomes a .tflite file, which its interpreter runs."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def convert(program: str, folder: str, calibration: np.ndarray | None = None) -> dict[str, Any]:
    """Write model.tflite into a folder; with pictures to calibrate on, in int8."""
    import litert_torch
    import torch

    warnings.simplefilter("ignore")
    exported = torch.export.load(program)
    file = Path(folder, "model.tflite")
    (picture,), _ = exported.example_inputs
    litert_torch.convert(exported.module(), (picture,)).export(str(file))
    if calibration is None:
        return {}
    _quantize(file, calibration)
    return {"int8_weights": _int8_weights(file)}


def _quantize(file: Path, calibration: np.ndarray) -> None:
    """Replace a float file by its int8 form: weights per channel, activations too, input and output as well."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.recipe_manager import RecipeManager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    ((signature, names),) = Interpreter(str(file)).get_signature_list().items()
    pictures = [{names["inputs"][0]: picture[None]} for picture in calibration]
    how = recipe.static_wi8_ai8()
    manager = RecipeManager()
    manager.load_quantization_recipe(how)
    # By default a moving average of the ranges, in which the first picture weighs most and none is whole.
    ranges = Calibrator(str(file), qsv_update_func=min_max_update)
    ranges.calibrate({signature: pictures}, manager)
    result = quantizer.Quantizer(str(file), how).quantize(ranges.get_model_qsvs())
    result.export_model(str(file), overwrite=True)


def _int8_weights(file: Path) -> int:
    """Count the numbers that the file holds in int8, and does not compute."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file))
    computed = {index for step in interpreter._get_ops_details() for index in step["outputs"]}
    given = {detail["index"] for detail in interpreter.get_input_details()}
    return sum(
        int(np.prod(detail["shape"]))
        for detail in interpreter.get_tensor_details()
        if detail["dtype"] is np.int8 and detail["index"] not in computed | given
    )


def load(path: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Make model.tflite ready; where its input and output are int8, pictures and logits are scaled here."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(Path(path, "model.tflite")), num_threads=threads)
    interpreter.allocate_tensors()
    (given,), (returned,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(x: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], _to_bytes(x, given))
        interpreter.invoke()
        return _to_floats(interpreter.get_tensor(returned["index"]), returned)

    return run


def _to_bytes(x: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    if detail["dtype"] is np.float32:
        return x
    scale, zero = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    given: np.ndarray = np.clip(np.round(x / scale) + zero, limits.min, limits.max).astype(detail["dtype"])
    return given


def _to_floats(logits: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    if detail["dtype"] is np.float32:
        return logits
    scale, zero = detail["quantization"]
    floats: np.ndarray = (logits.astype(np.float32) - zero) * np.float32(scale)
    return floats
