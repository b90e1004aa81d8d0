"""`featherweight fit`: from pictures to a small, fast, proven model file."""

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._errors import UsageError
from ._options import Data
from ._output import Json, messages_to_stderr, print_json, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from featherweight._fit import FitResult

NOT_MET, INTERRUPTED = 3, 130  # exit codes


def fit(
    data: Data = "digits",
    *,
    max_latency: Annotated[
        str, typer.Option(help="Of one picture here: 2ms. auto: 0.3ms for digits, none for others.")
    ] = "auto",
    max_size: Annotated[str, typer.Option(help="Of the model file: 300kB; 'none' for no limit.")] = "300kB",
    max_memory: Annotated[
        str, typer.Option(help="Of the activations alive at once: 1MB; 'none' for no limit.")
    ] = "none",
    min_accuracy: Annotated[str, typer.Option(help="On the test pictures: 97%; 'none' for no limit.")] = "none",
    max_int8_loss: Annotated[
        str, typer.Option(help="Accuracy that the int8 file may lose against float and still ship.")
    ] = "0.5%",
    time_: Annotated[str, typer.Option("--time", help="For everything: 90s, 10min, 1h30m.")] = "90s",
    rescue: Annotated[
        str,
        typer.Option(
            help="If the budget is missed, so much longer, to prune, lower bits, train on, distil: 60s; 'none' not at "
            "all. auto: half of --time."
        ),
    ] = "auto",
    networks: Annotated[
        str,
        typer.Option(
            help="Names or families to choose from, with * and commas: 'mobilenet*,ghostnet'. "
            "auto: those that do best on small devices; '*': all, which takes longer to count."
        ),
    ] = "auto",
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("featherweight-fit"),
    seed: Annotated[int, typer.Option(help="Of the split, the weights and the order of the pictures.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="On which latency is measured.")] = 1,
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Mirror training pictures. Default: where it keeps them in their class."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Repeat the run that wrote this recipe.json: same split, network and weights.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on the way.")] = False,
    json: Json = False,
) -> None:
    """Find, train, compress, export and prove the best small network for your pictures within a budget.

    Counts every network x width x resolution and measures a few; lets those compete under equal training time; trains
    the winner for the rest; writes model.onnx and model-int8.onnx, proves on every test picture that they agree with
    PyTorch, says which one ships and why, and writes report.html. If the budget is missed, or no network is within it,
    it tries what may help for another --rescue: fewer channels, fewer bits, more training, a teacher; and says what
    each of these bought.

    \b
    Examples:
      featherweight fit                                  the built-in digits, 90 s
      featherweight fit pictures/ --max-size 300kB --max-latency 2ms --time 10min
      featherweight fit pictures/ --networks 'mobilenet*' --min-accuracy 97%
      featherweight fit pictures/ --resume               after Ctrl-C

    \b
    Exit codes: 0 the budget is met, 3 it is not, 1 failed, 2 wrong usage, 130 interrupted (see --resume).
    """
    started = time.monotonic()
    with messages_to_stderr():
        from featherweight._fit import FitInterrupted, NothingFitsError, SettingsError
        from featherweight._fit import fit as run

        def tell(line: str) -> None:
            print(f"[{time.monotonic() - started:5.1f} s] {line}", file=sys.stderr, flush=True)

        try:
            result = run(
                data, max_latency=max_latency, max_size=max_size, max_memory=max_memory, min_accuracy=min_accuracy,
                max_int8_loss=max_int8_loss, time=time_, rescue=rescue, networks=networks, out=out, seed=seed,
                threads=threads, flip=flip, recipe=recipe, resume=resume, overwrite=overwrite,
                progress=not quiet and sys.stderr.isatty(), tell=None if quiet else tell, started=started,
            )  # fmt: skip
        except SettingsError as error:
            raise UsageError(str(error)) from error
        except FitInterrupted as interrupt:
            print(f"featherweight: {interrupt}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from interrupt
        except NothingFitsError as error:
            print(f"featherweight: {error}", file=sys.stderr)
            raise typer.Exit(NOT_MET) from error
    if json:
        print_json(result.metrics)
    else:
        _print(result)
    raise typer.Exit(0 if result.met else NOT_MET)


def _bought(result: "FitResult", formats: "dict[str, Callable[[float], str]]") -> "Iterator[Table]":
    """Say what was tried when the budget was missed, and what each of it bought."""
    from rich.table import Table

    if not result.metrics["rescue"]:
        return
    table = Table()
    for column in ("the budget was missed", *formats, "kept"):
        table.add_column(column, justify="left" if column in {"the budget was missed", "kept"} else "right")
    first = result.metrics["rescue"][0]["before"]
    table.add_row("before", *(text(first[name]) for name, text in formats.items()), "")
    for row in result.metrics["rescue"]:
        after = row["after"]
        figures = ["" if after is None else text(after[name]) for name, text in formats.items()]
        table.add_row(f"{row['name']}: {row['did']}", *figures, "yes" if row["kept"] else "no")
    yield table


def _print(result: "FitResult") -> None:
    from rich.table import Table
    from rich.text import Text

    from featherweight._units import format_bytes, format_percent, format_seconds

    units: dict[str, Callable[[float], str]] = {
        "fraction": format_percent,
        "bytes": format_bytes,
        "seconds": format_seconds,
    }
    verdict = result.metrics["verdict"]
    formats = {row["name"]: units[row["unit"]] for row in verdict["rows"]}
    table = Table()
    for column in ("", "budget", "achieved", "met"):
        table.add_column(column, justify="left" if column in ("", "met") else "right")
    for row in verdict["rows"]:
        text = formats[row["name"]]
        budget = "-" if row["budget"] is None else text(row["budget"])
        met = {None: Text("-"), True: Text("yes", "green"), False: Text("no", "bold red")}[row["met"]]
        table.add_row(row["name"], budget, text(row["achieved"]), met)
    print_table(
        *_bought(result, formats),
        f"{result.file}: {'the budget is met' if verdict['met'] else 'the budget is NOT met'}",
        table,
        verdict["reason"],
        f"Report: {result.folder / 'report.html'}",
        f"Use it: featherweight predict {shlex.quote(str(result.file))} PICTURE...",
    )
