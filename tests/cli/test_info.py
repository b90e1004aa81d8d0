"""`featherweight info`."""

import sys
from importlib.metadata import version

import featherweight._native as native


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


def test_without_the_compiled_part_the_reference_runs_and_info_says_so(featherweight, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "featherweight._native", None)
    assert featherweight("info", "--json").json["native"]["compiled"] is False
    assert "reference code runs instead" in featherweight("info").out


def test_it_tells_whose_kernels_run_and_how_to_choose(featherweight, monkeypatch) -> None:
    best, *others = native.all_kernels()
    assert featherweight("info", "--json").json["native"]["kernels"] == {"used": best, "runnable": [best, *others]}
    monkeypatch.setenv("FEATHERWEIGHT_ISA", "plain")
    assert f"plain; FEATHERWEIGHT_ISA chooses another: {best}" in featherweight("info").out
    monkeypatch.setenv("FEATHERWEIGHT_ISA", "mmx")
    refused = featherweight("info")
    assert refused.code == 2
    assert 'FEATHERWEIGHT_ISA is "mmx"; this processor runs' in refused.err
