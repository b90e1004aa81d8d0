"""The page on which network works in which target, from what two programs in benchmarks found."""

from typing import Any

from family_pages import markdown_table

from featherweight._units import format_bytes, format_percent
from featherweight.export import TARGETS
from featherweight.networks import networks


def matrix_page(record: dict[str, Any], phones: dict[str, Any] | None = None) -> str:
    """Networks by targets: the largest difference of a logit where all agrees, else the reason below.

    Args:
        record: of benchmarks/export_matrix.py.
        phones: of benchmarks/phone_runtimes.py.
    """
    found, machine = record["networks"], record["machine"]
    columns = list(dict.fromkeys(cell for one in found.values() for cell in one))
    cells = [one[column] for one in found.values() for column in columns if column in one]
    green = sum(cell["error"] is None for cell in cells)
    rows = [[f"`{name}`", *(shown(found[name].get(column)) for column in columns)] for name in sorted(found)]
    total = ["all", *(share(column, found) for column in columns)]
    left = [f"`{entry.name}`" for entry in networks() if entry.name not in found]
    parts = [
        "# Which network works in which target",
        "Each network with its default options, fresh weights, and batch norms and a last layer by which its logits "
        f"depend on the picture, on {machine['inputs']} pictures of noise, as small as it takes them. Shown is the "
        "largest difference of a logit from PyTorch's, as a share of the largest logit; the best class is the same on "
        "every picture. Allowed are " + tolerances(columns) + f". {green} of {len(cells)} cells agree, "
        f"{format_percent(green / len(cells), decimals=1)}. A folder for the web holds the runtime, and the model "
        "twice, for the page and as a file. int8 is measured on trained networks, by `featherweight export`.",
        markdown_table(("network", *columns), [total, *rows]),
        *reasons(columns, found),
        *([f"Not run yet: {', '.join(left)}."] if left else []),
        f"Run by `python benchmarks/export_matrix.py` on {machine['date']}: {machine['processor']}, torch "
        f"{machine['torch']}, featherweight {machine['featherweight']}.",
        *(phones_section(phones) if phones else []),
    ]
    return "\n\n".join(parts)


def phones_section(record: dict[str, Any]) -> list[str]:
    """Some networks in the runtimes of phones, with latency."""
    found, machine = record["networks"], record["machine"]
    head = ("network", "file", "bytes", "best class the same", "largest difference", "latency to ONNX Runtime's")
    rows, reasons = [], []
    for name, cells in found.items():
        for cell, one in cells.items():
            if one["error"]:
                reasons.append(f"- `{name}`, {cell}: {one['error']}")
                continue
            agreement = format_percent(one["agreement"], decimals=0)
            figures = (format_bytes(one["bytes"]), agreement, f"{one['difference']:.0e}", f"{one['latency_ratio']:.2f}")
            rows.append([f"`{name}`, {one['resolution']} px", cell, *figures])
    return [
        "## Runtimes of phones",
        f"Networks with pictures of their own size, on {machine['inputs']} pictures of noise; the difference of a "
        "logit is a share of the largest. Latency is of one picture on one thread of a PC's processor, which is no "
        "phone's: the files of a network ran in turn, and the ratio of medians is shown.",
        markdown_table(head, rows),
        *(["\n".join(reasons)] if reasons else []),
        f"Run by `python benchmarks/phone_runtimes.py` on {machine['date']}: {machine['processor']}, torch "
        f"{machine['torch']}, featherweight {machine['featherweight']}.",
    ]


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


def reasons(columns: list[str], found: dict[str, Any]) -> list[str]:
    """The heading and what does not work: each reason once, with the columns and networks that have it."""
    having: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for name, one in sorted(found.items()):
        for column in columns:
            if reason := one.get(column, {}).get("error"):
                names, of = having.setdefault(reason, ({}, {}))
                names[f"`{name}`"] = of[column] = None
    lines = [f"- {', '.join(of)}: {', '.join(names)}: {reason}" for reason, (names, of) in having.items()]
    return ["## What does not work", "\n".join(lines)] if lines else []


def tolerances(columns: list[str]) -> str:
    """What may be off, by precision."""
    allowed: dict[str, set[float | None]] = {}
    for column in columns:
        name, precision = column.split()
        if name in TARGETS:
            allowed.setdefault(precision, set()).add(TARGETS[name].form(precision).tolerance)
    return " and ".join(f"{' or '.join(map(str, sorted(of)))} in {precision}" for precision, of in allowed.items())
