"""The file of results: what goes in comes out, and nothing that was there is lost."""

import sqlite3

import pytest

from featherweight.bench import Measurement, Store, StoreError, Subject, default_path
from featherweight.cost import latency_of

RESULT = Measurement(
    subject=Subject(network="mobilenet_v2", options={"width": 0.5}, input_shape=(3, 96, 96)), runtime="eager",
    threads=2, batch=4, latency=latency_of([1.0, 2.0, 3.0]), difference=0.25, load_seconds=1.5, outliers=0.125,
    drift=-0.5, probe_seconds=0.001,
)  # fmt: skip


def test_results_come_back_as_they_were(tmp_path):
    store = Store(tmp_path / "new" / "bench.sqlite")
    run = store.begin()
    store.add(run, RESULT)
    again = Store(store.path)
    assert again.measurements(run.id) == [RESULT]
    assert again.runs() == [run] and run.versions["torch"] and "processors" in run.machine


def test_runs_are_found_by_number_date_and_last(tmp_path):
    store = Store(tmp_path / "bench.sqlite")
    first, second = store.begin(), store.begin()
    assert store.run("1") == first and store.run("last") == second == store.run(second.date[:10])
    with pytest.raises(StoreError, match=r"has no run '7'; the latest: 1 \(.*\), 2 \("):
        store.run("7")
    with pytest.raises(StoreError, match="the latest: none"):
        Store(tmp_path / "empty.sqlite").run("last")


@pytest.mark.parametrize("content", [b"no database at all, but long enough to have a header" * 20, None])
def test_a_damaged_file_is_set_aside(tmp_path, content):
    path = tmp_path / "bench.sqlite"
    store = Store(path)
    for _ in range(60):
        store.begin()
    whole = path.read_bytes()
    broken = content or whole[: len(whole) // 2] + b"\xff" * 500 + whole[len(whole) // 2 + 500 :]
    path.write_bytes(broken)
    again = Store(path)
    assert again.set_aside is not None and again.set_aside.read_bytes() == broken
    assert again.runs() == [] and again.begin().id == 1


def test_files_of_others_are_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is a database of something else"):
        Store(path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="has version 99; wanted results of version 1"):
        Store(path)
    assert len(path.read_bytes()) == len(before)


def test_results_are_kept_where_the_system_keeps_data(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_path() == tmp_path / "featherweight" / "bench.sqlite"
