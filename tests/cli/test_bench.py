"""`featherweight bench`: the table, the files, the comparison with an earlier run."""

import csv
import json

import pytest

pytestmark = pytest.mark.usefixtures("workers_here")
QUICK = ["lenet5_bn", "--runtimes", "eager", "--rounds", "2"]


def test_a_table_a_csv_and_a_comparison(featherweight, tmp_path):
    store = ["--store", str(tmp_path / "bench.sqlite")]
    done = featherweight("bench", *QUICK, *store, "--batch", "1,2", "--out", str(tmp_path / "bench.csv"))
    assert done.code == 0, done.err
    assert "run 1: latency of one batch" in done.out and "1x32x32" in done.out
    with (tmp_path / "bench.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["network"], first["batch"], second["batch"]) == ("lenet5_bn", "1", "2")
    assert 0 < float(first["low_seconds"]) <= float(first["median_seconds"]) < 1
    again = featherweight("bench", *QUICK, *store, "--against", "last")
    assert "against run 1 of " in again.err and "now/then" in again.out and "kept as run 2" in again.err


def test_json(featherweight):
    done = featherweight("bench", *QUICK, "--store", "none", "--json")
    document = json.loads(done.out)
    assert document["run"] is None and document["results"][0]["latency"]["runs"] == 2


def test_what_is_left_out_is_named(monkeypatch):
    from featherweight.cli.bench import choose

    names, left_out = choose(None)
    assert "eager" in names and "takes long to get ready" in left_out["compile"]
    assert "compile" in choose("all")[0]
    assert choose("eager,folded") == (["eager", "folded"], {})


def test_a_damaged_store_is_set_aside(featherweight, tmp_path):
    (tmp_path / "bench.sqlite").write_bytes(b"nothing of the kind" * 100)
    done = featherweight("bench", *QUICK, "--store", str(tmp_path / "bench.sqlite"))
    assert done.code == 0 and "was damaged and is now bench.sqlite.damaged-" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "unknown network 'nothing'"),
        (["lenet5_bn", "--runtimes", "eager,slow"], "no runtime is called 'slow'; known: eager"),
        (["lenet5_bn", "--batch", "1,x"], "--batch: '1,x' is no list of numbers; understood: 1 or 1,32"),
        (["lenet5_bn", "--input", "big"], "not an input size: 'big'"),
        (["lenet5_bn", "--store", "none", "--against", "1"], "--against needs a store"),
    ],
)
def test_wrong_words(featherweight, words, message):
    done = featherweight("bench", *words)
    assert done.code == 2 and message in done.err, done.err


def test_a_network_that_no_runtime_can_run_fails(featherweight):
    done = featherweight(
        "bench", "lenet5_bn", "--input", "2x32x32", "--runtimes", "eager", "--rounds", "1", "--store", "none"
    )
    assert done.code == 1 and "failed" in done.out and "is for pictures of 1 channels; got 2" in done.err
