"""ShuffleNetV2's four guidelines (Ma et al., ECCV 2018, section 2), as checks on a call, with what each costs here."""

from collections.abc import Mapping
from math import isqrt, sqrt
from typing import Literal, NamedTuple

from featherweight.cost import OpCall

Guideline = Literal["G1", "G2", "G3", "G4"]
SAYS: dict[Guideline, str] = {
    "G1": "1x1 convolutions between unequal channels move more bytes",
    "G2": "convolutions in groups move more bytes",
    "G3": "operators so small that calling them takes longest",
    "G4": "element-wise operators, batch norm and data movement",
}
ELEMENT_WISE = frozenset(("activation", "element-wise", "batch norm", "normalization", "data movement"))


class Convolution(NamedTuple):
    """A convolution without bias, by its shapes.

    Args:
        x: N, C, H, W.
        weight: out_channels, C / groups, kernel height, kernel width.
    """

    x: tuple[int, ...]
    weight: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def pointwise(self) -> bool:
        """Whether it is 1x1 at stride 1."""
        return self.weight[2:] == (1, 1) and self.stride == (1, 1) and self.padding == (0, 0)

    @property
    def products(self) -> int:
        """Multiply-adds for each place where the filters lie, over all channels."""
        out_channels, per_group, height, width = self.weight
        return out_channels * per_group * height * width


class Remark(NamedTuple):
    """A guideline that a layer breaks.

    Args:
        says: in which way.
        seconds: what that costs here; below zero where following it would cost more.
    """

    guideline: Guideline
    says: str
    seconds: float


def convolution_of(call: OpCall, batch: int) -> Convolution | None:
    """Return the convolution that a call of the trace runs for a batch, or None: another operator, or not in 2-D."""
    if call.op != "convolution":
        return None
    x, weight, _, stride, padding, dilation, transposed, _, groups = call.args
    if transposed or len(x.shape) != 4:
        return None
    return Convolution((batch * x.shape[0], *x.shape[1:]), weight.shape, stride, padding, dilation, groups)


def least_elements(positions: int, multiply_adds: int) -> float:
    """Return the fewest numbers that a 1x1 convolution of so many multiply-adds can move: with equal channels.

    It reads positions x c1, writes positions x c2 and reads c1 x c2 weights. With B = positions x c1 x c2 that is at
    least 2 sqrt(positions x B) + B / positions, and just that where c1 = c2 (G1).

    Example:
        >>> least_elements(49, 49 * 64 * 64) == 49 * (64 + 64) + 64 * 64
        True
        >>> least_elements(49, 49 * 32 * 128) < 49 * (32 + 128) + 32 * 128
        True
    """
    return 2 * sqrt(positions * multiply_adds) + multiply_adds / positions


def excess(conv: Convolution) -> float:
    """Return how many times the least numbers a 1x1 convolution moves; 1 where its channels are equal."""
    n, c1, h, w = conv.x
    c2, positions = conv.weight[0], n * h * w
    return (positions * (c1 + c2) + c1 * c2) / least_elements(positions, positions * c1 * c2)


def twin(conv: Convolution) -> tuple[Guideline, Convolution] | None:
    """Return what a convolution is compared with, that has as many multiply-adds but for rounding, or None.

    G1: a 1x1 from c1 to c2 channels, with sqrt(c1 c2) on both sides. G2: one in g groups, dense, with c1 / sqrt(g) and
    c2 / sqrt(g) channels, as in the paper's Table 2. A depthwise convolution has no such twin.

    Example:
        >>> wide = Convolution((1, 16, 7, 7), (64, 16, 1, 1), (1, 1), (0, 0), (1, 1), 1)
        >>> guideline, equal = twin(wide)
        >>> guideline, equal.weight[:2]
        ('G1', (32, 32))
        >>> grouped = Convolution((1, 64, 7, 7), (64, 16, 1, 1), (1, 1), (0, 0), (1, 1), 4)
        >>> guideline, dense = twin(grouped)
        >>> guideline, dense.weight[:2], dense.groups, twin(equal)
        ('G2', (32, 32), 1, None)
    """
    (n, c1, *sides), (c2, per_group, *kernel) = conv.x, conv.weight
    if conv.groups > 1 and per_group > 1:
        narrow = [max(1, round(channels / sqrt(conv.groups))) for channels in (c1, c2)]
        weight = (narrow[1], narrow[0], *kernel)
        return "G2", conv._replace(x=(n, narrow[0], *sides), weight=weight, groups=1)
    if conv.groups == 1 and conv.pointwise and c1 != c2:
        equal = isqrt(c1 * c2)
        return "G1", conv._replace(x=(n, equal, *sides), weight=(equal, equal, *kernel))
    return None


def remarks(
    call: OpCall, kind: str, *, batch: int, seconds: float, bound: str, call_seconds: float,
    alone: Mapping[Convolution, tuple[float, float]],
) -> tuple[Remark, ...]:  # fmt: skip
    """Say which guidelines a call breaks, and what that costs here.

    G1 and G2: the time of the layer, less that of its `twin` for as many multiply-adds, each timed by itself, in turns.
    G3: the time of a call that has nothing to do, where computing and moving at the ceilings would take less. G4: all
    the time that the operator takes in its place; depthwise convolutions, which the paper counts to these, are not
    among them. The costs of one layer overlap: they are not to be added up.

    Args:
        kind: of layer.
        seconds: of the call, measured.
        bound: what it is bound by.
        call_seconds: of a call with nothing to do.
        alone: for each convolution that has a twin, its seconds and its twin's.
    """
    found = []
    conv = convolution_of(call, batch)
    if conv is not None and conv in alone and (match := twin(conv)) is not None:
        guideline, other = match
        (own, others), scale = alone[conv], conv.products / other.products
        c1, c2 = conv.x[1], conv.weight[0]
        says = (
            f"{conv.groups} groups" if guideline == "G2" else f"{c1} to {c2} channels: {excess(conv):.2f} x the bytes"
        )
        found.append(Remark(guideline, says, own - others * scale))
    if bound == "call":
        found.append(Remark("G3", "has next to nothing to do", call_seconds))
    if kind in ELEMENT_WISE:
        found.append(Remark("G4", kind, seconds))
    return tuple(found)
