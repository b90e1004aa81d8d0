"""Results go to standard output, as a table or as JSON; everything else goes to standard error."""

import json
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
    """Print rich tables and text; into a file or a pipe, as wide as they need, not as the terminal is.

    Brackets are no markup: a folder may be called `[old]`.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    console = Console(width=width, markup=False, emoji=False)
    console.print(*renderables, sep="\n", highlight=False)


@contextmanager
def messages_to_stderr() -> Iterator[None]:
    """Send what libraries print meanwhile to standard error, so that standard output has the result only."""
    with redirect_stdout(sys.stderr):
        yield


def note(line: str) -> None:
    """Say something on the way, on standard error."""
    print(line, file=sys.stderr, flush=True)
