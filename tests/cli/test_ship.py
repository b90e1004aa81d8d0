"""`featherweight ship`: several files in one table, held to bounds, and the page about them."""

import json
from pathlib import Path

import pytest

from featherweight.export import load


@pytest.fixture(scope="module")
def trained(calibrated, tmp_path_factory) -> Path:
    """A network that was saved with what `train` saves, whose logits depend on the picture."""
    import torch

    from featherweight.data import digits, preprocessing_for, split_pictures
    from featherweight.networks import create, save_model

    torch.manual_seed(0)
    pictures = digits()
    shape = preprocessing_for(pictures, split_pictures(pictures, seed=0).train, resolution=32)
    model = calibrated(create("lenet5_bn"), (1, 32, 32))
    texts = {"labels": json.dumps(list(pictures.classes)), "preprocessing": json.dumps(shape.to_dict()), "seed": "0"}
    return save_model(model, tmp_path_factory.mktemp("trained") / "model.safetensors", texts)


def test_every_file_is_there_and_a_broken_bound_is_told(featherweight, trained, tmp_path) -> None:
    out = tmp_path / "out"
    bounds = ("--max-size", "150kB", "--min-accuracy", "99%")  # the network is untrained
    words = ("--to", "onnx,openvino", "--precision", "float32,int8", "--data", "digits", *bounds)
    answer = featherweight("ship", trained, *words, "--out", out, "--json")
    assert answer.code == 3, answer.err
    rows = {(row["target"], row["precision"]): row for row in answer.json["files"]}
    assert len(rows) == 4
    for row in rows.values():
        assert row["error"] is None
        assert row["memory_bytes"] > 0
        assert (row["bytes"] > 150_000) == ("bytes" in row["broken"])
        assert load(row["file"]).labels == tuple("0123456789")
    assert rows["onnx", "float32"]["broken"]
    assert json.loads((out / "ship.json").read_text()) == answer.json
    page = (out / "ship.html").read_text()
    assert rows["onnx", "float32"]["broken"]["bytes"] in page
    assert "<script" not in page
    said = answer.json["pytorch"]["broken"]["accuracy"]
    assert said.endswith("at least 99 %")
    assert f"PyTorch itself: accuracy {said}; what is made of it will hardly do better" in " ".join(answer.err.split())
    assert f"<b>PyTorch itself</b>: accuracy {said}." in page
    assert page.count("99 %</text>") == 2  # both charts reach as far as the bound


def test_without_pictures_int8_is_left_out(featherweight, trained, tmp_path) -> None:
    answer = featherweight("ship", trained, "--to", "onnx", "--precision", "all", "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert "onnx int8: left out; it needs pictures to calibrate with: --data" in answer.err
    assert "proven on 64 random inputs" in answer.out
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "model-float16.onnx", "model.onnx", "ship.html", "ship.json",
    ]  # fmt: skip


def test_an_earlier_shipment_is_not_replaced_unasked_and_never_mixed_with_a_new_one(
    featherweight, trained, tmp_path, monkeypatch
) -> None:
    for name in ("model-float16.onnx", "model.onnx", "notes.txt"):
        (tmp_path / name).write_text("another network's")
    for name in ("model-openvino", "model-web"):
        (tmp_path / name).mkdir()
    files = [{"file": None}, {"file": "anywhere/model-openvino"}, {"file": "anywhere/notes.txt"}]
    (tmp_path / "ship.json").write_text(json.dumps({"files": files}))  # model-web is of no shipment
    words = ("ship", trained, "--to", "onnx", "--precision", "float32,float16", "--out", tmp_path)
    answer = featherweight(*words)
    assert answer.code == 2 and "has model.onnx already: --overwrite removes an earlier shipment" in answer.err
    assert (tmp_path / "model.onnx").read_text() == "another network's"

    def fail(*_):
        raise ValueError("half is not enough")

    monkeypatch.setattr("featherweight.export.onnx.to_half", fail)
    assert featherweight(*words, "--overwrite").code == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "model-web", "model.onnx", "notes.txt", "ship.html", "ship.json",
    ]  # fmt: skip


def test_what_is_shipped_is_never_removed(featherweight, trained, tmp_path) -> None:
    inside = tmp_path / "model-web" / "model.safetensors"
    inside.parent.mkdir()
    inside.write_bytes(trained.read_bytes())
    answer = featherweight("ship", inside, "--to", "web,onnx", "--out", tmp_path, "--overwrite")
    assert answer.code == 2 and "is, or holds," in answer.err
    assert inside.exists()


def test_an_interruption_says_what_there_is(featherweight, trained, tmp_path, monkeypatch) -> None:
    def interrupted(*_, **__):
        (tmp_path / "model.onnx").write_text("written, not measured")
        raise KeyboardInterrupt

    monkeypatch.setattr("featherweight.cli.ship.shipped", interrupted)
    answer = featherweight("ship", trained, "--to", "onnx", "--out", tmp_path)
    assert answer.code == 130
    assert f"interrupted: in {tmp_path} is model.onnx; without ship.html" in " ".join(answer.err.split())


def test_a_bound_that_nothing_was_held_to_is_told(featherweight, trained, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("featherweight.ship._ship.peak_memory_bytes", lambda *_: None)
    words = ("--to", "onnx", "--precision", "float32", "--max-memory", "1kB", "--out", tmp_path / "out")
    assert (
        "onnx float32: its memory was not measured, and is not held to --max"
        in featherweight("ship", trained, *words).err
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--to", "tensorrt"), "no target is called 'tensorrt'"),
        (("--to", "adder-int8", "--data", "digits"), "it has no adder layers"),
        (("--precision", "int4"), "no target here has the precision 'int4'"),
        (("--to", "onnx", "--precision", "int8"), "nothing to write"),
        (("--max-size", "300"), "--max-size: not a size: '300' has no unit"),
        (("--max-loss", "200%"), "'200%' is not between"),
        (("--min-accuracy", "97%"), "accuracy is measured on pictures: --min-accuracy and --max-loss need --data"),
        (("--max-loss", "0.5%"), "accuracy is measured on pictures: --min-accuracy and --max-loss need --data"),
        (("--threads", "100000"), "got 100000"),
    ],
)
def test_wrong_words(featherweight, trained, tmp_path, words, complaint) -> None:
    answer = featherweight("ship", trained, *words, "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.err
    assert not (tmp_path / "out").exists()
