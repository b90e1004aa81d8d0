"""`featherweight advise`: a table for each network, what failed, and the file of results."""

import pytest

from featherweight.bench import Store

QUICK = ["squeezenet", "--input", "64", "--rounds", "2", "--runtimes", "folded"]


def test_a_table_and_what_is_kept(featherweight, tmp_path):
    done = featherweight("advise", "squeezenet", *QUICK, "--store", tmp_path / "bench.sqlite")
    assert done.code == 0, done.err
    titles = [line for line in done.out.splitlines() if "1 x 3x64x64, in eager with 1 thread: " in line]
    assert len(titles) == 2 and "1.25 M parameters" in titles[0]
    assert done.out.count("PyTorch, batch norms folded") == 2 and "verdict" in done.out
    store = Store(tmp_path / "bench.sqlite")
    assert [one.runtime for one in store.measurements(1)] == ["eager", "folded"] * 2
    assert "kept as run 1 in " in done.err


def test_json(featherweight):
    found = featherweight("advise", *QUICK, "-o", "version=1.1", "--store", "none", "--json").json
    ((one,),) = found["networks"]
    assert one["change"]["runtime"] == "folded" and one["verdict"] in ("faster", "slower", "no difference", "unclear")
    assert one["facts_before"] == one["facts_after"] and one["facts_after"]["params"] > 1e6
    assert one["low_speed"] <= one["speed"] <= one["high_speed"]
    assert one["before"]["subject"]["options"] == {"version": "1.1"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "unknown network 'nothing'"),
        (["squeezenet", "--runtime", "slow"], "no runtime is called 'slow'; known: eager"),
        (["squeezenet", "--runtimes", "eager,slow"], "no runtime is called 'slow'; known: eager"),
        (["squeezenet", "--input", "big"], "not an input size: 'big'"),
    ],
)
def test_wrong_words(featherweight, words, message):
    done = featherweight("advise", *words)
    assert done.code == 2 and message in done.err, done.err


def test_a_network_that_cannot_run_is_one_line(featherweight):
    done = featherweight("advise", "lenet5_bn", "--input", "2x32x32", "--runtimes", "folded", "--store", "none")
    assert done.code == 1 and "lenet5_bn in eager cannot be measured: " in done.err and "Traceback" not in done.err
