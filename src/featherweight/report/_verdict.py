"""The first section: whether the budget is met, and what the chosen file reaches."""

import math
from collections.abc import Mapping
from typing import Any

from featherweight._units import format_bytes, format_percent, format_seconds


def verdict(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer: the rows of the budget, and the chosen file's accuracy, latency and size."""
    said = metrics["verdict"]
    model = metrics["models"][chosen(metrics)]
    latency, tested = model["latency_seconds"], len(metrics["test"]["labels"])
    low, high = wilson_interval(model["accuracy"], tested)
    threads = f"{latency['threads']} thread{'s' if latency['threads'] > 1 else ''}"
    tiles = [
        (
            "Accuracy",
            format_percent(model["accuracy"]),
            (
                f"{tested:,} test pictures",
                f"interval {format_percent(low, decimals=1)} to {format_percent(high, decimals=1)}",
            ),
        ),
        (
            "Latency",
            format_seconds(latency["median"]),
            (f"median, {threads}", f"interval {format_seconds(latency['low'])} to {format_seconds(latency['high'])}"),
        ),
        ("Size", format_bytes(model["bytes"]), ("on disk,", "weights and labels")),
    ]
    rows = [_budget_row(row) for row in said["rows"]]
    missed = [row["name"] for row in rows if row["met"] is False]
    limited = any(row["met"] is not None for row in rows)
    headline = "Budget not met" if not said["met"] else "Budget met" if limited else "Model ready"
    return {
        "headline": f"{headline}: {' and '.join(missed)}" if missed else headline,
        "met": said["met"],
        "tiles": [(name, *text.rsplit(" ", 1), note) for name, text, note in tiles],
        "rows": rows,
    }


def _budget_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write budget and achieved so that they differ in print where they differ."""
    budget, achieved, unit = row["budget"], row["achieved"], row["unit"]
    texts = ["none" if budget is None else _quantity(budget, unit), _quantity(achieved, unit)]
    if budget is not None and budget != achieved and texts[0] == texts[1]:
        texts = [_quantity(budget, unit, more=3), _quantity(achieved, unit, more=3)]
    if budget is not None:
        texts[0] = f"{'≥' if unit == 'fraction' else '≤'} {texts[0]}"
    return {"name": row["name"], "budget": texts[0], "achieved": texts[1], "met": row["met"]}


def _quantity(value: float | None, unit: str, *, more: int = 0) -> str:
    """Write a value of the budget table, with `more` digits than usual."""
    if value is None:
        return "not measured"
    if unit == "fraction":
        return format_percent(value, decimals=2 + more)
    if unit == "bytes":
        return format_bytes(value, digits=3 + more)
    if unit == "seconds":
        return format_seconds(value, digits=3 + more)
    return f"{value:g} {unit}"


def chosen(metrics: Mapping[str, Any]) -> str:
    """Return the key in `models` of the file that ships."""
    return "int8" if metrics["verdict"]["chosen"] == "int8" else "onnx"


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return where a share seen in `count` trials truly lies, with 95 % confidence.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Example:
        >>> [round(end, 3) for end in wilson_interval(0.99, 360)]
        [0.973, 0.996]
    """
    z = 1.96
    if count == 0:
        return 0.0, 1.0
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
