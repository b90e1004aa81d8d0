"""`featherweight cost`: what one network costs, as a whole, by layer kind and by layer."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._errors import usage
from ._options import NetworkOptions, parse_network_options
from ._output import Json, print_json, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from featherweight.cost import Cost


def cost(
    network: Annotated[str, typer.Argument(help="A name from `featherweight list`, or a saved model.safetensors.")],
    *,
    option: NetworkOptions = None,
    input_size: Annotated[
        str | None, typer.Option("--input", help="Side in pixels, or channels x height x width: 224 or 3x224x224.")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also show every layer.")] = False,
    as_json: Json = False,
) -> None:
    """Count what one picture costs: parameters, multiply-adds, memory, traffic.

    Nothing is run: the network is traced without weights. Peak memory is the largest set of activations alive at once.

    \b
    Examples:
      featherweight cost mobilenet_v2
      featherweight cost mobilenet_v2 -o width=0.35 -o num_classes=10 --input 96 --layers
      featherweight cost featherweight-fit/model.safetensors
    """
    found = count(network, option or [], input_size)
    if as_json:
        print_json({"network": network, **found.to_dict()})
        return
    print_table(_summary(network, found), _by_kind(found), *([_by_layer(found)] if layers else []))


def count(network: str, options: list[str], input_size: str | None) -> "Cost":
    """Analyze a network by name, or a saved model.

    Raises: UsageError: no such network, option or file, or a size that cannot be read.
    """
    with usage():
        size = parse_input_size(input_size) if input_size else None
        if not network.endswith(".safetensors"):
            from featherweight.networks import analyze

            return analyze(network, size, **parse_network_options(network, options))
        if options:
            raise ValueError(f"-o chooses among networks; {network} is one already")
    from featherweight.networks import analyze, load_model

    return analyze(load_model(Path(network)), size)


def parse_input_size(text: str) -> int | tuple[int, ...]:
    """Read `224` as a side, `192x256` as height and width, `3x224x224` as channels, height and width.

    Raises: ValueError: neither of them.

    Example:
        >>> parse_input_size("224"), parse_input_size("3x224x224")
        (224, (3, 224, 224))
    """
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){0,2}", text):
        raise ValueError(f"not an input size: {text!r}; understood: 224, 192x256 or 3x224x224")
    numbers = tuple(int(number) for number in text.split("x"))
    return numbers if len(numbers) > 1 else numbers[0]


def _summary(network: str, found: "Cost") -> "Table":
    from featherweight._units import format_bytes, format_count

    table = _table(f"{network}, input {_shape(found.input_size)}", "quantity", "value")
    table.add_row("parameters", format_count(found.params, digits=4))
    table.add_row("multiply-adds", format_count(found.multiply_adds, digits=4))
    for dtype, size in found.peak_memory_bytes.items():
        table.add_row(f"peak activation memory, {dtype}", format_bytes(size))
    for dtype, size in found.bytes_moved.items():
        table.add_row(f"memory traffic, {dtype}", format_bytes(size))
    return table


def _by_kind(found: "Cost") -> "Table":
    from featherweight._units import format_count, format_percent

    table = _table("by layer kind", "kind", "parameters", "share", "multiply-adds", "share")
    for name, kind in found.by_kind().items():
        table.add_row(
            name,
            format_count(kind.params),
            format_percent(kind.params / found.params if found.params else 0),
            format_count(kind.multiply_adds),
            format_percent(kind.multiply_adds / found.multiply_adds if found.multiply_adds else 0),
        )
    return table


def _by_layer(found: "Cost") -> "Table":
    from featherweight._units import format_bytes, format_count

    table = _table("by layer", "layer", "kind", "output", "parameters", "multiply-adds", "memory traffic, float32")
    for layer in found.layers:
        table.add_row(
            layer.name,
            layer.kind,
            _shape(layer.output_shape),
            format_count(layer.params),
            format_count(layer.multiply_adds),
            format_bytes(layer.bytes_moved["float32"]),
        )
    return table


def _table(title: str, first: str, *others: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="left" if heading in ("kind", "output") else "right", no_wrap=True)
    return table


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
