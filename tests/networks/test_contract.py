"""What every network promises, whatever its family: held for each of them, and for each form that was printed."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn

from featherweight.blocks import ImageClassifier
from featherweight.networks import (
    FeatureExtractor,
    Network,
    create,
    load_model,
    network,
    networks,
    on_meta_device,
    save_model,
)

SMALLEST = {"width": 0.25, "depth": 0.3}  # of those options that a network has
CLASSES = 5


class Form(NamedTuple):
    """A network, its options, and how many modules it is made of, of which kinds."""

    name: str
    options: dict[str, object]
    modules: int
    parts: frozenset[str]


def forms() -> Iterator[Form]:
    """Go through the networks in all their printed forms, at their smallest; those that differ in size only, once.

    Shares of what is dropped are sizes too: of the EfficientNets B0 to B7 at one width and depth, one is left.
    """
    seen = set()
    for entry in networks():
        smallest = {option: value for option, value in SMALLEST.items() if option in entry.options}
        colour = {} if entry.default("in_channels") == 3 else {"in_channels": 3}
        for chosen in printed_choices(entry):
            options = {**smallest, **chosen, **colour, "num_classes": CLASSES}
            drops = {option: 0.5 for option in ("dropout", "drop_path") if option in entry.options}
            with on_meta_device():
                model = create(entry.name, **options, **drops)
            text = str(model)
            if text not in seen:
                seen.add(text)
                kinds = [type(module).__name__ for module in model.modules()]
                yield Form(entry.name, options, len(kinds), frozenset(kinds))


def fewest(forms: Iterable[Form]) -> Iterator[tuple[str, dict[str, object]]]:
    """Go through the forms, the smallest first, that have a part which no earlier one has; and one of each family."""
    seen: set[str] = set()
    for form in sorted(forms, key=lambda form: form.modules):
        family = f"family {network(form.name).family}"
        if not form.parts | {family} <= seen:
            seen |= form.parts | {family}
            yield form.name, form.options


def printed_choices(entry: Network) -> list[dict[str, object]]:
    """Return the choices that no scale makes, each once; the tests below say `small_input` themselves."""
    choices = [
        {name: value for name, value in row.items() if isinstance(value, bool | str) and name != "small_input"}
        for row in ({}, *(row.options for row in entry.published))
    ]
    return [choice for i, choice in enumerate(choices) if choice not in choices[:i]]


def parametrized(forms: list[tuple[str, dict[str, object]]]) -> pytest.MarkDecorator:
    ids = [" ".join([name, *(f"{option}={value}" for option, value in options.items())]) for name, options in forms]
    return pytest.mark.parametrize(("name", "options"), forms, ids=ids)


def table_of(name: str) -> object:
    return network(name).default("table") if "table" in network(name).options else None


ALL = list(forms())
FORMS = [(form.name, form.options) for form in ALL]
# Of each family one form, the first, with each set of parts: the others have more of the same.
KINDS = {(network(form.name).family, form.parts): (form.name, form.options) for form in reversed(ALL)}
every_form = parametrized(FORMS)
every_kind = parametrized([*KINDS.values()][::-1])
every_part = parametrized([*fewest(ALL)])  # for what takes seconds


@pytest.fixture
def build(
    name: str, options: dict[str, object], calibrated: Callable[[nn.Module, tuple[int, ...]], nn.Module]
) -> Callable[..., ImageClassifier]:
    """Make the network for small pictures, with more options and with logits that depend on the picture."""

    def built(**more: object) -> ImageClassifier:
        model = create(name, **{**options, "small_input": True, **more})
        assert isinstance(model, ImageClassifier)
        calibrated(model, (model.in_channels, 32, 32))
        return model

    return built


@every_form
@torch.no_grad()
def test_output_has_a_row_for_each_picture_at_any_size(name: str, options: dict[str, object]) -> None:
    model = create(name, **options).eval()
    least = model.smallest_input
    for height, width in ((224, 224), (97, 131), (least, least)):
        assert model(torch.randn(1, 3, height, width)).shape == (1, CLASSES)
    if least > 1:
        wanted = f"{name} needs pictures of at least {least} x {least} pixels; got {least - 1} x 64"
        with pytest.raises(ValueError, match=wanted):
            model(torch.randn(1, 3, least - 1, 64))


@every_form
def test_small_pictures_keep_more_of_their_places(name: str, options: dict[str, object]) -> None:
    small, plain = (create(name, **options, small_input=small).eval() for small in (True, False))
    assert small(torch.randn(2, 3, 16, 16)).shape == (2, CLASSES)
    pixels = torch.randn(1, 3, 64, 64)
    assert small.forward_features(pixels).shape[-1] >= 4 * plain.forward_features(pixels).shape[-1]


@every_form
def test_every_parameter_gets_a_finite_gradient(name: str, options: dict[str, object]) -> None:
    model = create(name, **options, dropout=0.0, small_input=True).train()
    nn.functional.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 2, 3])).backward()
    for parameter, tensor in model.named_parameters():
        assert tensor.grad is not None, parameter
        assert tensor.grad.isfinite().all(), parameter


@every_form
@torch.no_grad()
def test_ways_to_the_same_logits(name: str, options: dict[str, object], build: Callable[..., ImageClassifier]) -> None:
    model, pixels = build(), torch.randn(2, 3, 32, 32)
    logits = model(pixels)
    assert logits.std(0).max() > 1e-3, "the logits do not depend on the picture: nothing below would be shown"

    assert torch.equal(model.forward_head(model.forward_features(pixels)), logits)
    assert torch.equal(copy.deepcopy(model)(pixels), logits)
    assert torch.equal(model(pixels), logits), "the second call differs"

    again = create(name, **options, small_input=True).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(pixels), logits)

    channels_last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    reordered = channels_last(pixels.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(reordered, logits, atol=1e-4, rtol=1e-4)  # float32's own error in 50 layers


@every_form
@torch.no_grad()
def test_saved_and_loaded(build: Callable[..., ImageClassifier], tmp_path: Path) -> None:
    model, pixels = build(in_channels=1), torch.randn(2, 1, 32, 32)
    loaded = load_model(save_model(model, tmp_path / "model.safetensors"))
    assert torch.equal(loaded(pixels), model(pixels))
    assert (loaded.name, loaded.options) == (model.name, model.options)
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())


@every_kind
@torch.no_grad()
def test_half_precision_by_autocast_is_near(build: Callable[..., ImageClassifier]) -> None:
    model, pixels = build(), torch.randn(2, 3, 32, 32)
    logits = model(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(pixels)
    multiplies = any(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules())
    assert half.dtype == (torch.bfloat16 if multiplies else torch.float32)  # distances are not for half precision
    assert nn.functional.cosine_similarity(half.float().flatten(), logits.flatten(), dim=0) > 0.95


@every_part
@torch.no_grad()
def test_exported_by_torch_export(build: Callable[..., ImageClassifier]) -> None:
    model, pixels = build(), torch.randn(2, 3, 32, 32)
    exported = torch.export.export(model, (pixels,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    pixels = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(exported.module()(pixels), model(pixels))


@every_form
def test_features_are_as_announced(name: str, options: dict[str, object]) -> None:
    options = {**options, "small_input": False}
    features = create(name, **options, features_only=True)
    assert isinstance(features, FeatureExtractor)
    with torch.no_grad():
        maps = features.eval()(torch.randn(1, 3, 128, 128))
    info = features.feature_info
    assert [level["num_chs"] for level in info] == [x.shape[1] for x in maps]
    reductions = [level["reduction"] for level in info]
    assert reductions == sorted({*reductions} & {1, 2, 4, 8, 16, 32})
    assert len(reductions) > 1
    for level, x in zip(info, maps, strict=True):
        assert 128 / x.shape[-1] == pytest.approx(level["reduction"], rel=0.2)  # unpadded layers lose the border
        assert features.get_submodule(level["module"]) is not None

    chosen = create(name, **options, features_only=True, out_indices=(-1, 1))
    assert chosen.feature_info == [info[-1], info[1]]
    with torch.no_grad():
        shapes = [x.shape for x in chosen.eval()(torch.randn(1, 3, 128, 128))]
    assert shapes == [maps[-1].shape, maps[1].shape]


@every_form
def test_last_layer_can_be_replaced(name: str, options: dict[str, object]) -> None:
    model, pixels = create(name, **options).eval(), torch.randn(2, 3, 64, 64)
    assert model.num_classes == CLASSES
    model.reset_classifier(7)
    assert (model.num_classes, model.options["num_classes"]) == (7, 7)
    maps = model.forward_features(pixels)
    assert model.forward_head(maps).shape == (2, 7)
    features = model.forward_head(maps, pre_logits=True)
    assert features.shape == (2, model.num_features)
    model.reset_classifier(0)
    assert torch.equal(model.forward_head(maps), features)
    with on_meta_device():
        assert str(create(name, **{**options, "num_classes": 0})) == str(model)
    with pytest.raises(ValueError, match=r"num_classes must be 0 .* or more; got -1"):
        model.reset_classifier(-1)


@every_form
def test_any_number_of_input_channels(name: str, options: dict[str, object]) -> None:
    for channels in (1, 4):
        model = create(name, **{**options, "in_channels": channels}).eval()
        assert model.in_channels == channels
        assert model(torch.randn(1, channels, 64, 64)).shape == (1, CLASSES)


@every_form
def test_dropout_is_an_option(name: str, options: dict[str, object]) -> None:
    with on_meta_device():
        model = create(name, **options, dropout=0.625)
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == [0.625]


@parametrized([(name, options) for name, options in FORMS if table_of(name) is not None])
def test_table_survives_json(name: str, options: dict[str, object]) -> None:
    """A saved model's options are JSON: rows come back as lists."""
    with on_meta_device():
        model = create(name, **options)
        again = create(name, **options, table=json.loads(json.dumps(table_of(name))))
    assert [p.shape for p in again.parameters()] == [p.shape for p in model.parameters()]
