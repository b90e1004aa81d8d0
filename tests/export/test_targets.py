"""The table of targets, and opening files of each."""

import inspect

import numpy as np
import pytest
from torch import nn

from featherweight.export import TARGETS, ModelFileError, Runner, TargetError, load, openvino, probe
from featherweight.export._targets import target_named, target_of


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_target_is_a_row_and_a_module(target):
    assert target.precisions.keys() <= {"float32", "float16", "int8"}
    assert bool(target.suffix) != bool(target.holds), "a file has a suffix, a folder holds what it is known by"
    taken = inspect.signature(target.code().export).parameters
    assert {"path", "precision", "metadata"} <= taken.keys()
    assert ("calibration" in taken) == any(form.calibrated for form in target.precisions.values())
    assert next(iter(inspect.signature(target.code().load).parameters.values())).name in ("path", "source")
    assert all((form.tolerance is None) == (name == "int8") for name, form in target.precisions.items())


def test_unknown_targets_and_precisions():
    with pytest.raises(TargetError, match="no target is called 'tflite'; known: onnx, openvino, "):
        target_named("tflite")
    with pytest.raises(TargetError, match="openvino has no int4; it has float32, float16, int8"):
        target_named("openvino").form("int4")


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch):
    assert TARGETS["openvino"].missing() is None
    monkeypatch.setattr("featherweight.export._targets.find_spec", lambda name: None)
    complaint = "the package 'openvino' is not installed: pip install 'featherweight[openvino]'"
    assert TARGETS["openvino"].missing() == complaint


def test_files_and_folders_are_told_apart(tmp_path):
    (tmp_path / "model.onnx").write_bytes(probe(nn.Flatten(), (1, 1, 2)))
    folder = openvino.export(tmp_path / "model.onnx", tmp_path / "ir", metadata={"labels": ["a", "b"]})
    for path, name in ((tmp_path / "model.onnx", "onnx"), (folder, "openvino"), (folder / "model.xml", "openvino")):
        target = target_of(path)
        assert target is not None and target.name == name
        runner = load(path)
        assert isinstance(runner, Runner)
        np.testing.assert_array_equal(runner(np.full((2, 1, 1, 2), 3, np.float32)), np.full((2, 2), 3))
    assert load(folder).labels == ("a", "b")
    assert target_of(tmp_path) is None and target_of(tmp_path / "model") is None
    with pytest.raises(ModelFileError, match=r"the folder .* is no model of ours: there is none of model.xml"):
        load(tmp_path)
