"""Results go to standard output, as a table or as JSON; everything else goes to standard error."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document, quantities in SI units, in place of the table.")
]


def print_json(result: Mapping[str, object]) -> None:
    """Print the result as one JSON document."""
    print(json.dumps(result, indent=2, allow_nan=False))


def print_table(*renderables: object) -> None:
    """Print rich tables and text, into a file or a pipe as wide as they need; on a terminal nothing is cut off.

    Brackets are no markup: a folder may be called `[old]`.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    console = Console(width=width_of_output(), markup=False, emoji=False)
    for table in renderables:
        if isinstance(table, Table):
            for column in table.columns:
                if column.no_wrap:
                    column.min_width = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
            least = Measurement.get(console, console.options.update(max_width=1000), table).minimum
            console.width = max(console.width, least)
    console.print(*renderables, sep="\n", highlight=False)


def width_of_output() -> int:
    """Return how many characters fit on a line: those of the terminal, or, into a file or a pipe, 200."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 200


@contextmanager
def messages_to_stderr() -> Iterator[None]:
    """Send what libraries print meanwhile to standard error, so that standard output has the result only."""
    with redirect_stdout(sys.stderr):
        yield


def note(line: str) -> None:
    """Say something on the way, on standard error."""
    print(line, file=sys.stderr, flush=True)
