"""`featherweight quantize`."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import torch

from featherweight.compress import fold_batch_norm
from featherweight.data import digits, preprocessing_for, split_pictures
from featherweight.export import export, load
from featherweight.networks import create, save_model


@pytest.fixture(scope="module")
def saved(calibrated, tmp_path_factory):
    """A network that knows the digits' format, and the same as ONNX."""
    pictures = digits()
    split = split_pictures(pictures, seed=0)
    preprocessing = preprocessing_for(pictures, split.train, resolution=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create("mobilenet_v1", width=0.25, shallow=True, num_classes=10, in_channels=1, small_input=True)
        calibrated(model, (1, 8, 8))
    folder = tmp_path_factory.mktemp("quantize")
    metadata = {"labels": list(pictures.classes), "preprocessing": preprocessing.to_dict()}
    texts = {name: json.dumps(value) for name, value in metadata.items()}
    export(fold_batch_norm(model), folder / "model.onnx", metadata=metadata)
    return save_model(model, folder / "model.safetensors", {**texts, "seed": "0"})


def test_an_onnx_file_and_its_layers(featherweight, saved, tmp_path) -> None:
    model, out, plot = saved.with_suffix(".onnx"), tmp_path / "new" / "small.onnx", tmp_path / "drawn" / "layers.svg"
    words = ["quantize", model, "--data", "digits", "--out", out, "--method", "mse", "--no-equalize"]
    answer = featherweight(*words, "--keep-float", 2, "--sensitivity", "--plot", plot)
    assert re.search(r"\d\.\d\d points (lost|gained); ", answer.out)
    assert "SQNR, alone" in answer.out
    assert sum("dB" in line and line.split()[-1] == "float" for line in answer.out.splitlines() if line) == 2
    assert load(out).labels == tuple("0123456789")
    weights = [tensor.data_type for tensor in onnx.load(out).graph.initializer if len(tensor.dims) > 1]
    assert weights.count(onnx.TensorProto.FLOAT) == 2
    drawn = ElementTree.parse(plot).getroot()
    titles = [element.text or "" for element in drawn.iter() if element.tag.endswith("title")]
    assert sum("stem.conv, Conv, " in title for title in titles) == 1
    assert len(titles) == len(weights)


def test_a_network_in_few_bits_as_json(featherweight, saved) -> None:
    out = saved.with_name("model-int4.onnx")
    words = ["quantize", saved, "--data", "digits", "--method", "minmax", "--bits", 4, "--no-adaround"]
    found = featherweight(*words, "--keep-float", "stem.conv", "--json").json
    assert (found["path"], found["bits"], found["adaround"]) == (str(out), 4, False)
    assert found["kept_float"] == ["stem.conv"]
    in_float, in_int8 = found["files"]
    assert in_int8["bytes"] == out.stat().st_size < in_float["bytes"]
    assert in_float["agreement"] == 1
    stored = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(out).graph.initializer if len(tensor.dims) > 1]
    assert max(np.abs(array).max() for array in stored) == 7


def test_wrong_words(featherweight, saved, tmp_path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    for words, code, complaint in (
        ([saved, "--data", "digits", "--bits", 3], 2, "wanted 4, 5, 6, 8 bits for a weight; got 3"),
        ([saved, "--data", "digits", "--method", "best"], 2, "'--method'"),
        ([saved], 2, "Missing option '--data'"),
        ([saved, "--data", "digits", "--out", "small.tflite"], 2, "--out is an ONNX file"),
        ([saved, "--data", "digits", "--plot", "layers.png"], 2, "--plot is a picture, FILE.svg"),
        ([saved.with_suffix(".onnx"), "--data", "digits", "--out", saved.with_suffix(".onnx")], 2, "network itself"),
        ([saved.with_suffix(".pt"), "--data", "digits"], 2, "neither a model.safetensors nor a model.onnx"),
        ([tmp_path / "text.onnx", "--data", "digits"], 2, "is not an ONNX model that can be run"),
        ([tmp_path / "none.onnx", "--data", "digits"], 1, "there is no model file"),
        ([saved, "--data", "nowhere"], 1, "nowhere"),
        ([saved, "--data", "digits", "--keep-float", "stem.conv", "--keep-float", 2], 2, "is one number, 0 or more"),
        ([saved, "--data", "digits", "--keep-float=-1"], 2, "is one number, 0 or more, or names"),
        ([tmp_path / "model.fwz", "--data", "digits"], 2, "is a packed network: `featherweight unpack` it first"),
        ([saved, "--data", "digits", "--keep-float", 99], 1, "leaves nothing to quantize"),
    ):
        answer = featherweight("quantize", *words)
        assert (answer.code, complaint in " ".join(answer.err.split())) == (code, True), answer
        assert not list(tmp_path.glob("*-int8.onnx"))
