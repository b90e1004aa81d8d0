"""`featherweight latency`: what networks would take on this machine, predicted without running them."""

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ._errors import usage
from ._options import NetworkOptions
from ._output import Json, note, print_json, print_table
from .bench import numbers
from .cost import build, parse_input_size, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featherweight.cost import OpCall
    from featherweight.predictor import LatencyPredictor, Prediction

SLOWEST = 12


class Predicted(NamedTuple):
    """A network as one predictor sees it."""

    network: str
    calls: "tuple[OpCall, ...]"
    by: "LatencyPredictor"
    prediction: "Prediction"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a picture: channels, height, width."""
        return self.calls[0].outputs[0].shape[1:]


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
    layers: Annotated[
        bool, typer.Option("--layers", help="Also show what takes the longest; with --json, every layer.")
    ] = False,
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
    predictors, left_out = _predictors(runtimes, counts)
    found, missing = _predictions(traces, predictors)
    left_out += missing
    if as_json:
        print_json({"predictions": [_figures(one, layers=layers) for one in found], "left_out": left_out})
        return
    print_table(
        table(f"predicted for {predictors[0].machine}", _rows(found), left=("runtime",)),
        *(
            table(f"{one.network} in {one.by.runtime}: the slowest", _layer_rows(one.prediction), left=("kind",))
            for one in (found if layers else ())
        ),
    )
    unseen = {kind for one in found for kind in one.prediction.unseen}
    if unseen:
        note(f"not among what was learned from, so roughly estimated: {', '.join(sorted(unseen))}")
    for reason in left_out:
        note(f"left out: {reason}")


def _predictors(runtimes: str | None, threads: list[int]) -> "tuple[list[LatencyPredictor], list[str]]":
    """Read the predictors that are asked for, by default all that are of use, and say what is wrong with the others.

    Raises: PredictorError: there is none, or one that is asked for cannot be used.
    """
    from featherweight.predictor import LEARNABLE, PredictorError, load_predictor, predictor_path

    names = list(LEARNABLE) if runtimes is None else [name.strip() for name in runtimes.split(",")]
    with usage():
        for name in names:
            if name not in LEARNABLE:
                raise ValueError(f"{name} cannot be predicted; these can: {', '.join(LEARNABLE)}")
    wanted = [(name, count) for count in threads for name in names]
    there = [one for one in wanted if runtimes is not None or predictor_path(*one).is_file()]
    found: list[LatencyPredictor] = []
    errors: list[PredictorError] = []
    for one in there or wanted[:1]:
        try:
            found.append(load_predictor(*one))
        except PredictorError as error:
            errors.append(error)
    if errors and (runtimes is not None or not found):
        raise errors[0]
    return found, [str(error) for error in errors]


def _predictions(
    traces: "Mapping[str, tuple[OpCall, ...]]", predictors: "Sequence[LatencyPredictor]"
) -> tuple[list[Predicted], list[str]]:
    """Predict each network by each predictor, and say which cannot be predicted.

    Raises: PredictorError: none can be.
    """
    from featherweight.predictor import PredictorError

    found: list[Predicted] = []
    errors: list[PredictorError] = []
    left_out: list[str] = []
    for name, calls in traces.items():
        for one in predictors:
            try:
                found.append(Predicted(name, calls, one, one.predict(calls)))
            except PredictorError as error:
                errors.append(error)
                left_out.append(f"{name} in {one.runtime}: {error}")
    if errors and not found:
        raise errors[0]
    return found, left_out


def _figures(one: Predicted, *, layers: bool) -> dict[str, object]:
    units = {"layers": [unit._asdict() for unit in one.prediction.units]} if layers else {}
    where = {"network": one.network, "input": one.shape, "runtime": one.by.runtime, "threads": one.by.threads}
    return {**where, **one.prediction.in_all(), **units}


def _rows(found: "Sequence[Predicted]") -> list[list[str]]:
    from featherweight._units import format_seconds

    rows = [["network", "input", "runtime", "threads", "predicted", "9 of 10 between"]]
    for one in found:
        seconds, low, high = (
            format_seconds(value)
            for value in (one.prediction.seconds, one.prediction.low_seconds, one.prediction.high_seconds)
        )
        size = "x".join(map(str, one.shape))
        rows.append([one.network, size, one.by.runtime, str(one.by.threads), seconds, f"{low} - {high}"])
    return rows


def _layer_rows(prediction: "Prediction") -> list[list[str]]:
    from featherweight._units import format_percent, format_seconds

    slowest = sorted(prediction.units, key=lambda unit: -unit.seconds)[:SLOWEST]
    return [
        ["layer", "kind", "predicted", "share"],
        *(
            [unit.module, unit.kind, format_seconds(unit.seconds), format_percent(unit.seconds / prediction.seconds)]
            for unit in slowest
        ),
    ]
