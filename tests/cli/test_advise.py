"""`featherweight advise`: a table for each network, what failed, and the file of results."""

import pytest

from featherweight.bench import Store
from featherweight.bench import _advise as advising

pytestmark = pytest.mark.usefixtures("workers_here")
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


BOTH = ["lenet5_bn", "squeezenet", "lenet5_bn", "--input", "1x32x32", *QUICK[3:], "--store", "none"]


def test_a_network_that_cannot_run_leaves_the_others_their_tables(featherweight):
    done = featherweight("advise", *BOTH)
    assert done.code == 1 and "squeezenet in eager cannot be measured: " in done.err and "Traceback" not in done.err
    assert done.out.count("lenet5_bn, 1 x 1x32x32, in eager with 1 thread: ") == 2
    done = featherweight("advise", *BOTH, "--json")
    assert done.code == 1 and len(done.json["networks"]) == 2
    assert [one["network"] for one in done.json["failed"]] == ["squeezenet"]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_interrupted_it_has_told_what_was_finished(featherweight, monkeypatch, words):
    taken = advising.take_turns

    def interrupted(entries, *rest, **others):
        if entries[0].subject.network == "squeezenet":
            raise KeyboardInterrupt
        return taken(entries, *rest, **others)

    monkeypatch.setattr(advising, "take_turns", interrupted)
    done = featherweight("advise", *BOTH, *words)
    assert done.code == 130 and done.out.count("PyTorch, batch norms folded") == 1
    assert not words or len(done.json["networks"]) == 1
