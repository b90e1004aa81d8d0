"""`featherweight environment`: the environments of export targets that cannot live beside our packages."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer

from ._errors import UsageError, usage
from ._output import Json, note, print_json, print_table


class Action(StrEnum):
    """What to do."""

    LIST = "list"
    INSTALL = "install"
    REMOVE = "remove"


def environment(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.LIST,
    name: Annotated[
        str | None, typer.Argument(help="Of the environment, as list shows it.", show_default=False)
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """List, install and remove the environments of ncnn, ExecuTorch, LiteRT and the browser.

    Some targets need packages that cannot be installed beside ours or beside each other: ExecuTorch wants one version
    of PyTorch, LiteRT an older one. Each lives in a virtual environment of its own, in the folder of your cache
    ($XDG_CACHE_HOME, by default ~/.cache) or under $FEATHERWEIGHT_HOME; pip fetches it, with your settings. Exporting
    and running models talks to a process there. What a page for the browser runs on, npm fetches.

    ncnn takes about 200 MB. ExecuTorch takes some 300 MB where it may share the PyTorch beside featherweight, and
    LiteRT brings a PyTorch of its own: several gigabytes. An installation that is interrupted leaves nothing; one that
    is there already is made anew.

    \b
    Examples:
      featherweight environment list
      featherweight environment install ncnn
      FEATHERWEIGHT_HOME=/big/disk featherweight environment install litert
      featherweight environment remove litert
    """
    from featherweight.environments import ENVIRONMENTS, environment_named, install, remove

    if action is Action.LIST:
        if name is not None:
            raise UsageError(f"list takes no name; got {name!r}")
        return _list(as_json)
    if name is None:
        raise UsageError(f"{action} needs a name: {', '.join(ENVIRONMENTS)}")
    with usage():
        environment_named(name)
    if action is Action.INSTALL:
        with _progress(f"installing {name}") as show:
            install(name, progress=show)
        return print_json(_row(name)) if as_json else note(_said(_row(name)))
    freed = remove(name)
    print_json({"name": name, "freed_bytes": freed}) if as_json else note(_freed(name, freed))
    return None


def _list(as_json: bool) -> None:
    from rich.table import Table

    from featherweight._units import format_bytes
    from featherweight.environments import ENVIRONMENTS

    rows = [_row(name) for name in ENVIRONMENTS]
    if as_json:
        return print_json({"environments": rows})
    table = Table("name", "for", "state", "on disk", box=None, pad_edge=False)
    for row in rows:
        size = format_bytes(row["bytes"]) if row["bytes"] is not None else f"about {format_bytes(row['wanted_bytes'])}"
        versions = ", ".join(f"{package} {version}" for package, version in row["versions"].items())
        table.add_row(row["name"], row["for"], row["missing"] or versions, size)
    return print_table(table)


def _row(name: str) -> dict[str, Any]:
    """Return what `list` says of an environment."""
    from featherweight.environments import ENVIRONMENTS, environment_folder, missing, wanted_bytes
    from featherweight.environments._places import read_note

    folder = environment_folder(name)
    there = read_note(folder) or {}
    return {
        "name": name,
        "for": ENVIRONMENTS[name].says,
        "folder": str(folder),
        "missing": missing(name),
        "versions": there.get("versions", {}),
        "shares": there.get("shares"),
        "bytes": there.get("bytes"),
        "wanted_bytes": wanted_bytes(name),
    }


def _said(row: dict[str, Any]) -> str:
    from featherweight._units import format_bytes

    versions = ", ".join(f"{package} {version}" for package, version in row["versions"].items())
    shares = f"; shares the packages of {row['shares']}" if row["shares"] else ""
    return f"{row['name']} is ready: {versions}; {format_bytes(row['bytes'])} in {row['folder']}{shares}"


def _freed(name: str, freed: int) -> str:
    from featherweight._units import format_bytes

    return f"{name} removed: {format_bytes(freed)} freed" if freed else f"{name} was not installed"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show what is done, and for how long: on a terminal one line that changes, into a file a line each."""
    from rich.console import Console

    start = time.monotonic()
    if not sys.stderr.isatty():
        yield lambda line: note(f"{what} ({time.monotonic() - start:.0f} s): {line}")
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what)
        yield lambda line: progress.update(task, description=f"{what}: {line[:100]}")
