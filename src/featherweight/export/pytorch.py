"""PyTorch itself as a runtime: as it comes, with other memory orders and types, compiled, and on a GPU."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Mode(NamedTuple):
    """One way to run a module."""

    device: str = "cpu"
    channels_last: bool = False
    half: torch.dtype | None = None  # autocast to it
    compiled: bool = False
    graph: bool = False  # a CUDA graph of all kernels, replayed


MODES = {
    "eager": Mode(),
    "channels_last": Mode(channels_last=True),
    "bfloat16": Mode(channels_last=True, half=torch.bfloat16),
    "compile": Mode(compiled=True),
    "compile_bfloat16": Mode(channels_last=True, half=torch.bfloat16, compiled=True),
    "cuda": Mode("cuda"),
    "cuda_channels_last": Mode("cuda", channels_last=True),
    "cuda_amp": Mode("cuda", channels_last=True, half=torch.float16),
    "cuda_compile": Mode("cuda", compiled=True),
    "cuda_graph": Mode("cuda", graph=True),
}


class TorchRunner:
    """A module that is ready to run: pictures in, logits out. Made by `load`."""

    def __init__(self, module: Callable[[Tensor], Tensor], mode: Mode) -> None:
        self._module = module
        self.mode = mode

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Float32 pictures [N, C, H, W] -> logits [N, num_classes], float32."""
        with torch.inference_mode() if not self.mode.compiled else torch.no_grad(), self._precision():
            logits: np.ndarray = self._module(self._input(x)).float().cpu().numpy()
        return logits

    def ready(self, x: np.ndarray) -> Callable[[], object]:
        """Return a function that runs once on these pictures, which already lie on the device, and waits for it."""
        given, module = self._input(x), self._module
        wait = torch.cuda.synchronize if self.mode.device == "cuda" else None
        guard = torch.no_grad if self.mode.compiled else torch.inference_mode
        replay = self._captured(given).replay if self.mode.graph else None

        def run() -> None:
            if replay is not None:
                replay()
            else:
                with guard(), self._precision():
                    module(given)
            if wait is not None:
                wait()

        return run

    def _input(self, x: np.ndarray) -> Tensor:
        given = torch.from_numpy(x).to(self.mode.device)
        return given.contiguous(memory_format=torch.channels_last) if self.mode.channels_last else given

    def _precision(self) -> "AbstractContextManager[Any]":
        if self.mode.half is None:
            return nullcontext()
        return torch.autocast(self.mode.device, dtype=self.mode.half)

    def _captured(self, given: Tensor) -> torch.cuda.CUDAGraph:
        """Record one run; PyTorch wants a few runs on another stream before it."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(stream):
            for _ in range(3):
                self._module(given)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            self._module(given)
        return graph


def load(model: nn.Module, mode: str = "eager") -> TorchRunner:
    """Make a module ready to run in one of `MODES`.

    "compile" freezes the weights into the compiled code, the way to its best speed; the first call of each size then
    takes up to half a minute, and needs a C++ compiler. "bfloat16" and "cuda_amp" use automatic mixed precision.

    Args:
        model: [N, C, H, W] -> [N, classes]; it is put into evaluation mode, and onto the mode's device.
        mode: a name in `MODES`.
    Raises: ValueError: no such mode, or a mode for a GPU where PyTorch finds none.

    Example:
        >>> import featherweight
        >>> model = featherweight.create("squeezenet", version="1.1", num_classes=2)
        >>> load(model, "channels_last")(np.zeros((1, 3, 32, 32), np.float32)).shape
        (1, 2)
    """
    if mode not in MODES:
        raise ValueError(f"PyTorch has no mode {mode!r}; known: {', '.join(MODES)}")
    how = MODES[mode]
    if how.device == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"{mode} needs a GPU; torch.cuda.is_available() is False here")
    model = model.eval().to(how.device)
    if how.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if how.compiled:
        model = torch.compile(model, options={"freezing": True})  # type: ignore[assignment]
    return TorchRunner(model, how)
