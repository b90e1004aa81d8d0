"""`featherweight list`: which networks there are, how large, and how right their papers say they are."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._errors import usage
from ._output import Json, print_json, print_table, width_of_output

if TYPE_CHECKING:
    from featherweight.networks import Counts, Variant

COMMON_OPTIONS = ("num_classes", "in_channels", "dropout", "small_input")
WIDE = 120  # characters: on fewer, only what differs between networks is shown


def list_networks(
    pattern: Annotated[str, typer.Argument(help="Which names, with * and ?, in quotes: 'mobilenet*'.")] = "*",
    *,
    family: Annotated[str | None, typer.Option(help="Only this family, such as MobileNetV3.")] = None,
    max_params: Annotated[
        str | None, typer.Option(help="At most so many parameters, such as 3M.", metavar="COUNT")
    ] = None,
    max_multiply_adds: Annotated[
        str | None,
        typer.Option(
            help="At most so many multiply-adds (or pairs of additions) per picture, such as 300M.", metavar="COUNT"
        ),
    ] = None,
    year: Annotated[
        str | None, typer.Option(help="First published then: 2018 or 2016-2018.", metavar="YEAR[-YEAR]")
    ] = None,
    variants: Annotated[
        bool, typer.Option("--variants", help="One line for each printed choice of options and resolution.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the networks: what each costs, and its published accuracy.

    Parameters and multiply-adds are our counts; top-1 is the accuracy that the paper or its authors print, on ImageNet
    where no other data set is named.

    \b
    Examples:
      featherweight list
      featherweight list 'mobilenet*' --max-params 3M --max-multiply-adds 100M --variants
      featherweight list --year 2016-2017 --json
    """
    from featherweight._units import parse_count

    with usage():
        rows = find(
            pattern, family=family, years=parse_years(year) if year else None, every_variant=variants,
            max_params=parse_count(max_params) if max_params else None,
            max_multiply_adds=parse_count(max_multiply_adds) if max_multiply_adds else None,
        )  # fmt: skip
    if as_json:
        print_json({"networks": rows})
    elif rows:
        _print(rows, every_variant=variants)
    else:
        print("no network passes these filters")


def parse_years(text: str) -> tuple[int, int]:
    """Read `2018` or `2016-2018` as the first and the last year.

    Raises: ValueError: neither of them.

    Example:
        >>> parse_years("2018"), parse_years("2016-2018")
        ((2018, 2018), (2016, 2018))
    """
    match = re.fullmatch(r"(\d{4})(?:-(\d{4}))?", text)
    if not match:
        raise ValueError(f"not a year: {text!r}; understood: 2018 or 2016-2018")
    return int(match[1]), int(match[2] or match[1])


def find(
    pattern: str, *, family: str | None, years: tuple[int, int] | None, every_variant: bool, max_params: int | None,
    max_multiply_adds: int | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the networks, or all their printed variants, that pass the filters.

    Raises: ValueError: no such family; a pattern without wildcards that is no network's name.
    """
    from featherweight import networks
    from featherweight.networks import counts, network, variants

    if not set("*?[") & set(pattern):
        network(pattern)
    names = networks.list_networks(pattern, family=family, year=years)
    rows = []
    for variant in sorted(variants(), key=lambda v: v.name):
        if variant.name not in names or not (every_variant or _is_default(variant)):
            continue
        counted = counts(variant)
        within = (max_params is None or counted.params <= max_params) and (
            max_multiply_adds is None or counted.terms <= max_multiply_adds
        )
        if within:
            rows.append(_row(variant, counted))
    return rows


def _is_default(variant: "Variant") -> bool:
    from featherweight.networks import network

    return not variant.options and variant.resolution == network(variant.name).resolution


def _row(variant: "Variant", counted: "Counts") -> dict[str, Any]:
    from featherweight.networks import network, of_another_network

    entry = network(variant.name)
    best = next((row for row in variant.published if row.top1 is not None), None)
    return {
        "network": variant.name,
        "family": entry.family,
        "year": entry.year,
        "paper": entry.paper,
        "options": dict(variant.options),
        "resolution": variant.resolution,
        "params": counted.params,
        "multiply_adds": counted.multiply_adds,
        "additions": counted.additions,
        "top1_percent": best.top1 if best else None,
        "top1_dataset": best.dataset if best else None,
        "top1_of_other_counts": bool(best and of_another_network(best, counted)),
        "takes": list(entry.options),
    }


def _print(rows: list[dict[str, Any]], *, every_variant: bool) -> None:
    from rich import box
    from rich.table import Table

    from featherweight._units import format_count

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    narrow = width_of_output() < WIDE
    table.add_column("network", style="bold", no_wrap=True)
    if not narrow:
        table.add_column("family", no_wrap=True)
        table.add_column("year")
    for heading in ("parameters", "multiply-adds", "input", "top-1"):
        table.add_column(heading, justify="right", no_wrap=True)
    if every_variant or not narrow:
        table.add_column("options")
    for row in rows:
        own = [option for option in row["takes"] if option not in COMMON_OPTIONS]
        chosen = [f"{name}={value}" for name, value in row["options"].items()]
        options = [" ".join(chosen)] if every_variant else [] if narrow else [", ".join(own)]
        table.add_row(
            row["network"], *([] if narrow else [row["family"], str(row["year"])]), format_count(row["params"]),
            _operations(row), f"{row['resolution']} px", _accuracy(row), *options,
        )  # fmt: skip
    notes = [f"All take {', '.join(COMMON_OPTIONS)}. One in detail: featherweight cost NAME"]
    if any(row["top1_of_other_counts"] for row in rows):
        notes.append("(top-1): of a network whose printed counts are not ours; why: featherweight papers NAME")
    print_table(table, "\n".join(notes))


def _operations(row: dict[str, Any]) -> str:
    from featherweight._units import format_count

    multiply_adds = format_count(row["multiply_adds"])
    return f"{multiply_adds} + {format_count(row['additions'])} additions" if row["additions"] else multiply_adds


def _accuracy(row: dict[str, Any]) -> str:
    if row["top1_percent"] is None:
        return ""
    text = f"{row['top1_percent']} %" + ("" if row["top1_dataset"] == "ImageNet" else f" {row['top1_dataset']}")
    return f"({text})" if row["top1_of_other_counts"] else text
