"""`featherweight predict`: classify pictures with an exported model; needs neither PyTorch nor the training extras."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._errors import UsageError, usage
from ._output import Json, print_json, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from featherweight.export import Runner

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}  # of the files in a folder; a file that is named is always read


def predict(
    model: Annotated[
        Path, typer.Argument(help="What `featherweight fit` or `export` wrote: model.onnx, or an AdderNet in bytes.")
    ],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Pictures, or folders, of which all pictures are taken.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each picture.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    as_json: Json = False,
) -> None:
    """Say what is on pictures, with the probability of each class and the time that the network takes.

    A picture that cannot be read is reported in its place, and the exit code is then 1.

    \b
    Examples:
      featherweight predict featherweight-fit/model-int8.onnx picture.jpg
      featherweight predict model.onnx pictures/ --top 1 --json
      featherweight predict model-adder-int8.safetensors picture.jpg
    """
    from featherweight.export import load
    from featherweight.export._runner import check_threads

    with usage():
        check_threads(threads)
        if model.suffix == ".fwz":
            raise UsageError(f"{model} is a packed network: `featherweight unpack` it, then `featherweight export`")
    runner = load(model, threads)
    rows = list(_predictions(runner, list(_pictures(images)), top))
    if as_json:
        print_json({"model": str(model), "predictions": rows})
    else:
        print_table(_table(rows))
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def _pictures(paths: list[Path]) -> Iterator[Path]:
    """Go through the files that are named and those in the folders.

    Raises: FileNotFoundError: a folder without any picture.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not found:
            raise FileNotFoundError(f"there are no pictures ({', '.join(sorted(SUFFIXES))}) in the folder {path}")
        yield from found


def _predictions(runner: "Runner", paths: list[Path], top: int) -> Iterator[dict[str, Any]]:
    """Classify one picture after the other; one that cannot be read gives its reason in the place of its classes."""
    import numpy as np

    from featherweight.data import BadPictureError, Preprocessing

    labels, preprocessing = runner.labels, Preprocessing.from_dict(runner.preprocessing)
    runner(np.zeros((1, *runner.input_shape), np.float32))  # the first run prepares memory: not what one is measured by
    for path in paths:
        try:
            x = preprocessing.normalize(preprocessing.read(path)[np.newaxis])
        except BadPictureError as error:
            yield {"picture": str(path), "error": error.reason}
            continue
        except FileNotFoundError:
            yield {"picture": str(path), "error": "no such file"}
            continue
        start = time.perf_counter()
        logits = runner(x)[0].astype(np.float64)
        seconds = time.perf_counter() - start
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        best = np.argsort(-shares, kind="stable")[:top]
        classes = [{"class": labels[index], "probability": float(shares[index])} for index in best]
        yield {"picture": str(path), "classes": classes, "latency_seconds": seconds}


def _table(rows: list[dict[str, Any]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from featherweight._units import format_percent, format_seconds
    from featherweight.data._decode import shown

    table = Table("picture", "class", "probability", "next best", "time")
    table.columns[2].justify = table.columns[4].justify = "right"
    if any("error" in row for row in rows):
        table.add_column("problem")
    for row in rows:
        picture = Text(shown(row["picture"]))
        if "error" in row:
            table.add_row(picture, "", "", "", "", Text(row["error"], "red"))
            continue
        best, *others = row["classes"]
        named = ", ".join(f"{other['class']} {format_percent(other['probability'], decimals=1)}" for other in others)
        table.add_row(
            picture, Text(best["class"], "bold"), format_percent(best["probability"], decimals=1), Text(named),
            format_seconds(row["latency_seconds"]),
        )  # fmt: skip
    return table
