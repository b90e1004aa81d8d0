"""An AdderNet on the command line: trained, written in bytes, used; and what ONNX makes of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherweight.cli import main
from featherweight.data import digits
from featherweight.export import load
from featherweight.export.adder_int8 import AdderRunner
from featherweight.ops._native import native

SMALL = ("-n", "adder_resnet20", "-o", "width=0.25", "--epochs", 4)
kernels = pytest.mark.skipif(native is None, reason="featherweight._native is not installed: there is no runner")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    with pytest.raises(SystemExit) as end:
        main(["train", *map(str, SMALL), "--adder-p-until", "0.2", "--out", str(out), "--json"])
    assert not end.value.code
    return out / "model.safetensors"


@kernels
def test_one_command_writes_bytes_and_compares_them(featherweight, trained, tmp_path) -> None:
    path = tmp_path / "new" / "int8.safetensors"
    answer = featherweight("export", trained, "--to", "adder-int8", "--data", "digits", "--out", path, "--json")
    assert answer.code == 0, answer.err
    assert "in bytes from layer to layer: 20 adder layers; in float: the first convolution and the last" in answer.err
    assert answer.json["proven_on"] == "359 test pictures"
    in_float, [in_bytes] = answer.json["pytorch"], answer.json["files"]
    assert (in_float["file"], in_bytes["file"]) == (str(trained), str(path))
    assert in_bytes["agreement"] > 0.95
    assert 0.5 < in_float["accuracy"] < 1
    assert abs(in_bytes["accuracy"] - in_float["accuracy"]) < 0.02
    assert in_bytes["bytes"] == path.stat().st_size < 0.5 * in_float["bytes"]
    assert in_bytes["max_logit_difference"] > 0
    assert min(in_bytes["latency_seconds"], in_float["latency_seconds"]) > 0

    runner = load(path)
    assert isinstance(runner, AdderRunner)
    assert runner.labels == tuple("0123456789")
    pictures = digits()
    for index in range(3):
        picture = np.asarray(pictures.at(runner_shape(runner))[index, 0])
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    answer = featherweight("predict", path, *(tmp_path / f"{index}.png" for index in range(3)), "--json")
    assert answer.code == 0, answer.err
    assert all(len(row["classes"]) == 3 for row in answer.json["predictions"])


def runner_shape(runner: AdderRunner):
    from featherweight.data import Preprocessing

    return Preprocessing.from_dict(runner.preprocessing)


def test_onnx_says_that_it_is_slow_and_what_is_not(featherweight, trained, tmp_path) -> None:
    answer = featherweight("export", trained, "--out", tmp_path / "model.onnx")
    assert answer.code == 0, answer.err
    assert load(tmp_path / "model.onnx").labels == tuple("0123456789")
    assert answer.err.count("20 adder layers: ONNX has no such operator") == 1
    assert "--to adder-int8 writes the network in bytes" in answer.err


def test_wrong_words(featherweight, trained, tmp_path) -> None:
    to = ("--to", "adder-int8")
    other = featherweight("train", "-n", "mobilenet_v1", "-o", "width=0.25", "--epochs", 1, "--out", tmp_path, "--json")
    for words, complaint in (
        ([trained, *to], "--to adder-int8 needs pictures to calibrate with"),
        ([trained, *to, "--precision", "float32"], "no target here has the precision 'float32'; there are int8"),
        ([trained, *to, "--data", "digits", "--out", trained], "is the network itself"),
        ([other.json["file"], *to, "--data", "digits"], "has no adder layers, and adder-int8 is for networks of"),
    ):
        answer = featherweight("export", *words)
        assert (answer.code, answer.out) == (2, "")
        assert complaint in answer.err
    for words, complaint in (
        (["-n", "mobilenet_v1", "--adder-p-until", 0.5], "--adder-p-until is for networks of adder layers"),
        ([*SMALL, "--adder-p-until", 1.5], "adder_p_until must be in [0, 1); got 1.5"),
    ):
        answer = featherweight("train", *words, "--out", tmp_path / "none")
        assert (answer.code, answer.out) == (2, "")
        assert complaint in answer.err
