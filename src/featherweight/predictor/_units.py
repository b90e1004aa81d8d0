"""What a runtime runs as one: single operators in eager PyTorch, convolutions with all that follows in a graph."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from featherweight.cost import OpCall
from featherweight.cost._formulas import FREE, rule

NO_WORK = frozenset(("input", "output", "unread", "detach"))  # PyTorch may detach inside an operator, or not
FOLLOWERS = frozenset(("activation", "element-wise", "batch norm"))  # a graph runtime merges them with what they follow


@dataclass(eq=False)
class Unit:
    """Operators that are timed together.

    Args:
        root: the call that comes first.
        kind: of the root: as in `featherweight.cost`, or the operator's name where it neither multiplies matrices nor
            is a convolution.
        tail: the calls that follow on its result.
        before, after: units that it reads from, and that read from it, in a graph.
    """

    root: OpCall
    kind: str
    tail: list[OpCall] = field(default_factory=list)
    before: "list[Unit]" = field(default_factory=list)
    after: "list[Unit]" = field(default_factory=list)

    @property
    def calls(self) -> tuple[OpCall, ...]:
        """All of them, in order."""
        return (self.root, *self.tail)


def single_units(calls: Sequence[OpCall]) -> list[Unit]:
    """Each call by itself, as eager PyTorch runs them; looking at memory differently is a call, too.

    Example:
        >>> from torch import nn
        >>> from featherweight.cost import trace
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Flatten())
        >>> [unit.kind for unit in single_units(trace(model, (3, 8, 8)))]
        ['1x1', 'relu', 'view']
    """
    return [Unit(call, kind_of(call)) for call in calls if call.op not in NO_WORK]


def merged_units(calls: Sequence[OpCall]) -> list[Unit]:
    """Each call with the element-wise ones that alone read its result, as runtimes with a graph merge them.

    Example:
        >>> from torch import nn
        >>> from featherweight.cost import trace
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        >>> [(unit.kind, len(unit.tail)) for unit in merged_units(trace(model, (3, 8, 8)))]
        [('1x1', 2), ('max_pool2d_with_indices', 0)]
    """
    readers: dict[int, int] = {}  # memory -> how many read it that do not write into it
    for call in calls:
        if call.op not in FREE or call.op == "output":
            for storage in {t.storage for t in call.inputs} - {t.storage for t in call.outputs}:
                readers[storage] = readers.get(storage, 0) + 1
    maker: dict[int, Unit] = {}
    units: list[Unit] = []
    for call in calls:
        if call.op in FREE or all(tensor.role == "constant" for tensor in call.outputs):
            continue
        unit = _followed(call, maker, readers)
        if unit is None:
            unit = Unit(call, kind_of(call))
            units.append(unit)
        else:
            unit.tail.append(call)
        for source in dict.fromkeys(maker[t.storage] for t in call.inputs if t.storage in maker):
            if source is not unit:
                unit.before.append(source)
                source.after.append(unit)
        for tensor in call.outputs:
            maker[tensor.storage] = unit
    return units


def _followed(call: OpCall, maker: dict[int, Unit], readers: dict[int, int]) -> Unit | None:
    """Return the unit that a call goes on with: the latest whose result nobody else reads."""
    if rule(call).kind(call) not in FOLLOWERS:
        return None
    written = {tensor.storage for tensor in call.outputs}
    for tensor in call.inputs:
        alone = tensor.storage in written or readers.get(tensor.storage, 0) == 1
        if tensor.role == "activation" and alone and tensor.storage in maker:
            return maker[tensor.storage]
    return None


def kind_of(call: OpCall) -> str:
    """Name what a call does, finely enough for its time: all convolutions of one sort, every other operator apart.

    Raises: UnknownOperatorError: the operator has no cost formula, which says what it reads and does.
    """
    if call.op in FREE:
        return call.op
    found = rule(call)
    return found.kind(call) if found.multiply_adds or call.op == "convolution" else call.op.removesuffix("_")
