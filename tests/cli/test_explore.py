"""`featherweight explore`: what it gathers, and the page on the whole zoo."""

import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from featherweight.bench import Calibration, Measurement, Store, Subject, machine, save_calibration, versions
from featherweight.cli._latencies import ceilings, measured, predictors
from featherweight.cost import Latency, OpCall
from featherweight.networks import counts, list_networks, variants

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
        subject=Subject(network=network, options=options, input_shape=(3, side, side)), runtime="onnx", threads=1,
        batch=batch, latency=latency, difference=0.0, load_seconds=1.0, outliers=0.0, drift=0.0, probe_seconds=1e-3,
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
    assert (series.measured, series.runtime, series.threads, series.machine) == (True, "onnx", 1, machine())
    assert {name: (one.seconds, one.date) for name, one in series.timings.items()} == {NARROW: (0.020, second.date)}


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
        multiply_adds_per_second={"float32": 5e10, "int8": 2e11}, bandwidth_bytes_per_second={2**18: 4e10, 2**28: 9e9},
        call_seconds={"element-wise": 1e-6}, caches=[],
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
    """A microsecond for each call, all of it in the classifier's layer."""

    runtime: str = "eager"
    threads: int = 1

    def predict(self, calls: Sequence[OpCall]) -> Any:
        seconds = 1e-6 * len(calls)
        return SimpleNamespace(seconds=seconds, low_seconds=seconds / 2, high_seconds=seconds * 2)

    def layers(self, calls: Sequence[OpCall]) -> list[tuple[str, str, float]]:
        return [("head.classifier", "fully connected", 1e-6), ("head.classifier", "fully connected", 2e-6)]


def test_predictions_are_gathered_by_network_and_by_layer(
    featherweight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featherweight.cli._latencies.predictors", lambda: ([Predictor()], []))
    page = tmp_path / "page.html"
    answer = featherweight("explore", "--networks", "mobilenet_v3_small", "--out", page, "--json")
    assert "No predicted latency" not in answer.err
    for row in answer.json["networks"]:
        (one,) = row["latencies"]
        assert (one["runtime"], one["measured"], one["low_seconds"]) == ("eager", False, one["seconds"] / 2)
        assert one["machine"] == machine()
    text = page.read_text(encoding="utf-8")
    shown = json.loads(re.findall(r'id="zoo-data">(.*?)</script>', text)[0])
    assert shown["latencies"][0]["by_layer"] is True


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
