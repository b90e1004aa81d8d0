"""`featherweight roofline`: where a network's time goes, and what this machine would allow."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._errors import UsageError, usage
from ._options import NetworkOptions
from ._output import Json, note, print_json, print_table
from .bench import subject
from .cost import table

if TYPE_CHECKING:
    from featherweight.bench import LayerTime, Roofline

By = StrEnum("By", ["layer", "block", "kind"])
Order = StrEnum("Order", ["time", "network"])


def roofline(
    network: Annotated[str, typer.Argument(help="A name from `featherweight list`, or a saved model.safetensors.")],
    *,
    option: NetworkOptions = None,
    input_size: Annotated[
        str | None, typer.Option("--input", help="Side in pixels, or channels x height x width: 224 or 3x224x224.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    by: Annotated[By, typer.Option(help="What a row stands for.")] = By.layer,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Parts of a path that name a block. Default: up to its first number.")
    ] = None,
    order: Annotated[Order, typer.Option(help="Longest time first, or as the network runs.")] = Order.time,
    turns: Annotated[int, typer.Option(min=1, help="Timed passes; six or more tell how sure they are.")] = 20,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg|FILE.csv", help="Also draw the roofline, or write all figures in SI units."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Time each layer in eager PyTorch, in its place, beside the least time that this machine would allow.

    Each operator is bound by what takes longest at the machine's ceilings (`featherweight calibrate`): "compute",
    its operations at the best rate; "memory", its bytes at the bandwidth of as many; "call", calling it. "reached" is
    that least time over the measured one. A multiplication with its addition is one operation. What the whole network
    takes beyond its operators is the overhead, of Python and of giving memory back.

    "breaks" names the guidelines of ShuffleNetV2 that a layer breaks, with what that costs here. G1: a 1x1 convolution
    between unequal channels, and G2: one in groups, each timed alone against a dense one between equal channels of as
    many multiply-adds. G3: an operator that has less to do than calling it takes. G4: element-wise operators, batch
    norm, data movement. The costs overlap, and are not to be added up; below zero, following the rule costs more.

    \b
    Examples:
      featherweight roofline mobilenet_v2
      featherweight roofline shufflenet_v1 -o groups=8 --by block
      featherweight roofline mobilenet_v2 --by kind --batch 8 --threads 2
      featherweight roofline mobilenet_v2 --out roofline.svg
    """
    if out is not None and out.suffix not in (".svg", ".csv"):
        raise UsageError(f"--out is a picture, FILE.svg, or a table, FILE.csv; got {str(out)!r}")
    from featherweight.bench import calibrated
    from featherweight.bench import roofline as measure
    from featherweight.bench._measure import NOISY

    with usage():
        one = subject(network, option, input_size)
    found = measure(one, calibration=calibrated(threads, tell=note), batch=batch, turns=turns)
    rows = list(found.by(by.value, depth))  # type: ignore[arg-type]
    if order is Order.time:
        rows.sort(key=lambda row: -row.seconds)
    if out is not None:
        note(f"wrote {_draw(out, found) if out.suffix == '.svg' else _write_csv(out, rows)}")
    if as_json:
        print_json(_document(found, rows))
    else:
        print_table(
            table(_title(found), _rows(found, rows, by), left=("kind", "bound", "breaks")),
            table("ShuffleNetV2's guidelines", _guideline_rows(found), left=("what breaks it",)),
        )
        if found.uncertainty is None:
            note(f"{turns} turns are too few to tell how sure the time of the whole network is: six are enough")
        elif found.uncertainty > NOISY:
            note(f"the machine was busy: the time of the whole network is known to {found.uncertainty:.0%} only")


def _title(found: "Roofline") -> str:
    from featherweight._units import format_seconds

    shape, threads = "x".join(map(str, found.input_shape)), found.calibration.threads
    return (
        f"{found.name}, {found.batch} x {shape}, {threads} thread{'s' if threads > 1 else ''}: "
        f"{format_seconds(found.whole_seconds)} in eager PyTorch"
    )


def _rows(found: "Roofline", rows: "Sequence[LayerTime]", by: By) -> Iterator[list[str]]:
    from featherweight._units import format_bytes, format_count, format_percent, format_seconds

    names = {By.layer: ["layer", "kind"], By.block: ["block"], By.kind: ["kind"]}[by]
    yield [*names, "calls", "operations", "bytes", "per byte", "time", "share", "bound", "least", "reached", "breaks"]
    for row in rows:
        first = {By.layer: [row.name or "(model)", row.kind], By.block: [row.name or "(model)"], By.kind: [row.kind]}
        yield [
            *first[by], str(row.calls), format_count(row.operations), format_bytes(row.bytes_moved),
            f"{row.intensity:.3g}", format_seconds(row.seconds),
            format_percent(row.seconds / found.whole_seconds, decimals=1), row.bound,
            format_seconds(row.least_seconds), format_percent(row.fraction, decimals=0), _breaks(row, by),
        ]  # fmt: skip
    blank = [""] * (len(names) - 1)
    for name, seconds in (("overhead", found.overhead_seconds), ("whole", found.whole_seconds)):
        share = format_percent(seconds / found.whole_seconds, decimals=1)
        yield [name, *blank, "", "", "", "", format_seconds(seconds), share, "", "", "", ""]


def _breaks(row: "LayerTime", by: By) -> str:
    from featherweight._units import format_seconds

    if by is By.layer and len(row.remarks) == 1 and row.remarks[0].guideline != "G4":
        (remark,) = row.remarks
        return f"{remark.guideline} {format_seconds(remark.seconds)} ({remark.says})"
    names = sorted({remark.guideline for remark in row.remarks})
    return ", ".join(f"{name} {format_seconds(row.cost(name))}" for name in names)


def _guideline_rows(found: "Roofline") -> Iterator[list[str]]:
    from featherweight._units import format_percent, format_seconds
    from featherweight.bench._guidelines import SAYS

    yield ["guideline", "what breaks it", "layers", "costs here", "of the whole"]
    for name, (layers, seconds) in found.guidelines().items():
        share = format_percent(seconds / found.whole_seconds, decimals=1)
        yield [name, SAYS[name], str(layers), format_seconds(seconds) if layers else "-", share if layers else "-"]


def _document(found: "Roofline", rows: "Sequence[LayerTime]") -> dict[str, object]:
    return {
        **{name: value for name, value in asdict(found).items() if name != "layers"},
        "overhead_seconds": found.overhead_seconds,
        "rows": [_figures(row) for row in rows],
        "guidelines": {name: {"layers": n, "seconds": s} for name, (n, s) in found.guidelines().items()},
    }


def _figures(row: "LayerTime") -> dict[str, object]:
    figures = asdict(row)
    remarks = [remark._asdict() for remark in row.remarks]
    derived = {name: getattr(row, name) for name in ("intensity", "rate", "least_seconds", "bound", "fraction")}
    return {**figures, **derived, "remarks": remarks}


def _write_csv(path: Path, rows: "Sequence[LayerTime]") -> Path:
    from featherweight._files import write_atomically
    from featherweight.bench._guidelines import SAYS

    text = io.StringIO()
    left_out = ("bounds", "remarks")
    lines = [
        {name: value for name, value in _figures(row).items() if name not in left_out}
        | {f"{name}_seconds": row.cost(name) for name in SAYS}
        for row in rows
    ]
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return write_atomically(path, text.getvalue())


def _draw(path: Path, found: "Roofline") -> Path:
    from featherweight._units import format_count, format_percent, format_seconds
    from featherweight.report import Mark, write_roofline

    drawn = [row for row in found.layers if row.operations and row.seconds]
    marks = [
        Mark(
            kind=row.kind, intensity=row.intensity, rate=row.rate, share=row.seconds / found.whole_seconds,
            title=f"{row.name or '(model)'}, {row.kind}: {format_seconds(row.seconds)}, "
            f"{format_count(row.rate)} operations/s, {format_percent(row.fraction, decimals=0)} of what {row.bound} "
            "allows",
        )
        for row in drawn
    ]  # fmt: skip
    rest = sum(row.seconds for row in found.layers if row not in drawn) / found.whole_seconds
    overhead = found.overhead_seconds / found.whole_seconds
    ceilings = found.calibration
    return write_roofline(
        path, marks, title=_title(found),
        note=f"areas by time; not drawn: {format_percent(rest, decimals=0)} in layers that compute nothing, "
        f"{format_percent(overhead, decimals=0)} overhead",
        peaks={"float32": ceilings.multiply_adds_per_second["float32"]},
        bandwidths=ceilings.bandwidth_bytes_per_second,
    )  # fmt: skip
