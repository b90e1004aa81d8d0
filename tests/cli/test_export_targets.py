"""`featherweight export` to several targets, in several precisions; and `predict` with what it wrote."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from featherweight import create
from featherweight.cli import main
from featherweight.export import load
from featherweight.networks import save_model

WITHOUT = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "lightning", "sklearn", "safetensors")
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


@pytest.fixture(scope="module")
def model(calibrated, tmp_path_factory) -> Path:
    """A saved network for digits of 32 x 32 pixels, whose logits depend on the picture."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = calibrated(create("lenet5_bn"), (1, 32, 32))
    shape = {"resolution": 32, "channels": 1, "mean": [0.0], "std": [1.0], "resize": "squash"}
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    save_model(network, path, {"labels": json.dumps([*"0123456789"]), "preprocessing": json.dumps(shape)})
    return path


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> tuple[Path, dict]:
    """All files of two targets, written once."""
    out = tmp_path_factory.mktemp("out") / "new"
    words = ["export", model, "--to", "onnx,openvino", "--precision", "all", "--data", "digits", "--out", out, "--json"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    assert not end.value.code
    return out, json.loads(printed.getvalue())


def test_every_file_is_proven_and_measured(exported) -> None:
    out, answer = exported
    names = ["model.onnx", "model-float16.onnx", "model-int8.onnx"]
    folders = ["model-openvino", "model-openvino-float16", "model-openvino-int8"]
    assert [row["file"] for row in answer["files"]] == [str(out / name) for name in names + folders]
    assert {path.name for path in out.iterdir()} == {*names, *folders}
    for row in answer["files"]:
        path = Path(row["file"])
        files = [path] if path.is_file() else [*path.iterdir()]
        assert row["bytes"] == sum(file.stat().st_size for file in files)
        assert row["error"] is None
        assert row["latency_seconds"] > 0
        assert load(path).labels == tuple("0123456789")
        if row["precision"] == "int8":
            assert row["allowed_logit_difference"] is None
        else:
            assert row["agreement"] == 1
            assert row["max_logit_difference"] <= row["allowed_logit_difference"]
            assert row["accuracy"] == pytest.approx(answer["pytorch"]["accuracy"], abs=0.01)
    full, half, small = (row["bytes"] for row in answer["files"][:3])
    assert half < 0.55 * full
    assert small < 0.35 * full


def test_openvinos_files_are_run_without_pytorch_and_onnx(exported, tmp_path) -> None:
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "a.png")
    for name in ("model-openvino", "model-openvino-int8/model.xml"):
        command = [sys.executable, "-W", "error", "-c", COMMAND, "predict", exported[0] / name, tmp_path / "a.png"]
        done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(json.loads(done.stdout)["predictions"][0]["classes"]) == 3


@pytest.fixture
def ready(exported, monkeypatch):
    """Take the float32 file that is there for what PyTorch's exporter would write again."""
    content = (exported[0] / "model.onnx").read_bytes()

    def written(self):
        (self.folder / "float32.onnx").write_bytes(content)
        return self.folder / "float32.onnx"

    monkeypatch.setattr("featherweight._exports.Sources.onnx", property(written))


@pytest.mark.usefixtures("ready")
def test_one_target_that_fails_does_not_lose_the_others(featherweight, model, tmp_path, monkeypatch) -> None:
    def broken(*_, **__):
        raise RuntimeError("the converter\nhas no such operator")

    monkeypatch.setattr("featherweight.export.openvino.export", broken)
    words = ("export", model, "--to", "openvino,onnx", "--out", tmp_path)
    answer = featherweight(*words, "--json")
    assert answer.code == 1
    bad, good = answer.json["files"]
    assert bad["error"] == "RuntimeError: the converter"
    assert bad["latency_seconds"] is None
    assert (good["error"], good["agreement"], good["accuracy"]) == (None, 1, None)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert "RuntimeError: the converter" in featherweight(*words).out
    with pytest.raises(RuntimeError, match="the converter"):
        featherweight("export", model, "--to", "openvino", "--out", tmp_path / "ir")


@pytest.mark.usefixtures("ready")
def test_a_wrong_file_is_an_error_and_not_kept(featherweight, model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("featherweight.ship._ship.logits_of", lambda model, x: np.eye(len(x), 10, dtype=np.float32))
    answer = featherweight("export", model, "--to", "onnx,openvino", "--out", tmp_path, "--json")
    assert answer.code == 1
    assert all("the exported model disagrees with its network" in row["error"] for row in answer.json["files"])
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("ready")
def test_all_leaves_out_what_cannot_be_used_here(featherweight, model, tmp_path, monkeypatch) -> None:
    find = "featherweight.export._targets.find_spec"
    monkeypatch.setattr(find, lambda name: None if name == "openvino" else name)
    answer = featherweight("export", model, "--to", "all", "--out", tmp_path, "--json")
    assert answer.code == 0, answer.err
    assert "openvino: left out; the package 'openvino' is not installed: pip install" in answer.err
    assert "adder-int8: left out; it has no adder layers" in answer.err
    assert "c99: left out; it is int8, which needs pictures" in answer.err
    assert "openvino" not in {row["target"] for row in answer.json["files"]}
    answer = featherweight("export", model, "--to", "onnx,openvino", "--out", tmp_path / "new", "--json")
    assert answer.code == 2
    assert "openvino cannot be made here: the package 'openvino' is not installed" in answer.err
    assert not (tmp_path / "new").exists()


def test_wrong_words(featherweight, model, tmp_path) -> None:
    for words, complaint in (
        (["--to", "tflite"], "no target is called 'tflite'; known: onnx, openvino"),
        (["--precision", "int4"], "no target here has the precision 'int4'; there are float32, float16, int8"),
        (["--precision", "int8"], "--precision int8 needs pictures to calibrate with: --data FOLDER"),
        (["--int8", "--precision", "float16"], "--int8 is --precision float32,int8: give one of the two"),
        (["--to", "onnx,openvino", "--out", tmp_path / "m.onnx"], "2 targets need a folder to be put into"),
        (["--to", "onnx,adder-int8", "--precision", "float32"], "adder-int8 has none of float32; it has int8"),
        (["--out", model], "is the network itself"),
    ):
        answer = featherweight("export", model, *words)
        assert (answer.code, answer.out) == (2, "")
        assert complaint in answer.err


@pytest.mark.usefixtures("ready")
def test_a_folder_of_the_users_is_not_replaced(featherweight, model, tmp_path) -> None:
    (tmp_path / "model-openvino").mkdir()
    (tmp_path / "model-openvino" / "notes.txt").write_text("mine")
    answer = featherweight("export", model, "--to", "openvino", "--out", tmp_path)
    assert answer.code == 1
    assert "it holds notes.txt, not ours" in answer.err
    assert [path.name for path in (tmp_path / "model-openvino").iterdir()] == ["notes.txt"]
