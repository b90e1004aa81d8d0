"""How long each operator of a network takes, as the runtimes tell it of themselves."""

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from featherweight._extras import require

if TYPE_CHECKING:
    from ._runtimes import Prepared

Times = dict[str, list[float]]  # name of an operator, in the order of the first run -> seconds in each run


class Clock(NamedTuple):
    """A network that tells how long its operators take.

    Args:
        run: once.
        read: the times of all runs so far; there are no runs after it.
    """

    run: Callable[[], object]
    read: Callable[[], Times]


def clock(runtime: str, prepared: "Prepared") -> Clock:
    """Make a network ready to be timed operator by operator, each where it runs among the others.

    Eager PyTorch's operators are the calls of its dispatcher, named "0 convolution", "1 native_batch_norm", ...; ONNX
    Runtime's and OpenVINO's are the nodes of their optimized graphs, named after nodes of the ONNX file.

    Args:
        runtime: a name in `TIMED`.
        prepared: the network with its pictures.
    Raises: ValueError: the runtime does not tell.
    """
    if runtime not in TIMED:
        raise ValueError(f"{runtime} does not tell what its operators take; these do: {', '.join(TIMED)}")
    return TIMED[runtime](prepared)


def middle(times: Sequence[float]) -> float:
    """Return the mean of the middle half: a clock that counts in microseconds is known better than to one.

    Example:
        >>> middle([1.0, 2.0, 2.0, 3.0, 90.0])
        2.3333333333333335
    """
    cut = len(times) // 4
    return fmean(sorted(times)[cut : len(times) - cut])


def _eager(prepared: "Prepared") -> Clock:
    import torch

    from ._clock import Stopwatch

    x = torch.from_numpy(prepared.x)
    passes: list[Stopwatch] = []

    def run() -> None:
        with torch.no_grad(), Stopwatch() as stopwatch:
            prepared.model(x)
        while stopwatch.held:
            stopwatch.release()
        passes.append(stopwatch)

    def read() -> Times:
        in_order = zip(passes[0].names, zip(*(one.seconds for one in passes), strict=True), strict=True)
        seen = [(name, list(seconds)) for name, seconds in in_order if name != "detach"]  # as PyTorch likes
        return {f"{number} {name}": seconds for number, (name, seconds) in enumerate(seen)}

    return Clock(run, read)


def _onnxruntime(prepared: "Prepared", *, int8: bool = False) -> Clock:
    """Read the profile that ONNX Runtime writes: microseconds of each node in each run."""
    onnxruntime = require("onnxruntime", extra="export")
    folder = tempfile.TemporaryDirectory(prefix="featherweight-")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = prepared.threads
    options.inter_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(Path(folder.name) / "profile")
    options.log_severity_level = 4
    content = prepared.onnx_int8 if int8 else prepared.onnx
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: prepared.x}

    def read() -> Times:
        times: Times = {}
        with folder:
            for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
                if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                    times.setdefault(event["name"].removesuffix("_kernel_time"), []).append(event["dur"] / 1e6)
        return times

    return Clock(lambda: session.run(None, given), read)


def _openvino(prepared: "Prepared", *, int8: bool = False) -> Clock:
    """Ask OpenVINO for its counters after each run; what it has merged into others took no time."""
    from featherweight.export import openvino

    content = prepared.onnx_int8 if int8 else prepared.onnx
    request = openvino.load(content, prepared.threads, counters=True).request
    times: Times = {}

    def run() -> None:
        request.infer([prepared.x], share_inputs=True)
        for node in request.profiling_info:
            times.setdefault(node.node_name, []).append(node.real_time.total_seconds())

    return Clock(run, lambda: {name: seconds for name, seconds in times.items() if any(seconds)})


TIMED: "dict[str, Callable[[Prepared], Clock]]" = {
    "eager": _eager,
    "onnxruntime": _onnxruntime,
    "onnxruntime_int8": partial(_onnxruntime, int8=True),
    "openvino": _openvino,
    "openvino_int8": partial(_openvino, int8=True),
}
