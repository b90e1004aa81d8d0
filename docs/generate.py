"""Write the pages of docs/ that are read from the code: `python docs/generate.py`; a test holds them to it."""

import ast
import importlib
import inspect
import io
import json
import re
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from family_pages import every_row, families, family_page, markdown_table, rows_of, slug
from matrix_page import matrix_page
from theory_page import picture, theory_chart, theory_page
from zoo_page import PICTURE, zoo_chart, zoo_page

from featherweight._files import write_atomically
from featherweight._units import format_count
from featherweight.blocks import GALLERY, Example, in_words, structure
from featherweight.cli import app
from featherweight.cli.papers import write_csv
from featherweight.networks import Network, counts, history
from featherweight.report import connectivity_picture, write_history

HERE = Path(__file__).resolve().parent
ZOO = HERE / "digits_zoo.json"  # written by recipes/digits_zoo.py
LATENCY = HERE / "latency_zoo.json"  # written by benchmarks/latency_prediction.py
MATRIX = HERE / "export_matrix.json"  # written by benchmarks/export_matrix.py
PHONES = HERE / "phone_runtimes.json"  # written by benchmarks/phone_runtimes.py
NOTE = "<!-- Written by docs/generate.py from the code; do not edit. -->\n"
PUBLIC = ("featherweight", *(f"featherweight.{name}" for name in (
    "networks", "blocks", "ops", "cost", "bench", "predictor", "data", "train", "compress", "export", "search",
    "report",
)))  # fmt: skip


def pages() -> dict[str, str]:
    """Return every generated page: its file name and its text."""
    written = {"networks.md": networks_page(), "blocks.md": blocks_page(), "cli.md": cli_page(), "api.md": api_page()}
    written |= {f"families/{slug(family)}.md": family_page(family, members) for family, members in families().items()}
    if ZOO.exists():
        written["digits_zoo.md"] = zoo_page(json.loads(ZOO.read_text(encoding="utf-8")))
    if LATENCY.exists():
        written["theory.md"] = theory_page(json.loads(LATENCY.read_text(encoding="utf-8")))
    if MATRIX.exists():
        phones = json.loads(PHONES.read_text(encoding="utf-8")) if PHONES.exists() else None
        written["export_matrix.md"] = matrix_page(json.loads(MATRIX.read_text(encoding="utf-8")), phones)
    return {name: f"{text.rstrip()}\n\n{NOTE}" for name, text in written.items()}


def other_files() -> dict[str, str]:
    """Return every other generated file: pictures and tables."""
    pictures = {f"images/blocks/{slug(name)}.svg": block_picture(example) for name, example in GALLERY.items()}
    if ZOO.exists():
        pictures[PICTURE] = zoo_chart(json.loads(ZOO.read_text(encoding="utf-8")))
    if LATENCY.exists():
        record = json.loads(LATENCY.read_text(encoding="utf-8"))
        pictures |= {picture(runtime): theory_chart(record, runtime) for runtime in record["runtimes"]}
    return {**pictures, "images/history.svg": history_picture(), "papers.csv": papers_csv()}


def networks_page() -> str:
    """Every family in a row, oldest first, with the picture of who builds on whom."""
    head = ("year", "family", "networks", "parameters", "multiply-adds", "printed counts", "of which agree")
    rows = [overview_row(family, members) for family, members in families().items()]
    parts = [
        "# Networks",
        "![Which family builds on which](images/history.svg)",
        "Oldest first. Parameters (batch norm's too) and multiply-adds (one for each multiplication with its addition, "
        "of convolutions and fully connected layers) are counted by this code, from the smallest default network of a "
        "family to the largest. The page of a family has what its sources print beside what is counted here, and why "
        "where they differ; [papers.csv](papers.csv) has all of it in one table.",
        markdown_table(head, rows),
    ]
    return "\n\n".join(parts)


def overview_row(family: str, members: Sequence[Network]) -> list[str]:
    """A family's line in the overview."""
    found = [counts(entry.name) for entry in members]
    figures = [figure for entry in members for row in rows_of(entry.name) for figure in row.figures]
    years = sorted({entry.year for entry in members})
    return [
        "-".join(map(str, dict.fromkeys((years[0], years[-1])))),
        f"[{family}](families/{slug(family)}.md)",
        ", ".join(f"`{entry.name}`" for entry in members),
        between(one.params for one in found),
        between(one.multiply_adds for one in found),
        str(len(figures)),
        str(sum(figure.agrees for figure in figures)),
    ]


def between(numbers: Iterable[int]) -> str:
    """The least and the largest of counts."""
    least, *_, largest = sorted(numbers) * 2
    return " to ".join(dict.fromkeys((format_count(least), format_count(largest))))


def blocks_page() -> str:
    """The table of what each block does in order, and each block's picture."""
    steps = {name: structure(example.make(), example.in_channels) for name, example in GALLERY.items()}
    table = markdown_table(
        ("block", "what it does, in order"), [[f"`{name}`", in_words(steps[name])] for name in steps]
    )
    parts = [
        "# Blocks",
        "Read from the modules: each is a small example, run once. Up and down say whether there are more or fewer "
        "channels behind a step; `|` goes on with the result, `//` begins a branch beside it; BN is batch norm.",
        table,
        "## What reaches what",
        "On the left each step has a row of channels, from the input above to the output below, joined to those that "
        "they are made from; in the middle what comes of it from input to output, and on the right the pixels that the "
        "centre of the output sees, both from the block's own Jacobian.",
    ]
    for name, example in GALLERY.items():
        picture = f"![{example.title}](images/blocks/{slug(name)}.svg)"
        parts.append(f"### {name}\n\n{example.title}. {example.note}\n\n{picture}")
    return "\n\n".join(parts)


def block_picture(example: Example) -> str:
    """What reaches what in a block, as SVG."""
    return connectivity_picture(example.make(), example.in_channels, title=example.title)


def history_picture() -> str:
    """Who builds on whom, as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        return write_history(history(), Path(folder) / "history.svg").read_text(encoding="utf-8")


def papers_csv() -> str:
    """Every printed row beside our counts, as comma-separated values."""
    text = io.StringIO()
    write_csv([row.to_dict() for row in every_row()], text)
    return text.getvalue()


def cli_page() -> str:
    """Every command: what it does, examples, arguments and options."""
    group = typer.main.get_command(app)
    parts = ["# The command line", command_text(group.help or "")]
    for name, command in sorted(group.commands.items()):  # type: ignore[attr-defined]
        parts += [f"## `featherweight {name}`", command_text(command.help or ""), parameters_table(command)]
    return "\n\n".join(parts)


def command_text(help_text: str) -> str:
    """A command's help as Markdown: a paragraph that keeps its lines becomes a block of code under its title."""
    parts = []
    for paragraph in inspect.cleandoc(help_text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            title, _, lines = paragraph[2:].partition("\n")
            parts.append(f"{title}\n\n```text\n{textwrap.dedent(lines)}\n```" if lines else title)
        else:
            parts.append(paragraph)
    return "\n\n".join(parts)


def parameters_table(command: Any) -> str:
    """A command's arguments and options as a Markdown table."""
    return markdown_table(["argument or option", "meaning", "default"], map(parameter_row, command.params))


def parameter_row(parameter: Any) -> list[str]:
    """One argument or option: its names, its help, its default."""
    argument = parameter.param_type_name == "argument"
    names = [parameter.name.upper()] if argument else [*parameter.opts, *parameter.secondary_opts]
    silent = parameter.default is None or parameter.default is False
    default = "required" if parameter.required else "" if silent else f"`{parameter.default}`"
    return [", ".join(f"`{name}`" for name in names), parameter.help or "", default]


def api_page() -> str:
    """Every public name: its signature as it is written, and its docstring."""
    parts = ["# Python interface", "Every public name. Quantities are in SI units, and the unit is in the name."]
    for package in PUBLIC:
        module = importlib.import_module(package)
        parts += [f"## `{package}`", inspect.cleandoc(module.__doc__ or "")]
        for name in module.__all__:
            parts += exported(package, name, getattr(module, name))
    return "\n\n".join(parts)


def exported(package: str, name: str, thing: Any) -> Iterator[str]:
    """A function or class with signature and docstring, where it is at home; of other things, the name."""
    yield f"### `{name}`"
    home = next((room for room in PUBLIC[1:] if getattr(thing, "__module__", "").startswith(room)), package)
    if home != package:
        yield f"See `{home}.{name}`."
    elif inspect.isfunction(thing) or inspect.isclass(thing):
        yield f"```python\n{signature(thing)}\n```"
        yield f"```text\n{inspect.getdoc(thing)}\n```"


def signature(thing: Any) -> str:
    """The lines that define a function, or a class with its fields or `__init__`, as they stand in the source."""
    lines = textwrap.dedent(inspect.getsource(thing)).splitlines()
    definition = ast.parse("\n".join(lines)).body[0]
    kept = [until_body(definition, lines)]
    if isinstance(definition, ast.ClassDef):
        inits = [node for node in definition.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
        fields = [node for node in definition.body if isinstance(node, ast.AnnAssign) and public(node)]
        kept += [until_body(init, lines) for init in inits] or [f"    {ast.unparse(field)}" for field in fields]
    return re.sub(r"  # (type: ignore|noqa).*", "", "\n".join(kept))


def until_body(definition: Any, lines: Sequence[str]) -> str:
    """The lines of a definition up to its docstring or first statement."""
    return "\n".join(lines[definition.lineno - 1 : definition.body[0].lineno - 1])


def public(field: ast.AnnAssign) -> bool:
    """Tell whether a class's field is for its users."""
    return isinstance(field.target, ast.Name) and not field.target.id.startswith("_")


def main() -> None:
    """Write every file, and remove those of networks and blocks that are no more."""
    written = {**pages(), **other_files()}
    for folder in ("families", "images/blocks"):
        (HERE / folder).mkdir(parents=True, exist_ok=True)
        for path in (HERE / folder).iterdir():
            if f"{folder}/{path.name}" not in written:
                path.unlink()
    for name, text in written.items():
        write_atomically(HERE / name, text)
    print(f"wrote {len(written)} files into {HERE}")


if __name__ == "__main__":
    main()
