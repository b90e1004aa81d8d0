"""`featherweight cost`."""

import re

import pytest

from featherweight._units import format_count, format_joules
from featherweight.cli.cost import parse_input_size
from featherweight.cost import analyze
from featherweight.networks import create, networks, save_model

NAME = next(networks()).name


def test_json_is_what_analyze_counts(featherweight) -> None:
    found = featherweight("cost", NAME, "-o", "num_classes=10", "--input", 64, "--json").json
    counted = analyze(create(NAME, num_classes=10), 64)
    assert found["params"] == counted.params
    assert found["multiply_adds"] == counted.multiply_adds
    assert found["peak_memory_bytes"] == counted.peak_memory_bytes
    assert found["energy_joules"] == counted.energy_joules
    assert len(found["layers"]) == len(counted.layers)


def test_every_quantity_has_a_unit_and_layers_come_when_asked_for(featherweight) -> None:
    brief, full = featherweight("cost", NAME).out, featherweight("cost", NAME, "--layers").out
    assert "kB" in brief or "MB" in brief
    assert full.startswith(brief)
    assert "stem.conv" in full
    assert "stem.conv" not in brief


def test_operations_are_told_apart_and_priced(featherweight) -> None:
    out = featherweight("cost", "adder_resnet20").out
    cost = analyze(create("adder_resnet20"))
    assert cost.operations.additions > 100 * cost.operations.multiplies
    rows = dict(
        re.split(r"  +", line.strip())
        for line in out.partition("by layer kind")[0].splitlines()[4:]
        if "  " in line.strip()
    )
    for sort in ("multiplies", "additions", "comparisons", "absolutes"):
        assert rows[f"operations, {sort}"] == format_count(getattr(cost.operations, sort), digits=4)
    assert "operations, integer additions" not in rows
    for name, joules in cost.energy_joules.items():
        assert rows[f"arithmetic energy at 45 nm, {name}"] == format_joules(joules)


def test_a_saved_model_is_counted(featherweight, tmp_path) -> None:
    path = save_model(create(NAME, num_classes=10, in_channels=1), tmp_path / "model.safetensors")
    found = featherweight("cost", path, "--input", 64, "--json").json
    assert found["input_shape"] == [1, 64, 64]


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ([NAME + "x"], 2, f"did you mean {NAME}"),
        ([NAME, "-o", "numclasses=3"], 2, "did you mean 'num_classes'"),
        ([NAME, "-o", "num_classes=three"], 2, "'three' is not a whole number"),
        ([NAME, "--input", "big"], 2, "not an input size: 'big'; understood: 224, 192x256 or 3x224x224"),
        ([NAME, "--input", "2x64x64"], 2, f"{NAME} is for pictures of"),
        (["model.onnx"], 2, "of files, a model.safetensors of ours is understood"),
        (["torchvision:resnet"], 2, "torchvision has no network 'resnet' for classification"),
        (["model.safetensors", "-o", "width=1"], 2, "model.safetensors is one already"),
        (["model.safetensors"], 1, "no such file: model.safetensors"),
    ],
)
def test_wrong_words(featherweight, words, code, complaint) -> None:
    answer = featherweight("cost", *words)
    assert (answer.code, answer.out) == (code, "")
    assert complaint in answer.err


def test_a_file_that_is_no_model(featherweight, tmp_path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"hello")
    answer = featherweight("cost", path)
    assert answer.code == 2
    assert "is not a whole safetensors file" in answer.err


@pytest.mark.parametrize("text", ["", "0", "3x", "x3", "1x2x3x4", "-5", "2.5"])
def test_sizes_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="not an input size"):
        parse_input_size(text)


def test_torchvisions_networks_are_counted_too(featherweight) -> None:
    ours, theirs = (featherweight("cost", name, "--json").json for name in ("resnet18", "torchvision:resnet18"))
    assert (ours["params"], ours["multiply_adds"]) == (theirs["params"], theirs["multiply_adds"])
