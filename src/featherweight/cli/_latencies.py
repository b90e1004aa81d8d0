"""What is known of latency on this machine, for the explorer: predicted, measured, and the ceilings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featherweight.bench import Measurement, Run
    from featherweight.networks import Variant
    from featherweight.predictor import LatencyPredictor, Prediction
    from featherweight.report import Ceilings, LatencySeries, Timing, ZooNetwork

AGAIN = "and write the page anew"


def predictors() -> "tuple[list[LatencyPredictor], list[str]]":
    """Return the predictors that `featherweight calibrate` has made on this machine, and what is wrong with others."""
    from featherweight._machine import available_processors
    from featherweight.predictor import LEARNABLE, PredictorError, load_predictor, predictor_path

    known: list[LatencyPredictor] = []
    notes: list[str] = []
    for runtime in LEARNABLE:
        for threads in range(1, available_processors() + 1):
            if predictor_path(runtime, threads).is_file():
                try:
                    known.append(load_predictor(runtime, threads))
                except PredictorError as error:
                    notes.append(f"Not predicted: {error}.")
    if not known:
        notes.append(f"No predicted latency: run `featherweight calibrate` {AGAIN}.")
    return known, notes


def predicted(
    known: "Sequence[LatencyPredictor]", found: "Sequence[tuple[ZooNetwork, Sequence[Prediction | str]]]"
) -> "tuple[list[LatencySeries], list[str]]":
    """Put each predictor's answers together, by network; say which networks it cannot predict, and why.

    Args:
        found: each network with the answer of each predictor: a prediction, or why there is none.
    """
    from featherweight.bench import machine
    from featherweight.report import LatencySeries, Timing

    series, notes = [], []
    for number, predictor in enumerate(known):
        timings, layer_seconds = {}, {}
        left_out: dict[str, list[str]] = {}
        for network, answers in found:
            one = answers[number]
            text = str(network.variant)
            if isinstance(one, str):
                left_out.setdefault(one, []).append(text)
                continue
            timings[text] = Timing(
                seconds=one.seconds, low_seconds=one.low_seconds, high_seconds=one.high_seconds, unseen=one.unseen
            )
            seconds: dict[tuple[str, str], float] = {}
            for module, kind, share in one.units:
                seconds[module, kind] = seconds.get((module, kind), 0.0) + share
            layer_seconds[text] = [seconds.get((layer.module, layer.kind)) for layer in network.layers]
        series.append(
            LatencySeries(
                measured=False, runtime=predictor.runtime, threads=predictor.threads, machine=machine(),
                timings=timings, layer_seconds=layer_seconds,
            )
        )  # fmt: skip
        threads = f"{predictor.threads} thread{'s' if predictor.threads > 1 else ''}"
        if left_out:
            those = "; ".join(f"{', '.join(texts)} ({why})" for why, texts in left_out.items())
            notes.append(f"Not predicted for {predictor.runtime} with {threads}: {those}.")
    return series, notes


def measured(
    chosen: "Sequence[Variant]", path: str | None, *, wanted: bool = True
) -> "tuple[list[LatencySeries], list[str]]":
    """Read what `bench` measured of these variants, one picture at a time; of several results the latest counts.

    Args:
        path: of the store; default: the one that `bench` uses.
        wanted: False reads nothing.
    Returns: a series for each machine, runtime and number of threads, of what was measured with the versions of the
        packages that are installed here; and what is to be said about them.
    Raises: StoreError: the file is no store of ours.
    """
    from featherweight.bench import Store, default_path
    from featherweight.report import LatencySeries, Timing

    source = Path(path) if path is not None else default_path()
    if not wanted:
        return [], []
    if not source.exists():
        return [], [f"No measured latency: there is no {source.name}; run `featherweight bench NAME...` {AGAIN}."]
    texts = {_key(one.name, one.options, one.resolution): str(one) for one in chosen}
    store = Store(source)
    notes = [f"{source.name} was damaged and is now {store.set_aside.name}."] if store.set_aside else []
    found: dict[tuple[str, str, int], dict[str, Timing]] = {}
    others: dict[str, set[tuple[str, str, int, str]]] = {}
    for run in store.runs():
        for one in store.measurements(run.id):
            key = _key_of(one)
            text = texts.get(key) if key else None
            if text is not None and one.batch == 1:
                where = run.machine, one.runtime, one.threads
                if (other := _other_version(one, run)) is not None:
                    others.setdefault(other, set()).add((*where, text))
                else:
                    found.setdefault(where, {})[text] = _timing(one, run)
    for other, those in others.items():
        if old := sum(text not in found.get((place, runtime, threads), {}) for place, runtime, threads, text in those):
            notes.append(f"Not shown: {old} measured {other}; run `featherweight bench NAME...` {AGAIN}.")
    if not found:
        notes.append(f"No measured latency of these networks: run `featherweight bench NAME...` {AGAIN}.")
    return [
        LatencySeries(measured=True, runtime=runtime, threads=threads, machine=where, timings=timings)
        for (where, runtime, threads), timings in sorted(found.items())
    ], notes


def _other_version(one: "Measurement", run: "Run") -> str | None:
    """Say with what a result was measured that is of another version here; None where all is the same.

    Every runtime has its networks from PyTorch and from us, so those versions count, too.
    """
    from featherweight.bench import RUNTIMES, versions

    if one.runtime not in RUNTIMES:
        return f"in {one.runtime}, which is no runtime here"
    now = versions()
    for package in dict.fromkeys((RUNTIMES[one.runtime].package, "torch", "featherweight")):
        if (then := run.versions.get(package)) != now.get(package):
            return f"in {one.runtime} with {package} {then}, this is {now.get(package)}"
    return None


def _timing(one: "Measurement", run: "Run") -> "Timing":
    from featherweight.report import Timing

    latency = one.latency
    return Timing(
        seconds=latency.median_seconds, low_seconds=latency.low_seconds, high_seconds=latency.high_seconds,
        date=run.date, noise=one.noise,
    )  # fmt: skip


Key = tuple[str, str, int]  # name, options, resolution


def _key(name: str, options: Mapping[str, object], resolution: int) -> Key:
    """Write a network in one way, whether or not options that are the default are named."""
    from featherweight.networks import network

    entry = network(name)
    return name, str(sorted((o, v) for o, v in options.items() if v != entry.default(o))), resolution


def _key_of(one: "Measurement") -> Key | None:
    """Return the key of what was measured; None for a file, or another network than the registry's at a square size."""
    from featherweight.networks import list_networks, network

    subject = one.subject
    name, shape = subject.network, subject.input_shape
    if name not in list_networks() or shape is None or shape[1] != shape[2]:
        return None
    if not set(subject.options) <= set(network(name).options):
        return None
    return _key(name, subject.options, shape[2])


def ceilings() -> "tuple[list[Ceilings], list[str]]":
    """Read what `calibrate` found on this machine, for each number of threads, and say why there is nothing."""
    from featherweight._machine import available_processors
    from featherweight.bench import CalibrationError, calibration_path, load_calibration
    from featherweight.report import Ceilings

    found, notes = [], []
    for threads in range(1, available_processors() + 1):
        if not calibration_path(threads).exists():
            continue
        try:
            one = load_calibration(threads)
        except CalibrationError as error:
            notes.append(f"Ceilings left out: {error}.")
            continue
        found.append(
            Ceilings(
                machine=one.machine, date=one.date, threads=threads,
                multiply_adds_per_second=one.multiply_adds_per_second["float32"],
                bandwidth_bytes_per_second=one.bandwidth_bytes_per_second,
            )
        )  # fmt: skip
    if not found:
        notes.append(f"No ceilings for the roofline: run `featherweight calibrate` {AGAIN}.")
    return found, notes
