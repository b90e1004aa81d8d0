"""`featherweight advise`: what would make networks faster on this machine, measured."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ._errors import usage
from ._options import NetworkOptions
from ._output import Json, note, print_json, print_table
from .bench import choose, open_store, subject, with_progress
from .cost import table

if TYPE_CHECKING:
    from featherweight.bench import Advice, Failure, Run, Store


def advise(
    networks: Annotated[
        list[str],
        typer.Argument(help="Names from `featherweight list`, or saved model.safetensors.", metavar="NAME..."),
    ],
    *,
    option: NetworkOptions = None,
    runtime: Annotated[str, typer.Option(help="The runtime that the networks run in now.")] = "eager",
    runtimes: Annotated[
        str | None,
        typer.Option(help="Runtimes to try, with commas between, or 'all'. Default: all here, but for compilers."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 1,
    input_size: Annotated[
        str | None, typer.Option("--input", help="Side in pixels, or channels x height x width: 224 or 3x224x224.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each change has; six or more for a verdict.")] = 20,
    store: Annotated[
        str | None, typer.Option(help="SQLite file that keeps the results, or 'none'. Default: one in your home.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure what would make networks faster here, and what else that changes.

    Tried are the other runtimes (folded batch norms, channels-last memory, int8 and ONNX among them), fewer groups
    where fewer were published, and widths up to an eighth away under which more channel counts are multiples of 16.
    Each change takes turns with the network as it is; "speed" is how many times as fast it is, with the interval that
    holds the median with 95 % probability; where that holds 1 and is wide, or less than six turns give none, the
    verdict is "unclear". A change that does not help is listed, too.

    Another runtime keeps the weights; "logits off" is the largest difference from eager PyTorch's, as a share of the
    largest: int8 ranges come from noise here, so measure accuracy before you ship. Other groups or widths are other
    networks, to be trained: top-1 is what was published for them, where anything was.

    \b
    Examples:
      featherweight advise shufflenet_v1
      featherweight advise mobilenet_v2 -o width=0.75 --runtime onnxruntime
      featherweight advise mobilenet_v2 ghostnet --runtimes folded,onnxruntime_int8 --threads 2
    """
    from featherweight.bench import Failure, missing
    from featherweight.bench import advise as measure

    with usage():
        subjects = [subject(name, option, input_size) for name in networks]
        names, left_out = choose(runtimes)
        if (reason := missing(runtime)) is not None:
            raise ValueError(f"{runtime} cannot run here: {reason}")
    kept = open_store(store)
    run = kept.begin() if kept is not None else None
    found: list[list[Advice] | Failure] = []
    try:
        for one in with_progress(
            lambda say: measure(
                subjects, runtime, runtimes=names, threads=threads, batch=batch, rounds=rounds, progress=say
            )
        ):
            found.append(one)
            if kept is not None and run is not None:
                _keep(kept, run, one)
            if not as_json:
                _print(one)
    finally:
        if as_json and found:
            print_json(_document(found, left_out))
    if not as_json:
        for name, reason in left_out.items():
            note(f"{name} left out: {reason}")
        if kept is not None and run is not None:
            note(f"kept as run {run.id} in {kept.path}")
    if any(isinstance(one, Failure) for one in found):
        raise SystemExit(1)


def _keep(kept: "Store", run: "Run", found: "list[Advice] | Failure") -> None:
    from featherweight.bench import Failure

    if not isinstance(found, Failure) and found:
        for result in (found[0].before, *(one.after for one in found)):
            if not isinstance(result, Failure):
                kept.add(run, result)


def _print(found: "list[Advice] | Failure") -> None:
    """Print the table of a network; what failed goes to standard error."""
    from featherweight.bench import Failure

    if isinstance(found, Failure):
        note(f"{_where(found)} cannot be measured: {found.reason}")
        return
    if not found:
        return
    print_table(table(_title(found), _rows(found), left=("change", "verdict", "noise")))
    if found[0].before.noise:
        note(f"{found[0].before.subject.network} as it is: {found[0].before.noise}")
    for one in found:
        if isinstance(one.after, Failure):
            note(f"{one.change.says}: {one.after.reason}")


def _where(one: "Failure") -> str:
    options = "".join(f" {name}={value}" for name, value in one.subject.options.items())
    return f"{one.subject.network}{options} in {one.runtime}"


def _document(found: "Sequence[list[Advice] | Failure]", left_out: dict[str, str]) -> dict[str, object]:
    from featherweight.bench import Failure

    return {
        "networks": [[_figures(one) for one in advice] for advice in found if not isinstance(advice, Failure)],
        "failed": [{"network": one.subject.network, "reason": one.reason} for one in found if isinstance(one, Failure)],
        "left_out": left_out,
    }


def _figures(one: "Advice") -> dict[str, object]:
    found = asdict(one)
    return {**found, "verdict": one.verdict}


def _title(advice: "list[Advice]") -> str:
    from featherweight._units import format_count, format_seconds

    before, facts = advice[0].before, advice[0].facts_before
    options = "".join(f" {name}={value}" for name, value in before.subject.options.items())
    shape = "x".join(map(str, before.subject.input_shape or ()))
    accuracy = "" if facts.top1 is None else f", top-1 {facts.top1:.1f} %"
    return (
        f"{before.subject.network}{options}, {before.batch} x {shape}, in {before.runtime} with {before.threads} "
        f"thread{'s' if before.threads > 1 else ''}: {format_seconds(before.latency.median_seconds)}, "
        f"{format_count(facts.params)} parameters, {format_count(facts.multiply_adds)} multiply-adds{accuracy}"
    )


def _rows(advice: "list[Advice]") -> Iterator[list[str]]:
    from featherweight._units import format_count, format_seconds
    from featherweight.bench import Failure
    from featherweight.cost._latency import CONFIDENCE

    yield [
        "change", "before", "after", "speed", "95 %", "verdict", "logits off", "parameters", "multiply-adds", "top-1",
        "noise",
    ]  # fmt: skip
    for one in advice:
        before = format_seconds(one.before.latency.median_seconds)
        if isinstance(one.after, Failure):
            yield [one.change.says, before, "-", "-", "-", one.verdict, *[""] * 5]
            continue
        same = one.change.kind == "runtime"
        facts = one.facts_after
        told = one.confidence >= CONFIDENCE
        yield [
            one.change.says, before, format_seconds(one.after.latency.median_seconds), f"{one.speed:.2f}x",
            f"{one.low_speed:.2f} - {one.high_speed:.2f}" if told else "-", one.verdict,
            f"{one.after.difference:.1e}" if same else "to be trained", "same" if same else format_count(facts.params),
            "same" if same else format_count(facts.multiply_adds),
            "same" if same else "?" if facts.top1 is None else f"{facts.top1:.1f} %", one.after.noise,
        ]  # fmt: skip
