"""`featherweight cost`: what one network costs, as a whole, by layer kind and by layer."""

import re
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ._errors import usage
from ._options import NetworkOptions, parse_network_options
from ._output import Json, print_json, print_table
from ._trained import saved_side

if TYPE_CHECKING:
    from rich.table import Table
    from torch import nn

    from featherweight.cost import Cost

InputSize: TypeAlias = int | tuple[int, int] | tuple[int, int, int]
TORCHVISION = "torchvision:"
FILES = (".fwz", ".onnx", ".pth", ".pt", ".bin", ".ckpt")


def cost(
    network: Annotated[
        str, typer.Argument(help="A name from `featherweight list`, a saved model.safetensors, or torchvision:NAME.")
    ],
    *,
    option: NetworkOptions = None,
    input_size: Annotated[
        str | None, typer.Option("--input", help="Side in pixels, or channels x height x width: 224 or 3x224x224.")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also show every layer.")] = False,
    as_json: Json = False,
) -> None:
    """Count what one picture costs: parameters, multiply-adds, operations, energy, memory, traffic.

    Nothing is run: the network is traced without weights. Multiply-adds are those of convolutions and matrix products;
    operations are those of all layers, batch norm folded, each sort by itself. Energy is that of the operations by the
    prices of Horowitz 2014 (45 nm), without memory; divisions, transcendentals and shifts have no price there. Peak
    memory is the largest set of activations alive at once.

    \b
    Examples:
      featherweight cost mobilenet_v2
      featherweight cost adder_resnet20
      featherweight cost mobilenet_v2 -o width=0.35 -o num_classes=10 --input 96 --layers
      featherweight cost featherweight-fit/model.safetensors
    """
    found = count(network, option or [], input_size)
    if as_json:
        print_json({"network": network, **found.to_dict()})
        return
    from featherweight.cost._table import kind_rows, layer_rows, shape, total_rows

    totals = table(f"{network}, input {shape(found.input_shape)}", total_rows(found))
    by_layer = [table("by layer", layer_rows(found))] if layers else []
    print_table(totals, table("by layer kind", kind_rows(found)), *by_layer)


def count(network: str, options: list[str], input_size: str | None) -> "Cost":
    """Analyze a network by name, or a saved model.

    Raises:
        UsageError: no such network or option, a file that is not a model, a size that cannot be read.
        FileNotFoundError: no such file.
    """
    from featherweight.cost import analyze

    with usage():
        size = parse_input_size(input_size) if input_size else None
        model, size = build(network, options, size)
        try:
            return analyze(model, size)
        except RuntimeError as error:  # PyTorch's word for shapes that do not fit
            raise ValueError(f"{network} cannot take an input of {input_size or 'its own size'}: {error}") from error


def build(network: str, options: list[str], size: InputSize | None) -> tuple["nn.Module", InputSize | None]:
    """Build a network without weights, or read a saved one; return it with the size of its input, if that is known."""
    import torch

    from featherweight.networks import create, load_model

    if network.endswith(".safetensors"):
        if options:
            raise ValueError(f"-o chooses among networks; {network} is one already")
        return load_model(network), size or saved_side(Path(network))
    if network.endswith(FILES):
        raise ValueError(f"{network} is no network's name; of files, a model.safetensors of ours is understood")
    if network.startswith(TORCHVISION):
        if options:
            raise ValueError("-o chooses among networks of featherweight; torchvision's are built as they are")
        square = (3, size, size) if isinstance(size, int) else None
        return _torchvision(network.removeprefix(TORCHVISION)), square or size or (3, 224, 224)
    with torch.device("meta"):
        return create(network, **parse_network_options(network, options)), size  # type: ignore[arg-type]


def _torchvision(name: str) -> "nn.Module":
    """Build a network of torchvision without weights. Raises: ValueError: it has none of that name."""
    import torch
    import torchvision

    if name not in torchvision.models.list_models(torchvision.models):
        raise ValueError(f"torchvision has no network {name!r} for classification")
    with torch.device("meta"):
        model: nn.Module = torchvision.models.get_model(name, weights=None)
    return model


def parse_input_size(text: str) -> InputSize:
    """Read `224` as a side, `192x256` as height and width, `3x224x224` as channels, height and width.

    Raises: ValueError: none of them.

    Example:
        >>> parse_input_size("224"), parse_input_size("3x224x224")
        (224, (3, 224, 224))
    """
    match text.split("x") if re.fullmatch(r"[1-9]\d*(x[1-9]\d*){0,2}", text) else ():
        case [side]:
            return int(side)
        case [height, width]:
            return int(height), int(width)
        case [channels, height, width]:
            return int(channels), int(height), int(width)
    raise ValueError(f"not an input size: {text!r}; understood: 224, 192x256 or 3x224x224")


def table(title: str, rows: Iterable[Sequence[str]], *, left: Container[str] = ("kind", "output")) -> "Table":
    """Set rows, of which the first is the heading; the first column and those in `left` flush left."""
    from rich import box
    from rich.table import Table

    heading, *others = rows
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(heading):
        made.add_column(name, justify="left" if position == 0 or name in left else "right", no_wrap=True)
    for row in others:
        made.add_row(*row)
    return made
