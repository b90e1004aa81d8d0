"""Loading model files, right and wrong ones, and what a runner refuses."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from torch import nn

from featherweight import create
from featherweight._machine import available_processors
from featherweight.export import ModelFileError, load, openvino, probe
from featherweight.export._runner import BATCH

RUN_WITHOUT_TORCH = """
import sys
import numpy as np
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "onnx", "onnxscript", "sklearn", "lightning"):
            raise ImportError(f"refused: {name}")
sys.meta_path.insert(0, Refuse())
from featherweight.export import load
print(load(sys.argv[1])(np.zeros((2, 3, 16, 16), np.float32)[:1]).shape)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("runner") / "probe.onnx"
    path.write_bytes(probe(create("mobilenet_v2", width=0.35, num_classes=3, small_input=True), 16))
    return path


def test_loading_needs_neither_pytorch_nor_onnx(path):
    command = [sys.executable, "-W", "error", "-c", RUN_WITHOUT_TORCH, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(1, 3)\n", "")


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(path, threads):
    assert load(path, threads=threads)(np.zeros((1, 3, 16, 16), np.float32)).dtype == np.float32


def test_a_runner_tells_what_it_is(path):
    assert repr(load(path)) == f"OnnxRunner({path}, 3x16x16 -> 3)"


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((1, 3, 16, 16)), TypeError, "wanted a numpy array of float32; got float64"),
        ([[1.0]], TypeError, "wanted a numpy array of float32; got list"),
        (np.zeros((1, 1, 16, 16), np.float32), ValueError, r"N x 3 x 16 x 16 \(channels, .*\); got 1 x 1 x 16 x 16"),
        (np.zeros((1, 3, 16, 20), np.float32), ValueError, "got 1 x 3 x 16 x 20"),
        (np.zeros((3, 16, 16), np.float32), ValueError, "got 3 x 16 x 16"),
    ],
)
def test_wrong_input(path, x, error, message):
    with pytest.raises(error, match=message):
        load(path)(x)


@pytest.mark.parametrize("of", [load, openvino.load])
def test_a_model_for_more_pictures_than_a_call_else_takes(of):
    runner = of(probe(nn.Flatten(), (1, 1, 2), batch=BATCH + 1))
    x = np.arange(2 * (BATCH + 1), dtype=np.float32).reshape(-1, 1, 1, 2)
    np.testing.assert_array_equal(runner(x), x.reshape(-1, 2))


def test_no_batches(path):
    with pytest.raises(ValueError, match="there are no batches"):
        load(path).over([])


def test_no_threads(path):
    with pytest.raises(ValueError, match="threads must be 1 or more; got 0"):
        load(path, threads=0)


def test_more_threads_than_a_processor_can_mean(path):
    processors = available_processors()
    load(path, threads=4 * processors)
    with pytest.raises(ValueError, match=rf"must be {4 * processors} or less, 4 for each of the {processors} .*; got"):
        load(path, threads=4 * processors + 1)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no model file .*missing"):
        load(tmp_path / "missing.onnx")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" + bytes(100)])
def test_not_a_model(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model\.onnx is not an ONNX model that can be run"):
        load(path)


def test_a_model_cut_short(path):
    content = path.read_bytes()
    with pytest.raises(ModelFileError, match="a model in memory is not an ONNX model that can be run"):
        load(content[: len(content) // 2])


def test_somebody_elses_model(path):
    proto = onnx.load(path)
    del proto.metadata_props[:]
    with pytest.raises(ModelFileError, match="is an ONNX model, but not one that featherweight exported"):
        load(proto.SerializeToString())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("{}", "the metadata has no 'labels'"),
        ('{"labels": ["a", "b"]}', r"wanted 3 labels in the metadata; got \['a', 'b'\]"),
        ('{"labels": "abc"}', "wanted 3 labels in the metadata; got 'abc'"),
    ],
)
def test_missing_labels(path, metadata, message):
    proto = onnx.load(path)
    proto.metadata_props[0].value = metadata
    with pytest.raises(ModelFileError, match=message):
        load(proto.SerializeToString()).labels  # noqa: B018


def test_missing_preprocessing(path):
    with pytest.raises(ModelFileError, match="the metadata has no 'preprocessing'; it has version, network, probe"):
        load(path).preprocessing  # noqa: B018
