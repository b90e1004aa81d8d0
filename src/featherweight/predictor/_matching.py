"""Which unit a node of a runtime's graph belongs to: told by the names that an ONNX file gives its nodes."""

import re
from collections.abc import Mapping, Sequence

from ._units import Unit

# Node of an ONNX file -> operators of PyTorch that it comes from.
ORIGINS = {
    "Conv": ("convolution",), "Gemm": ("addmm",), "MatMul": ("mm", "addmm", "bmm"), "Add": ("add",), "Sub": ("sub",),
    "Mul": ("mul",), "Div": ("div",), "Concat": ("cat", "roll"), "Slice": ("slice", "split", "roll", "select"),
    "Split": ("split",), "ReduceMean": ("mean",), "GlobalAveragePool": ("mean", "_adaptive_avg_pool2d"),
    "AveragePool": ("avg_pool2d", "_adaptive_avg_pool2d"), "MaxPool": ("max_pool2d_with_indices",),
    "Transpose": ("channel_shuffle", "transpose"), "Reshape": ("channel_shuffle", "view"), "Max": ("maximum",),
    "Gather": ("index_select", "select"), "Pad": ("constant_pad_nd",), "Relu": ("relu",), "Clip": ("hardtanh",),
    "LeakyRelu": ("leaky_relu",), "HardSigmoid": ("hardsigmoid",), "HardSwish": ("hardswish",),
    "Sigmoid": ("sigmoid", "silu"), "BatchNormalization": ("native_batch_norm",), "ReduceMax": ("max",),
}  # fmt: skip
MOST_ASTRAY = 0.25  # of the time, in nodes whose names tell no unit: they go with what runs before them
_REORDER = re.compile(r"_[a-z]{3,6}_[a-z]{3,6}_(/.*)$")  # OpenVINO names it after what it stands between
_ENDINGS = re.compile(r"(/WithoutBiases|/QuickGeluFusion/|/GatherSliceToSplitFusion|_output_\d+|_nchwc|_token_\d+)+$")
_COUNTER = re.compile(r"_\d+$")


class MismatchError(ValueError):
    """Operators that ran are not those that were traced."""


def seconds_of_units(units: Sequence[Unit], nodes: Mapping[str, float]) -> list[float]:
    """Give each unit the time of its nodes.

    A node belongs to the unit that calls its operator in its module; where several do, each gets its share. A change
    of the memory's order that a runtime has put in belongs to the convolution that wants it, or to what came before.

    Args:
        units: as `merged_units` or, where each node's name starts with its number in order, `single_units` gives them.
        nodes: name -> seconds, in the order in which they run.
    Raises: MismatchError: nodes that are numbered do not match the units, or nodes whose names say nothing take a good
        part of the time.
    """
    if all(name[:1].isdecimal() for name in nodes):
        return _in_order(units, nodes)
    places: dict[str, list[Unit]] = {}
    for unit in units:
        for call in unit.calls:
            places.setdefault(call.module, []).append(unit)
    places["logits"] = [units[-1]]
    seconds = dict.fromkeys(units, 0.0)
    current: Sequence[Unit] = units[:1]
    waiting = 0.0
    astray: dict[str, float] = {}
    for name, spent in nodes.items():
        owners = _owners(name, places)
        if not owners and name.startswith("ReorderInput"):
            waiting += spent
            continue
        if not owners and not name.startswith("ReorderOutput"):
            astray[name] = spent
        current = owners or current
        for unit in current:
            seconds[unit] += (spent + waiting) / len(current)
        waiting = 0.0
    share = sum(astray.values()) / max(sum(nodes.values()), 1e-12)
    if share > MOST_ASTRAY:
        worst = max(astray, key=lambda name: astray[name])
        raise MismatchError(f"{share:.0%} of the time is in nodes of no layer that is known, most in {worst!r}")
    return [seconds[unit] for unit in units]


def _in_order(units: Sequence[Unit], nodes: Mapping[str, float]) -> list[float]:
    wanted = [unit.root.op for unit in units]
    found = [name.partition(" ")[2] for name in nodes]
    if wanted != found:
        first = next((i for i, pair in enumerate(zip(wanted, found, strict=False)) if pair[0] != pair[1]), len(wanted))
        there, here = found[first:][:2], wanted[first:][:2]
        raise MismatchError(f"what runs is not what was traced: from operator {first} on {there}, traced {here}")
    return list(nodes.values())


def _owners(name: str, places: Mapping[str, Sequence[Unit]]) -> Sequence[Unit]:
    """Return the units that call a node's operator in its module, or those of that module at all."""
    between = _REORDER.search(name)
    name = _ENDINGS.sub("", between[1] if between else name.removeprefix("fused "))
    if not name.startswith("/"):
        return places.get(name, ())
    *scopes, operator = name[1:].split("/")
    module = module_path(scopes)
    if module not in places:  # a module that is called again has a counter
        module = _COUNTER.sub("", module)
    origins = ORIGINS.get(_COUNTER.sub("", operator), ())
    here = places.get(module, ())
    exact = [
        unit for unit in here
        if any(call.module == module and call.op.removesuffix("_") in origins for call in unit.calls)
    ]  # fmt: skip
    return list(dict.fromkeys(exact or here))


def module_path(scopes: Sequence[str]) -> str:
    """Read the path of a module from the scopes of a node's name; a child of a sequence repeats its parent.

    Example:
        >>> module_path(["body", "body.1", "shortcut", "shortcut.0", "conv"])
        'body.1.shortcut.0.conv'
    """
    path: list[str] = []
    for scope in scopes:
        if path and scope.startswith(f"{path[-1]}."):
            path[-1] = scope
        else:
            path.append(scope)
    return ".".join(path)
