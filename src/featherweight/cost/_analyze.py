"""What a model costs: in all, for each layer, for each kind of layer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from torch import nn

from ._energy import energy_of
from ._formulas import FREE, rule
from ._metrics import BYTES
from ._op_mix import OpMix
from ._schedule import Schedule, schedule
from ._table import table
from ._trace import InputSize, OpCall, trace


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """What one module does in one way: the operators of one kind that it calls itself.

    Args:
        name: dotted path of the module; "" for the model itself.
        kind: "1x1", "3x3" (any kxk), "depthwise", "grouped 1x1", "fully connected", "matrix product", "batch norm",
            "activation", "pooling", "element-wise", "data movement", ...; "not read" for parameters that inference
            does without.
        params: parameters read here first.
        multiply_adds: for one picture.
        output_shape: of the last of these operators, without the batch.
        bytes_moved: read and written, for each type of value.
        peak_memory_bytes: of the network's activations while this layer runs, for each type of value.
    """

    name: str
    kind: str
    params: int
    multiply_adds: int
    operations: OpMix
    output_shape: tuple[int, ...]
    bytes_moved: dict[str, int]
    peak_memory_bytes: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class KindCost:
    """What all layers of one kind cost; a share is of the model's total, from 0 to 1."""

    params: int
    params_share: float
    multiply_adds: int
    multiply_adds_share: float
    bytes_moved: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one forward pass of one picture costs.

    Args:
        model: its class, or the name under which it was created.
        input_shape: of the picture, (channels, height, width).
        params: parameters, shared ones once.
        multiply_adds: of convolutions and matrix products, biases left out.
        operations: elementary operations of all operators, told apart by sort.
        energy_joules: of these operations in 45 nm, memory left out, for each type of value (see `ENERGY`).
        peak_memory_bytes: largest sum of activations alive at once, for each type of value.
        bytes_moved: memory access cost, read and written, for each type of value.
        layers: in the order in which they run.
    """

    model: str
    input_shape: tuple[int, ...]
    params: int
    multiply_adds: int
    operations: OpMix
    energy_joules: dict[str, float]
    peak_memory_bytes: dict[str, int]
    bytes_moved: dict[str, int]
    layers: tuple[LayerCost, ...]

    def by_kind(self) -> dict[str, KindCost]:
        """Sum the layers of each kind; the costliest kind comes first.

        Example:
            >>> from torch import nn
            >>> model = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.Conv2d(8, 16, 1, bias=False))
            >>> {kind: cost.multiply_adds for kind, cost in analyze(model, (8, 6, 6)).by_kind().items()}
            {'1x1': 2048, 'depthwise': 1152}
        """
        kinds: dict[str, list[LayerCost]] = {}
        for layer in self.layers:
            kinds.setdefault(layer.kind, []).append(layer)
        sums = {kind: self._sum(layers) for kind, layers in kinds.items()}
        return dict(sorted(sums.items(), key=lambda item: (-item[1].multiply_adds, -item[1].params)))

    def _sum(self, layers: Sequence[LayerCost]) -> KindCost:
        params = sum(layer.params for layer in layers)
        multiply_adds = sum(layer.multiply_adds for layer in layers)
        return KindCost(
            params=params,
            params_share=params / self.params if self.params else 0.0,
            multiply_adds=multiply_adds,
            multiply_adds_share=multiply_adds / self.multiply_adds if self.multiply_adds else 0.0,
            bytes_moved={name: sum(layer.bytes_moved[name] for layer in layers) for name in BYTES},
        )

    def to_dict(self) -> dict[str, object]:
        """Give all figures as plain numbers, strings, lists and dicts, ready for JSON."""
        by_kind = [{"kind": kind, **asdict(cost)} for kind, cost in self.by_kind().items()]
        return {**asdict(self), "by_kind": by_kind}

    def __str__(self) -> str:
        return table(self)


def analyze(model: nn.Module, input_size: InputSize | None = None) -> Cost:
    """Count what one forward pass of one picture costs, without computing anything.

    Memory and traffic are those of a device that runs the operators in the traced order, keeps a tensor until its last
    reader is done, and has folded batch normalization into the layer before (`Schedule` states the rules).

    Args:
        model: maps [N, C, H, W] to tensors; it is not changed.
        input_size: side of a square picture, (H, W) or (C, H, W), in pixels; default: the model's own `resolution`
            and `in_channels`.
    Raises:
        ValueError: the input size is not one of these, or the model does not say what is left out.
        UnknownOperatorError: the model calls an operator without a cost formula; see `register_formula`.

    Example:
        >>> from torch import nn
        >>> cost = analyze(nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU()), (3, 32, 32))
        >>> cost.params, cost.multiply_adds, cost.peak_memory_bytes["float32"]
        (448, 110592, 32768)
        >>> [(layer.name, layer.kind, layer.output_shape) for layer in cost.layers]
        [('0', '3x3', (16, 16, 16)), ('1', 'activation', (16, 16, 16))]
    """
    return cost_of(trace(model, input_size), getattr(model, "name", None) or type(model).__name__)


def cost_of(calls: Sequence[OpCall], model: str) -> Cost:
    """Count what a traced forward pass costs: `analyze` for those who need the trace as well.

    Args:
        calls: `trace(...)` of the model.
        model: its name.

    Example:
        >>> from torch import nn
        >>> layer = nn.Conv2d(3, 16, 3)
        >>> cost_of(trace(layer, (3, 32, 32)), "layer").params == analyze(layer, (3, 32, 32)).params == 448
        True
    """
    plan = schedule(calls)
    live = {name: plan.live_bytes(width) for name, width in BYTES.items()}
    layers = tuple(_layers(plan, live))
    operations = sum((layer.operations for layer in layers), OpMix())
    return Cost(
        model=model,
        input_shape=calls[0].outputs[0].shape[1:],
        params=sum(layer.params for layer in layers),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        operations=operations,
        energy_joules=energy_of(operations),
        peak_memory_bytes={name: max(live[name]) for name in BYTES},
        bytes_moved={name: sum(layer.bytes_moved[name] for layer in layers) for name in BYTES},
        layers=layers,
    )


def _layers(plan: Schedule, live: dict[str, list[int]]) -> list[LayerCost]:
    positions: dict[tuple[str, str], list[int]] = {}
    for position, call in enumerate(plan.calls):
        if call.op == "unread" or call.op not in FREE:
            positions.setdefault((call.module, _kind(call)), []).append(position)
    seen: set[int] = set()
    return [
        LayerCost(
            name=module,
            kind=kind,
            params=_new_params([plan.calls[p] for p in where], seen),
            multiply_adds=sum(plan.multiply_adds(p) for p in where),
            operations=sum((plan.operations(p) for p in where), OpMix()),
            output_shape=_output_shape(plan.calls[where[-1]]),
            bytes_moved={name: sum(plan.bytes_moved(p, width) for p in where) for name, width in BYTES.items()},
            peak_memory_bytes={name: max(live[name][p] for p in where) for name in BYTES},
        )
        for (module, kind), where in positions.items()
    ]


def _kind(call: OpCall) -> str:
    return "not read" if call.op == "unread" else rule(call).kind(call)


def _output_shape(call: OpCall) -> tuple[int, ...]:
    return call.outputs[0].shape[1:] if call.outputs else ()


def _new_params(calls: Sequence[OpCall], seen: set[int]) -> int:
    sizes = {t.storage: t.storage_size for call in calls for t in call.inputs if t.role == "parameter"}
    new = {storage: size for storage, size in sizes.items() if storage not in seen}
    seen.update(new)
    return sum(new.values())
