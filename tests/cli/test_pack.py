"""`featherweight pack` and `featherweight unpack`."""

import json

import pytest
import safetensors
import torch

from featherweight._units import format_percent
from featherweight.cli.train import learner_of
from featherweight.compress import share_weights, unpack
from featherweight.compress._share import plain
from featherweight.networks import create, load_model, save_model


@pytest.fixture
def saved(tmp_path):
    model = create("squeezenet", num_classes=10)
    return save_model(model, tmp_path / "model.safetensors", {"labels": json.dumps([*"0123456789"])})


def test_there_and_back(featherweight, saved, tmp_path) -> None:
    out = featherweight("pack", saved, "--bits", 5, "--density", 0.25).out
    assert "times smaller; 1.0" in out
    assert "positions of weights" in out
    back = tmp_path / "back.safetensors"
    assert str(back) in featherweight("unpack", tmp_path / "model.fwz", "--out", back).out
    expected = plain(share_weights(load_model(saved), density=0.25, bits=5)).state_dict()
    got = load_model(back).state_dict()
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in got)
    with safetensors.safe_open(back, "pt") as file:
        assert json.loads(file.metadata()["labels"]) == [*"0123456789"]


def test_json_has_every_part(featherweight, saved, tmp_path) -> None:
    found = featherweight("pack", saved, "--out", tmp_path / "new" / "small.fwz", "--json").json
    parts = ("positions", "indices", "codebooks", "rest", "header")
    assert sum(found[f"{part}_bytes"] for part in parts) == found["packed_bytes"]
    assert found["packed_bytes"] == (tmp_path / "new" / "small.fwz").stat().st_size
    assert found["bound_bytes"] < found["packed_bytes"] < found["float_bytes"] / 10
    assert {row["name"] for row in found["tensors"]} >= {"stem.0.weight"}
    back = featherweight("unpack", found["path"], "--out", tmp_path / "back.safetensors", "--json").json
    assert back["packed_bytes"] == found["packed_bytes"]
    assert back["bytes"] > found["float_bytes"]


def test_accuracy_before_and_packed_is_told(featherweight, tmp_path) -> None:
    preprocessing = {"resolution": 16, "channels": 1, "mean": [0.5], "std": [0.25], "resize": "squash"}
    torch.manual_seed(0)
    model = create("mobilenet_v2", num_classes=10, in_channels=1, width=0.25)
    metadata = {"labels": json.dumps([*"0123456789"]), "preprocessing": json.dumps(preprocessing), "seed": "3"}
    path = save_model(model, tmp_path / "model.safetensors", metadata)
    words = ["pack", path, "--data", "digits", "--density", 0.05, "--bits", 1]
    answer = featherweight(*words, "--json")
    assert answer.code == 0, answer.err
    found = answer.json["accuracy"]
    answer = featherweight(*words)
    assert answer.code == 2 and "model.fwz is there already: --overwrite replaces it" in answer.err
    first = (tmp_path / "model.fwz").read_bytes()
    answer = featherweight(*words, "--overwrite")
    assert (tmp_path / "model.fwz").read_bytes() == first
    before, packed = format_percent(found["before"]), format_percent(found["packed"])
    assert f"accuracy {before} before, {packed} packed" in answer.out
    learner, side = learner_of(path, "digits")
    assert found["before"] == learner.evaluate(model, side, "test").accuracy
    assert found["packed"] == learner.evaluate(unpack(tmp_path / "model.fwz"), side, "test").accuracy


def test_wrong_words_and_damaged_files(featherweight, saved, tmp_path) -> None:
    packed = tmp_path / "model.fwz"
    featherweight("pack", saved)
    packed.write_bytes(packed.read_bytes()[:-1])
    (tmp_path / "text.safetensors").write_text("no model")
    (tmp_path / "model.onnx").write_text("no model either")
    for words, code, complaint in (
        (["pack", saved, "--density", 0], 2, "density is the share of weights to keep"),
        (["pack", saved, "--density", "33%", "--bits", 9], 2, "bits of an index are 1 to 8; got 9"),
        (["pack", saved, "--density", "a third"], 2, "--density: could not convert string to float: 'a third'"),
        (["pack", saved, "--bits", 9], 2, "bits of an index are 1 to 8; got 9"),
        (["pack", saved, "--out", saved], 2, "is the network itself"),
        (["pack", saved, "--out", tmp_path / "back.safetensors"], 2, "--out is a packed network, FILE.fwz; got '"),
        (["pack", tmp_path / "text.safetensors"], 2, "is not a whole safetensors file"),
        (["pack", tmp_path / "none.safetensors"], 1, "no such file"),
        (["pack", packed], 2, "model.fwz is a packed network: `featherweight unpack` it first"),
        (["ship", packed], 2, "model.fwz is a packed network: `featherweight unpack` it first"),
        (["pack", tmp_path / "model.onnx"], 2, "model.onnx is an ONNX file"),
        (["cost", packed], 2, "of files, a model.safetensors of ours is understood"),
        (["unpack", packed], 2, "Missing option '--out'"),
        (["unpack", packed, "--out", tmp_path / "back.pt"], 2, "ends in .safetensors"),
        (["unpack", packed, "--out", packed], 2, "is the packed network itself"),
        (["unpack", packed, "--out", tmp_path / "back.safetensors"], 1, "is damaged in the header"),
        (["unpack", saved, "--out", tmp_path / "back.safetensors"], 1, "is no .fwz file"),
        (["unpack", packed, "--out", saved], 2, "model.safetensors is there already: --overwrite replaces it"),
        (["unpack", packed, "--out", saved, "--overwrite"], 1, "is damaged in the header"),
        (["predict", packed, tmp_path], 2, "is a packed network: `featherweight unpack` it, then"),
        (["unpack", tmp_path / "none.fwz", "--out", tmp_path / "back.safetensors"], 1, "no such file"),
    ):
        answer = featherweight(*words)
        assert (answer.code, answer.out) == (code, ""), words
        assert complaint in answer.err
    assert not (tmp_path / "back.safetensors").exists()
