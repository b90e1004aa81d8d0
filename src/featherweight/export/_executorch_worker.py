"""What runs in ExecuTorch's environment: a program of torch.export becomes a .pte file, which its runtime runs."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def convert(program: str, folder: str, calibration: np.ndarray | None = None) -> dict[str, Any]:
    """Write model.pte into a folder; with pictures to calibrate on, in int8."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    warnings.simplefilter("ignore")
    exported = torch.export.load(program)
    told: dict[str, Any] = {}
    if calibration is not None:
        exported, told = _quantized(exported, calibration)
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    Path(folder, "model.pte").write_bytes(lowered.to_executorch().buffer)
    nodes = [node for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    left = [str(node.target) for node in nodes if "delegate" not in str(node.target) and "getitem" not in str(node)]
    return {**told, "left": sorted(set(left))}


def _quantized(exported: Any, calibration: np.ndarray) -> tuple[Any, dict[str, Any]]:
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e import ObserverBase
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(exported.module(), quantizer)
    observers = sum(isinstance(module, ObserverBase) for module in prepared.modules())
    if not observers:
        raise RuntimeError("the quantizer observes nothing in this network: the file would have stayed float")
    with torch.no_grad():
        for at in range(len(calibration)):
            prepared(torch.from_numpy(calibration[at : at + 1]))
    converted = convert_pt2e(prepared)
    picture = torch.from_numpy(calibration[:1])
    again = torch.export.export(converted, (picture,), strict=True)
    weights = sum(kept.numel() for kept in again.state_dict.values() if kept.dtype is torch.int8)
    return again, {"observers": observers, "int8_weights": weights}


def load(path: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Make model.pte ready."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(threads)  # there is no other way to say how many
    method = Runtime.get().load_program(str(Path(path, "model.pte"))).load_method("forward")

    def run(x: np.ndarray) -> np.ndarray:
        logits: np.ndarray = method.execute([torch.from_numpy(x)])[0].numpy().copy()  # its memory is used again
        return logits

    return run
