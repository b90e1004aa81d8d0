"""`featherweight latency`: what networks would take on this machine, predicted without running them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ._errors import usage
from ._options import NetworkOptions
from ._output import Json, note, print_json, print_table
from .bench import numbers
from .cost import build, parse_input_size, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featherweight.cost import OpCall
    from featherweight.predictor import LatencyPredictor

SLOWEST = 12


def latency(
    networks: Annotated[
        list[str],
        typer.Argument(
            help="Names from `featherweight list`, saved model.safetensors, or torchvision:NAME.", metavar="NAME..."
        ),
    ],
    *,
    option: NetworkOptions = None,
    runtimes: Annotated[
        str | None, typer.Option(help="Which, with commas between. Default: all that were calibrated here.")
    ] = None,
    threads: Annotated[str, typer.Option(help="Processor threads, such as 1 or 1,2.")] = "1",
    input_size: Annotated[
        str | None, typer.Option("--input", help="Side in pixels, or channels x height x width: 224 or 3x224x224.")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also show what takes the longest.")] = False,
    as_json: Json = False,
) -> None:
    """Predict the latency of networks, one picture at a time, without running them.

    What this machine takes is learned once by `featherweight calibrate`. The interval holds the measured latency with
    90 % probability, as long as the machine is as busy as it was then; `featherweight bench` measures.

    \b
    Examples:
      featherweight latency mobilenet_v2 mobilenet_v3_large ghostnet
      featherweight latency mobilenet_v2 -o width=0.5 --input 96 --runtimes onnxruntime --layers
    """
    from featherweight.cost import trace

    with usage():
        counts = numbers(threads, "--threads")
        size = parse_input_size(input_size) if input_size else None
        traces = {name: trace(*build(name, option or [], size)) for name in networks}
    predictors = _predictors(runtimes, counts)
    if as_json:
        print_json(
            {"predictions": [
                {"network": name, "runtime": one.runtime, "threads": one.threads, **asdict(one.predict(calls))}
                for name, calls in traces.items() for one in predictors
            ]}
        )  # fmt: skip
        return
    print_table(
        table(f"predicted for {predictors[0].machine}", _rows(traces, predictors), left=("runtime",)),
        *(
            table(f"{name} in {one.runtime}: the slowest", _layer_rows(calls, one), left=("kind",))
            for name, calls in (traces.items() if layers else ())
            for one in predictors
        ),
    )
    unseen = {kind for calls in traces.values() for one in predictors for kind in one.predict(calls).unseen}
    if unseen:
        note(f"not among what was learned from, so roughly estimated: {', '.join(sorted(unseen))}")


def _predictors(runtimes: str | None, threads: list[int]) -> "list[LatencyPredictor]":
    """Read the predictors that are asked for, by default all that there are. Raises: PredictorError: there are none."""
    from featherweight.predictor import LEARNABLE, load_predictor, predictor_path

    names = list(LEARNABLE) if runtimes is None else [name.strip() for name in runtimes.split(",")]
    with usage():
        for name in names:
            if name not in LEARNABLE:
                raise ValueError(f"{name} cannot be predicted; these can: {', '.join(LEARNABLE)}")
    wanted = [(name, count) for count in threads for name in names]
    there = [one for one in wanted if runtimes is not None or predictor_path(*one).is_file()]
    return [load_predictor(*one) for one in there or wanted[:1]]


def _rows(traces: "dict[str, tuple[OpCall, ...]]", predictors: "Sequence[LatencyPredictor]") -> list[list[str]]:
    from featherweight._units import format_seconds

    rows = [["network", "input", "runtime", "threads", "predicted", "9 of 10 between"]]
    for name, calls in traces.items():
        shape = "x".join(map(str, calls[0].outputs[0].shape[1:]))
        for one in predictors:
            found = one.predict(calls)
            between = f"{format_seconds(found.low_seconds)} - {format_seconds(found.high_seconds)}"
            rows.append([name, shape, one.runtime, str(one.threads), format_seconds(found.seconds), between])
    return rows


def _layer_rows(calls: "tuple[OpCall, ...]", predictor: "LatencyPredictor") -> list[list[str]]:
    from featherweight._units import format_percent, format_seconds

    times = predictor.layers(calls)
    whole = predictor.predict(calls).seconds
    slowest = sorted(times, key=lambda one: -one.seconds)[:SLOWEST]
    rows = [["layer", "kind", "predicted", "share"]]
    rows += [
        [one.module, one.kind, format_seconds(one.seconds), format_percent(one.seconds / whole)] for one in slowest
    ]
    return rows
