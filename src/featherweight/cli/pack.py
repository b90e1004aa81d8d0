"""`featherweight pack`: a network pruned, its weights shared and entropy-coded, in one small file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featherweight._files import make_folder

from ._errors import UsageError, usage
from ._options import bound
from ._output import Json, messages_to_stderr, print_json, print_table
from .cost import table
from .train import learner_of

if TYPE_CHECKING:
    from torch import nn

    from featherweight.compress import Packed


def pack(
    model: Annotated[Path, typer.Argument(help="A model.safetensors that `featherweight train` or `fit` wrote.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: of the model's name, ending in .fwz, beside it.")
    ] = None,
    density: Annotated[
        str, typer.Option(help="Share of the weights to keep, the largest of each layer: 0.33 or 33%.")
    ] = "0.33",
    data: Annotated[
        str | None, typer.Option(help="The pictures that it was trained on, a folder or 'digits': to see accuracy.")
    ] = None,
    bits: Annotated[int, typer.Option(help="Of the index of a weight's value, 1 to 8: 2^bits values a layer.")] = 6,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file, if it is there already.")] = False,
    as_json: Json = False,
) -> None:
    """Write a network as Deep Compression does: pruned, its weights shared, entropy-coded; about a tenth of the bytes.

    Of each layer of 1024 weights or more the largest stay, and k-means gives each of them one of a few values. What is
    smaller, biases and batch norms stay as they are. The file says which weights are there and which value each has, by
    a Huffman code or rANS, whichever is smaller; the recipe, labels and a checksum for each layer go with it.
    `featherweight unpack` gives back exactly the pruned and shared weights.

    Pruning costs accuracy, and training the shared values wins most of it back: in Python, train what
    `featherweight.compress.share_weights` returns, and `pack` that.

    \b
    Examples:
      featherweight pack featherweight-train/model.safetensors --data digits
      featherweight pack model.safetensors --out small.fwz --density 0.33 --bits 6
      featherweight pack model.safetensors --density 1 --bits 8 --json
    """
    from featherweight.compress import pack as write
    from featherweight.compress import unpack
    from featherweight.compress._share import check_choices

    with usage():
        network, metadata = read_saved(model)
        path = out or model.with_suffix(".fwz")
        if path.exists() and path.samefile(model):
            raise UsageError(f"--out {path} is the network itself")
        if path.suffix != ".fwz":
            raise UsageError(f"--out is a packed network, FILE.fwz; got {str(path)!r}")
        share = bound("--density", _share, density)
        check_choices(share, bits)
        if path.exists() and not overwrite:
            raise UsageError(f"{path} is there already: --overwrite replaces it, --out chooses another")
    make_folder(path.parent)
    with messages_to_stderr():
        learner, side = (None, 0) if data is None else learner_of(model, data)
        with progress_bar("packing") as show:
            packed = write(network, path, density=share, bits=bits, metadata=metadata, progress=show)
        accuracy = {}
        if learner is not None:
            both = {"before": network, "packed": unpack(path)}
            accuracy = {name: learner.evaluate(one, side, "test").accuracy for name, one in both.items()}
    if as_json:
        print_json({"source": str(model), "accuracy": accuracy, **packed.to_dict()})
    else:
        _print(model, packed, accuracy)


def _share(text: str) -> float:
    """Read a share, as a number or in percent. Raises: ValueError: it is neither."""
    from featherweight._units import parse_percent

    return parse_percent(text) if text.strip().endswith("%") else float(text)


def read_saved(path: Path) -> "tuple[nn.Module, dict[str, str]]":
    """Read a saved network, and the texts that are saved with it. Raises: ValueError, FileNotFoundError."""
    import safetensors

    from featherweight.networks import load_model
    from featherweight.networks._checkpoints import OURS

    network = load_model(path)
    with safetensors.safe_open(path, "pt") as file:
        return network, {name: text for name, text in file.metadata().items() if name != OURS}


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[float], None]]:
    """Show on a terminal's standard error how far something is."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _print(source: Path, packed: "Packed", accuracy: dict[str, float]) -> None:
    from featherweight._units import format_bytes, format_percent

    def row(what: str, count: float) -> list[str]:
        return [what, format_bytes(count, digits=4), format_percent(count / packed.packed_bytes, decimals=1)]

    ratio = packed.float_bytes / packed.packed_bytes
    rows = [
        ["", "bytes", "of the file"],
        row(f"{source}, in memory", packed.float_bytes),
        row(str(packed.path), packed.packed_bytes),
        row("  positions of weights", packed.positions_bytes),
        row("  indices of values", packed.indices_bytes),
        row("  values (codebooks)", packed.codebooks_bytes),
        row("  rest: small tensors, biases, norms", packed.rest_bytes),
        row("  header, tables, checksums", packed.header_bytes),
        row("entropy of the symbols, and values and rest", packed.bound_bytes),
    ]
    over = packed.packed_bytes / packed.bound_bytes
    lines = (
        [f"accuracy {format_percent(accuracy['before'])} before, {format_percent(accuracy['packed'])} packed"]
        if accuracy
        else []
    )
    print_table(table(f"{ratio:.1f} times smaller; {over:.3f} times the entropy bound", rows, left=()), *lines)
