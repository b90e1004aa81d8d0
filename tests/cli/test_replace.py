"""`featherweight replace`."""

import pytest
from torch import nn

from featherweight.compress import REPLACEMENTS, replace
from featherweight.networks import create, save_model


def test_json_is_what_replace_reports(featherweight) -> None:
    words = ("squeezenet", "-o", "num_classes=10", "--with", "ghost", "--with-option", "ratio=4", "--input", 64)
    found = featherweight("replace", *words, "--json").json
    report = replace(create("squeezenet", num_classes=10), nn.Conv2d, "ghost", input_size=64, ratio=4)
    assert [row["name"] for row in found["changed"]] == [row.name for row in report.changed]
    assert [row["reason"] for row in found["left"]] == [row.reason for row in report.left]
    assert found["before"]["params"] == report.before.params
    assert found["after"]["multiply_adds"] == report.after.multiply_adds < report.before.multiply_adds


def test_tables_say_what_changed_what_stayed_and_what_it_costs(featherweight) -> None:
    out = featherweight("replace", "mobilenet_v2", "--with", "ghost", "--keep", "stem", "--keep", "body.1").out
    assert "mobilenet_v2 with ghost: 32 of 52 convolutions replaced" in out
    assert "kept by name: body.1" in out
    assert "depthwise already" in out
    assert "3.505 M" in out
    assert "body.2.expand.conv" in out


def test_networks_of_torchvision_and_saved_models(featherweight, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "16 of 20 convolutions" in featherweight("replace", "torchvision:resnet18", "--with", "comp_conv").out
    path = save_model(create("squeezenet", num_classes=10), "model.safetensors")
    assert "8 of 26 convolutions" in featherweight("replace", path, "--with", "depthwise_separable").out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["squeezenet", "--with", "gost"],
            f"unknown replacement 'gost'; did you mean ghost? known: {', '.join(REPLACEMENTS)}",
        ),
        (["squeezenett", "--with", "ghost"], "did you mean squeezenet"),
        (["torchvision:squeezenet", "--with", "ghost"], "torchvision has no network 'squeezenet' for classification"),
        (["torchvision:resnet18", "--with", "ghost", "-o", "width=1"], "torchvision's are built as they are"),
        (["squeezenet", "--with", "ghost", "--with-option", "rate=4"], "ghost has no option 'rate'. It takes: ratio"),
        (["squeezenet", "--with", "ghost", "--with-option", "ratio=x"], "option ratio of ghost: 'x' is not a whole"),
        (["squeezenet", "--with", "ghost", "--keep", "tail"], "keep='tail': no module"),
        (["squeezenet", "--with", "ghost", "--input", "1x64x64"], "squeezenet is for pictures of 3 channels; got 1"),
        (["squeezenet"], "Missing option '--with'"),
    ],
)
def test_wrong_words(featherweight, words, complaint) -> None:
    answer = featherweight("replace", *words)
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.err
