"""The command `featherweight`: one short file per command; what a command computes is imported when it runs."""

import inspect
import sys
from collections.abc import Callable

import typer

from featherweight._threads import wait_politely

from . import (
    advise,
    bench,
    blocks,
    calibrate,
    cost,
    environment,
    explore,
    export,
    fit,
    history,
    info,
    latency,
    list_networks,
    pack,
    papers,
    predict,
    prune,
    quantize,
    replace,
    roofline,
    ship,
    train,
    unpack,
)
from ._errors import UsageError, expected

__all__ = ["app", "main"]

HELP = """Lightweight convolutional networks: what each really costs, and from pictures to a proven model file.

Start with `featherweight fit`, which does the whole way; the other commands are its steps, one at a time.

\b
Examples:
  featherweight fit pictures/ --max-size 300kB --max-latency 2ms
  featherweight predict featherweight-fit/model-int8.onnx picture.jpg
  featherweight list 'mobilenet*' --max-params 3M
  featherweight cost mobilenet_v2 -o width=0.5
  featherweight bench mobilenet_v2
  featherweight papers mobilenet_v2
  featherweight explore --out explore.html

\b
Exit codes:
  0    done
  1    failed; one line on standard error says why
  2    wrong usage: an unknown command, option, network or value
  3    done, but the budget or a bound is not met (fit, prune, ship)
  130  interrupted
"""


def flowing(help_text: str | None) -> str:
    r"""Let each paragraph of a help text flow to the terminal's width; those that begin with \b keep their lines.

    Example:
        >>> flowing("One\nparagraph.\n\n\b\nExamples:\n  one\n  two")
        'One paragraph.\n\n\x08\nExamples:\n  one\n  two'
    """
    paragraphs = inspect.cleandoc(help_text or "").split("\n\n")
    return "\n\n".join(text if text.startswith("\b") else " ".join(text.split("\n")) for text in paragraphs)


app = typer.Typer(
    name="featherweight", help=flowing(HELP), no_args_is_help=True, rich_markup_mode="rich",
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
COMMANDS: dict[str, Callable[..., None]] = {
    "fit": fit.fit,
    "list": list_networks.list_networks,
    "cost": cost.cost,
    "explore": explore.explore,
    "bench": bench.bench,
    "calibrate": calibrate.calibrate,
    "latency": latency.latency,
    "roofline": roofline.roofline,
    "advise": advise.advise,
    "papers": papers.papers,
    "replace": replace.replace,
    "blocks": blocks.blocks,
    "history": history.history,
    "train": train.train,
    "export": export.export,
    "ship": ship.ship,
    "prune": prune.prune,
    "environment": environment.environment,
    "quantize": quantize.quantize,
    "pack": pack.pack,
    "unpack": unpack.unpack,
    "predict": predict.predict,
    "info": info.info,
}
for _name, _function in COMMANDS.items():
    app.command(_name, help=flowing(_function.__doc__))(_function)


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if show:
        from featherweight import __version__

        print(__version__)
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    An error that names what the user can mend is one line on standard error; any other keeps its traceback, because
    it is a defect of ours.

    Args:
        arguments: the words after the program's name; default: those of this process.
    Raises: SystemExit: always, with one of the exit codes that `featherweight --help` lists.
    """
    wait_politely()
    try:
        app(arguments, prog_name="featherweight")
    except SystemExit as ended:
        if _unsaid(ended):
            print("featherweight: interrupted", file=sys.stderr)
        raise
    except UsageError as error:
        _fail(error, code=2)
    except Exception as error:
        if not expected(error):
            raise
        _fail(error, code=1)


def _unsaid(ended: SystemExit) -> bool:
    """Tell whether a Ctrl-C ended the command without a word of its own."""
    before = ended.__context__
    return ended.code == 130 and before is not None and type(before.__cause__) is KeyboardInterrupt


def _fail(error: Exception, *, code: int) -> None:
    print(f"featherweight: {error}", file=sys.stderr)
    raise SystemExit(code)
