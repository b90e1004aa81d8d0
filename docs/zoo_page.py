"""The page on how every network learns the digits, from what recipes/digits_zoo.py found."""

from typing import Any

from family_pages import markdown_table, slug

from featherweight._units import format_count, format_percent, format_seconds


def zoo_page(record: dict[str, Any]) -> str:
    """Same recipe, same budget: accuracy beside parameters, multiply-adds and measured latency."""
    recipe, machine, side = record["recipe"], record["machine"], record["resolution"]
    head = ("network", "family", "test accuracy", "parameters", "multiply-adds", "additions", "latency", "trained in")
    best_first = sorted(record["networks"].items(), key=lambda item: (-item[1]["accuracy"], item[1]["multiply_adds"]))
    rows = [cells(name, one) for name, one in best_first]
    gentle = record["without_norm"]
    return "\n\n".join(
        [
            "# The digits, by every network",
            "Each network in its smallest form (width 0.25, depth 0.3, where it has such options) on scikit-learn's "
            f"digits, 8 x 8 pixels shown as {side} x {side}: {recipe['epochs']} epochs, batches of "
            f"{recipe['batch_size']}, SGD with a peak learning rate of {recipe['learning_rate']} "
            f"({gentle['learning_rate']}, and gradients clipped to {gentle['clip_gradient_norm']}, for those without "
            "batch norm, which diverge otherwise), the same augmentation, seed and split. It shows that each is built "
            "right and can learn, not which is best: the pictures are tiny, and nothing was tuned.",
            markdown_table(head, rows),
            f"Latency: median of one picture in ONNX Runtime, batch norm folded, one thread, all networks in turns. "
            f"Additions: of layers that add in the place of multiplying. Run by `python recipes/digits_zoo.py` on "
            f"{machine['date']}: {machine['processor']}, {machine['threads']} thread, torch {machine['torch']}, "
            f"featherweight {machine['featherweight']}.",
        ]
    )


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
        format_seconds(one["seconds"]),
    ]
