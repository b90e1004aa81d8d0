"""An int8 network as the C kernels run it: maps of bytes, and steps from maps that are there to a new one.

A map lies in memory as [height, width, channels]. Byte q of it stands for (q - zero) * scale.
"""

from dataclasses import dataclass

import numpy as np

ONE = np.float32(1)


class UnsupportedError(ValueError):
    """A network has something that the C kernels lack; the message names the operator and the layer."""


@dataclass(frozen=True)
class Map:
    """Values of one picture: bytes, or floats at both ends of an AdderNet."""

    height: int
    width: int
    channels: int
    scale: np.float32 = ONE
    zero: int = 0
    floats: bool = False

    @property
    def size(self) -> int:
        """How many values."""
        return self.height * self.width * self.channels


@dataclass(frozen=True)
class Window:
    """Which pixels of a map an output pixel sees: [rows, columns] each, padding at the top and the left."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Conv:
    """A convolution, or a fully connected layer as one of a single pixel.

    y = zero + round(scale[o] * (bias[o] + sum (x - zero) * weight)), from `least` to `most`.
    """

    source: int
    output: int
    shape: tuple[int, int, int]  # of the source as this layer reads it: height, width, channels
    window: Window
    groups: int
    weight: np.ndarray  # int8 [O, kh, kw, C/groups]
    bias: np.ndarray  # int32 [O]
    scale: np.ndarray  # float32 [O]
    least: int
    most: int


@dataclass(frozen=True)
class Add:
    """y = round(single(single(offset + ratios[1] * b) + ratios[0] * a)), from `least` to `most`.

    The offset stands for all three zeros; `single` rounds to float32. Offset and ratios are whole multiples of
    2^-shift, and no sum has more than 53 bits.
    """

    sources: tuple[int, int]
    output: int
    ratios: tuple[float, float]
    offset: float
    shift: int
    least: int
    most: int


@dataclass(frozen=True)
class Multiply:
    """y = round(scale * ((a - zero) * (b - zero)) + zero); b is as large as a, or one pixel for the whole map."""

    sources: tuple[int, int]
    output: int
    scale: np.float32


@dataclass(frozen=True)
class Copy:
    """Some channels of some pixels, each byte as it is or by a table, to channels `at`... of the output.

    Channel c of output pixel [i, j] is channel channels[c] of pixel [i * stride, j * stride], or zero where that is -1.
    """

    source: int
    output: int
    at: int
    channels: np.ndarray | None  # int16; none: all, in their order
    number: int  # of channels
    stride: tuple[int, int]
    table: np.ndarray | None  # uint8 [256]


@dataclass(frozen=True)
class Pool:
    """The largest byte of each window; or the mean: zero + round(scale[pixels - 1] * sum (x - zero))."""

    source: int
    output: int
    window: Window
    scale: np.ndarray | None  # float32, for each number of pixels that a window can see; none: the largest byte


@dataclass(frozen=True)
class FloatConv:
    """The convolution before adder layers: y = round(sum x * weight + shift[o]); the picture is [C, H, W] in float."""

    source: int
    output: int
    window: Window
    groups: int
    weight: np.ndarray  # float32 [O, C/groups, kh, kw]
    shift: np.ndarray  # float32 [O]


@dataclass(frozen=True)
class FloatPicture:
    """The picture's bytes, y = round(x * scale + shift); the picture is [C, H, W] in float."""

    source: int
    output: int
    scale: np.float32
    shift: np.float32


@dataclass(frozen=True)
class Adder:
    """y = round(sum |x - weight| * scale[o] + shift[o]), plus shortcut * shortcut_scale; `zero` beyond the borders."""

    source: int
    output: int
    window: Window
    groups: int
    weight: np.ndarray  # uint8 [O, kh, kw, C/groups]
    scale: np.ndarray  # float32 [O]
    shift: np.ndarray  # float32 [O]
    zero: int
    shortcut: int | None
    shortcut_scale: np.float32


@dataclass(frozen=True)
class Floats:
    """Floats of bytes: of each channel's mean, or of each byte as [C, H, W]; times scale, plus shift."""

    source: int
    output: int
    mean: bool
    scale: np.float32
    shift: np.float32


@dataclass(frozen=True)
class Linear:
    """A fully connected layer in float."""

    source: int
    output: int
    weight: np.ndarray  # float32 [out, in]
    bias: np.ndarray  # float32 [out]


@dataclass(frozen=True)
class Scores:
    """An adder layer of the whole map that gives the logits in float: sum |x - weight| * scale[o] + shift[o]."""

    source: int
    output: int
    weight: np.ndarray  # uint8 [O, H, W, C]
    scale: np.ndarray  # float32 [O]
    shift: np.ndarray  # float32 [O]


Step = Conv | Add | Multiply | Copy | Pool | FloatConv | FloatPicture | Adder | Floats | Linear | Scores


@dataclass(frozen=True)
class Program:
    """A network: map 0 is the picture, the last one the logits.

    Logit k of a picture is unit * (byte - zero), summed over the pixels of the last map; or it is a float.
    """

    maps: tuple[Map, ...]
    steps: tuple[Step, ...]
    unit: np.float32 = ONE

    @property
    def classes(self) -> int:
        """How many logits a picture gets."""
        return self.maps[-1].channels


def sources(step: Step) -> tuple[int, ...]:
    """Return the numbers of the maps that a step reads."""
    match step:
        case Add() | Multiply():
            return step.sources
        case Adder(shortcut=int(shortcut)):
            return step.source, shortcut
    return (step.source,)
