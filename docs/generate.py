"""Write the pages of docs/ that are read from the code: `python docs/generate.py`; a test holds them to it."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from featherweight._files import write_atomically
from featherweight._units import format_count
from featherweight.cli import app
from featherweight.networks import Network, Variant, counts, networks, variants

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/generate.py from the code; do not edit. -->\n"
PUBLIC = ("featherweight", *(f"featherweight.{name}" for name in (
    "networks", "blocks", "ops", "cost", "data", "train", "compress", "export", "search", "report",
)))  # fmt: skip


def pages() -> dict[str, str]:
    """Return every generated page: its file name and its text."""
    written = {"networks.md": networks_page(), "cli.md": cli_page(), "api.md": api_page()}
    return {name: NOTE + text.rstrip() + "\n" for name, text in written.items()}


def networks_page() -> str:
    """Every family: what its paper prints, what we count, and why where they differ."""
    parts = [
        "# Networks",
        "What the sources print, beside what this code counts: every parameter, batch norm's too, and one multiply-add "
        "for each multiplication with its addition in convolutions and fully connected layers. A printed number agrees "
        "if the count rounds to it. Accuracy is as published, on ImageNet; nothing here is trained by us.",
    ]
    for family, members in groupby(sorted(networks(), key=lambda n: (n.year, n.family, n.name)), lambda n: n.family):
        for position, network in enumerate(members):
            if position == 0:
                parts.append(f"## {family}\n\n[{network.paper}]({network.paper}), {network.year}")
            parts.append(f"### `{network.name}`\n\nOptions: {', '.join(f'`{name}`' for name in network.options)}.")
            parts.append(published_table(network))
    return "\n\n".join(parts)


def published_table(network: Network) -> str:
    """The printed rows of one network as a Markdown table."""
    head = ("options", "input", "parameters: printed", "ours", "multiply-adds: printed", "ours", "top-1", "source")
    rows = [row for variant in variants() if variant.name == network.name for row in variant_rows(variant)]
    return markdown_table([*head, "why it differs"], rows)


def variant_rows(variant: Variant) -> Iterator[list[str]]:
    """What was printed about one choice of options and resolution, beside our counts; or our counts alone."""
    counted = counts(variant)
    params, multiply_adds = f"{counted.params:,}", format_count(counted.multiply_adds, digits=4)
    options = ", ".join(f"{name}={value}" for name, value in variant.options.items()) or "default"
    chosen = [options, str(variant.resolution)]
    for row in variant.published:
        printed = row.multiply_adds or (f"{row.operations} operations" if row.operations else "")
        top1 = "" if row.top1 is None else f"{row.top1} %"
        yield [*chosen, row.params or "", params, printed, multiply_adds, top1, row.source, row.deviation or ""]
    if not variant.published:
        yield [*chosen, "", params, "", multiply_adds, "", "", ""]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


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


if __name__ == "__main__":
    for page, text in pages().items():
        print(write_atomically(HERE / page, text))
