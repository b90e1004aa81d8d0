"""Every runtime gives the answers of eager PyTorch; what cannot run here says what it lacks."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from featherweight.bench import RUNTIMES, RuntimeMissingError, missing
from featherweight.bench._runtimes import Prepared, usable
from featherweight.bench._worker import subject
from featherweight.export import ModelFileError, openvino, pytorch

# Share of the largest logit that a runtime may be off by.
CLOSE = {"bfloat16": 0.25, "openvino_bfloat16": 0.25, "onnxruntime_int8": 0.5, "openvino_int8": 0.5}
FAST = [name for name in RUNTIMES if not RUNTIMES[name].gpu and "compile" not in name]


@pytest.fixture(scope="module")
def prepared():
    model, x = subject("mobilenet_v2", {"width": 0.35, "num_classes": 10}, 2, [3, 64, 64])
    return Prepared(model, x, 1)


@pytest.mark.parametrize("name", FAST)
def test_answers_are_those_of_eager_pytorch(name, prepared):
    run, logits = RUNTIMES[name].ready(prepared)
    run()
    expected = prepared.model(torch.from_numpy(prepared.x)).detach().numpy()
    assert logits.shape == expected.shape and logits.dtype == np.float32
    assert np.abs(logits - expected).max() <= CLOSE.get(name, 1e-4) * np.abs(expected).max()
    assert not np.array_equal(logits, expected) or name == "eager"


def test_a_compiled_module_gives_the_same_answers():
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten())
    x = np.random.default_rng(0).standard_normal((1, 2, 6, 6), dtype=np.float32)
    expected = module(torch.from_numpy(x)).detach().numpy()
    runner = pytorch.load(module, "compile")
    np.testing.assert_allclose(runner(x), expected, atol=1e-5)
    runner.ready(x)()


def test_batch_norms_know_the_range_of_what_they_get():
    model, x = subject("mobilenet_v2", {"width": 0.35}, 1, [3, 64, 64])
    logits = model(torch.from_numpy(x))
    assert logits.isfinite().all() and 1e-3 < logits.std() < 1e3


@pytest.mark.parametrize("name", [name for name in RUNTIMES if RUNTIMES[name].gpu])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_runtimes_for_gpus_say_that_there_is_none(name):
    assert missing(name) == "PyTorch finds no GPU"
    with pytest.raises(ValueError, match="needs a GPU"):
        pytorch.load(nn.Identity(), name)


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("featherweight.bench._runtimes.find_spec", lambda name: None if name == "openvino" else name)
    assert missing("openvino_int8") == "the package 'openvino' is not installed: pip install 'featherweight[openvino]'"
    names, reasons = usable()
    assert "eager" in names and set(reasons) >= {"openvino", "openvino_bfloat16", "openvino_int8"}


def test_a_model_that_cannot_be_exported_says_which_operator():
    class SingularValues(nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x).flatten(1)

    prepared = Prepared(SingularValues(), np.zeros((1, 1, 4, 4), np.float32), 1)
    with pytest.raises(RuntimeError, match="the operator 'aten::linalg_svdvals' to ONNX"):
        RUNTIMES["onnxruntime"].ready(prepared)


def test_unknown_names():
    with pytest.raises(RuntimeMissingError, match="no runtime is called 'tensorflow'; known: eager, "):
        missing("tensorflow")
    with pytest.raises(ValueError, match="no mode 'fast'; known: eager, "):
        pytorch.load(nn.Identity(), "fast")


def test_openvino_refuses_what_it_cannot_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        openvino.load(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match=r"OpenVINO cannot read .*bad.onnx"):
        openvino.load(tmp_path / "bad.onnx")
    with pytest.raises(ValueError, match="unknown precision 'half'; known: float32, bfloat16"):
        openvino.load(b"", precision="half")
    with pytest.raises(ValueError, match="threads must be 1 or more; got 0"):
        openvino.load(b"", threads=0)


def test_the_reference_takes_as_long_as_itself(monkeypatch) -> None:
    """Turn by turn beside the reference, that network itself has a ratio about 1; four pictures take longer."""
    from featherweight.bench._worker import RANDOM, REFERENCE, Bench

    monkeypatch.setattr(time, "perf_counter", time.thread_time)  # what other work on the machine takes is not counted
    bench = Bench("eager", 1, [])
    ratios = []
    for batch in (1, 4):
        bench.load(RANDOM, dict(REFERENCE), batch, None, compare=False)
        found = bench.in_references(turns=7, seconds=0.005)
        assert len(found["ratios"]) == 7 and found["reference"] > 0
        ratios.append(sorted(found["ratios"])[3])
    assert 0.6 < ratios[0] < 1.6
    assert ratios[1] > 1.5 * ratios[0]
