"""One page for each family of networks, read from the registry, its docstrings and the modules themselves."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

from featherweight._units import format_count
from featherweight.blocks import GALLERY
from featherweight.networks import Network, Variant, analyze, counts, create, networks, on_meta_device, papers
from featherweight.networks._papers import PaperRow


@cache
def rows_of(name: str) -> list[PaperRow]:
    """Return a network's printed rows beside our counts."""
    return [row for row in every_row() if row.variant.name == name]


@cache
def every_row() -> list[PaperRow]:
    """Return all printed rows; to count takes a while, so once."""
    return list(papers())


@cache
def families() -> dict[str, list[Network]]:
    """Return the families in the order in which they appeared, each with its networks."""
    ordered = sorted(networks(), key=lambda entry: (entry.year, entry.family, entry.name))
    members: dict[str, list[Network]] = {}
    for entry in ordered:
        members.setdefault(entry.family, []).append(entry)
    for entries in members.values():
        entries.sort(key=lambda entry: not entry.builds_on)  # the file with the family's idea says what it builds on
    return members


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def slug(family: str) -> str:
    """Write a family's name as a file name.

    Example:
        >>> slug("Ghost-ResNet 50")
        'ghost-resnet-50'
    """
    return re.sub(r"[^a-z0-9]+", "-", family.lower()).strip("-")


def family_page(family: str, members: Sequence[Network]) -> str:
    """The idea, what it builds on, how to create, the block's picture, layers, printed numbers beside ours."""
    first = members[0]
    papers_of = sorted({(entry.year, entry.paper) for entry in members})
    links = ", ".join(f"[{paper.partition('//')[2]}]({paper}) ({year})" for year, paper in papers_of)
    parts = [f"# {family}", f"{first.idea}", f"Source: {links}."]
    parts += builds_on(members)
    parts += [f"## Create\n\n```python\n{creating(members)}\n```"]
    parts += blocks(members)
    parts += ["## Printed and counted", published_note(members)]
    for entry in members:
        parts += [f"### `{entry.name}`", purpose(entry), published_table(entry)]
    parts.append("## Layers")
    for entry in members:
        parts += [f"### `{entry.name}`, input {entry.resolution} x {entry.resolution}", layer_table(entry)]
    return "\n\n".join(parts)


def builds_on(members: Sequence[Network]) -> Iterator[str]:
    """What the family takes from others."""
    known = families()
    taken = {name: why for entry in members for name, why in entry.builds_on.items()}
    if taken:
        lines = [f"- {f'[{name}]({slug(name)}.md)' if name in known else name}: {why}" for name, why in taken.items()]
        yield "Builds on:\n\n" + "\n".join(lines)


def creating(members: Sequence[Network]) -> str:
    """Lines of Python that make each of the family's networks."""
    lines = ["import featherweight", ""]
    for entry in members:
        lines.append(f'model = featherweight.create("{entry.name}")')
    chosen = next((row.options for entry in members for row in entry.published if row.options), None)
    if chosen:
        entry = next(entry for entry in members if any(row.options == chosen for row in entry.published))
        lines.append(f'model = featherweight.create("{entry.name}", {written(chosen)})')
    return "\n".join(lines)


def written(options: Mapping[str, object]) -> str:
    """Options as they stand in a call."""
    quoted = {name: f'"{value}"' if isinstance(value, str) else repr(value) for name, value in options.items()}
    return ", ".join(f"{name}={value}" for name, value in quoted.items())


def purpose(entry: Network) -> str:
    """The network's docstring: first paragraph as text, the rest as it is written."""
    first, _, rest = inspect.getdoc(entry.build).partition("\n\n")  # type: ignore[union-attr]
    return first + (f"\n\n```text\n{rest}\n```" if rest else "")


def blocks(members: Sequence[Network]) -> Iterator[str]:
    """The pictures of the blocks that occur in the family's networks."""
    used: set[str] = set()
    for entry in members:
        with on_meta_device():
            used |= {type(module).__name__ for module in create(entry.name).modules()}
    shown = [name for name, kind in type_names().items() if kind in used and kind != "ConvNormAct"]
    if shown:
        pictures = [
            f"### {name}\n\n![What reaches what in {name}](../images/blocks/{slug(name)}.svg)" for name in shown
        ]
        yield "\n\n".join(["## Blocks", *pictures])


@cache
def type_names() -> dict[str, str]:
    """The classes of the gallery's examples."""
    return {name: type(example.make()).__name__ for name, example in GALLERY.items()}


def published_note(members: Sequence[Network]) -> str:
    """How many printed counts agree."""
    figures = [figure for entry in members for row in rows_of(entry.name) for figure in row.figures]
    agree = sum(figure.agrees for figure in figures)
    return (
        f"{agree} of {len(figures)} printed counts agree with ours: ours rounds to the printed digits. Where one does "
        "not, the last column says why. Accuracy is as published; nothing here is trained by us."
    )


def published_table(entry: Network) -> str:
    """The printed rows of one network."""
    head = ("options", "input", "parameters: printed", "ours", "multiply-adds: printed", "ours", "top-1")
    rows = [cells(row) for row in rows_of(entry.name)]
    if not any(row.variant.options == {} for row in rows_of(entry.name)):
        rows.insert(0, bare(entry))
    return markdown_table([*head, "source, and *why it differs*"], rows)


def bare(entry: Network) -> list[str]:
    """The counts of a network's defaults, where nobody printed any."""
    counted = counts(Variant(name=entry.name, options={}, resolution=entry.resolution))
    return [
        "default", str(entry.resolution), "", f"{counted.params:,}", "", count(counted.multiply_adds), "", "",
    ]  # fmt: skip


def cells(row: PaperRow) -> list[str]:
    """One printed row beside our counts."""
    variant, published, counted = row.variant, row.published, counts(row.variant)
    printed, ours = published.multiply_adds or "", count(counted.multiply_adds)
    if published.operations:
        printed, ours = f"{published.operations} operations", f"{count(2 * counted.multiply_adds)} operations"
    if published.additions:
        printed, ours = f"{published.additions} additions", f"{count(counted.additions)} additions"
    data = "" if published.dataset == "ImageNet" else f", {published.dataset}"
    top1 = "" if published.top1 is None else f"{published.top1} %{data}"
    return [
        written(variant.options) or "default", str(variant.resolution), published.params or "", f"{counted.params:,}",
        printed, ours, top1, published.source + (f"<br>*{published.deviation}*" if published.deviation else ""),
    ]  # fmt: skip


def count(number: int) -> str:
    """A large count with four digits."""
    return format_count(number, digits=4)


class Part(NamedTuple):
    """A stretch of a network: the stem, a block, the head."""

    name: str
    kind: str
    output: str
    params: int
    multiply_adds: int


def layer_table(entry: Network) -> str:
    """Stem, blocks and head with output, parameters and multiply-adds; equal blocks in a row share a line."""
    rows = []
    for _, same in groupby(layer_parts(entry), lambda part: part[1:]):
        group = list(same)
        first, last = group[0], group[-1]
        name = first.name if len(group) == 1 else f"{first.name} ... {last.name} (each)"
        rows.append([f"`{name}`", first.kind, first.output, f"{first.params:,}", count(first.multiply_adds)])
    return markdown_table(["part", "module", "output", "parameters", "multiply-adds"], rows)


def layer_parts(entry: Network) -> Iterator[Part]:
    """Sum the layers of each direct child of the network, and of each block of its body."""
    with on_meta_device():
        model = create(entry.name)
    for name, same in groupby(analyze(model).layers, lambda layer: part_of(layer.name)):
        layers = list(same)
        yield Part(
            name, type(model.get_submodule(name)).__name__, " x ".join(map(str, layers[-1].output_shape)),
            sum(layer.params for layer in layers), sum(layer.multiply_adds for layer in layers),
        )  # fmt: skip


def part_of(layer: str) -> str:
    """`body.3.expand.conv` belongs to `body.3`, `stem.conv` to `stem`."""
    words = layer.split(".")
    return ".".join(words[: 2 if words[0] == "body" else 1])
