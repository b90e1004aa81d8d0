"""The page on which network works in which target, from what benchmarks/export_matrix.py found."""

from typing import Any

from family_pages import markdown_table

from featherweight._units import format_bytes, format_percent
from featherweight.export import TARGETS
from featherweight.networks import networks


def matrix_page(record: dict[str, Any]) -> str:
    """Networks by targets: the largest difference of a logit where all agrees, else the reason below."""
    found, machine = record["networks"], record["machine"]
    columns = list(dict.fromkeys(cell for one in found.values() for cell in one))
    cells = [one[column] for one in found.values() for column in columns if column in one]
    green = sum(cell["error"] is None for cell in cells)
    rows = [[f"`{name}`", *(shown(found[name].get(column)) for column in columns)] for name in sorted(found)]
    total = ["all", *(share(column, found) for column in columns)]
    reasons = [
        f"- `{name}`, {column}: {one[column]['error']}"
        for name, one in sorted(found.items())
        for column in columns
        if one.get(column, {}).get("error")
    ]
    left = [f"`{entry.name}`" for entry in networks() if entry.name not in found]
    parts = [
        "# Which network works in which target",
        "Each network with its default options, fresh weights, and batch norms and a last layer by which its logits "
        f"depend on the picture, on {machine['inputs']} pictures of noise, as small as it takes them. Shown is the "
        "largest difference of a logit from PyTorch's, as a share of the largest logit; the best class is the same on "
        "every picture. Allowed are " + tolerances(columns) + f". {green} of {len(cells)} cells agree, "
        f"{format_percent(green / len(cells), decimals=1)}. int8 is measured on trained networks, by "
        "`featherweight export`.",
        markdown_table(("network", *columns), [total, *rows]),
        *(["## What does not work", "\n".join(reasons)] if reasons else []),
        *([f"Not run yet: {', '.join(left)}."] if left else []),
        f"Run by `python benchmarks/export_matrix.py` on {machine['date']}: {machine['processor']}, torch "
        f"{machine['torch']}, featherweight {machine['featherweight']}.",
    ]
    return "\n\n".join(parts)


def shown(cell: dict[str, Any] | None) -> str:
    """A cell: difference and size, or that something is wrong."""
    if cell is None:
        return ""
    return "**no**" if cell["error"] else f"{cell['difference']:.0e}, {format_bytes(cell['bytes'])}"


def share(column: str, found: dict[str, Any]) -> str:
    """How many networks agree in a target, and the largest difference among them."""
    cells = [one[column] for one in found.values() if column in one]
    good = [cell["difference"] for cell in cells if cell["error"] is None]
    return f"{len(good)} of {len(cells)}" + (f"; at most {max(good):.0e}" if good else "")


def tolerances(columns: list[str]) -> str:
    """What may be off, by precision."""
    allowed: dict[str, set[float | None]] = {}
    for column in columns:
        name, precision = column.split()
        if name in TARGETS:
            allowed.setdefault(precision, set()).add(TARGETS[name].form(precision).tolerance)
    return " and ".join(f"{' or '.join(map(str, sorted(of)))} in {precision}" for precision, of in allowed.items())
