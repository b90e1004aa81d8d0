"""`featherweight bench`: how long networks take in each runtime on this machine."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._errors import UsageError, usage
from ._options import NetworkOptions, parse_network_options
from ._output import Json, note, print_json, print_table
from .cost import parse_input_size, table

if TYPE_CHECKING:
    from featherweight.bench import Failure, Measurement, Run, Store, Subject

NO_STORE = "none"


def bench(
    networks: Annotated[
        list[str],
        typer.Argument(help="Names from `featherweight list`, or saved model.safetensors.", metavar="NAME..."),
    ],
    *,
    option: NetworkOptions = None,
    runtimes: Annotated[
        str | None,
        typer.Option(help="Which, with commas between, or 'all'. Default: all that can run here, but for compilers."),
    ] = None,
    threads: Annotated[str, typer.Option(help="Processor threads, such as 1 or 1,2.")] = "1",
    batch: Annotated[str, typer.Option(help="Pictures at a time, such as 1 or 1,32.")] = "1",
    input_size: Annotated[
        str | None, typer.Option("--input", help="Side in pixels, or channels x height x width: 224 or 3x224x224.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each runtime has.")] = 20,
    against: Annotated[
        str | None, typer.Option(help="Compare with an earlier run: its number, its date, or 'last'.", metavar="RUN")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write all figures as a CSV file, in SI units.")] = None,
    store: Annotated[
        str | None, typer.Option(help="SQLite file that keeps the results, or 'none'. Default: one in your home.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the latency of networks in every runtime, fairly, and keep the results.

    Each runtime lives in a process of its own, bound to as many cores as it has threads, and all take turns; a crash
    of one leaves the others alone. The median counts, with the interval that holds it with 95 % probability. The last
    column says where the machine was too noisy for another run to agree within 3 %. "off by" is the largest difference
    from eager PyTorch's logits, as a share of the largest; int8 ranges come from noise here, so they tell times only.

    \b
    Examples:
      featherweight bench mobilenet_v2 mobilenet_v3_small
      featherweight bench mobilenet_v2 -o width=0.5 --runtimes eager,openvino --threads 1,2 --batch 1,32
      featherweight bench mobilenet_v2 --against last
    """
    from featherweight.bench import Failure
    from featherweight.bench import bench as measure

    with usage():
        subjects = [subject(name, option, input_size) for name in networks]
        counts, batches = numbers(threads, "--threads"), numbers(batch, "--batch")
        names, left_out = choose(runtimes)
    kept = open_store(store)
    if against is not None and kept is None:
        raise UsageError("--against needs a store; --store none keeps nothing")
    earlier = _earlier(kept, against)
    run = kept.begin() if kept is not None else None
    found: list[Measurement | Failure] = []
    for result in with_progress(
        lambda say: measure(subjects, names, threads=counts, batches=batches, rounds=rounds, progress=say)
    ):
        found.append(result)
        if kept is not None and run is not None and not isinstance(result, Failure):
            kept.add(run, result)
    rows = _rows(found, earlier)
    if out is not None:
        _write_csv(out, found)
    if as_json:
        _print_json(found, run, left_out)
    else:
        _print(rows, found, run, left_out)
        if kept is not None and run is not None:
            note(f"kept as run {run.id} in {kept.path}; --against {run.id} compares with it")
    if not any(not isinstance(result, Failure) for result in found):
        raise SystemExit(1)


def open_store(store: str | None) -> "Store | None":
    """Open the file of results, or none if that was asked for; say so if it was damaged."""
    from featherweight.bench import Store

    kept = None if store == NO_STORE else Store(store)
    if kept is not None and kept.set_aside is not None:
        note(f"{kept.path} was damaged and is now {kept.set_aside.name}; a new file is begun")
    return kept


def numbers(text: str, what: str) -> list[int]:
    """Read `1` or `1,32`.

    Raises: ValueError: anything else.

    Example:
        >>> numbers("1,32", "--batch")
        [1, 32]
    """
    words = text.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise ValueError(f"{what}: {text!r} is no list of numbers; understood: 1 or 1,32")
    return [int(word) for word in words]


def choose(text: str | None) -> tuple[list[str], dict[str, str]]:
    """Read the runtimes that are asked for, and say why others are left out.

    Raises: ValueError: one that is named does not exist or cannot run here.
    """
    from featherweight.bench import RUNTIMES, SLOW, missing

    if text is not None and text != "all":
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if (reason := missing(name)) is not None:
                raise ValueError(f"{name} cannot run here: {reason}")
        return names, {}
    reasons = {name: missing(name) for name in RUNTIMES}
    if text is None:
        reasons |= {name: "takes long to get ready: --runtimes all" for name in SLOW if reasons[name] is None}
    return [name for name in reasons if reasons[name] is None], {
        n: why for n, why in reasons.items() if why is not None
    }


def subject(name: str, option: list[str] | None, input_size: str | None) -> "Subject":
    """Read what is to be measured.

    Raises: ValueError: no such network, option or size; options for a saved model.
    """
    from featherweight.bench import Subject
    from featherweight.networks import load_model, network

    if name.endswith(".safetensors"):
        if option:
            raise ValueError(f"-o chooses among networks; {name} is one already")
        options, channels = {}, load_model(name).in_channels
    else:
        options = parse_network_options(name, option)
        channels = options.get("in_channels", 3)  # type: ignore[assignment]
        network(name)
    shape = None
    if input_size is not None:
        size = parse_input_size(input_size)
        sides = (size, size) if isinstance(size, int) else size
        shape = sides if len(sides) == 3 else (channels, *sides)
    return Subject(network=name, options=options, input_shape=shape)  # type: ignore[arg-type]


def _earlier(store: "Store | None", against: str | None) -> "dict[tuple[object, ...], Measurement]":
    if store is None or against is None:
        return {}
    run = store.run(against)
    note(f"against run {run.id} of {run.date} on {run.machine}")
    return {_key(one): one for one in store.measurements(run.id)}


def _key(one: "Measurement | Failure") -> tuple[object, ...]:
    subject = one.subject
    return subject.network, str(dict(subject.options)), subject.input_shape, one.runtime, one.threads, one.batch


def with_progress(start: Any) -> Any:
    """Go through the results while a line on standard error says what is being done; it is gone while one is shown."""
    from rich.console import Console
    from rich.status import Status

    with Status("starting", console=Console(stderr=True)) as status:
        for result in start(status.update):
            status.stop()
            yield result
            status.start()


def _write_csv(path: Path, found: "Sequence[Measurement | Failure]") -> None:
    """Write all figures in SI units, one result a line."""
    from featherweight._files import write_atomically

    results = [_flat(one) for one in found]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for one in results for name in one)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(results)
    write_atomically(path, text.getvalue())


def _flat(one: "Measurement | Failure") -> dict[str, object]:
    found = asdict(one)
    subject, latency = found.pop("subject"), found.pop("latency", {})
    shape = "x".join(map(str, subject["input_shape"] or ()))
    options = " ".join(f"{name}={value}" for name, value in subject["options"].items())
    return {"network": subject["network"], "options": options, "input": shape, **found, **latency}


def _print_json(found: "Sequence[Measurement | Failure]", run: "Run | None", left_out: dict[str, str]) -> None:
    results = [
        {**asdict(one), "subject": {**asdict(one.subject), "options": dict(one.subject.options)}} for one in found
    ]
    print_json({"run": None if run is None else asdict(run), "results": results, "left_out": left_out})


def _print(
    rows: list[list[str]], found: "Sequence[Measurement | Failure]", run: "Run | None", left_out: dict[str, str]
) -> None:
    from featherweight.bench import Failure

    title = "latency of one batch" if run is None else f"run {run.id}: latency of one batch on {run.machine}"
    print_table(table(title, rows, left=("runtime", "noise")))
    for one in found:
        if isinstance(one, Failure):
            note(f"{one.subject.network} in {one.runtime}: {one.reason}")
    for name, reason in left_out.items():
        note(f"{name} left out: {reason}")


def _rows(
    found: "Sequence[Measurement | Failure]", earlier: "dict[tuple[object, ...], Measurement]"
) -> list[list[str]]:
    from featherweight._units import format_seconds
    from featherweight.bench import Failure

    heading = ["network", "input", "runtime", "threads", "batch", "median", "95 %", "off by", "speed"]
    rows = [[*heading, *(["then", "now/then"] if earlier else []), "noise"]]
    slowest: dict[tuple[object, ...], float] = {}
    for one in found:
        place = one.subject.network, one.threads, one.batch
        options = "".join(f" {name}={value}" for name, value in one.subject.options.items())
        first = [f"{one.subject.network}{options}", "x".join(map(str, one.subject.input_shape or ()))]
        first += [one.runtime, str(one.threads), str(one.batch)]
        if isinstance(one, Failure):
            rows.append([*first, "failed", *[""] * (len(rows[0]) - len(first) - 1)])
            continue
        latency = one.latency
        base = slowest.setdefault(place, latency.median_seconds)
        row = [
            *first, format_seconds(latency.median_seconds),
            f"{format_seconds(latency.low_seconds)} - {format_seconds(latency.high_seconds)}",
            f"{one.difference:.1e}", f"{base / latency.median_seconds:.2f}x",
        ]  # fmt: skip
        if earlier:
            then = earlier.get(_key(one))
            row += ["", ""] if then is None else _compared(one, then)
        rows.append([*row, one.noise])
    return rows


def _compared(now: "Measurement", then: "Measurement") -> list[str]:
    from featherweight._units import format_seconds

    ratio = now.latency.median_seconds / then.latency.median_seconds
    machine = now.probe_seconds / then.probe_seconds
    mark = f" (machine {machine:.2f})" if abs(machine - 1) > 0.03 else ""
    return [format_seconds(then.latency.median_seconds), f"{ratio:.2f}{mark}"]
