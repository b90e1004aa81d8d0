"""Predicted against measured latency over the whole zoo, in one run: `python benchmarks/latency_prediction.py`.

For each runtime: learn from random networks, predict every network of the zoo without running it, then measure each.
None of the zoo's networks is among those that were learned from. Beside it what multiply-adds alone would tell: the
time in proportion to them, with the factor that suits the zoo best; AdderNets, which have next to none, are left out
there. Machines are not equally fast all the time: random
networks and the zoo's are each measured in turns with one small network, the reference.

`--out docs/latency_zoo.json` keeps all figures for the page "Where theory fails".
"""

import argparse
import fnmatch
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from scipy.stats import spearmanr

from featherweight._files import write_atomically
from featherweight.bench import (
    Calibration,
    Worker,
    WorkerError,
    calibrated,
    machine,
    versions,
)
from featherweight.cost import METRICS, OpCall, latency_of, trace
from featherweight.networks import create, list_networks, network, on_meta_device
from featherweight.predictor import LatencyPredictor, learn, load_predictor, save_predictor

SIDE = 224
TURN_SECONDS = 0.008  # as when it learns


def main() -> None:
    options = parsed()
    names = [name for name in list_networks() if fnmatch.fnmatchcase(name, options.networks)]
    traces = {name: traced(name) for name in names}
    ceilings = calibrated(options.threads, tell=print)
    found: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "threads": options.threads,
        "side": SIDE,
        "networks": {name: counted(name, calls) for name, calls in traces.items()},
        "calibration": asdict(ceilings),
    }
    found["runtimes"] = others(options.out, found)
    for runtime in options.runtimes.split(","):
        begin = time.monotonic()
        predictor = learned(runtime, ceilings, options.seconds, anew=not options.kept)
        learning = time.monotonic() - begin
        those = [name for name in names if runtime == "eager" or network(name).family != "AdderNet"]
        begin = time.monotonic()
        predicted = {name: predictor.predict(traced(name)) for name in those}
        predicting = time.monotonic() - begin
        rows, references = {}, []
        for name, one in measured({name: traces[name] for name in those}, predictor, options):
            half = (one.high_seconds - one.low_seconds) / 2 / one.median_seconds
            rows[name] = {
                **predicted[name].in_all(),
                "measured_seconds": one.median_seconds * predictor.reference_seconds, "known_to": half,
            }  # fmt: skip
            references.append(one.reference_seconds)
        found["runtimes"][runtime] = {
            "learned_from": predictor.networks, "learning_seconds": None if options.kept else learning,
            "predicting_seconds": predicting, "networks": rows,
            "reference_seconds": {"learning": predictor.reference_seconds, "measuring": median(references)},
        }  # fmt: skip
        print(
            f"{runtime}, {options.threads} thread{'s' if options.threads > 1 else ''}: {len(rows)} networks at {SIDE}"
        )
        report(rows, found["networks"])
        how = "kept from before" if options.kept else f"in {learning:.0f} s (bar 300)"
        print(f"  learned from {predictor.networks} networks, {how}")
        print(f"  the zoo traced and predicted in {predicting:.1f} s (bar 30)", flush=True)
        if options.out is not None:
            write_atomically(options.out, json.dumps(found, indent=1) + "\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtimes", default="eager,onnxruntime,openvino")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=200.0, help="of measuring random networks, for each runtime")
    parser.add_argument("--kept", action="store_true", help="take this machine's predictors where there are any")
    parser.add_argument("--rounds", type=int, default=9, help="turns in which each network is measured, 6 or more")
    parser.add_argument("--networks", default="*", help="pattern of their names")
    parser.add_argument("--out", type=Path, help="JSON file for all figures; those of other runtimes of that day stay")
    return parser.parse_args()


def others(out: Path | None, found: Mapping[str, Any]) -> dict[str, Any]:
    """Read the runtimes that an earlier run of the same day, on this machine, has written there."""
    if out is None or not out.exists():
        return {}
    there = json.loads(out.read_text(encoding="utf-8"))
    same = all(there[key] == found[key] for key in ("machine", "versions", "date", "threads", "networks"))
    return dict(there["runtimes"]) if same else {}


def traced(name: str) -> tuple[OpCall, ...]:
    with on_meta_device():
        model = create(name)
    return trace(model, SIDE)


def counted(name: str, calls: Sequence[OpCall]) -> dict[str, Any]:
    """What theory says of a network; activations are the outputs of convolutions, as in Dollar et al. 2021."""
    return {
        "family": network(name).family,
        "multiply_adds": METRICS["multiply_adds"](calls),
        "activations": sum(t.numel for call in calls if call.op == "convolution" for t in call.outputs),
        "bytes_moved": METRICS["bytes_moved"](calls)["float32"],  # type: ignore[index]
        "params": METRICS["params"](calls),
    }


def learned(runtime: str, ceilings: Calibration, seconds: float, *, anew: bool) -> LatencyPredictor:
    if not anew:
        return load_predictor(runtime, ceilings.threads)
    predictor = learn(runtime, ceilings, seconds=seconds)
    save_predictor(predictor)
    return predictor


class InReferences(NamedTuple):
    """What a network takes, in runs of the reference network, with the ends of the interval of 95 %."""

    median_seconds: float
    low_seconds: float
    high_seconds: float
    reference_seconds: float


def measured(
    traces: Mapping[str, Sequence[OpCall]], predictor: LatencyPredictor, options: argparse.Namespace
) -> Iterator[tuple[str, InReferences]]:
    """Measure each network in turns with the reference, whose time says how fast the machine is at the moment."""
    with Worker(predictor.runtime, predictor.threads, 600.0) as worker:
        for name, calls in track(traces.items(), f"measuring in {predictor.runtime}", console=Console(stderr=True)):
            shape = calls[0].outputs[0].shape[1:]
            try:
                worker.ask(do="load", network=name, options={}, batch=1, shape=shape, compare=False)
                answer = worker.ask(do="in_references", turns=options.rounds, seconds=TURN_SECONDS)
            except WorkerError as error:
                print(f"  {name} failed: {error}")
                continue
            found = latency_of(answer["ratios"])
            assert found.confidence >= 0.95
            yield name, InReferences(found.median_seconds, found.low_seconds, found.high_seconds, answer["reference"])


def report(rows: Mapping[str, Mapping[str, Any]], counts: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the errors of the predictor and of multiply-adds alone."""
    every = [row["measured_seconds"] for row in rows.values()]
    line("predictor", [row["seconds"] for row in rows.values()], every, "(bars 8 %, 20 %, 0.98)")
    names = [name for name in rows if counts[name]["family"] != "AdderNet"]
    truth = [rows[name]["measured_seconds"] for name in names]
    multiply_adds = [counts[name]["multiply_adds"] for name in names]
    factor = median(seconds / number for seconds, number in zip(truth, multiply_adds, strict=True))
    line("multiply-adds", [number * factor for number in multiply_adds], truth, "")
    inside = sum(row["low_seconds"] <= row["measured_seconds"] <= row["high_seconds"] for row in rows.values())
    noise = median(row["known_to"] for row in rows.values())
    print(f"  measured within the interval of 90 %: {inside} of {len(rows)}; measured times are known to {noise:.1%}")
    errors = {name: math.log(row["seconds"] / row["measured_seconds"]) for name, row in rows.items()}
    for name in sorted(errors, key=lambda name: -abs(errors[name]))[:8]:
        row = rows[name]
        unseen = f", unseen: {', '.join(row['unseen'])}" if row["unseen"] else ""
        print(f"    {name}: {row['seconds'] * 1e3:.2f} for {row['measured_seconds'] * 1e3:.2f} ms{unseen}")


def line(what: str, predicted: Sequence[float], truth: Sequence[float], bars: str) -> None:
    errors = sorted(abs(a / b - 1) for a, b in zip(predicted, truth, strict=True))
    ninth = errors[math.ceil(0.9 * len(errors)) - 1]
    rank = float(spearmanr(predicted, truth).statistic)
    print(f"  {what:14} median error {median(errors):.1%}, 90th percentile {ninth:.1%}, Spearman {rank:.3f} {bars}")


if __name__ == "__main__":
    main()
