"""The explorer: one page on the whole zoo. Here its data are put together; the page's own script draws them."""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from featherweight._files import write_atomically
from featherweight.blocks import GALLERY
from featherweight.networks import Published, Variant, history, network, of_another_network, variants

from ._charts import MARKERS
from ._connectivity import draw_connectivity
from ._history import draw
from ._page import environment
from ._svg import TEMPLATES, to_text
from ._zoo import Ceilings, LatencySeries, Timing, Zoo, ZooNetwork

# The script's parts in the order in which they run; together one script, whose hash the page's policy names.
SCRIPTS = (
    "text",
    "state",
    "points",
    "scales",
    "plot",
    "chart",
    "controls",
    "details",
    "table",
    "roofline",
    "field",
    "start",
)
_COLOURS, _GREY = 7, 7


def write_explorer(zoo: Zoo, path: str | Path) -> Path:
    """Write the explorer: one HTML file that loads nothing, for screen and phone.

    Args:
        zoo: what it shows.
        path: of the page; written whole or not at all.
    Raises: MissingExtraError: jinja2 is not installed.
    """
    return write_atomically(path, render_explorer(zoo))


def render_explorer(zoo: Zoo) -> str:
    """Return the page of `write_explorer` as text."""
    script = "\n".join((TEMPLATES / "explorer" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n{script}'
    page: str = (
        environment()
        .get_template("explorer/page.html")
        .render(
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            data=embedded(explorer_data(zoo)),
            more=packed({"layers": _layers(zoo), "history": history_picture(), "blocks": dict(zoo.blocks)}),
            version=version("featherweight"),
            notes=zoo.notes,
        )
    )
    return page


def embedded(data: Mapping[str, Any]) -> str:
    """Write data as JSON that may stand in a script element: nothing in it ends the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def packed(data: Mapping[str, Any]) -> str:
    """Write data as JSON, deflated, in base64: a tenth of the bytes, read when it is first needed."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def explorer_data(zoo: Zoo) -> dict[str, Any]:
    """Return what the page shows first: families, networks, latencies, ceilings, blocks; quantities in SI units."""
    families = _families()
    numbers = {family["name"]: number for number, family in enumerate(families)}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "markers": MARKERS,
        "families": families,
        "ancestors": [
            {"name": one.name, "year": one.year, "paper": one.paper} for one in history().families if one.ancestor
        ],
        "networks": [_network(one, numbers, zoo.latencies) for one in zoo.networks],
        "latencies": [_series(one) for one in zoo.latencies],
        "ceilings": [_ceilings(one) for one in zoo.ceilings],
        "blocks": [
            {
                "name": name,
                "title": example.title,
                "note": example.note,
                "networks": sorted({one.variant.name for one in zoo.networks if name.partition("-")[0] in one.parts}),
            }
            for name, example in GALLERY.items()
            if name in zoo.blocks
        ],
    }


def _families() -> list[dict[str, Any]]:
    """Return the families by year; each has a colour and an outline, plain networks are grey."""
    known = [family for family in history().families if not family.ancestor]
    coloured = [family.name for family in known if not family.reference]
    grey = [family.name for family in known if family.reference]
    return [
        {
            "name": family.name,
            "year": family.year,
            "paper": family.paper,
            "idea": family.idea,
            "reference": family.reference,
            "networks": list(family.networks),
            "builds_on": dict(family.builds_on),
            "colour": _GREY if family.reference else coloured.index(family.name) % _COLOURS,
            "marker": grey.index(family.name) if family.reference else coloured.index(family.name) // _COLOURS,
        }
        for family in known
    ]


def _network(one: ZooNetwork, family_numbers: Mapping[str, int], latencies: Sequence[LatencySeries]) -> dict[str, Any]:
    variant, entry = one.variant, network(one.variant.name)
    text = str(variant)
    return {
        "id": text,
        "name": variant.name,
        "options": {name: str(value) for name, value in sorted(variant.options.items())},
        "create": create_line(variant),
        "family": family_numbers[entry.family],
        "year": entry.year,
        "paper": entry.paper,
        "resolution": variant.resolution,
        "params": one.counts.params,
        "multiply_adds": one.counts.multiply_adds,
        "additions": one.counts.additions,
        "peak_memory_bytes": dict(one.peak_memory_bytes),
        "bytes_moved": dict(one.bytes_moved),
        "other_layers": list(one.other_layers),
        "datasets": _datasets(variant),
        "published": [_published(row, one) for row in variant.published if row.top1 is not None],
        "latencies": {
            str(number): _timing(series.timings[text])
            for number, series in enumerate(latencies)
            if text in series.timings
        },
    }


def create_line(variant: Variant) -> str:
    """Write a variant as the line of Python that builds it.

    Example:
        >>> create_line(Variant(name="mobilenet_v2", options={"width": 0.5}, resolution=160))
        'featherweight.create("mobilenet_v2", width=0.5)  # for 160 x 160 pixels'
    """
    options = "".join(f", {name}={value!r}" for name, value in sorted(variant.options.items()))
    own = variant.resolution == network(variant.name).resolution
    size = "" if own else f"  # for {variant.resolution} x {variant.resolution} pixels"
    return f'featherweight.create("{variant.name}"{options}){size}'


def _datasets(variant: Variant) -> list[str]:
    """Return the data sets that something was printed on; else those of its family at the same number of classes."""

    def classes(one: Variant) -> object:
        return one.options.get("num_classes", network(one.name).default("num_classes"))

    family = network(variant.name).family
    alike = (one for one in variants() if network(one.name).family == family and classes(one) == classes(variant))
    rows = variant.published or tuple(row for one in alike for row in one.published)
    return sorted({row.dataset for row in rows})


def _published(row: Published, one: ZooNetwork) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "top1": row.top1,
        "top5": row.top5,
        "source": row.source,
        "kind": source_kind(row.source, network(one.variant.name).family),
        "params": row.params,
        "multiply_adds": row.multiply_adds,
        "deviation": row.deviation,
        "far": of_another_network(row, one.counts),
    }


def source_kind(source: str, family: str) -> str:
    """Tell who says an accuracy: "paper", its "authors" elsewhere, "torchvision" for its weights, or "others".

    Example:
        >>> source_kind("Table 4", "MobileNetV2"), source_kind("MobileNetV2's Table 4", "ShuffleNetV1")
        ('paper', 'others')
        >>> source_kind("authors' README (PyTorch)", "GhostNet"), source_kind("AdderNet authors' README", "ResNet")
        ('authors', 'others')
    """
    if source.startswith("torchvision"):
        return "torchvision"
    if re.match(rf"({re.escape(family)} )?authors' README", source):
        return "authors"
    if re.match(rf"(Table|Section|Fig|paper's|{re.escape(family)}'s)", source):
        return "paper"
    return "others"


def _timing(timing: Timing) -> list[Any]:
    seconds = (timing.seconds, timing.low_seconds, timing.high_seconds)
    return [*(float(f"{value:.4g}") for value in seconds), timing.date, timing.doubt]


def _series(series: LatencySeries) -> dict[str, Any]:
    return {
        "measured": series.measured,
        "runtime": series.runtime,
        "threads": series.threads,
        "machine": series.machine,
        "by_layer": bool(series.layer_seconds),
    }


def _ceilings(one: Ceilings) -> dict[str, Any]:
    return {
        "machine": one.machine,
        "date": one.date,
        "threads": one.threads,
        "multiply_adds_per_second": one.multiply_adds_per_second,
        "bandwidth": sorted(one.bandwidth_bytes_per_second.items()),
    }


def _layers(zoo: Zoo) -> dict[str, Any]:
    """Return each network's layers as columns; `seconds` by the number of the series of latencies."""
    return {
        str(one.variant): {
            "module": [layer.module for layer in one.layers],
            "kind": [layer.kind for layer in one.layers],
            "terms": [layer.terms for layer in one.layers],
            "bytes": [layer.bytes_moved for layer in one.layers],
            "seconds": {
                str(number): [None if s is None else float(f"{s:.3g}") for s in series.layer_seconds[str(one.variant)]]
                for number, series in enumerate(zoo.latencies)
                if str(one.variant) in series.layer_seconds
            },
        }
        for one in zoo.networks
    }


def history_picture() -> str:
    """Draw who builds on whom for the page, whose style sheet colours it."""
    return to_text(draw(history(), link=lambda family: f"#family={family.name}"))


def block_picture(name: str) -> str:
    """Draw what reaches what in a block of `GALLERY` for the page, whose style sheet colours it.

    Example:
        >>> block_picture("SqueezeExcite")[:4]
        '<svg'
    """
    example = GALLERY[name]
    return to_text(draw_connectivity(example.make(), example.in_channels, title=example.title))
