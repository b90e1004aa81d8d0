"""`featherweight history`: which family of networks builds on which, year by year."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._errors import UsageError
from ._output import Json, note, print_json, print_table

if TYPE_CHECKING:
    from featherweight.networks import Family, History


def history(
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.svg|FILE.html", help="Draw it: a picture, or a page with the picture.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show who builds on whom: the families by year, and what each takes from earlier ones.

    \b
    Examples:
      featherweight history
      featherweight history --out history.html
      featherweight history --json
    """
    if out is not None and out.suffix not in (".svg", ".html"):
        raise UsageError(f"--out is a picture, FILE.svg, or a page, FILE.html; got {str(out)!r}")
    from featherweight.networks import history as read

    found = read()
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    if out is not None:
        from featherweight.report import write_history

        note(f"wrote {write_history(found, out)}")


def _print(found: "History") -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("year")
    table.add_column("family", style="bold", no_wrap=True)
    table.add_column("builds on", no_wrap=True)
    table.add_column("and takes from it")
    year = 0
    for family in found.families:
        first = (str(family.year) if family.year != year else "", _written(family))
        for position, edge in enumerate(family.builds_on.items() or [("", "")]):
            table.add_row(*(first if position == 0 else ("", "")), *edge)
        year = family.year
    print_table(table, "In brackets: ancestors, which are not in this library. *: plain networks, to compare with.")


def _written(family: "Family") -> str:
    return f"({family.name})" if family.ancestor else f"{family.name} *" if family.reference else family.name
