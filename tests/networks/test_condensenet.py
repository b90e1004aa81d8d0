"""CondenseNet's counts, its authors' way of counting, and the way from a trained network to the one for use."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from featherweight.blocks import CondenseLayer, ImageClassifier, LearnedGroupConv
from featherweight.cost import METRICS, trace
from featherweight.networks import (
    Variant,
    condense,
    create,
    load_model,
    on_meta_device,
    rounds_to,
    save_model,
    variants,
)

SMALL = {"width": 0.25, "depth": 0.3, "num_classes": 5, "small_input": True}


def build(name: str, **options: object) -> nn.Module:
    with on_meta_device():
        return create(name, **options)


def params(name: str, **options: object) -> int:
    return sum(parameter.numel() for parameter in build(name, **options).parameters())


CIFAR = {
    "50": (1.0, 1.0, 522_938, 214_186, 216_506),
    "74": (1.5, 1.0, 1_090_906, 402_026, 405_466),
    "86": (1.75, 1.0, 1_451_594, 516_202, 520_202),
    "98": (2.0, 1.0, 1_863_418, 643_882, 648_442),
    "110": (2.25, 1.0, 2_326_378, 785_066, 790_186),
    "122": (2.5, 1.0, 2_840_474, 939_754, 945_434),
    "182": (3.75, 1.5, 13_792_906, 4_209_226, 4_221_946),
}


@pytest.mark.parametrize("name", CIFAR)
def test_parameters_of_the_cifar_nets(name: str) -> None:
    depth, width, training, half, whole = CIFAR[name]
    options = {"depth": depth, "width": width}
    assert params("condensenet_cifar", converted=False, **options) == training
    assert params("condensenet_cifar", classifier_share=0.5, **options) == half
    assert params("condensenet_cifar", **options) == whole
    layers = [m for m in build("condensenet_cifar", **options).modules() if isinstance(m, CondenseLayer)]
    assert 2 * len(layers) + 2 == int(name)


@pytest.mark.parametrize(("groups", "training", "converted"), [(4, 11_922_680, 4_773_944), (8, 11_103_608, 2_935_416)])
def test_parameters_of_the_imagenet_nets(groups: int, training: int, converted: int) -> None:
    assert params("condensenet", groups=groups, converted=False) == training
    assert params("condensenet", groups=groups) == converted


def test_channels_of_the_layer_table() -> None:
    model, x, channels = build("condensenet"), torch.empty(1, 3, 224, 224, device="meta"), {}
    for block in (model.stem, *model.body):
        x = block(x)
        channels[x.shape[-1]] = x.shape[1]
    assert channels == {112: 48, 56: 144, 28: 400, 14: 1040, 7: 2064}
    assert model.num_features == 1032


def authors_count(model: nn.Module, resolution: int) -> int:
    """Count as the released code does: also each input of a ReLU, each pixel that a pooling reads, and biases."""
    calls, counted = trace(model, resolution), 0
    for call in calls:
        if call.op == "relu_" or "avg_pool2d" in call.op or call.op == "mean":
            counted += call.inputs[0].numel
        elif call.op == "addmm":
            counted += call.outputs[0].numel
    return counted + METRICS["multiply_adds"](calls)


# Not for CIFAR-100: its rows print the costs of the forms for CIFAR-10.
PRINTED = [
    variant
    for variant in variants()
    if variant.name.startswith("condensenet") and variant.published and "num_classes" not in variant.options
]


@pytest.mark.parametrize("variant", PRINTED, ids=str)
def test_printed_costs_are_the_authors_count(variant: Variant) -> None:
    counted = authors_count(build(variant.name, **variant.options), variant.resolution)
    assert all(rounds_to(counted, row.multiply_adds) for row in variant.published)


def test_nine_costs_are_printed() -> None:
    assert len({row.multiply_adds for variant in PRINTED for row in variant.published}) == 9


def learned(name: str, calibrated: Callable[..., nn.Module], **options: object) -> ImageClassifier:
    """A small network in training form that was trained for some steps and condensed in between."""
    model = create(name, **{**SMALL, "converted": False, **options})
    assert isinstance(model, ImageClassifier)
    layers = [module for module in model.modules() if isinstance(module, LearnedGroupConv)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(8):
        for layer in layers:
            layer.condense_to(step / 7)
        loss = nn.functional.cross_entropy(model(torch.randn(8, 3, 16, 16)), torch.arange(8) % 5)
        loss = loss + 1e-5 * sum(layer.lasso() for layer in layers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    calibrated(model, (3, 16, 16))
    return model


@pytest.mark.parametrize("name", ["condensenet", "condensenet_cifar"])
@pytest.mark.parametrize("groups", [4, 8])
@torch.no_grad()
def test_condensed_network_gives_the_same_logits(name: str, groups: int, calibrated) -> None:
    with torch.enable_grad():
        model = learned(name, calibrated, groups=groups, classifier_share=1.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small, pixels = condense(model), torch.randn(4, 3, 16, 16)
    logits = model(pixels)
    assert logits.std(0).max() > 1e-2
    torch.testing.assert_close(small(pixels), logits, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert small.options == {**model.options, "converted": True}
    assert not small.training


def test_condensed_in_double_precision_it_stays_so(calibrated) -> None:
    model = learned("condensenet_cifar", calibrated, classifier_share=1.0).double()
    pixels = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(condense(model)(pixels), model(pixels), rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_half_a_classifier_reads_the_features_that_it_uses_most(calibrated) -> None:
    with torch.enable_grad():
        model = learned("condensenet", calibrated)
    small, pixels = condense(model), torch.randn(4, 3, 16, 16)
    use = model.get_classifier().weight.abs().sum(0)
    assert small.num_features == model.num_features // 2
    weak = use < use.median()
    kept = torch.zeros_like(weak).index_fill(0, small.head.index, True)
    assert not (kept & weak).any()
    model.get_classifier().weight[:, ~kept] = 0
    torch.testing.assert_close(small(pixels), model(pixels), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_both_forms_are_saved_and_loaded(calibrated, tmp_path: Path) -> None:
    with torch.enable_grad():
        model = learned("condensenet", calibrated)
    pixels = torch.randn(2, 3, 16, 16)
    for network in (model, condense(model)):
        loaded = load_model(save_model(network, tmp_path / "model.safetensors"))
        assert torch.equal(loaded(pixels), network(pixels))
    assert torch.equal(
        condense(loaded := load_model(save_model(model, tmp_path / "m.safetensors")))(pixels), condense(model)(pixels)
    )
    assert all(m.condensed for m in loaded.modules() if isinstance(m, LearnedGroupConv))


def test_training_form_can_be_built_and_used_like_the_other() -> None:
    model = create("condensenet", **SMALL, converted=False).eval()
    least = model.smallest_input
    assert model(torch.randn(1, 3, least, least)).shape == (1, 5)
    model.reset_classifier(7)
    small = condense(condensed(model))
    assert small(torch.randn(1, 3, 32, 32)).shape == (1, 7)


def condensed(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, LearnedGroupConv):
            module.condense_to(1)
    return model


def test_what_cannot_be_condensed_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"only a CondenseNet made by featherweight\.create can be condensed; got Linear"
    ):
        condense(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="got ImageClassifier"):
        condense(create("squeezenet", num_classes=2))
    with pytest.raises(ValueError, match="converted already"):
        condense(create("condensenet", **SMALL))
    with pytest.raises(ValueError, match="each group still uses"):
        condense(create("condensenet", **SMALL, converted=False))
    model = create("condensenet", **{**SMALL, "num_classes": 0}, converted=False)
    with pytest.raises(ValueError, match="without a classifier"):
        condense(condensed(model))
    with pytest.raises(ValueError, match=r"classifier_share must be above 0 and at most 1; got 1\.5"):
        build("condensenet", classifier_share=1.5)
