"""`featherweight latency`: a table and JSON of what was learned; clear words where nothing was."""

import pytest

from featherweight.predictor import predictor_path, save_predictor


@pytest.fixture
def at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@pytest.fixture
def learned(at_home, predictor):
    save_predictor(predictor)


def test_a_row_for_each_network_and_what_takes_the_longest(featherweight, learned):
    done = featherweight("latency", "mobilenet_v2", "resnet18", "--input", "96", "--layers")
    assert done.code == 0, done.err
    assert "mobilenet_v2" in done.out and "3x96x96" in done.out and "9 of 10 between" in done.out
    assert "resnet18 in eager: the slowest" in done.out and "first.conv" in done.out


def test_json_has_the_figures_of_the_predictor(featherweight, learned, predictor):
    from featherweight.cost import trace
    from featherweight.networks import create

    (row,) = featherweight("latency", "mobilenet_v2", "-o", "width=0.5", "--json").json["predictions"]
    assert row["runtime"] == "eager" and row["threads"] == 1
    assert row["seconds"] == pytest.approx(predictor.predict(trace(create("mobilenet_v2", width=0.5))).seconds)
    assert "layers" not in row


def test_json_has_every_layer_if_asked(featherweight, learned, predictor):
    (row,) = featherweight("latency", "mobilenet_v2", "--input", "96", "--layers", "--json").json["predictions"]
    assert row["input"] == [3, 96, 96] and len(row["layers"]) > 52
    total = sum(layer["seconds"] for layer in row["layers"]) + predictor.whole.seconds
    assert total == pytest.approx(row["seconds"])


@pytest.fixture
def stale(learned):
    """A predictor for another runtime, of which nothing can be read."""
    predictor_path("onnxruntime", 1).write_bytes(b"nonsense")


def test_a_stale_predictor_is_told_and_the_others_predict(featherweight, stale):
    done = featherweight("latency", "lenet5_bn")
    assert done.code == 0 and "eager" in done.out and "onnxruntime" not in done.out
    (line,) = done.err.splitlines()
    assert line.startswith("left out: ") and "is damaged" in line


def test_a_stale_predictor_that_is_asked_for_is_an_error(featherweight, stale):
    done = featherweight("latency", "lenet5_bn", "--runtimes", "eager,onnxruntime")
    assert (done.code, done.out) == (1, "") and "is damaged" in done.err


def test_only_stale_predictors_are_an_error(featherweight, stale):
    predictor_path("eager", 1).unlink()
    done = featherweight("latency", "lenet5_bn")
    assert (done.code, done.out) == (1, "") and "is damaged" in done.err


def test_what_cannot_be_predicted_leaves_the_others_theirs(featherweight, learned):
    """That predictor has seen no adder layers."""
    found = featherweight("latency", "adder_resnet20", "lenet5_bn", "--json").json
    assert [one["network"] for one in found["predictions"]] == ["lenet5_bn"]
    (reason,) = found["left_out"]
    assert reason.startswith("adder_resnet20 in eager: ") and "adder2d: nothing is known of them" in reason
    done = featherweight("latency", "adder_resnet20")
    assert (done.code, done.out) == (1, "") and "nothing is known of them in eager" in done.err


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["latency", "mobilenet_v2"], 1, "run `featherweight calibrate --runtimes eager --threads 1`"),
        (["latency", "mobilenet_v2", "--runtimes", "compile"], 2, "compile cannot be predicted; these can: eager"),
        (["latency", "mobilenet_v9"], 2, "mobilenet_v9"),
    ],
)
def test_what_cannot_be_told(featherweight, at_home, words, code, complaint):
    done = featherweight(*words)
    assert done.code == code and complaint in done.err
