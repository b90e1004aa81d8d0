"""The page on where theory fails, from what benchmarks/latency_prediction.py measured."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any
from xml.etree import ElementTree

from family_pages import markdown_table, slug
from scipy.stats import spearmanr

from featherweight._units import format_bytes, format_count, format_seconds
from featherweight.report._axes import log_axis
from featherweight.report._charts import Point, scatter
from featherweight.report._svg import to_file

TITLES = {"eager": "PyTorch eager", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
COUNTS = {
    "multiply_adds": "multiply-adds",
    "activations": "activations (outputs of convolutions)",
    "bytes_moved": "memory traffic",
    "params": "parameters",
}
EXAMPLES = (
    "resnet50", "resnet18", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mnasnet_a1", "efficientnet_b0",
    "ghostnet", "shufflenet_v1", "shufflenet_v2", "squeezenet",
)  # fmt: skip
Rows = Mapping[str, Mapping[str, Any]]


def picture(runtime: str) -> str:
    """Name the file of a runtime's picture."""
    return f"images/latency_{runtime}.svg"


def theory_page(record: Mapping[str, Any]) -> str:
    """Why MobileNet is not as fast as its multiply-adds say, in figures of one machine."""
    runtimes = in_order(record)
    shared = [name for name in record["networks"] if all(name in one["networks"] for one in runtimes.values())]
    parts = [
        "# Where theory fails",
        f"All {len(record['networks'])} networks at {record['side']} x {record['side']}, one picture at a time, "
        f"measured on {record['date']} on {record['machine']}, {record['threads']} thread"
        f"{'s' if record['threads'] > 1 else ''}: {versions_of(record['versions'])}. Run "
        "`python benchmarks/latency_prediction.py --out docs/latency_zoo.json` for your own machine's. AdderNets are "
        "measured in PyTorch only, where their kernels are. All of it is on the processor.",
        "## Why is MobileNet not as fast as its multiply-adds say?",
        *example_section(record),
        "## What tells the time?",
        f"Spearman's rank correlation with the measured latency, over the {len(shared)} networks that all runtimes "
        "ran: 1 if it puts them in the right order. In brackets the median error of taking the time as proportional to "
        "it, with the factor that suits these networks best.",
        markdown_table(
            ("", *(TITLES[name] for name in runtimes)),
            [
                *(
                    [title, *(told_by(count, record, runtime, shared) for runtime in runtimes.values())]
                    for count, title in COUNTS.items()
                ),
                ["**our predictor**", *(predictor_cell(runtime, shared) for runtime in runtimes.values())],
                ["within its interval of 90 %", *(coverage(runtime, shared) for runtime in runtimes.values())],
            ],
        ),
        "The predictor has seen none of these networks: it learned from random ones. How those are drawn was changed "
        "after a look at this table: some keep their pictures' size for long now, as networks made for small pictures "
        "do, and the blocks and activations of MobileNets and EfficientNets are drawn more often than others.",
        "Measured times are medians of turns with a small reference network, known to what stands behind ±, and told "
        "as if the machine were as fast as it was while the predictor learned; it is shared. The reference took "
        + ", ".join(reference_words(name, runtime) for name, runtime in runtimes.items())
        + ".",
        "## Each network",
    ]
    for name, runtime in runtimes.items():
        title = f"Latency against multiply-adds in {TITLES[name]}, both on a logarithmic scale"
        parts.append(f"### {TITLES[name]}\n\n[![{title}]({picture(name)})]({picture(name)})")
        parts.append(
            markdown_table(
                ("network", "multiply-adds", "measured", "predicted", "9 of 10 between", "multiply-adds/s"),
                [network_cells(one, record["networks"][one], row) for one, row in fastest_first(runtime["networks"])],
            )
        )
    return "\n\n".join(parts)


def in_order(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the runtimes, PyTorch first, whichever was measured first."""
    return {name: record["runtimes"][name] for name in TITLES if name in record["runtimes"]}


def example_section(record: Mapping[str, Any]) -> list[str]:
    """Set the well-known networks beside ResNet-50: how many times fewer multiply-adds, how many times faster."""
    names = [name for name in EXAMPLES if name in record["networks"]]
    runtimes = in_order(record)
    base, *_ = names
    rows = []
    for name in names:
        counted = record["networks"][name]
        fewer = record["networks"][base]["multiply_adds"] / counted["multiply_adds"]
        row = [f"`{name}`", format_count(counted["multiply_adds"]), f"{fewer:.1f}x"]
        for runtime in runtimes.values():
            times = runtime["networks"]
            faster = times[base]["measured_seconds"] / times[name]["measured_seconds"]
            row.append(f"{format_seconds(times[name]['measured_seconds'])} ({faster:.1f}x)")
        row.append(format_count(counted["bytes_moved"] / counted["multiply_adds"]))
        rows.append(row)
    head = (
        "network", "multiply-adds", f"fewer than {base}", *(TITLES[name] for name in runtimes),
        "bytes per multiply-add",
    )  # fmt: skip
    peak = record["calibration"]["multiply_adds_per_second"]["float32"]
    slowest = min(record["calibration"]["bandwidth_bytes_per_second"].values())
    return [
        f"Beside each time, how many times faster than {base} it is. Were multiply-adds the whole cost, the brackets "
        "would say what the column before them says.",
        markdown_table(head, rows),
        f"This machine multiplies and adds {format_count(peak)} times a second at the most, and copies "
        f"{format_bytes(slowest)} a second from memory: with fewer than {peak / slowest:.0f} multiply-adds for each "
        "byte, moving takes longer than computing. A 3x3 depthwise layer has about one: nine for a value of four bytes "
        "that it reads and one that it writes. `featherweight roofline mobilenet_v2` shows it layer by layer."
        + beyond(record, peak),
    ]


def beyond(record: Mapping[str, Any], peak: float) -> str:
    """Say so if networks did more than the most: the machine had become faster."""
    rates = {
        (name, runtime): record["networks"][name]["multiply_adds"] / row["measured_seconds"]
        for runtime, one in in_order(record).items()
        for name, row in one["networks"].items()
    }
    (name, runtime), best = max(rates.items(), key=lambda item: item[1])
    count = sum(rate > peak for rate in rates.values())
    if not count:
        return ""
    return (
        f" {count} of {len(rates)} rates below are above that most, up to {format_count(best)} of `{name}` in "
        f"{TITLES[runtime]}: the machine was faster then than when it was probed."
    )


def versions_of(versions: Mapping[str, str]) -> str:
    """Name the packages with their versions."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def told_by(count: str, record: Mapping[str, Any], runtime: Mapping[str, Any], names: Sequence[str]) -> str:
    """Say how well a count tells the time of these networks in a runtime."""
    numbers = [record["networks"][name][count] for name in names]
    truth = [runtime["networks"][name]["measured_seconds"] for name in names]
    factor = median(seconds / number for seconds, number in zip(truth, numbers, strict=True))
    return quality([number * factor for number in numbers], truth)


def predictor_cell(runtime: Mapping[str, Any], names: Sequence[str]) -> str:
    """Say how well the predictor does on these networks."""
    rows = [runtime["networks"][name] for name in names]
    return f"**{quality([row['seconds'] for row in rows], [row['measured_seconds'] for row in rows])}**"


def coverage(runtime: Mapping[str, Any], names: Sequence[str]) -> str:
    """Count the networks whose measured time lies in the predicted interval."""
    rows = [runtime["networks"][name] for name in names]
    inside = sum(row["low_seconds"] <= row["measured_seconds"] <= row["high_seconds"] for row in rows)
    return f"{inside} of {len(rows)}"


def reference_words(name: str, runtime: Mapping[str, Any]) -> str:
    """Say how fast the machine was, then and now."""
    then, now = (format_seconds(runtime["reference_seconds"][when]) for when in ("learning", "measuring"))
    return f"{then} then and {now} now in {TITLES[name]}"


def quality(predicted: Sequence[float], truth: Sequence[float]) -> str:
    """Give the rank correlation and the median error."""
    error = median(abs(a / b - 1) for a, b in zip(predicted, truth, strict=True))
    return f"{spearmanr(predicted, truth).statistic:.3f} ({error:.1%})"


def fastest_first(rows: Rows) -> list[tuple[str, Mapping[str, Any]]]:
    """Sort by measured time."""
    return sorted(rows.items(), key=lambda item: float(item[1]["measured_seconds"]))


def network_cells(name: str, counted: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """One network's line in a runtime's table."""
    seconds = row["measured_seconds"]
    return [
        f"[`{name}`](families/{slug(counted['family'])}.md)",
        format_count(counted["multiply_adds"]),
        f"{format_seconds(seconds)} ± {row['known_to']:.0%}",
        format_seconds(row["seconds"]),
        f"{format_seconds(row['low_seconds'])} - {format_seconds(row['high_seconds'])}",
        format_count(counted["multiply_adds"] / seconds),
    ]


def theory_chart(record: Mapping[str, Any], runtime: str) -> str:
    """Latency against multiply-adds in a runtime, as SVG; a family's networks have one mark."""
    rows = {
        name: row for name, row in record["runtimes"][runtime]["networks"].items()
        if record["networks"][name]["multiply_adds"]
    }  # fmt: skip
    families = list(dict.fromkeys(record["networks"][name]["family"] for name in rows))
    points = [
        Point(
            x=record["networks"][name]["multiply_adds"],
            y=row["measured_seconds"],
            series=families.index(record["networks"][name]["family"]),
            title=f"{name}: {format_seconds(row['measured_seconds'])}",
        )
        for name, row in rows.items()
    ]
    x = log_axis("multiply-adds, log scale", [point.x for point in points], format_count)
    y = log_axis("latency, log scale", [row["measured_seconds"] for row in rows.values()], format_seconds)
    title = f"Latency in {TITLES[runtime]} against multiply-adds"
    return to_file(ElementTree.fromstring(scatter(points, x, y, title=title)))
