"""From the steps of an AdderNet in bytes, as its file has them, to a program."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._program import Adder, FloatConv, FloatPicture, Floats, Linear, Map, Pool, Program, Scores, Step, Window


def program(shape: Sequence[int], said: Sequence[Mapping[str, Any]], tensors: Mapping[str, np.ndarray]) -> Program:
    """Return the whole network. The steps have been held against each other: the compiled runner was built of them."""
    maps = [Map(shape[1], shape[2], shape[0], floats=True)]
    steps: list[Step] = []
    for number, one in enumerate(said, start=1):
        source = maps[one.get("source", 0)]
        own = {name.partition(".")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"{number}.")}
        step, to = _STEPS[one["step"]](one, own, source, number)
        steps.append(step)
        maps.append(to)
    return Program(tuple(maps), tuple(steps))


_Made = tuple[Step, Map]


def _window(said: Mapping[str, Any], kernel: Sequence[int]) -> Window:
    stride, padding, dilation = (tuple(said[name]) for name in ("stride", "padding", "dilation"))
    return Window((kernel[0], kernel[1]), stride, padding, dilation)


def _map(window: Window, source: Map, channels: int) -> Map:
    height, width = (
        (size + 2 * window.padding[axis] - (window.kernel[axis] - 1) * window.dilation[axis] - 1)
        // window.stride[axis] + 1
        for axis, size in enumerate((source.height, source.width))
    )  # fmt: skip
    return Map(height, width, channels)


def _convolution(said: Mapping[str, Any], own: Mapping[str, np.ndarray], source: Map, number: int) -> _Made:
    window = _window(said, own["weight"].shape[2:])
    step = FloatConv(0, number, window, said["groups"], own["weight"], own["shift"])
    return step, _map(window, source, len(own["weight"]))


def _picture(said: Mapping[str, Any], own: Mapping[str, np.ndarray], source: Map, number: int) -> _Made:
    del own
    step = FloatPicture(0, number, np.float32(said["scale"]), np.float32(said["shift"]))
    return step, Map(source.height, source.width, source.channels)


def _adder(said: Mapping[str, Any], own: Mapping[str, np.ndarray], source: Map, number: int) -> _Made:
    window = _window(said, own["weight"].shape[2:])
    shortcut = said.get("shortcut", -1)
    weight = np.ascontiguousarray(own["weight"].transpose(0, 2, 3, 1))
    step = Adder(said["source"], number, window, said["groups"], weight, own["scale"], own["shift"], said["zero"],
                 None if shortcut < 0 else shortcut, np.float32(said.get("shortcut_scale", 0)))  # fmt: skip
    return step, _map(window, source, len(weight))


def _max_pool(said: Mapping[str, Any], own: Mapping[str, np.ndarray], source: Map, number: int) -> _Made:
    del own
    kernel, stride, padding = (2 * (said[name],) for name in ("kernel", "stride", "padding"))
    window = Window(kernel, stride, padding)
    return Pool(said["source"], number, window, None), _map(window, source, source.channels)


def _floats(said: Mapping[str, Any], own: Mapping[str, np.ndarray], source: Map, number: int) -> _Made:
    del own
    mean = said["step"] == "mean"
    step = Floats(said["source"], number, mean, np.float32(said["scale"]), np.float32(said["shift"]))
    return step, Map(1, 1, source.channels if mean else source.size, floats=True)


def _linear(said: Mapping[str, Any], own: Mapping[str, np.ndarray], source: Map, number: int) -> _Made:
    del source
    weight = own["weight"]
    return Linear(said["source"], number, weight, own["bias"]), Map(1, 1, len(weight), floats=True)


def _scores(said: Mapping[str, Any], own: Mapping[str, np.ndarray], source: Map, number: int) -> _Made:
    del source
    weight = np.ascontiguousarray(own["weight"].transpose(0, 2, 3, 1))
    return Scores(said["source"], number, weight, own["scale"], own["shift"]), Map(1, 1, len(weight), floats=True)


_STEPS = {
    "convolution": _convolution,
    "picture": _picture,
    "adder": _adder,
    "max_pool": _max_pool,
    "mean": _floats,
    "unpack": _floats,
    "linear": _linear,
    "scores": _scores,
}
