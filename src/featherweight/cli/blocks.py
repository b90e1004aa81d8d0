"""`featherweight blocks`: the networks' parts, read from themselves: their steps, and what reaches what in them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._errors import UsageError, usage
from ._output import Json, note, print_json, print_table

if TYPE_CHECKING:
    from featherweight.blocks import Example, Step


def blocks(
    name: Annotated[str | None, typer.Argument(help="One block, by the name that the list gives it.")] = None,
    *,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="Write which channels and pixels reach which outputs of NAME."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what each block does, step by step, as its module says when it is run.

    Up and down say whether there are more or fewer channels behind a step; "|" goes on with the result, "//" begins a
    branch beside it. The blocks are small examples: few channels, of which some pass in groups.

    \b
    Examples:
      featherweight blocks
      featherweight blocks InvertedResidual
      featherweight blocks ShuffleUnitV2 --picture shuffle.svg
    """
    if picture is not None and name is None:
        raise UsageError("--picture needs the name of a block: featherweight blocks NAME --picture FILE.svg")
    if picture is not None and picture.suffix != ".svg":
        raise UsageError(f"the picture is written as .svg; got {picture}")
    with usage():
        chosen = find(name)
    rows = {key: _row(key, example) for key, example in chosen.items()}
    if as_json:
        print_json(rows[name] if name else {"blocks": list(rows.values())})
    elif name:
        _print_steps(name, chosen[name])
    else:
        _print_all(chosen)
    if name and picture is not None:
        note(f"wrote {draw(chosen[name], picture)}")


def find(name: str | None) -> dict[str, "Example"]:
    """Return the example of that name, or all.

    Raises: ValueError: no such block; the message gives the nearest names.
    """
    import difflib

    from featherweight.blocks import GALLERY

    if name is None:
        return dict(GALLERY)
    if name not in GALLERY:
        near = difflib.get_close_matches(name, GALLERY, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise ValueError(f"unknown block {name!r}; {hint}known: {', '.join(GALLERY)}")
    return {name: GALLERY[name]}


def draw(example: "Example", path: Path) -> Path:
    """Write the picture of a block's connectivity.

    Raises: OSError: the file cannot be written.
    """
    from featherweight._files import write_atomically
    from featherweight.report import connectivity_picture

    return write_atomically(path, connectivity_picture(example.make(), example.in_channels, title=example.title))


def _steps(example: "Example") -> tuple["Step", ...]:
    from featherweight.blocks import structure

    return structure(example.make(), example.in_channels)


def _row(name: str, example: "Example") -> dict[str, Any]:
    from featherweight.blocks import in_words

    steps = _steps(example)
    return {
        "block": name,
        "title": example.title,
        "note": example.note,
        "in_channels": example.in_channels,
        "in_words": in_words(steps),
        "steps": [
            {
                "operation": step.operation, "module": step.module, "in_channels": step.in_channels,
                "out_channels": step.out_channels, "channels": step.channels,
                "kernel_size": list(step.kernel_size) if step.kernel_size else None, "stride": list(step.stride),
                "groups": step.groups, "reads": list(step.reads),
            }
            for step in steps
        ],
    }  # fmt: skip


def _print_all(chosen: dict[str, "Example"]) -> None:
    from rich import box
    from rich.table import Table

    from featherweight.blocks import in_words

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("block", style="bold", no_wrap=True)
    table.add_column("what it does, in order")
    for name, example in chosen.items():
        table.add_row(name, in_words(_steps(example)))
    print_table(table, "BN is batch normalisation. One in detail: featherweight blocks NAME")


def _print_steps(name: str, example: "Example") -> None:
    from rich import box
    from rich.table import Table

    title = f"{name}: {example.title}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("step", "reads", "operation", "module", "kernel", "channels", "", "groups", "stride"):
        table.add_column(heading, justify="right" if heading in ("step", "groups", "stride") else "left", no_wrap=True)
    for number, step in enumerate(_steps(example), start=1):
        geometric = step.kernel_size is not None
        table.add_row(
            str(number), " ".join("input" if read == 0 else str(read) for read in step.reads), step.operation,
            step.module, "x".join(map(str, step.kernel_size or ())), f"{step.in_channels} -> {step.out_channels}",
            step.channels if step.channels != "same" else "", str(step.groups) if geometric else "",
            "x".join(map(str, step.stride)) if geometric else "",
        )  # fmt: skip
    print_table(table, example.note)
