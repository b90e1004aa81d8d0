"""The program of a worker: runs in an environment's own Python, with the standard library and numpy alone.

Its one argument is a file with two functions: `convert`, which writes a model, and `load`, which makes one ready to
run. Requests and answers are each a line of JSON and the bytes of the arrays that it names, on standard input and what
was standard output; what libraries print goes to standard error. Nothing is pickled.
"""

import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any, BinaryIO

import numpy as np


class Service:
    """What a request can ask for."""

    def __init__(self, code: Any) -> None:
        self.code = code
        self.run: Callable[[np.ndarray], np.ndarray] | None = None

    def convert(self, **arguments: Any) -> dict[str, Any]:
        """Write a model; the arguments and the answer are the file's own."""
        answer: dict[str, Any] = self.code.convert(**arguments)
        return answer

    def load(self, path: str, threads: int) -> dict[str, Any]:
        """Make a model ready; it stays so until the next one."""
        self.run = None
        self.run = self.code.load(path, threads)
        return {}

    def logits(self, x: np.ndarray) -> dict[str, Any]:
        """Run one picture after the other, [N, C, H, W] -> [N, classes]."""
        assert self.run is not None, "no model is loaded"
        return {"logits": np.concatenate([self.run(x[at : at + 1]) for at in range(len(x))])}

    def seconds(self, x: np.ndarray, runs: int) -> dict[str, Any]:
        """Time so many runs of one picture, after one that brings the caches back."""
        assert self.run is not None, "no model is loaded"
        gc.collect()
        gc.disable()
        times = np.empty(runs)
        try:
            self.run(x)
            for i in range(runs):
                start = time.perf_counter()
                self.run(x)
                times[i] = time.perf_counter() - start
        finally:
            gc.enable()
        return {"seconds": times}


def write(stream: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write a message: a line of JSON, in which an array is its type and shape, then the arrays' bytes."""
    arrays = {name: np.ascontiguousarray(value) for name, value in message.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in message.items() if name not in arrays}
    head = {"message": rest, "arrays": [[name, array.dtype.str, array.shape] for name, array in arrays.items()]}
    stream.write(json.dumps(head).encode() + b"\n")
    for array in arrays.values():
        stream.write(array.data)
    stream.flush()


def read(stream: BinaryIO) -> dict[str, Any] | None:
    """Read a message; None: the other side has closed the pipe."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    message: dict[str, Any] = head["message"]
    for name, kind, shape in head["arrays"]:
        dtype = np.dtype(kind)
        content = stream.read(math.prod(shape) * dtype.itemsize)
        if len(content) < math.prod(shape) * dtype.itemsize:
            return None
        message[name] = np.frombuffer(bytearray(content), dtype).reshape(shape)
    return message


def main() -> None:
    """Answer requests until there are none."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    spec = spec_from_file_location("target", sys.argv[1])
    assert spec is not None and spec.loader is not None
    code = module_from_spec(spec)
    spec.loader.exec_module(code)
    service = Service(code)
    while (request := read(sys.stdin.buffer)) is not None:
        try:
            answer = getattr(service, request.pop("do"))(**request)
        except Exception as error:  # whatever a target's package raises is told to the other side
            answer = {"error": f"{type(error).__name__}: {error}".strip()}
        write(answers, answer)


if __name__ == "__main__":
    main()
