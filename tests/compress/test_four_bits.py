"""Weights in four bits: half the bytes, the answers and the C source of the same weights in bytes."""

import numpy as np
import onnx
import pytest
import torch
from onnx.numpy_helper import from_array, to_array
from torch import nn

from featherweight.compress import quantize
from featherweight.export import c99, export, load


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights of four bits as `quantize` writes them, and its twin with a byte for each."""
    folder = tmp_path_factory.mktemp("bits")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 7, 3, bias=False), nn.Flatten(), nn.Linear(7 * 16, 9)
        model = nn.Sequential(*layers).eval()
    export(model, folder / "float.onnx", metadata={}, input_size=(1, 8, 8))
    pictures = np.random.default_rng(0).normal(size=(16, 1, 8, 8)).astype(np.float32)
    four = quantize(folder / "float.onnx", folder / "four.onnx", pictures, bits=4, adaround=False, method="minmax")
    proto = onnx.load(four)
    narrow = {tensor.name: tensor for tensor in proto.graph.initializer if tensor.data_type == onnx.TensorProto.INT4}
    casts = [node for node in proto.graph.node if node.op_type == "Cast"]
    assert len(narrow) == len(casts) == 3
    for node in casts:
        tensor = narrow[node.input[0]]
        tensor.CopyFrom(from_array(to_array(tensor).astype(np.int8), node.output[0]))
        proto.graph.node.remove(node)
    onnx.save(proto, folder / "bytes.onnx")
    return four, folder / "bytes.onnx", pictures


def test_the_answers_are_those_of_bytes(files):
    four, whole, pictures = files
    assert np.array_equal(load(four)(pictures), load(whole)(pictures))
    weights = 5 * 9 + 7 * 45 + 9 * 112
    assert 0.3 * weights < whole.stat().st_size - four.stat().st_size < 0.5 * weights


def test_openvino_reads_them(files, monkeypatch):
    monkeypatch.setenv("CI", "true")  # it tells its makers of each use otherwise
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    found = [openvino.Core().compile_model(openvino.convert_model(path), "CPU")(files[2])[0] for path in files[:2]]
    assert np.array_equal(*found)


def test_the_c_source_is_the_same(files, tmp_path):
    about = {"labels": [str(number) for number in range(9)]}
    sources = [c99.export(path, tmp_path / path.stem, metadata=about) for path in files[:2]]
    names = sorted(path.name for path in sources[0].glob("*.[ch]"))
    assert names
    for name in names:
        assert sources[0].joinpath(name).read_text() == sources[1].joinpath(name).read_text()
