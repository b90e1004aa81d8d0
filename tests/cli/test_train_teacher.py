"""`featherweight train --teacher`: a trained network teaches another; what cannot teach is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherweight.cli import train as command
from featherweight.networks import create, load_model, save_model
from featherweight.train import Distillation

STUDENT = ("-n", "lenet5_bn", "--resolution", 16, "--epochs", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark and light squares, in folders of their class."""
    root = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 128)):
        (root / name).mkdir()
        for i in range(20):
            Image.fromarray(draw.integers(low, low + 128, (16, 16), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


def teacher(path: Path, *labels: str, seed: int = 0, **preprocessing: object) -> Path:
    """Write an untrained network as `train` writes a trained one: in colour, at a resolution of its own."""
    given = {"resolution": 24, "channels": 3, "mean": [0.5] * 3, "std": [0.2] * 3, "resize": "squash", **preprocessing}
    metadata = {"labels": json.dumps(labels), "preprocessing": json.dumps(given), "seed": str(seed)}
    model = create("mobilenet_v1", width=0.25, num_classes=len(labels), in_channels=given["channels"], small_input=True)
    return save_model(model, path, metadata)


def test_a_student_learns_from_a_teacher_of_another_size(featherweight, folder, tmp_path) -> None:
    knowing = teacher(tmp_path / "teacher.safetensors", "dark", "light")
    before = knowing.read_bytes()
    words = ("train", folder, "-n", "mobilenet_v1", "-o", "width=0.25", "--resolution", 16, "--epochs", 1)
    answer = featherweight(*words, "--teacher", knowing, "--hints", "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.err
    assert "the teacher, at 24 px, is right on 50.0% of the validation pictures; body." in answer.err
    assert f"{knowing} is hardly better than one that guesses: it has little to teach" in " ".join(answer.err.split())
    said = answer.json["teacher"]
    assert (said["file"], said["weight"], said["temperature"], len(said["hints"])) == (str(knowing), 0.5, 4.0, 1)
    plain = featherweight(*words, "--out", tmp_path / "plain", "--json")
    assert plain.json["teacher"] is None
    taught, alone = (load_model(one.json["file"]).state_dict() for one in (answer, plain))
    assert taught.keys() == alone.keys()
    assert any((taught[name] != alone[name]).any() for name in taught)
    assert knowing.read_bytes() == before


def test_wrong_words(featherweight, folder, tmp_path) -> None:
    good = teacher(tmp_path / "good.safetensors", "dark", "light")
    swapped = teacher(tmp_path / "swapped.safetensors", "light", "dark")
    other = teacher(tmp_path / "other.safetensors", "cat", "dog", "light")
    seen = teacher(tmp_path / "seen.safetensors", "dark", "light", seed=7)
    cut = teacher(tmp_path / "cut.safetensors", "dark", "light", resize="crop")
    for words, code, complaint in (
        (("--distill", 0.5), 2, "--distill and --temperature need a --teacher or a --kernel-teacher"),
        (("--hints",), 2, "--hints needs a --teacher"),
        (("--hints", "--kernel-teacher"), 2, "--hints needs a --teacher; --kernel-teacher follows every layer"),
        (("--teacher", good, "--kernel-teacher"), 2, "--kernel-teacher trains a teacher of its own, --teacher has one"),
        (("--kernel-teacher",), 2, "--kernel-teacher is for networks of adder layers: featherweight list 'adder*'"),
        (("--teacher", good, "--distill", 2), 2, "weight of a distillation must be in [0, 1]; got 2"),
        (("--teacher", good, "--temperature", 0), 2, "temperature of a distillation must be above 0 and finite; got 0"),
        (("--teacher", swapped), 2, "knows the classes in another order: light, dark; here: dark, light"),
        (("--teacher", other), 2, "it knows 3 classes, cat, dog, light; the pictures have 2, dark, light"),
        (("--teacher", seen), 2, "was trained with --seed 7, so it has seen pictures that are the test with --seed 0"),
        (("--teacher", cut), 2, "by 'crop' for the teacher, and by 'squash' for the student"),
    ):
        answer = featherweight("train", folder, *STUDENT, *words, "--out", tmp_path / "out")
        assert complaint in answer.err
        assert (answer.code, answer.out) == (code, "")
        assert not (tmp_path / "out").exists()


def test_an_adder_network_learns_beside_its_convolutional_twin(featherweight, folder, tmp_path) -> None:
    words = ("train", folder, "-n", "adder_lenet5_bn", "-o", "width=0.5", "--resolution", 16, "--epochs", 1)
    answer = featherweight(*words, "--kernel-teacher", "--distill", 0.4, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.err
    assert "the same network of convolutions is trained beside it; 5 layers are to follow its layers" in answer.err
    said = answer.json["teacher"]
    assert (said["file"], said["weight"], said["temperature"], len(said["hints"])) == (None, 0.4, 4.0, 5)
    assert said["kernel"] and said["progressive"]
    plain = featherweight(*words, "--out", tmp_path / "plain", "--json")
    taught, alone = (load_model(one.json["file"]).state_dict() for one in (answer, plain))
    assert taught.keys() == alone.keys()
    assert any((taught[name] != alone[name]).any() for name in taught)


def test_a_teacher_that_is_not_there_is_told_before_pictures_are_read(featherweight, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(command, "_learner", lambda *_: pytest.fail("the pictures were read"))
    answer = featherweight("train", *STUDENT, "--teacher", tmp_path / "no.safetensors", "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (1, "")
    assert "no such file" in answer.err and "no.safetensors" in answer.err


def test_the_defaults_are_the_librarys() -> None:
    assert (Distillation.weight, Distillation.temperature) == (command.WEIGHT, command.TEMPERATURE)
