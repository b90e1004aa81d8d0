"""`featherweight papers`: what every paper prints, beside what is counted here, and why where they differ."""

import csv
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from ._errors import UsageError, usage
from ._output import Json, print_json, print_table, width_of_output

if TYPE_CHECKING:
    from featherweight.networks import PaperRow

WIDE = 140  # characters: on fewer, sentences beside numbers would be columns of single words
UNITS = {"params": "", "multiply_adds": "", "operations": " operations", "additions": " additions"}


def papers(
    pattern: Annotated[str, typer.Argument(help="Which networks, with * and ?, in quotes: 'mobilenet*'.")] = "*",
    *,
    family: Annotated[str | None, typer.Option(help="Only this family, such as MobileNetV3.")] = None,
    deviations: Annotated[
        bool, typer.Option("--deviations", help="Only what differs from print, each with the reason, and how many.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values, one line a row.")] = False,
    as_json: Json = False,
) -> None:
    """Set every printed number beside ours: paper, ours, difference, why.

    A printed count agrees if ours rounds to its digits. Accuracy is as published; nothing here is trained by us.

    \b
    Examples:
      featherweight papers mobilenet_v2
      featherweight papers --family ShuffleNetV2 --csv > shufflenet.csv
      featherweight papers --deviations
    """
    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of one answer: choose one")
    with usage():
        rows = find(pattern, family)
    every = len(rows)
    if deviations:
        rows = [row for row in rows if row.published.deviation]
    if as_csv:
        write_csv([row.to_dict() for row in rows], sys.stdout)
    elif as_json:
        print_json({"rows": [row.to_dict() for row in rows]})
    elif deviations:
        _print_deviations(rows, every)
    elif rows:
        _print(rows)
    else:
        print("no printed row passes these filters")


def find(pattern: str, family: str | None) -> "list[PaperRow]":
    """Return the printed rows on the networks that fit, in the order of the networks' names.

    Raises: ValueError: no such family; a pattern without wildcards that is no network's name.
    """
    from featherweight import networks
    from featherweight.networks import network

    if not set("*?[") & set(pattern):
        network(pattern)
    names = networks.list_networks(pattern, family=family)
    return [row for row in networks.papers() if row.variant.name in names]


def write_csv(rows: list[dict[str, Any]], file: TextIO) -> None:
    """Write rows under the names of their values, options as JSON."""
    writer = csv.writer(file, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow(json.dumps(value) if isinstance(value, dict) else value for value in row.values())


def _print(rows: "list[PaperRow]") -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    headings = ["network", "parameters", "ours", "multiply-adds", "ours", "top-1", "source", "why it differs"]
    narrow = width_of_output() < WIDE
    for heading in headings[:6] if narrow else headings:
        right = heading in ("parameters", "ours", "multiply-adds", "top-1")
        table.add_column(heading, justify="right" if right else "left", no_wrap=right or heading == "network")
    for row in rows:
        params, cost = cells(row, ("params",)), cells(row, ("multiply_adds", "operations", "additions"))
        words = [] if narrow else [row.published.source, row.published.deviation]
        table.add_row(str(row.variant), *params, *cost, _accuracy(row), *words)
    agree = sum(figure.agrees for row in rows for figure in row.figures)
    notes = [f"{agree} of {sum(len(row.figures) for row in rows)} printed counts agree with ours."]
    if narrow:
        notes.append("Sources, and why counts differ, are shown on a wider terminal, and by --deviations.")
    print_table(table, *notes)


def cells(row: "PaperRow", what: tuple[str, ...]) -> tuple[str, str]:
    """Write the printed and the counted number of the first of these counts that the row prints."""
    from featherweight._units import format_count

    for figure in row.figures:
        if figure.what in what:
            apart = "" if figure.agrees else f" ({figure.difference:+.1%})"
            return figure.printed + UNITS[figure.what], format_count(figure.counted, digits=4) + apart
    return "", ""


def _accuracy(row: "PaperRow") -> str:
    top1, dataset = row.published.top1, row.published.dataset
    return "" if top1 is None else f"{top1} %" + ("" if dataset == "ImageNet" else f" {dataset}")


def _print_deviations(rows: "list[PaperRow]", every: int) -> None:
    for row in rows:
        apart = ", ".join(
            f"{figure.what} {figure.printed} printed, {figure.counted:,} counted ({figure.difference:+.1%})"
            for figure in row.figures
            if not figure.agrees
        )
        print(f"{row.variant}, {row.published.source}\n  {apart}\n  {row.published.deviation}")
    print(f"{len(rows)} of {every} printed rows deviate")
