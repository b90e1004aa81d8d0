"""`featherweight replace`: another layer in the place of a network's convolutions, and what that does to its cost."""

from typing import TYPE_CHECKING, Annotated

import typer

from ._errors import usage
from ._options import NetworkOptions, parse_replacement_options
from ._output import Json, print_json, print_table
from .cost import build, parse_input_size, table

if TYPE_CHECKING:
    from featherweight.compress import Replaced


def replace(
    network: Annotated[
        str, typer.Argument(help="A name from `featherweight list`, a saved model.safetensors, or torchvision:NAME.")
    ],
    *,
    replacement: Annotated[
        str,
        typer.Option(
            "--with", metavar="NAME", help="What to put in, such as ghost or comp_conv; a wrong name lists all."
        ),
    ],
    option: NetworkOptions = None,
    block_option: Annotated[
        list[str] | None,
        typer.Option("--with-option", metavar="NAME=VALUE", help="An option of the replacement, such as ratio=4."),
    ] = None,
    input_size: Annotated[
        str | None, typer.Option("--input", help="Side in pixels, or channels x height x width: 224 or 3x224x224.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", help="A layer's name, or a pattern in quotes; may be repeated. Default: stem and head."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Replace a network's ordinary convolutions, and say what was changed, what was left and why, and what it costs.

    Nothing is run: the network is traced without weights. `featherweight.compress.replace` does the same to any model
    in Python, and gives the new network, which is then to be trained.

    \b
    Examples:
      featherweight replace resnet50 --with comp_conv
      featherweight replace mobilenet_v2 -o width=0.5 --with ghost --with-option ratio=4 --input 96
      featherweight replace torchvision:vgg16 --with ghost --keep 'features.0'
    """
    report = replaced(
        network, option or [], replacement, block_option or [], input_size=input_size, keep=keep or ["stem", "head"]
    )
    if as_json:
        print_json({"network": network, "replacement": replacement, **report.to_dict()})
        return
    title = f"{network} with {replacement}: {report.headline()}"
    tables = [table(title, report.cost_rows())]
    if report.changed:
        tables.append(table("changed", report.changed_rows(), left=("convolution", "replacement")))
    if report.left:
        tables.append(table("left", report.left_rows(), left=("which",)))
    print_table(*tables)


def replaced(
    network: str,
    options: list[str],
    replacement: str,
    block_options: list[str],
    *,
    input_size: str | None,
    keep: list[str],
) -> "Replaced":
    """Build the network without weights, and replace.

    Raises:
        UsageError: no such network, option, replacement or layer; a size that cannot be read or does not fit.
        FileNotFoundError: no such file.
    """
    from torch import nn

    from featherweight.compress import replace as replace_in
    from featherweight.compress._replacements import maker

    with usage():
        size = parse_input_size(input_size) if input_size else None
        make = maker(replacement)
        chosen = parse_replacement_options(replacement, block_options, make)
        model, size = build(network, options, size)
        try:
            return replace_in(model, nn.Conv2d, make, keep=keep, input_size=size, **chosen)  # type: ignore[arg-type]
        except RuntimeError as error:  # PyTorch's word for shapes that do not fit
            raise ValueError(f"{network} cannot take an input of {input_size or 'its own size'}: {error}") from error
