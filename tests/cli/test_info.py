"""`featherweight info`."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch

import featherweight._native as native
from featherweight.ops._library import OPERATORS


def test_json_tells_what_is_installed_and_what_the_processor_can(featherweight) -> None:
    found = featherweight("info", "--json").json
    assert found["packages"]["torch"] == version("torch")
    assert found["native"]["instruction_sets"] == dict(native.instruction_sets())
    assert found["extras"]["fit"]["packages"].keys() > found["extras"]["export"]["packages"].keys()
    assert found["processor"]["memory_bytes"] > 1e8


def test_a_missing_extra_says_how_to_install_it(featherweight, monkeypatch) -> None:
    monkeypatch.setattr("featherweight.cli.info._version", lambda package: None if package == "jinja2" else "1.0")
    found = featherweight("info", "--json").json["extras"]["report"]
    assert found["complete"] is False
    assert found["packages"]["jinja2"] is None
    assert "missing jinja2: pip install 'featherweight[report]'" in featherweight("info").out


def info_without(*modules, **environment):
    """What a Python prints that does not have these modules."""
    code = f"import sys; sys.modules |= dict.fromkeys({modules}); from featherweight.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "info", "--json"],
        env=os.environ | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_without_the_compiled_part_the_reference_runs_and_info_says_so(featherweight, monkeypatch) -> None:
    found = info_without("featherweight._native")
    assert "reference code runs instead" in found["native"]["reason"]
    why = {"kernel": "reference", "reason": "featherweight._native is not installed"}
    assert all(one["cpu"] == why for name, one in found["operators"].items() if name != "adder2d_weight_gradient")
    monkeypatch.setitem(sys.modules, "featherweight._native", None)
    assert "reference code runs instead" in featherweight("info").out


def test_without_triton_the_reference_runs_on_gpus_and_info_says_so() -> None:
    found = info_without("triton")["operators"]
    for name in ("adder2d", "mitchell_conv2d", "mitchell_matmul_gradient"):
        assert found[name]["cuda"]["kernel"] == "reference"
        assert "no kernel is registered; Triton is not installed" in found[name]["cuda"]["reason"]
    assert found["adder2d"]["cpu"]["kernel"] == native.kernels()


def test_each_operator_and_device_has_a_kernel_and_a_reason(featherweight, monkeypatch) -> None:
    found = featherweight("info", "--json").json["operators"]
    registered = {
        schema.name.split("::")[1] for schema in torch._C._jit_get_all_schemas() if "featherweight::" in schema.name
    }
    assert found.keys() == registered
    assert found["adder2d"]["cpu"] == {"kernel": native.kernels(), "reason": "chosen at run time"}
    assert found["adder2d_int8"]["cuda"] == {"kernel": "none", "reason": "the operator is for cpu only"}
    for name, devices in found.items():
        for device, key in (("cpu", "CPU"), ("cuda", "CUDA")):
            has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key(f"featherweight::{name}", key)
            assert has_kernel == (devices[device]["kernel"] not in {"reference", "none"}), (name, device)
    monkeypatch.setenv("FEATHERWEIGHT_ISA", "plain")
    found = featherweight("info", "--json").json["operators"]
    assert found["mitchell_matmul"]["cpu"] == {"kernel": "plain", "reason": "FEATHERWEIGHT_ISA=plain"}
    assert "plain: FEATHERWEIGHT_ISA=plain" in featherweight("info").out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_kernels_for_gpus_are_shown_as_registered_where_there_is_none(featherweight, monkeypatch) -> None:
    monkeypatch.setitem(OPERATORS["adder2d"].kernels, "cuda", "CUDA C++")
    found = featherweight("info", "--json").json["operators"]["adder2d"]["cuda"]
    assert found["kernel"] == "CUDA C++"
    assert found["reason"] in {"no CUDA device found", "PyTorch is built without CUDA"}


def test_it_tells_whose_kernels_run_and_how_to_choose(featherweight, monkeypatch) -> None:
    best, *others = native.all_kernels()
    assert featherweight("info", "--json").json["native"]["kernels"] == {"used": best, "runnable": [best, *others]}
    monkeypatch.setenv("FEATHERWEIGHT_ISA", "plain")
    assert f"plain; FEATHERWEIGHT_ISA chooses another: {best}" in featherweight("info").out
    monkeypatch.setenv("FEATHERWEIGHT_ISA", "mmx")
    refused = featherweight("info")
    assert refused.code == 2
    assert 'FEATHERWEIGHT_ISA is "mmx"; this processor runs' in refused.err
