"""`featherweight train`, then `featherweight export` of what it wrote."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from featherweight.cli._trained import read_trained
from featherweight.export import load
from featherweight.networks import load_model

TRAIN = ("-n", "mobilenet_v1", "-o", "width=0.25", "--epochs", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Dark and light squares, in folders of their class."""
    root = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 128)):
        (root / name).mkdir()
        for i in range(40):
            Image.fromarray(draw.integers(low, low + 128, (16, 16), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.fixture
def trained(featherweight, folder, tmp_path):
    answer = featherweight("train", folder, *TRAIN, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.err
    return answer.json


def test_train_writes_a_model_with_labels_and_preprocessing(featherweight, trained) -> None:
    model = load_model(trained["file"])
    assert (model.num_classes, model.in_channels) == (2, 1)
    assert trained["options"]["small_input"] is True
    assert trained["resolution"] == 16
    assert json.loads(Path(trained["history_file"]).read_text())["steps"] == trained["steps"] > 0
    assert sum(trained["pictures"].values()) == 80
    assert not Path(trained["file"]).with_name("training.ckpt").exists()


def test_export_proves_the_file_on_the_test_pictures(featherweight, trained, folder) -> None:
    answer = featherweight("export", trained["file"], "--int8", "--data", folder, "--json")
    assert answer.code == 0, answer.err
    exact, small = answer.json["files"]
    assert answer.json["proven_on"] == f"{trained['pictures']['test']} test pictures"
    assert exact["accuracy"] == trained["accuracy"]["test"]
    assert exact["agreement"] == 1
    for row in (exact, small):
        assert Path(row["file"]).stat().st_size == row["bytes"]
        assert load(row["file"]).labels == ("dark", "light")


def test_export_without_pictures_is_proven_on_random_inputs(featherweight, trained, tmp_path) -> None:
    answer = featherweight("export", trained["file"], "--out", tmp_path / "new" / "phone.onnx")
    assert answer.code == 0, answer.err
    assert "proven on 64 random inputs" in answer.out
    assert load(tmp_path / "new" / "phone.onnx").input_shape == (1, 16, 16)


def test_wrong_words_of_export(featherweight, trained, tmp_path) -> None:
    for words, code, complaint in (
        ([trained["file"], "--int8"], 2, "--int8 needs pictures to calibrate with"),
        ([trained["file"], "--data", "digits"], 2, "its classes are 0, 1, 2"),
        ([trained["file"], "--data", tmp_path / "nowhere"], 1, "no such folder"),
        ([tmp_path / "no.safetensors"], 1, "no such file"),
    ):
        answer = featherweight("export", *words)
        assert (answer.code, answer.out) == (code, "")
        assert complaint in answer.err


def test_train_leaves_results_alone_unless_told(featherweight, trained, folder) -> None:
    out = Path(trained["file"]).parent
    before = load_model(trained["file"]).state_dict()
    answer = featherweight("train", folder, *TRAIN, "--out", out)
    assert answer.code == 2
    assert "--overwrite replaces it" in answer.err
    again = featherweight("train", folder, *TRAIN, "--out", out, "--overwrite", "--json")
    assert again.code == 0, again.err
    after = load_model(trained["file"]).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the same seed gave other weights"


def test_wrong_words_of_train(featherweight, folder, tmp_path) -> None:
    for words, code, complaint in (
        (["-n", "mobilenetv1"], 2, "did you mean mobilenet_v1"),
        ([*TRAIN, "-o", "num_classes=3"], 2, "the pictures have 2; got 3"),
        ([*TRAIN, "--time", "90"], 2, "'90' has no unit"),
        ([*TRAIN, "--resume"], 2, "nothing to resume"),
    ):
        answer = featherweight("train", folder, *words, "--out", tmp_path)
        assert (answer.code, answer.out) == (code, "")
        assert complaint in answer.err


def test_an_interruption_says_how_to_go_on(featherweight, folder, tmp_path, monkeypatch) -> None:
    from featherweight.train import TrainingInterrupted

    def interrupted(*_, checkpoint: Path, **__) -> None:
        checkpoint.write_bytes(b"state")
        raise TrainingInterrupted(7, checkpoint)

    monkeypatch.setattr("featherweight._fit._learner.train", interrupted)
    answer = featherweight("train", folder, *TRAIN, "--out", tmp_path)
    assert (answer.code, answer.out) == (130, "")
    assert "interrupted after 7 steps; the same command with --resume goes on" in answer.err
    assert "--resume goes on with it" in featherweight("train", folder, *TRAIN, "--out", tmp_path).err


def test_the_test_pictures_are_those_of_the_training(featherweight, folder, tmp_path) -> None:
    trained = featherweight("train", folder, *TRAIN, "--seed", 3, "--out", tmp_path, "--json").json
    assert read_trained(Path(trained["file"])).seed == 3


def test_results_among_the_pictures_are_refused(featherweight, folder) -> None:
    answer = featherweight("train", folder, *TRAIN, "--out", folder / "out")
    assert (answer.code, (folder / "out").exists()) == (2, False)
    assert "would lie among the pictures" in answer.err


def test_a_checkpoint_of_another_run_is_one_clear_line(featherweight, folder, tmp_path, monkeypatch) -> None:
    def killed(*_, **__) -> None:
        raise OSError("no space left on the device")

    with monkeypatch.context() as patch:
        patch.setattr("featherweight.networks.save_model", killed)
        assert featherweight("train", folder, *TRAIN, "--out", tmp_path).code == 1
    for other, message in ((("--epochs", 2), "epochs was 1, now 2"), (("-o", "width=0.5"), "of another network")):
        answer = featherweight("train", folder, *TRAIN, *other, "--out", tmp_path, "--resume")
        assert answer.code == 1
        assert message in answer.err
