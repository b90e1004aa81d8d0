"""`featherweight roofline`: the table, the files, the calibration that it makes where there is none."""

import csv
import json
from xml.etree import ElementTree

import pytest

from featherweight.bench import _calibration as calibration
from featherweight.bench import load_calibration

QUICK = ["lenet5_bn", "--turns", "2"]


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path, workers_here):
    monkeypatch.setattr(calibration, "SETS", (2**18, 2**20))
    monkeypatch.setattr(calibration, "SIDES", (64,))
    monkeypatch.setattr(calibration, "TURN_SECONDS", 0.001)
    ask = calibration.Worker.ask
    monkeypatch.setattr(
        calibration.Worker,
        "ask",
        lambda self, do, **what: (
            json.loads(json.dumps(calibration.probes())) if do == "calibrate" else ask(self, do=do, **what)
        ),
    )
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_a_machine_without_calibration_gets_one(featherweight):
    first = featherweight("roofline", *QUICK)
    assert first.code == 0 and "its probes run now, about ten seconds" in first.err and "kept in " in first.err
    assert load_calibration(1).threads == 1
    lines = first.out.splitlines()
    assert lines[0].startswith("lenet5_bn, 1 x 1x32x32, 1 thread: ") and "in eager PyTorch" in lines[0]
    names = [line.split()[0] for line in lines if line.strip()]
    assert names.index("overhead") + 1 == names.index("whole") and {"G1", "G2", "G3", "G4"} <= set(names)
    second = featherweight("roofline", *QUICK, "--by", "kind")
    assert "its probes" not in second.err and "5x5" in second.out


def test_too_few_turns_are_told(featherweight):
    done = featherweight("roofline", *QUICK)
    assert "2 turns are too few to tell how sure the time of the whole network is: six are enough" in done.err
    assert featherweight("roofline", *QUICK, "--json").json["uncertainty"] is None
    assert "too few" not in featherweight("roofline", "lenet5_bn", "--turns", "6").err


def test_json_adds_up(featherweight):
    found = featherweight("roofline", *QUICK, "--by", "block", "--order", "network", "--json").json
    assert found["rows"][0]["name"] == "stem"
    seconds = sum(row["seconds"] for row in found["rows"]) + found["overhead_seconds"]
    assert seconds == pytest.approx(found["whole_seconds"])
    assert found["rows"][0]["fraction"] == pytest.approx(
        found["rows"][0]["least_seconds"] / found["rows"][0]["seconds"]
    )
    assert set(found["guidelines"]) == {"G1", "G2", "G3", "G4"}


def test_rows_are_sorted(featherweight, tmp_path):
    done = featherweight("roofline", *QUICK, "--out", tmp_path / "layers.csv")
    assert done.code == 0 and "wrote " in done.err
    with (tmp_path / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds, reverse=True) and {row["bound"] for row in rows} <= {"compute", "memory", "call"}


def test_a_picture(featherweight, tmp_path):
    assert featherweight("roofline", *QUICK, "--out", tmp_path / "roofline.svg").code == 0
    titles = [
        one.text for one in ElementTree.parse(tmp_path / "roofline.svg").iter("{http://www.w3.org/2000/svg}title")
    ]
    assert any(title and "5x5: " in title and "% of what " in title for title in titles)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "unknown network 'nothing'"),
        (["lenet5_bn", "-o", "depth=3"], "lenet5_bn has no option 'depth'"),
        (["lenet5_bn", "--input", "big"], "not an input size: 'big'"),
        (
            ["lenet5_bn", "--out", "roofline.png"],
            "--out is a picture, FILE.svg, or a table, FILE.csv; got 'roofline.png'",
        ),
        (["lenet5_bn", "--by", "colour"], "'colour' is not one of 'layer'"),
    ],
)
def test_wrong_words(featherweight, words, message):
    done = featherweight("roofline", *words)
    assert done.code == 2 and message in done.err, done.err


def test_an_input_that_the_network_cannot_take_is_one_line(featherweight):
    done = featherweight("roofline", "lenet5_bn", "--input", "2x32x32")
    assert done.code == 1 and "is for pictures of 1 channels; got 2" in done.err and "Traceback" not in done.err
