"""The page on what a network was shipped as: every file with its figures, red where a bound is broken."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from featherweight._files import write_atomically
from featherweight._units import format_bytes, format_percent, format_seconds

from ._axes import linear_axis, log_axis
from ._charts import Point, legend_mark, scatter
from ._page import environment

# (its name in a file's figures, heading, filter of the page)
COLUMNS = (
    ("bytes", "Size", "bytes"),
    ("latency_seconds", "Latency", "seconds"),
    ("memory_bytes", "Memory", "bytes"),
    ("accuracy", "Accuracy", "percent"),
    ("loss", "Accuracy lost", "percent"),
    ("agreement", "Same answer", "percent"),
    ("max_logit_difference", "Logits differ by", "number"),
)


def write_shipment(shipment: Mapping[str, Any], path: str | Path) -> Path:
    """Write the page of a shipment: one HTML file that loads nothing.

    Args:
        shipment: content of ship.json: "network", "source", "created", "featherweight", "proven_on", "threads",
            "bounds", "pytorch" and "files", each of which has "target", "precision", its figures, "broken" and "error".
        path: of the page; written whole or not at all.
    Raises: MissingExtraError: jinja2 is not installed.
    """
    return write_atomically(path, render_shipment(shipment))


def render_shipment(shipment: Mapping[str, Any]) -> str:
    """Return the page of `write_shipment` as text."""
    files = shipment["files"]
    shown = [shipment["pytorch"], *files]
    series = {name: number for number, name in enumerate(dict.fromkeys(one["target"] for one in shown))}
    bounds = {name: limit for name, limit in shipment["bounds"].items() if limit is not None}
    page: str = (
        environment()
        .get_template("shipment.html")
        .render(
            s=shipment,
            shown=shown,
            columns=COLUMNS,
            bounds=bounds,
            unmeasured=[
                (one, [heading.lower() for name, heading, _ in COLUMNS if name in bounds and one[name] is None])
                for one in files
                if not one["error"] and any(one[name] is None for name in bounds)
            ],
            bad=[one for one in files if one["error"] or one["broken"]],
            charts=_charts(shown, series, bounds),
            legend=[(name, legend_mark(number)) for name, number in series.items()],
        )
    )
    return page


def _charts(
    files: Sequence[Mapping[str, Any]], series: Mapping[str, int], bounds: Mapping[str, float]
) -> list[tuple[str, str]]:
    """Draw accuracy, or agreement where no truth is known, against latency and against size."""
    known = any(one["accuracy"] is not None for one in files)
    judged, words = ("accuracy", "Accuracy") if known else ("agreement", "Agreement with PyTorch")
    charts = []
    for figure, what, write in (
        ("latency_seconds", "latency", format_seconds), ("bytes", "size", format_bytes)
    ):  # fmt: skip
        shown = [one for one in files if one[figure] and one[judged] is not None]
        if not shown:
            continue
        points = [
            Point(
                x=one[figure],
                y=one[judged],
                series=series[one["target"]],
                title=f"{one['target']} {one['precision']}: {write(one[figure])}, {format_percent(one[judged])}",
                role="faded" if one["broken"] else "plain",
            )
            for one in shown
        ]
        limit, least = bounds.get(figure), bounds.get(judged)
        picture = scatter(
            points,
            log_axis(f"{what}, log scale", [*(point.x for point in points), *([limit] if limit else [])], write),
            linear_axis(
                words.lower(),
                [*(one[judged] for one in shown), *([least] if least else [])],
                format_percent,
                floor=0,
                ceiling=1,
            ),
            title=f"{words} of the files against their {what}",
            x_limit=limit,
            y_limit=least,
        )
        charts.append((f"{words} against {what}", picture))
    return charts
