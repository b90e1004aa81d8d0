"""Targets in environments of their own, with a worker that is a few lines of numpy; and what they refuse."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from featherweight.blocks import AdderConv2d
from featherweight.environments import EnvironmentMissingError
from featherweight.export import (
    ExportError,
    ModelFileError,
    TargetError,
    _in_environment,
    executorch,
    litert,
    load,
    ncnn,
)
from featherweight.export._in_environment import NOTE, InEnvironment
from featherweight.export._ncnn_graph import in_words_of_pnnx
from featherweight.export._program import _demand_int8

SHAPE = (1, 4, 4)
WORKER = """
from pathlib import Path
import numpy as np

def convert(folder, how):
    if how == "fail":
        raise NotImplementedError("no layer for Fold")
    Path(folder, "model.fake").write_bytes(b"weights")
    return {}

def load(path, threads):
    if Path(path, "model.fake").read_bytes() != b"weights":
        raise ValueError("bad magic")
    return lambda x: np.concatenate([x.mean((2, 3)), x.max((2, 3))], axis=1)
"""


@pytest.fixture
def target(tmp_path, monkeypatch) -> InEnvironment:
    monkeypatch.setattr(_in_environment, "require_environment", lambda name: Path(sys.executable))
    target = InEnvironment("fake", "Fake", holds="model.fake")
    target.code = tmp_path / "worker.py"
    target.code.write_text(WORKER)
    return target


def written(target, path, how="well"):
    said = {"labels": ["mean", "max"], "version": "1"}
    request = {"how": how}
    with target.written(path, metadata=said, precision="float32", input_shape=SHAPE, request=request):
        assert not path.exists()
    return path


def test_there_and_back(target, tmp_path) -> None:
    folder = written(target, tmp_path / "model")
    assert sorted(path.name for path in folder.iterdir()) == [NOTE, "model.fake"]
    x = np.random.default_rng(0).standard_normal((3, *SHAPE), dtype=np.float32)
    for source in (folder, folder / "model.fake"):
        runner = target.load(source, threads=1)
        assert (runner.labels, runner.input_shape, runner.num_classes) == (("mean", "max"), SHAPE, 2)
        np.testing.assert_allclose(runner(x), np.stack([x.mean((1, 2, 3)), x.max((1, 2, 3))], 1), rtol=1e-6)
        assert len(runner.seconds(x[:1], runs=3)) == 3
        with pytest.raises(ValueError, match="takes pictures of shape N x 1 x 4 x 4"):
            runner(x[:, :, 1:])
        runner.close()


def test_what_the_converter_cannot_do_is_said_and_nothing_is_kept(target, tmp_path) -> None:
    with pytest.raises(ExportError, match="Fake cannot take this network: NotImplementedError: no layer for Fold"):
        written(target, tmp_path / "model", "fail")
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"worker.py"}


def test_folders_that_are_no_models(target, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        target.load(tmp_path / "absent", threads=1)
    folder = written(target, tmp_path / "model")
    (folder / "model.fake").write_bytes(b"other")
    with pytest.raises(ModelFileError, match=r"Fake cannot run .*: ValueError: bad magic"):
        target.load(folder, threads=1)
    note = json.loads((folder / NOTE).read_text())
    (folder / NOTE).write_text(json.dumps({**note, "target": "ncnn"}))
    with pytest.raises(ModelFileError, match="is not of Fake: its target is 'ncnn'"):
        target.load(folder, threads=1)
    (folder / NOTE).write_text("{")
    with pytest.raises(ModelFileError, match="is damaged"):
        target.load(folder, threads=1)
    (folder / NOTE).unlink()
    with pytest.raises(ModelFileError, match=f"no model that featherweight wrote for Fake: no {NOTE}"):
        target.load(folder, threads=1)


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FEATHERWEIGHT_HOME", str(tmp_path / "nothing"))


@pytest.mark.parametrize("module", [executorch, litert])
def test_what_programs_refuse(module, tmp_path, nothing_installed) -> None:
    adders = torch.nn.Sequential(AdderConv2d(1, 2, kernel_size=3), torch.nn.Flatten(), torch.nn.Linear(32, 2))
    plain = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    options = {"metadata": {}, "input_size": SHAPE}
    with pytest.raises(ExportError, match="has no operator adder2d: networks that add"):
        module.export(adders, tmp_path / "model", **options)
    with pytest.raises(TargetError, match="has no float16; it has float32, int8"):
        module.export(plain, tmp_path / "model", precision="float16", **options)
    with pytest.raises(ValueError, match="int8 needs calibration="):
        module.export(plain, tmp_path / "model", precision="int8", **options)
    with pytest.raises(ValueError, match="calibration= is for int8; float32 has no use for it"):
        module.export(plain, tmp_path / "model", calibration=np.zeros((1, *SHAPE), np.float32), **options)
    name = module.HERE.name
    with pytest.raises(EnvironmentMissingError, match=f"featherweight environment install {name}"):
        module.export(plain, tmp_path / "model", **options)
    assert name in module.missing()


def test_an_int8_file_that_stayed_float_is_an_error() -> None:
    _demand_int8("Fake", 95, 100)
    with pytest.raises(ExportError, match="Fake left weights in float: 10 of 100 are int8"):
        _demand_int8("Fake", 10, 100)


def small_model(kinds: str) -> onnx.ModelProto:
    """A file with what pnnx misreads: gathered channels, slices with a step, two shuffles in a row, one mean."""
    constants = {
        "same": [0, 1, 2, 3], "some": [2, 3, 0, 0, 1], "zero": [0], "end": [2**62], "two": [2], "three": [3],
        "five": [1, 2, 2, 6, 6], "other": [1, 4, 1, 6, 6], "four": [1, 4, 6, 6],
    }  # fmt: skip
    parts = {
        "gather": [
            helper.make_node("Gather", ["input", "same"], ["a"], axis=1),
            helper.make_node("Gather", ["a", "some"], ["output"], axis=1),
        ],
        "slice": [
            helper.make_node("Slice", ["input", "zero", "end", "two", "two"], ["a"]),
            helper.make_node("Slice", ["a", "zero", "end", "three", "two"], ["output"]),
        ],
        "shuffle": [
            helper.make_node("Reshape", ["input", "five"], ["a"]),
            helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]),
            helper.make_node("Reshape", ["b", "other"], ["c"]),
            helper.make_node("Transpose", ["c"], ["d"], perm=[0, 2, 1, 3, 4]),
            helper.make_node("Reshape", ["d", "four"], ["output"]),
        ],
        "mean": [
            helper.make_node("ReduceMean", ["input", "two"], ["a"]),
            helper.make_node("ReduceMean", ["a", "three"], ["output"]),
        ],
        "abs": [helper.make_node("Abs", ["input"], ["output"])],
    }
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 4, 6, 6])
    returned = helper.make_tensor_value_info("output", TensorProto.FLOAT, [None] * 4)
    initializers = [numpy_helper.from_array(np.array(values, np.int64), name) for name, values in constants.items()]
    graph = helper.make_graph(parts[kinds], "test", [given], [returned], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(
    ("kinds", "gone"), [("gather", "Gather"), ("slice", "Slice"), ("shuffle", None), ("mean", "ReduceMean")]
)
def test_other_words_give_the_same_numbers(kinds, gone) -> None:
    before = small_model(kinds)
    after = in_words_of_pnnx(before)
    onnx.checker.check_model(after, full_check=True)
    assert gone not in {node.op_type for node in after.graph.node}
    assert len(after.graph.node) != len(before.graph.node) or gone
    x = np.random.default_rng(0).standard_normal((1, 4, 6, 6), dtype=np.float32)
    runs = [
        onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"input": x})[0] for proto in (before, after)
    ]
    np.testing.assert_allclose(*runs, rtol=1e-6)


def test_adder_layers_do_not_go_to_ncnn(tmp_path, nothing_installed) -> None:
    with pytest.raises(ExportError, match="ncnn has no adder layer"):
        in_words_of_pnnx(small_model("abs"))
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        ncnn.export(tmp_path / "absent.onnx", tmp_path / "model")
    (tmp_path / "text.json").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match=r"text\.json is not an ONNX model"):
        ncnn.export(tmp_path / "text.json", tmp_path / "model")
    onnx.save(small_model("gather"), tmp_path / "others.onnx")
    with pytest.raises(ModelFileError, match="not one that featherweight exported"):
        ncnn.export(tmp_path / "others.onnx", tmp_path / "model")
    with pytest.raises(TargetError, match="ncnn has no int8; it has float32, float16"):
        ncnn.export(tmp_path / "others.onnx", tmp_path / "model", precision="int8")


def test_one_load_knows_all(tmp_path, nothing_installed) -> None:
    (tmp_path / "model.pte").write_bytes(b"")
    with pytest.raises(ModelFileError, match=f"no model that featherweight wrote for ExecuTorch: no {NOTE}"):
        load(tmp_path)
