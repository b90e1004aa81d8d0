"""The page on how every network learns the digits, from what recipes/digits_zoo.py found."""

from typing import Any
from xml.etree import ElementTree

from family_pages import markdown_table, slug

from featherweight._units import format_count, format_percent, format_seconds
from featherweight.networks import networks
from featherweight.report._axes import log_axis
from featherweight.report._charts import Point, scatter
from featherweight.report._svg import to_file

PICTURE = "images/digits_zoo.svg"


def zoo_page(record: dict[str, Any]) -> str:
    """Same recipe, same budget: accuracy beside parameters, multiply-adds and measured latency."""
    recipe, machine, side = record["recipe"], record["machine"], record["resolution"]
    head = ("network", "family", "test accuracy", "parameters", "multiply-adds", "additions", "latency")
    best_first = sorted(record["networks"].items(), key=lambda item: (-item[1]["accuracy"], item[1]["multiply_adds"]))
    rows = [cells(name, one) for name, one in best_first]
    gentle = record["without_norm"]
    return "\n\n".join(
        [
            "# The digits, by every network",
            "Each network in its smallest form (width 0.25, depth 0.3, where it has them and is not tiny already) on "
            f"scikit-learn's digits, 8 x 8 pixels shown as {side} x {side}: {recipe['epochs']} epochs, batches of "
            f"{recipe['batch_size']}, SGD with a peak learning rate of {recipe['learning_rate']} "
            f"({gentle['learning_rate']}, and gradients clipped to {gentle['clip_gradient_norm']}, for those without "
            "batch norm, which diverge otherwise), the same augmentation, seed and split. It shows that each is built "
            "right and can learn, not which is best: the pictures are tiny, and nothing was tuned." + missing(record),
            markdown_table(head, rows),
            "## Theory and practice",
            "The same networks, each a point; opened alone, the picture names the one under the pointer. At one "
            "count of multiply-adds the time differs by far: many small layers cost a call each, and depthwise ones "
            "move more than they compute.",
            f"[![Latency against multiply-adds, both on a logarithmic scale]({PICTURE})]({PICTURE})",
            "Latency: median of one picture in ONNX Runtime, batch norm folded, one thread, all networks in turns. "
            "Additions: of layers that add in the place of multiplying. Run by `python recipes/digits_zoo.py` on "
            f"{machine['date']}: {machine['processor']}, {machine['threads']} thread, torch {machine['torch']}, "
            f"featherweight {machine['featherweight']}."
            if machine
            else "Latencies are not measured yet: `python recipes/digits_zoo.py` does it at its end.",
        ]
    )


def missing(record: dict[str, Any]) -> str:
    """Name the networks that were not trained yet."""
    there = {each for name, one in record["networks"].items() for each in (name, *one["same"])}
    names = [f"`{entry.name}`" for entry in networks() if entry.name not in there]
    return f" Not trained yet: {', '.join(names)}." if names else ""


def cells(name: str, one: dict[str, Any]) -> list[str]:
    """One network's line; those whose smallest form is the same share it."""
    return [
        ", ".join(f"`{each}`" for each in (name, *one["same"])),
        f"[{one['family']}](families/{slug(one['family'])}.md)",
        format_percent(one["accuracy"]),
        format_count(one["params"]),
        format_count(one["multiply_adds"]),
        format_count(one["additions"]) if one["additions"] else "",
        format_seconds(one["latency_seconds"]) if "latency_seconds" in one else "not yet measured",
    ]


def zoo_chart(record: dict[str, Any]) -> str:
    """Latency against multiply-adds and additions, as SVG; a family's networks have one mark."""
    measured = {name: one for name, one in record["networks"].items() if "latency_seconds" in one}
    families = list(dict.fromkeys(one["family"] for one in measured.values()))
    points = [
        Point(
            x=one["multiply_adds"] + one["additions"] / 2,
            y=one["latency_seconds"],
            series=families.index(one["family"]),
            title=f"{name}: {format_percent(one['accuracy'])}, {format_seconds(one['latency_seconds'])}",
        )
        for name, one in measured.items()
    ]
    x = log_axis("multiply-adds, or pairs of additions; log scale", [point.x for point in points], format_count)
    y = log_axis("latency, log scale", [point.y for point in points if point.y is not None], format_seconds)
    return to_file(ElementTree.fromstring(scatter(points, x, y, title="Latency against multiply-adds")))
