"""Write the pages of docs/ that are read from the code: `python docs/generate.py`; a test holds them to it."""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import typer

from featherweight._files import write_atomically
from featherweight._units import format_count
from featherweight.cli import app
from featherweight.networks import Network, Published, counts, networks

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/generate.py from the code; do not edit. -->\n"
PUBLIC = ("featherweight", *(f"featherweight.{name}" for name in (
    "networks", "blocks", "cost", "data", "train", "compress", "export", "search", "report",
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
    if not network.published:
        return "Nothing printed that could be compared."
    head = (
        "| options | input | parameters: printed | ours | multiply-adds: printed | ours | top-1 | source | difference |"
    )
    return "\n".join([head, "|---" * 9 + "|", *(published_row(network, row) for row in network.published)])


def published_row(network: Network, row: Published) -> str:
    """One printed row beside our counts."""
    counted = counts(network.name, resolution=row.resolution, **row.options)
    options = ", ".join(f"{name}={value}" for name, value in row.options.items()) or "default"
    printed = row.multiply_adds or (f"{row.operations} operations" if row.operations else "")
    cells = (
        options, str(row.resolution),
        row.params or "", format_count(counted.params, digits=4),
        printed, format_count(counted.multiply_adds, digits=4),
        f"{row.top1} %" if row.top1 is not None else "", row.source, row.deviation or "",
    )  # fmt: skip
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


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
            parts.append(f"{title}\n\n```text\n{textwrap.dedent(lines)}\n```")
        else:
            parts.append(paragraph)
    return "\n\n".join(parts)


def parameters_table(command: object) -> str:
    """A command's arguments and options as a Markdown table."""
    rows = ["| argument or option | meaning | default |", "|---|---|---|"]
    for parameter in command.params:  # type: ignore[attr-defined]
        argument = parameter.param_type_name == "argument"
        names = parameter.name.upper() if argument else "`, `".join((*parameter.opts, *parameter.secondary_opts))
        default = "" if parameter.default in (None, False, ()) else f"`{parameter.default}`"
        rows.append(f"| `{names}` | {parameter.help or ''} | {'required' if parameter.required else default} |")
    return "\n".join(rows)


def api_page() -> str:
    """Every public name: its signature as it is written, and its docstring."""
    parts = ["# Python interface", "Every public name. Quantities are in SI units, and the unit is in the name."]
    for package in PUBLIC:
        module = importlib.import_module(package)
        parts += [f"## `{package}`", inspect.cleandoc(module.__doc__ or "")]
        for name in module.__all__:
            parts += exported(name, getattr(module, name))
    return "\n\n".join(parts)


def exported(name: str, thing: object) -> Iterator[str]:
    """A function or class with signature and docstring; of other things, the name."""
    yield f"### `{name}`"
    if inspect.isfunction(thing) or inspect.isclass(thing):
        yield f"```python\n{signature(thing)}\n```"
        yield f"```text\n{inspect.getdoc(thing)}\n```"


def signature(thing: object) -> str:
    """The line that defines a function or class, as it stands in the source: defaults keep their names."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]  # type: ignore[arg-type]
    definition.decorator_list = []  # type: ignore[attr-defined]
    if isinstance(definition, ast.ClassDef):
        init = next((d for d in definition.body if isinstance(d, ast.FunctionDef) and d.name == "__init__"), None)
        fields = [ast.unparse(d) for d in definition.body if isinstance(d, ast.AnnAssign)]
        bases = f"({', '.join(map(ast.unparse, definition.bases))})" if definition.bases else ""
        inside = f"def __init__({ast.unparse(init.args)})" if init else "\n    ".join(fields)
        return f"class {definition.name}{bases}" + (f":\n    {inside}" if inside else "")
    definition.body = []  # type: ignore[attr-defined]
    return ast.unparse(definition).rstrip(":\n ")


if __name__ == "__main__":
    for page, text in pages().items():
        print(write_atomically(HERE / page, text))
