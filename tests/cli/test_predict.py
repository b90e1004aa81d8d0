"""`featherweight predict` on good and bad files, and in an installation without PyTorch."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch import nn

from featherweight.export import load, probe

LABELS = ["dark", "grey[/b]", "bright"]  # with what rich would take as markup
WITHOUT = ("torch", "torchvision", "onnx", "onnxscript", "lightning", "sklearn", "matplotlib", "safetensors")
COMMAND = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {WITHOUT}:
            raise ModuleNotFoundError(f"refused: {{name}}")
sys.meta_path.insert(0, Refuse())
from featherweight.cli import main
main(sys.argv[1:])
"""


class Brightness(nn.Module):
    """Three logits that order pictures by their mean value."""

    def forward(self, x):
        mean = x.mean((1, 2, 3))
        return torch.stack([-5 * mean, 0 * mean + 1, 5 * mean], dim=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    preprocessing = {"resolution": 8, "channels": 1, "mean": [0.5], "std": [0.25], "resize": "squash"}
    proto = onnx.load_from_string(probe(Brightness(), (1, 8, 8)))  # quicker than an export, and as good for one picture
    proto.metadata_props[0].value = json.dumps({"labels": LABELS, "preprocessing": preprocessing})
    onnx.save(proto, path)
    return path


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    Image.new("L", (20, 30), 10).save(folder / "a.png")
    Image.new("RGB", (8, 8), (250, 250, 250)).save(folder / "b[red].JPG", "JPEG")
    Image.new("L", (9, 9), 128).save(folder / "more" / "c.bmp")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_classes_and_probabilities(featherweight, model, pictures):
    answer = featherweight("predict", model, pictures / "a.png", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["model"] == str(model)
    [row] = answer.json["predictions"]
    assert row["picture"] == str(pictures / "a.png")
    assert row["latency_seconds"] > 0
    value = np.float32((10 / 255 - 0.5) / 0.25)
    logits = load(model)(np.full((1, 1, 8, 8), value, np.float32))[0].astype(float)
    shares = np.exp(logits) / np.exp(logits).sum()
    assert [found["class"] for found in row["classes"]] == ["dark", "grey[/b]", "bright"]
    np.testing.assert_allclose([found["probability"] for found in row["classes"]], shares, atol=1e-6)


def test_a_folder_gives_all_its_pictures_in_order(featherweight, model, pictures):
    answer = featherweight("predict", model, pictures, "--json", "--top", 1, "--threads", 2)
    found = [(row["picture"], row["classes"][0]["class"]) for row in answer.json["predictions"]]
    names = [str(pictures / name) for name in ("a.png", "b[red].JPG", "more/c.bmp")]
    assert found == list(zip(names, ["dark", "bright", "grey[/b]"], strict=True))
    assert all(len(row["classes"]) == 1 for row in answer.json["predictions"])


def test_the_table(featherweight, model, pictures):
    answer = featherweight("predict", model, pictures)
    assert answer.code == 0
    assert "b[red].JPG" in answer.out
    assert "grey[/b]" in answer.out
    assert " %" in answer.out
    assert "ms" in answer.out


def test_a_bad_picture_is_reported_and_the_others_are_predicted(featherweight, model, pictures):
    (pictures / "broken.png").write_bytes((pictures / "a.png").read_bytes()[:40])
    words = ("predict", model, pictures / "broken.png", pictures / "missing.png", pictures / "notes.txt")
    answer = featherweight(*words, pictures / "a.png", "--json")
    assert answer.code == 1
    rows = answer.json["predictions"]
    assert [row.get("error") for row in rows] == [
        "truncated", "no such file", "not a picture (JPEG, PNG, WebP or BMP)", None,
    ]  # fmt: skip
    assert rows[3]["classes"][0]["class"] == "dark"
    answer = featherweight(*words, pictures / "a.png")
    assert answer.code == 1
    assert "dark" in answer.out
    heading, truncated = (
        next(line for line in answer.out.splitlines() if word in line) for word in ("problem", "truncated")
    )
    assert truncated.index("truncated") == heading.index("problem")
    assert "problem" not in featherweight("predict", model, pictures / "a.png").out


def test_a_folder_without_pictures(featherweight, model, tmp_path):
    answer = featherweight("predict", model, tmp_path)
    assert answer.code == 1
    assert "there are no pictures (.bmp, .jpeg, .jpg, .png, .webp) in the folder" in answer.err


@pytest.mark.parametrize(
    ("content", "message"), [(None, "there is no model file"), (b"PK", "is not an ONNX model that can be run")]
)
def test_a_wrong_model_file(featherweight, pictures, tmp_path, content, message):
    path = tmp_path / "other.onnx"
    if content:
        path.write_bytes(content)
    answer = featherweight("predict", path, pictures)
    assert (answer.code, answer.out) == (1, "")
    assert message in answer.err


def test_weights_are_no_model_file(featherweight, pictures, tmp_path):
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": np.zeros(3, np.float32)}, path, metadata)
        answer = featherweight("predict", path, pictures)
        assert (answer.code, answer.out) == (1, "")
        assert "holds weights, for PyTorch; featherweight export makes a model of them" in answer.err
    path.write_bytes(b"")
    answer = featherweight("predict", path, pictures)
    assert (answer.code, answer.out) == (1, "")
    assert "is not an ONNX model that can be run, nor a whole file of safetensors" in answer.err


def test_the_format_is_told_by_content_and_not_by_name(featherweight, model, pictures, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(model.read_bytes())
    assert featherweight("predict", path, pictures).code == 0
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "model.onnx")
    assert "holds weights, for PyTorch" in featherweight("predict", tmp_path / "model.onnx", pictures).err


def test_too_many_threads(featherweight, model, pictures):
    answer = featherweight("predict", model, pictures, "--threads", 10_000)
    assert (answer.code, answer.out) == (2, "")
    assert "threads must be" in answer.err
    assert "got 10000" in answer.err


@pytest.mark.parametrize("words", [("--top", "0"), ("--threads", "0"), ("--nonsense",)])
def test_wrong_usage(featherweight, model, pictures, words):
    assert featherweight("predict", model, pictures, *words).code == 2


def test_it_runs_without_pytorch_and_the_training_packages(model, pictures):
    command = [sys.executable, "-W", "error", "-c", COMMAND, "predict", model, pictures, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["predictions"]) == 3
