"""`featherweight prune`, and `featherweight train` of what it wrote."""

import json

import pytest
import torch

from featherweight._files import write_atomically
from featherweight._fit._learner import Learner
from featherweight.data import Preprocessing
from featherweight.networks import create, load_model, save_model
from featherweight.train import TrainingInterrupted


@pytest.fixture
def saved(tmp_path):
    """A network as `featherweight train` leaves it, but for the training."""
    torch.manual_seed(0)
    model = create("mobilenet_v1", width=0.25, num_classes=10, in_channels=1, small_input=True)
    preprocessing = Preprocessing(resolution=8, channels=1, mean=(0.5,), std=(0.5,))
    metadata = {
        "labels": json.dumps([*"0123456789"]),
        "preprocessing": json.dumps(preprocessing.to_dict()),
        "seed": "3",
    }
    return save_model(model, tmp_path / "model.safetensors", metadata)


def test_an_interruption_keeps_the_pruned_network(featherweight, saved, tmp_path, monkeypatch) -> None:
    def interrupted(*arguments, **options):
        raise TrainingInterrupted(3, None)

    monkeypatch.setattr(Learner, "stage", interrupted)
    out = tmp_path / "pruned.safetensors"
    words = ["--params", "50%", "--importance", "magnitude", "--data", "digits", "--retrain", "9s", "--out", out]
    answer = featherweight("prune", saved, *words)
    assert answer.code == 130
    assert f"interrupted: {out} is pruned, not trained again; `featherweight train" in " ".join(answer.err.split())
    assert out.stat().st_size < 0.6 * saved.stat().st_size


def test_pruned_retrained_and_trained_again(featherweight, saved, tmp_path) -> None:
    answer = featherweight("prune", saved, "--multiply-adds", "50%", "--data", "digits", "--retrain", "1s", "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    assert found["importance"] == "taylor"
    assert found["after"]["multiply_adds"] <= found["before"]["multiply_adds"] / 2
    assert found["before"]["input_shape"] == [1, 8, 8]
    assert found["accuracy"].keys() == {"before", "pruned", "retrained"}
    pruned = load_model(tmp_path / "model-pruned.safetensors")
    assert {row["name"]: row["after"] for row in found["layers"]}["head.classifier"] == 10
    assert sum(p.numel() for p in pruned.parameters()) == found["after"]["params"]
    again = featherweight("train", "-n", found["file"], "--epochs", 1, "--out", tmp_path / "again", "--json")
    assert again.code == 0, again.err
    assert again.json["resolution"] == 8
    trained = load_model(again.json["file"])
    assert repr(trained) == repr(pruned) and not torch.equal(trained.stem.conv.weight, pruned.stem.conv.weight)


def test_without_pictures_it_counts_at_the_side_that_the_file_says(featherweight, saved) -> None:
    words = ("--multiply-adds", "100%", "--importance", "magnitude")
    answer = featherweight("prune", saved, *words, "--json")
    assert answer.code == 0, answer.err
    counted = featherweight("cost", saved, "--json").json
    assert answer.json["before"]["multiply_adds"] == counted["multiply_adds"]
    assert answer.json["before"]["input_shape"] == [1, 8, 8]
    assert answer.json["layers"] == []
    answer = featherweight("prune", saved, *words, "--overwrite")
    assert "nothing is removed: the network is within the budget as it is" in " ".join(answer.out.split())
    assert featherweight("cost", saved, "--input", "32", "--json").json["input_shape"] == [1, 32, 32]
    damaged = save_model(load_model(saved), saved.with_name("damaged.safetensors"), {"preprocessing": "imagenet"})
    for command in (("prune", damaged, *words), ("cost", damaged)):
        answer = featherweight(*command)
        assert answer.code == 2 and "the metadata of " in answer.err and "damaged.safetensors is damaged" in answer.err


def test_latency_is_measured(featherweight, saved, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("featherweight.cli.prune.LATENCY_SECONDS", 0.05)
    out = tmp_path / "new" / "small.safetensors"
    answer = featherweight("prune", saved, "--max-latency", "10s", "--round-to", 32, "--out", out)
    assert answer.code == 0, answer.err
    assert "latency" in answer.out and "weights" in answer.out and "the network's outputs" in answer.out
    assert out.exists()
    times = iter([0.001])  # then always more
    monkeypatch.setattr("featherweight.cli.prune.latency", lambda model, side: next(times, 0.005))
    answer = featherweight(
        "prune", saved, "--max-latency", "2ms", "--round-to", 32, "--out", out, "--overwrite", "--json"
    )
    assert answer.code == 3
    assert answer.json["latency_seconds"] == {"before": 0.005, "after": 0.005, "bound": 0.002}
    assert "the latency, measured again, is 5 ms; wanted at most 2 ms" in answer.err


def test_wrong_words_of_prune(featherweight, saved, tmp_path) -> None:
    there = write_atomically(tmp_path / "there.safetensors", "weights of hours")
    for words, code, complaint in (
        ([saved], 2, "no budget: give --multiply-adds, --params, --size or --max-latency"),
        ([saved, "--params", "many"], 2, "--params: not a count: 'many'"),
        ([saved, "--multiply-adds", "0%"], 2, "--multiply-adds must leave something"),
        ([saved, "--multiply-adds", "0.5"], 2, "a share is written as 50%; got 0.5"),
        ([saved, "--params", "50%", "--data", "digits", "--retrain", "0s"], 2, "needs some time; got 0 s"),
        ([saved, "--params", "50%", "--out", tmp_path / "pruned.onnx"], 2, "--out is a network, FILE.safetensors; got"),
        ([saved, "--params", "50%", "--retrain", "1s"], 2, "--retrain needs pictures: --data"),
        ([saved, "--params", "50%", "--importance", "taylor"], 2, "--importance taylor needs pictures"),
        ([saved, "--params", "50%", "--importance", "age"], 2, "'magnitude', 'taylor'"),
        (
            [saved, "--params", "50%", "--keep", "tail"],
            2,
            "'tail'; its layers are stem.conv, stem.norm, body.0.depthwise.conv",
        ),
        ([saved, "--params", "50%", "--out", saved], 2, "is the network itself"),
        ([saved, "--params", "50%", "--out", there], 2, f"{there} is there already: --overwrite replaces it"),
        (
            [saved, "--params", "50%", "--out", there / "in.safetensors"],
            1,
            f"cannot make the folder {there}: {there} is a file",
        ),
        ([saved, "--params", "10"], 1, "with all removed that can be, it still has params"),
        ([tmp_path / "none.safetensors", "--params", "50%"], 1, "no such file"),
    ):
        answer = featherweight("prune", *words)
        assert (answer.code, answer.out) == (code, ""), words
        assert complaint in answer.err


def test_a_file_is_replaced_only_where_that_is_asked_for(featherweight, saved, tmp_path) -> None:
    there = write_atomically(tmp_path / "model-pruned.safetensors", "weights of hours")
    assert featherweight("prune", saved, "--params", "50%").code == 2
    assert there.read_text() == "weights of hours"
    assert featherweight("prune", saved, "--params", "50%", "--overwrite").code == 0
    assert load_model(there)


def test_wrong_words_of_training_a_file(featherweight, saved, tmp_path) -> None:
    bare = save_model(load_model(saved), tmp_path / "bare.safetensors")
    for words, complaint in (
        (["-n", saved, "-o", "width=0.5"], "-o chooses among networks"),
        (["-n", saved, "--seed", 4], "was trained with --seed 3, and is again; got --seed 4"),
        (["-n", bare], "was saved without labels and preprocessing"),
    ):
        answer = featherweight("train", *words, "--out", tmp_path / "again")
        assert (answer.code, answer.out) == (2, "")
        assert complaint in answer.err
