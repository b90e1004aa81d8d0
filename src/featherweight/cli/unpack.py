"""`featherweight unpack`: a packed network as a file of weights again."""

from pathlib import Path
from typing import Annotated

import typer

from featherweight._files import make_folder

from ._errors import UsageError
from ._output import Json, print_json


def unpack(
    packed: Annotated[Path, typer.Argument(help="A model.fwz that `featherweight pack` wrote.")],
    *,
    out: Annotated[Path, typer.Option(help="The file to write, such as unpacked.safetensors.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file --out, if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a packed network as model.safetensors, which every other command understands.

    Its weights are, bit for bit, the pruned and shared ones that were packed; labels and all else that was saved with
    the network are there again. A file that is damaged is refused.

    \b
    Examples:
      featherweight unpack model.fwz --out unpacked.safetensors
      featherweight unpack model.fwz --out unpacked.safetensors --json
    """
    from featherweight._units import format_bytes
    from featherweight.compress import packed_metadata
    from featherweight.compress import unpack as read
    from featherweight.networks import save_model

    if out.exists() and packed.exists() and out.samefile(packed):
        raise UsageError(f"--out {out} is the packed network itself")
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: the file holds safetensors, and ends in .safetensors")
    if out.exists() and not overwrite:
        raise UsageError(f"--out {out} is there already: --overwrite replaces it")
    network = read(packed)
    make_folder(out.parent)
    save_model(network, out, packed_metadata(packed))
    sizes = {"packed_bytes": packed.stat().st_size, "bytes": out.stat().st_size}
    if as_json:
        print_json({"source": str(packed), "file": str(out), **sizes})
    else:
        print(f"{out}: {format_bytes(sizes['bytes'])}, from {format_bytes(sizes['packed_bytes'])} in {packed}")
