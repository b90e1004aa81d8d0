"""The steps of a program as constants in C: arrays, and for each step the fields of its kernel's struct."""

from collections.abc import Iterable

import numpy as np

from ._program import (
    Add,
    Adder,
    Conv,
    Copy,
    FloatConv,
    FloatPicture,
    Floats,
    Linear,
    Multiply,
    Pool,
    Program,
    Scores,
    Step,
    UnsupportedError,
    Window,
    sources,
)

C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t", "float32": "float"}
INTEGERS, FLOATS = ("rounding", "scaling"), ("floats",)
SUMS = (*INTEGERS, "requantized", "windows")

KERNELS = {
    "conv": SUMS, "depthwise": SUMS, "average_pool": SUMS, "max_pool": ("windows",), "add": INTEGERS,
    "multiply": INTEGERS, "copy": (), "float_picture": FLOATS, "float_conv": FLOATS, "adder": FLOATS, "scores": FLOATS,
    "mean": FLOATS, "unpack": FLOATS, "linear": FLOATS,
}  # fmt: skip
"""Each kernel, and the files that it needs before its own."""


def kernel(step: Step) -> str:
    """Return the name of the kernel that a step calls."""
    match step:
        case Conv():
            return "depthwise" if step.groups == step.shape[2] == len(step.weight) else "conv"
        case Pool():
            return "max_pool" if step.scale is None else "average_pool"
        case Floats():
            return "mean" if step.mean else "unpack"
        case FloatConv():
            return "float_conv"
        case FloatPicture():
            return "float_picture"
    return type(step).__name__.lower()


def struct(step: Step) -> str:
    """Return what the type of a step's constants is named after."""
    named = {Conv: "conv", Pool: "pool", Floats: "floats"}
    return named.get(type(step)) or kernel(step)


class Constants:
    """Arrays of a model, each content once."""

    def __init__(self) -> None:
        self.arrays: dict[tuple[str, bytes], str] = {}
        self.texts: list[str] = []

    def array(self, values: np.ndarray, kind: str) -> str:
        """Return the name of an array with these values."""
        key = values.dtype.name, values.tobytes()
        if key not in self.arrays:
            self.arrays[key] = name = f"{kind}_{len(self.arrays)}"
            self.texts.append(_text(values, C_TYPES[values.dtype.name], name))
        return self.arrays[key]

    def bits(self, scale: np.ndarray) -> str:
        """Return the name of an array of scales as the bits of float32."""
        key = "bits", scale.tobytes()
        if key not in self.arrays:
            self.arrays[key] = name = f"scale_{len(self.arrays)}"
            self.texts.append(_text(scale.view(np.uint32), "uint32_t", name))
        return self.arrays[key]

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(len(content) for _, content in self.arrays)


def _text(values: np.ndarray, c_type: str, name: str) -> str:
    rows, row = [f"static const {c_type} {name}[{values.size}] = {{"], "   "
    for value in values.ravel():
        text = f" {single(value) if values.dtype == np.float32 else value},"
        if len(row) + len(text) > 120:
            rows.append(row)
            row = "   "
        row += text
    return "\n".join([*rows, row, "};"])


def single(value: np.float32) -> str:
    """Write a float32 with the digits that give the same one again."""
    return f"{np.format_float_scientific(value, unique=True, trim='0')}f"


def check_shiftable(step: Step, of: str) -> None:
    """See that the kernels' 64 bits can shift by the scales of a step, `of` an operator. Raises: UnsupportedError."""
    scale = step.scale if isinstance(step, Conv | Multiply | Pool) else None
    if scale is not None and not ((scale >= 2.0**-30) & (scale < 2.0**20)).all():
        raise UnsupportedError(f"a scale of {of} is beyond 2^-30 to 2^20: {scale.min()} to {scale.max()}")


def _pair(pair: Iterable[object]) -> str:
    return "{{{}, {}}}".format(*pair)


def _window(window: Window) -> str:
    return f"{{{', '.join(map(_pair, (window.kernel, window.stride, window.padding, window.dilation)))}}}"


def fields(step: Step, program: Program, constants: Constants) -> dict[str, object]:
    """Return the fields of a step's struct, as they stand in C."""
    seen, to = [program.maps[number] for number in sources(step)], program.maps[step.output]
    sides: dict[str, object] = {
        "source": _pair((seen[0].height, seen[0].width)),
        "output": _pair((to.height, to.width)),
    }
    match step:
        case Conv():
            return sides | {
                "source": _pair(step.shape[:2]), "channels": step.shape[2], "filters": len(step.weight),
                "groups": step.groups, "window": _window(step.window), "source_zero": seen[0].zero, "zero": to.zero,
                "least": step.least, "most": step.most, "weight": constants.array(step.weight, "weight"),
                "bias": constants.array(step.bias, "bias"), "scale": constants.bits(step.scale),
            }  # fmt: skip
        case Add():
            first, second, offset = (f"INT64_C({int(one * 2**step.shift)})" for one in (*step.ratios, step.offset))
            return {"size": to.size, "shift": step.shift, "ratio": _pair((first, second)), "offset": offset,
                    "least": step.least, "most": step.most}  # fmt: skip
        case Multiply():
            return {"size": to.size, "period": seen[1].size, "scale": step.scale.view(np.uint32),
                    "zeros": _pair((seen[0].zero, seen[1].zero)), "zero": to.zero}  # fmt: skip
        case Copy():
            return sides | {
                "stride": _pair(step.stride), "source_channels": seen[0].channels, "output_channels": to.channels,
                "at": step.at, "number": step.number, "source_zero": seen[0].zero,
                "channels": 0 if step.channels is None else constants.array(step.channels, "channels"),
                "table": 0 if step.table is None else constants.array(step.table, "table"),
            }  # fmt: skip
        case Pool():
            return sides | {
                "channels": to.channels, "window": _window(step.window), "source_zero": seen[0].zero, "zero": to.zero,
                "scale": 0 if step.scale is None else constants.bits(step.scale),
            }  # fmt: skip
    return _float_fields(step, program, constants, sides)


def _float_fields(step: Step, program: Program, constants: Constants, sides: dict[str, object]) -> dict[str, object]:
    """Return the fields of steps that only AdderNets have."""
    source, to = program.maps[sources(step)[0]], program.maps[step.output]
    match step:
        case FloatPicture():
            return {"size": _pair((to.height, to.width)), "channels": to.channels, "scale": single(step.scale),
                    "shift": single(step.shift)}  # fmt: skip
        case FloatConv() | Adder():
            layer = sides | {
                "channels": source.channels, "filters": to.channels, "groups": step.groups,
                "window": _window(step.window), "weight": constants.array(step.weight, "weight"),
                "shift": constants.array(step.shift, "shift"),
            }  # fmt: skip
            if isinstance(step, Adder):
                layer |= {"zero": step.zero, "scale": constants.array(step.scale, "scale"),
                          "shortcut_scale": single(step.shortcut_scale)}  # fmt: skip
            return layer
        case Scores():
            return {"terms": source.size, "filters": to.channels, "weight": constants.array(step.weight, "weight"),
                    "scale": constants.array(step.scale, "scale"),
                    "shift": constants.array(step.shift, "shift")}  # fmt: skip
        case Floats():
            return {"pixels": source.height * source.width, "channels": source.channels, "scale": single(step.scale),
                    "shift": single(step.shift)}  # fmt: skip
        case Linear():
            return {"inputs": source.size, "outputs": to.channels, "weight": constants.array(step.weight, "weight"),
                    "bias": constants.array(step.bias, "bias")}  # fmt: skip
    raise AssertionError(step)
