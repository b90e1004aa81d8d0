"""`featherweight explore`: what it gathers, and the page on the whole zoo."""

import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from featherweight.bench import Calibration, Measurement, Store, Subject, machine, save_calibration, versions
from featherweight.cli._latencies import ceilings, measured, predictors
from featherweight.cost import Latency, OpCall
from featherweight.networks import counts, list_networks, variants
from featherweight.predictor import Prediction, PredictorError, UnitTime

NARROW = "mobilenet_v2 width=0.5 @224"


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Results are kept in a folder of the test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def taken(network: str, seconds: float, *, batch: int = 1, side: int = 224, **options: object) -> Measurement:
    latency = Latency(
        median_seconds=seconds, low_seconds=0.9 * seconds, high_seconds=1.2 * seconds, confidence=0.95, runs=20
    )
    return Measurement(
        subject=Subject(network=network, options=options, input_shape=(3, side, side)), runtime="onnxruntime",
        threads=1, batch=batch, latency=latency, difference=0.0, load_seconds=1.0, outliers=0.0, drift=0.0,
        probe_seconds=1e-3,
    )  # fmt: skip


def test_measurements_find_their_variant_and_the_latest_counts(tmp_path: Path) -> None:
    store = Store(tmp_path / "bench.sqlite")
    first, second = store.begin(), store.begin()
    store.add(first, taken("mobilenet_v2", 0.030, width=0.5))
    store.add(second, taken("mobilenet_v2", 0.020, width=0.5, num_classes=1000))  # the same network, in more words
    store.add(second, taken("mobilenet_v2", 0.500, batch=32))
    store.add(second, taken("mobilenet_v2", 0.025, width=0.3))  # nobody printed anything on it
    store.add(second, taken("/somewhere/model.safetensors", 0.01))
    (series,), notes = measured(variants(), str(store.path))
    assert notes == []
    assert (series.measured, series.runtime, series.threads, series.machine) == (True, "onnxruntime", 1, machine())
    assert {name: (one.seconds, one.date) for name, one in series.timings.items()} == {NARROW: (0.020, second.date)}
    assert series.timings[NARROW].doubt == "noisy: known to 15.0% only"


def test_machines_are_never_mixed(tmp_path: Path) -> None:
    store = Store(tmp_path / "bench.sqlite")
    first, second = store.begin(), store.begin()
    store.add(first, taken("mobilenet_v2", 0.3))
    store.add(second, taken("mobilenet_v2", 0.1))
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute("UPDATE runs SET machine = 'Another CPU' WHERE id = ?", (first.id,))
    found, _ = measured(variants(), str(store.path))
    assert {one.machine: one.timings["mobilenet_v2 @224"].seconds for one in found} == {
        "Another CPU": 0.3,
        machine(): 0.1,
    }


@pytest.mark.parametrize("package", ["onnxruntime", "torch", "featherweight"])
def test_versions_are_never_mixed(tmp_path: Path, package: str) -> None:
    store = Store(tmp_path / "bench.sqlite")
    old = store.begin()
    for side in (224, 192):
        store.add(old, taken("mobilenet_v2", 0.3, side=side))
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute("UPDATE runs SET versions = ?", (json.dumps(versions() | {package: "0.0.1"}),))
    found, (note, _) = measured(variants(), str(store.path))
    assert not found
    assert f"Not shown: 2 measured in onnxruntime with {package} 0.0.1, this is {versions()[package]};" in note
    new = store.begin()
    store.add(new, taken("mobilenet_v2", 0.1))
    (series,), (note,) = measured(variants(), str(store.path))
    assert {name: one.seconds for name, one in series.timings.items()} == {"mobilenet_v2 @224": 0.1}
    assert "Not shown: 1 measured" in note  # the other was measured again


def test_a_runtime_that_is_no_more_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path / "bench.sqlite")
    store.add(store.begin(), replace(taken("mobilenet_v2", 0.3), runtime="caffe"))
    found, (note, _) = measured(variants(), str(store.path))
    assert not found
    assert "Not shown: 1 measured in caffe, which is no runtime here" in note


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert measured(variants(), None, wanted=False) == ([], [])
    found, (note,) = measured(variants(), str(tmp_path / "no.sqlite"))
    assert not found
    assert "featherweight bench NAME" in note
    assert not (tmp_path / "no.sqlite").exists()
    roofs, (note,) = ceilings()
    assert not roofs
    assert "featherweight calibrate" in note


def test_ceilings_are_those_of_the_calibration(at_home: Path) -> None:
    kept = Calibration(
        machine=machine(), versions=versions(), date="2030-05-17T09:00:00+00:00", threads=1,
        multiply_adds_per_second={"float32": 5e10, "bfloat16": 1e11, "int8": 2e11},
        bandwidth_bytes_per_second={2**18: 4e10, 2**28: 9e9},
        call_seconds={"convolution": 2e-6, "element-wise": 1e-6}, caches=[],
    )  # fmt: skip
    save_calibration(kept)
    (found,), notes = ceilings()
    assert (found.multiply_adds_per_second, found.bandwidth_bytes_per_second) == (5e10, {2**18: 4e10, 2**28: 9e9})
    assert notes == []
    save_calibration(Calibration(**{**vars(kept), "versions": {"torch": "0.1"}}))
    found_none, notes = ceilings()
    assert not found_none
    assert "was found with PyTorch 0.1" in notes[0]


class Predictor(NamedTuple):
    """A microsecond for each call, all of it in the classifier's layer; nothing is known of adders, little of pools."""

    runtime: str = "eager"
    threads: int = 1

    def predict(self, calls: Sequence[OpCall]) -> Prediction:
        if any("adder2d" in call.op for call in calls):
            raise PredictorError("97% of the operations are adder2d: nothing is known of them in eager")
        seconds = 1e-6 * len(calls)
        pools = any("max_pool" in call.op for call in calls)
        classifier = [UnitTime("head.classifier", "fully connected", share) for share in (1e-6, 2e-6)]
        return Prediction(
            seconds=seconds, low_seconds=seconds / 2, high_seconds=seconds * 2, units=tuple(classifier),
            unseen=("max_pool2d_with_indices",) if pools else (),
        )  # fmt: skip


def explored(
    featherweight: Any, monkeypatch: pytest.MonkeyPatch, page: Path, pattern: str
) -> tuple[Any, dict[str, Any]]:
    """Run the command with that predictor; return its JSON and the page's data."""
    monkeypatch.setattr("featherweight.cli._latencies.predictors", lambda: ([Predictor()], []))
    answer = featherweight("explore", "--networks", pattern, "--store", "none", "--out", page, "--json")
    assert answer.code == 0 and "No predicted latency" not in answer.err
    text = page.read_text(encoding="utf-8")
    return answer.json, json.loads(re.findall(r'id="zoo-data">(.*?)</script>', text)[0])


def test_predictions_are_gathered_by_network_and_by_layer(
    featherweight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, shown = explored(featherweight, monkeypatch, tmp_path / "page.html", "mobilenet_v3_small")
    for row in told["networks"]:
        (one,) = row["latencies"]
        assert (one["runtime"], one["measured"], one["low_seconds"]) == ("eager", False, one["seconds"] / 2)
        assert one["machine"] == machine() and one["unseen"] == []
    assert shown["latencies"][0]["by_layer"] is True
    assert {one["latencies"]["0"][4] for one in shown["networks"]} == {""}


def test_what_cannot_be_predicted_is_left_out_and_said(
    featherweight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, shown = explored(featherweight, monkeypatch, tmp_path / "page.html", "*lenet5_bn")
    latencies = {row["network"]: row["latencies"] for row in told["networks"]}
    assert latencies["adder_lenet5_bn"] == [] and len(latencies["lenet5_bn"]) == 1
    assert {one["name"]: list(one["latencies"]) for one in shown["networks"]}["adder_lenet5_bn"] == []
    (note,) = [note for note in told["notes"] if "adder" in note]
    assert note == (
        "Not predicted for eager with 1 thread: adder_lenet5_bn @32 "
        "(97% of the operations are adder2d: nothing is known of them in eager)."
    )
    assert note in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_is_guessed_is_marked(featherweight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, shown = explored(featherweight, monkeypatch, tmp_path / "page.html", "squeezenet")
    for row in told["networks"]:
        assert row["latencies"][0]["unseen"] == ["max_pool2d_with_indices"]
    for one in shown["networks"]:
        assert one["latencies"]["0"][4] == "roughly estimated: nothing is known of max_pool2d_with_indices"


def test_without_predictors_the_page_says_what_to_run(featherweight, tmp_path: Path) -> None:
    assert predictors()[0] == []
    page = tmp_path / "page.html"
    answer = featherweight("explore", "--networks", "squeezenet", "--store", "none", "--out", page, "--json")
    assert answer.code == 0
    assert {tuple(sorted(row["options"])) for row in answer.json["networks"]} >= {(), ("bypass",), ("version",)}
    for row, one in zip(answer.json["networks"], (v for v in variants() if v.name == "squeezenet"), strict=True):
        assert (row["params"], row["multiply_adds"], row["additions"]) == counts(one)
    assert any("run `featherweight calibrate`" in note for note in answer.json["notes"])
    assert "No predicted latency: run" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("pattern", "words"), [("mobilenetv2", "did you mean mobilenet_v2"), ("z*", "no network fits")]
)
def test_an_unknown_network_is_one_line(featherweight, tmp_path: Path, pattern: str, words: str) -> None:
    answer = featherweight("explore", "--networks", pattern, "--out", tmp_path / "page.html")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert words in answer.err
    assert not (tmp_path / "page.html").exists()


def test_the_whole_zoo_is_small_and_opens_soon(featherweight, tmp_path: Path, browser: Any) -> None:
    page = tmp_path / "explore.html"
    answer = featherweight("explore", "--out", page)
    assert answer.code == 0
    assert page.stat().st_size <= 3_000_000
    browser.get(page.as_uri())
    shown = browser.execute_script("return ZOO.networks.map(one => one.id)")
    assert sorted(shown) == sorted(str(one) for one in variants())
    assert {name.split()[0] for name in shown} == set(list_networks())
    # 2 s are the bar; a busy machine may be slower, and the first page of a browser waits for its start.
    browser.get(page.as_uri())
    assert browser.execute_script("return Number(document.documentElement.dataset.ready)") < 6000
    assert browser.get_log("browser") == []
