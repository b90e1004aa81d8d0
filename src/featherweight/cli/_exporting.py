"""The files that `export` and `ship` write: which, where, and what is measured on each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featherweight.export._targets import TARGETS, Target, TargetError, target_named, target_of

from ._errors import UsageError
from ._output import note
from ._trained import Trained

if TYPE_CHECKING:
    from rich.table import Table
    from torch import nn

    from featherweight.ship import Bounds, Pictures, Shipped

ALL = "all"


class File(NamedTuple):
    """A file, or folder, to write: of a target in a precision."""

    target: Target
    precision: str
    path: Path


def chosen_targets(words: str, model: "nn.Module") -> list[Target]:
    """Read names with commas; "all" are those that can be used here with this network, and a note names the others.

    Raises: TargetError, UsageError: an unknown name, or one of a target that lacks something here.
    """
    if words != ALL:
        named = [target_named(name) for name in _names(words)]
        if lacking := [f"{target.name} cannot be made here: {why}" for target in named if (why := target.missing())]:
            raise UsageError("; ".join(lacking))
        return named
    reasons = {name: target.missing() or lacks(target, model) for name, target in TARGETS.items()}
    for name, reason in reasons.items():
        if reason is not None:
            note(f"{name}: left out; {reason}")
    return [TARGETS[name] for name, reason in reasons.items() if reason is None]


def lacks(target: Target, model: "nn.Module") -> str | None:
    """Say what a network lacks for a target, or None."""
    if target.name == "adder-int8" and not adder_layers(model):
        return "it has no adder layers, and adder-int8 is for networks of them (featherweight list 'adder*')"
    return None


def adder_layers(model: "nn.Module") -> int:
    """Count the adder layers of a network."""
    from featherweight.blocks import AdderConv2d

    return sum(isinstance(module, AdderConv2d) for module in model.modules())


def chosen_precisions(targets: Sequence[Target], words: str | None) -> list[tuple[Target, list[str]]]:
    """Read names with commas, or "all"; by default the first that a target has. What a target lacks is left out.

    Raises: TargetError: a precision that none of the targets has.
    """
    if words is None:
        return [(target, [next(iter(target.precisions))]) for target in targets]
    there = list(dict.fromkeys(name for target in targets for name in target.precisions))
    wanted = there if words == ALL else _names(words)
    for name in wanted:
        if name not in there:
            raise TargetError(f"no target here has the precision {name!r}; there are {', '.join(there)}")
    return [(target, [name for name in wanted if name in target.precisions]) for target in targets]


def _names(words: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in words.split(",")))


def places(chosen: Sequence[tuple[Target, Sequence[str]]], out: Path | None, model: Path) -> list[File]:
    """Give each file its place.

    Args:
        chosen: targets with their precisions.
        out: of one target: the file; of several, or where it is a folder already: the folder for all of them. Default:
            that of the network.
        model: the network's own file.
    Raises: UsageError: a file for several targets, or one that would be written over the network.
    """
    suffixes = {target.suffix for target in TARGETS.values()} - {""}
    if out is not None and len(chosen) > 1 and (out.is_file() or out.suffix in suffixes):
        raise UsageError(f"--out {out}: {len(chosen)} targets need a folder to be put into")
    files = []
    for target, precisions in chosen:
        for precision in precisions:
            if out is None or len(chosen) > 1 or (out.is_dir() and target_of(out) is None):
                path = (out or model.parent) / usual_name(target, precision)
            else:
                path = out if precision == precisions[0] else out.with_name(f"{out.stem}-{precision}{out.suffix}")
            if path.exists() and path.samefile(model):
                raise UsageError(f"--out {path} is the network itself")
            files.append(File(target, precision, path))
    return files


def usual_name(target: Target, precision: str) -> str:
    """model.onnx, model-int8.onnx, model-openvino, model-openvino-int8, model-adder-int8.safetensors, ..."""
    parts = ["model"]
    if target.name != "onnx":
        parts.append(target.name)
    if precision != "float32" and not target.name.endswith(precision):
        parts.append(precision)
    return "-".join(parts) + target.suffix


def shipped(
    files: "Sequence[File]",
    trained: Trained,
    pictures: "Pictures",
    *,
    threads: int = 1,
    memory: bool = False,
    bounds: "Bounds | None" = None,
) -> "tuple[Shipped, list[Shipped]]":
    """Write, prove and measure all files under a progress bar; return what was measured of PyTorch, and of each file.

    Where a file is less accurate than the bound, PyTorch's row tells whether the network itself is.

    Args:
        threads, memory, bounds: as `featherweight.ship.measured`.
    """
    from rich.console import Console
    from rich.progress import track

    from featherweight.export import load
    from featherweight.ship import Bounds, measured, of_pytorch, write_files

    metadata = {"labels": trained.labels, "preprocessing": trained.preprocessing.to_dict()}
    console = Console(stderr=True)
    written: list[Shipped] = []
    for one in track(
        write_files(trained.model, files, pictures, metadata=metadata), "writing and proving", total=len(files),
        console=console, disable=not console.is_terminal, transient=True,
    ):  # fmt: skip
        note(f"{len(written) + 1} of {len(files)}: {one.name}: {one.error or one.file}")
        if one.file is not None and (said := load(one.file).describe()):
            note(f"{one.file}: {said}")
        written.append(one)
    note(f"measuring latency{' and memory' if memory else ''}")
    reference = of_pytorch(trained.model, trained.file, pictures, threads=threads)
    rows = measured(written, pictures.test[:1], threads=threads, memory=memory, bounds=bounds)
    if bounds is not None and any("accuracy" in one.broken for one in rows):
        reference = replace(reference, broken=Bounds(accuracy=bounds.accuracy).broken(reference))
    return reference, rows


def table_of(files: "Sequence[Shipped]", pictures: "Pictures") -> "Table":
    """Show all files with their figures; what breaks a bound is marked and red."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from featherweight._units import format_bytes, format_percent, format_seconds

    columns: dict[str, tuple[str, Callable[[Any], str]]] = {
        "bytes": ("size", format_bytes),
        "agreement": ("same top-1 as PyTorch", format_percent),
        "max_logit_difference": ("largest logit difference", "{:.2g}".format),
        "accuracy": ("accuracy", format_percent),
        "loss": ("lost", format_percent),
        "latency_seconds": ("latency", format_seconds),
        "memory_bytes": ("memory", format_bytes),
    }
    shown = [name for name in columns if any(getattr(one, name) is not None for one in files)]
    table = Table(
        title=f"proven on {pictures.says}; int8 is compared", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("target", "file"):
        table.add_column(heading)
    for name in shown:
        table.add_column(columns[name][0], justify="right")
    if any(one.error for one in files):
        table.add_column("problem")
    for one in files:
        cells = []
        for name in shown:
            figure, text = getattr(one, name), columns[name][1]
            broken = name in one.broken
            cells.append(Text("" if figure is None else f"{'✕ ' if broken else ''}{text(figure)}", "red" * broken))
        table.add_row(one.name, str(one.file or ""), *cells, *([Text(one.error, "red")] if one.error else []))
    return table
