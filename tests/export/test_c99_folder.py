"""A folder of C99 source in which somebody else has written: nothing of it is compiled."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from featherweight.compress import quantize
from featherweight.export import ModelFileError, c99, export, load

SAID = {
    "name": "model", "input_shape": [1, 4, 4], "num_classes": 2, "input_scale": 1.0, "input_zero": 0,
    "logit_unit": 1.0, "sizes": {}, "featherweight": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({**SAID, "name": "../elsewhere/model"}, r"its name is none in C: '\.\./elsewhere/model'"),
        ({**SAID, "name": ["-o", "model"]}, r"its name is none in C: \['-o', 'model'\]"),
        ({**SAID, "featherweight": []}, r"its featherweight is no object: \[\]"),
        (SAID, r"its sizes are others than ours: \{\}"),
        (7, "it is no object"),
    ],
)
def test_a_damaged_note(tmp_path, said, complaint) -> None:
    (tmp_path / "c99.json").write_text(json.dumps(said))
    with pytest.raises(ModelFileError, match=rf"c99\.json is damaged: {complaint}"):
        load(tmp_path)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("c99")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).eval()
    preprocessing = {"channels": 1, "resolution": 4}
    float_onnx = export(model, folder / "float.onnx", metadata={"preprocessing": preprocessing})
    draw = np.random.default_rng(0).standard_normal((8, 1, 4, 4), dtype=np.float32)
    return c99.export(quantize(float_onnx, folder / "int8.onnx", draw), folder / "model")


def test_the_model_lies_beside_its_source(written) -> None:
    assert {path.name for path in written.iterdir()} == {
        "c99.json", "main.c", "model.c", "model.h", "model.onnx", "model_kernels.c", "model_kernels.h"
    }  # fmt: skip
    assert (written / "model.onnx").read_bytes() == (written.parent / "int8.onnx").read_bytes()


@pytest.mark.parametrize("file", ["main.c", "model.c", "model.h", "model_kernels.c", "model_kernels.h", "c99.json"])
def test_a_changed_file_is_not_compiled(written, tmp_path, monkeypatch, file) -> None:
    folder = shutil.copytree(written, tmp_path / "model")
    monkeypatch.setattr("featherweight.export._c99._build.subprocess.run", lambda *_, **__: pytest.fail("compiled"))
    if file == "c99.json":
        said = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**said, "num_classes": 1 << 40}))
    else:
        (folder / file).write_text((folder / file).read_text() + "\n")
    with pytest.raises(
        ModelFileError, match=rf"{file} is not what this version of featherweight writes of model\.onnx"
    ):
        load(folder)
    with pytest.raises(ModelFileError, match="is not compiled"):
        c99.measure(folder)
    (folder / file).unlink()
    with pytest.raises((ModelFileError, FileNotFoundError)):
        load(folder)


def test_without_the_model_nothing_is_compiled(written, tmp_path) -> None:
    folder = shutil.copytree(written, tmp_path / "model")
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelFileError, match=r"lacks model\.onnx or model\.safetensors, the int8 model"):
        load(folder)


@pytest.mark.skipif(c99.missing() is not None, reason=str(c99.missing()))
def test_what_a_network_is_called_stays_in_the_comment(written, tmp_path) -> None:
    network = {"name": "a /*/ b ??/ ???( \u202e", "options": {"*/": "/*"}}
    folder = c99.export(written / "model.onnx", tmp_path / "model", metadata={"network": network})
    assert "/* a / * / b ? ?/ ? ? ?( " in (folder / "model.h").read_text()
    assert load(folder).metadata["network"] == network


@pytest.mark.parametrize(
    ("network", "complaint"),
    [("mine", "network is no object: 'mine'"), ({"options": [1]}, r"options of .* network are no object: \[1\]")],
)
def test_a_network_that_is_no_object(written, tmp_path, network, complaint) -> None:
    with pytest.raises(ModelFileError, match=rf"model\.onnx: the .*{complaint}"):
        c99.export(written / "model.onnx", tmp_path / "model", metadata={"network": network})
