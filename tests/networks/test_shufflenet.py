"""Widths and splits of both ShuffleNets."""

import re

import pytest
import torch
from torch import nn

from featherweight.networks import analyze, create


def build(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return create(name, **options)


def channels(model: nn.Module) -> list[int]:
    """Channels behind the stem and behind each stage, and of the classifier's input."""
    size, found = 112, []
    x = model.stem(torch.empty(1, 3, 224, 224, device="meta"))
    found.append(x.shape[1])
    for module in model.body:
        size, x = x.shape[-1], module(x)
        if x.shape[-1] < size and not isinstance(module, nn.MaxPool2d):
            found.append(x.shape[1])
    return [*found, model.num_features]


@pytest.mark.parametrize(
    ("groups", "width", "released"),
    [
        (3, 0.5, [12, 120, 240, 480]),
        (3, 1.0, [24, 240, 480, 960]),
        (3, 1.5, [24, 360, 720, 1440]),
        (3, 2.0, [48, 480, 960, 1920]),
        (8, 0.5, [16, 192, 384, 768]),
        (8, 1.0, [24, 384, 768, 1536]),
        (8, 1.5, [24, 576, 1152, 2304]),
        (8, 2.0, [48, 768, 1536, 3072]),
    ],
)
def test_v1_has_the_released_channels(groups: int, width: float, released: list[int]) -> None:
    assert channels(build("shufflenet_v1", groups=groups, width=width)) == [*released, released[-1]]


def test_v1_first_layer_of_the_first_unit_is_not_grouped() -> None:
    units = [module for module in build("shufflenet_v1", groups=4).body if hasattr(module, "reduce")]
    assert [unit.reduce.conv.groups for unit in units] == [1] + [4] * 15
    assert {unit.expand.conv.groups for unit in units} == {4}


def test_v1_width_that_does_not_divide_names_widths_that_do() -> None:
    with pytest.raises(ValueError, match=r"width 0\.3 would have 82 channels.* 4 groups .*; the nearest") as caught:
        build("shufflenet_v1", groups=4, width=0.3)
    fits = [float(width) for width in re.findall(r"\(width ([\d.]+)\)", str(caught.value))]
    assert len(fits) == 2 and fits[0] < 0.3 < fits[1]
    for width in fits:
        build("shufflenet_v1", groups=4, width=width)


def test_v1_too_narrow_names_a_width_that_fits() -> None:
    with pytest.raises(ValueError, match=r"have 0 channels.* more than 12; .*: 15 \(width 0\.0625\)"):
        build("shufflenet_v1", groups=3, width=0.001)
    build("shufflenet_v1", groups=3, width=0.0625)


def test_v1_unknown_groups_are_answered_with_the_columns() -> None:
    with pytest.raises(ValueError, match="no column for 5 groups; known: 1, 2, 3, 4, 8"):
        build("shufflenet_v1", groups=5)


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (0.25, [12, 28, 58, 116, 1024]),
        (0.5, [24, 48, 96, 192, 1024]),
        (0.75, [24, 88, 174, 348, 1024]),
        (1.0, [24, 116, 232, 464, 1024]),
        (1.5, [24, 176, 352, 704, 1024]),
        (2.0, [24, 244, 488, 976, 2048]),
    ],
)
def test_v2_channels(width: float, expected: list[int]) -> None:
    assert channels(build("shufflenet_v2", width=width)) == expected


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2, 0.3, 0.45, 0.55, 1.2, 2.5])
@pytest.mark.parametrize("split", ["released", "equal"])
def test_v2_takes_any_width(width: float, split: str) -> None:
    model = build("shufflenet_v2", width=width, split=split, head_channels=32, num_classes=7)
    assert model(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 7)


def test_v2_splits_differ_in_the_first_unit_only() -> None:
    released, equal = (build("shufflenet_v2", split=split).state_dict() for split in ("released", "equal"))
    differing = {name.split(".")[1] for name in released if released[name].shape != equal[name].shape}
    assert differing == {"1"}  # body.0 is the pooling


def test_v2_refuses_what_it_does_not_have() -> None:
    with pytest.raises(ValueError, match=r"at least 0\.05; got 0\.01"):
        build("shufflenet_v2", width=0.01)
    with pytest.raises(ValueError, match="split must be 'released' or 'equal'; got 'half'"):
        build("shufflenet_v2", split="half")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shufflenet_v1_50", [64, 720, 1440, 2880, 2880]),
        ("shufflenet_v2_50", [64, 488, 976, 1952, 2048]),
        ("shufflenet_v2_164", [128, 680, 1360, 2720, 2048]),
    ],
)
def test_deep_ones_have_the_appendix_tables_channels(name: str, expected: list[int]) -> None:
    model = build(name)
    assert channels(model) == expected
    layers = sum(isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1 for m in model.modules())
    widening = 4 if "v2" in name else 0  # whose shortcut has a 3x3 layer too
    assert layers == {"50": 1 + 16, "64": 3 + 53}[name[-2:]] + widening


def test_v2_50_has_the_tables_cost() -> None:
    cost = analyze("shufflenet_v2_50", 224)
    assert round(cost.params / 1e6, 2) == 16.57
    assert round(cost.multiply_adds / 1e6) == 2304


def test_squeeze_excite_of_v2_is_in_every_unit() -> None:
    plain, weighed = (build("shufflenet_v2", squeeze_excite=excite).state_dict() for excite in (False, True))
    added = {name.rsplit(".", 3)[0] for name in weighed if name not in plain}
    assert len(added) == 16


@pytest.mark.parametrize("name", ["shufflenet_v1_50", "shufflenet_v2_50", "shufflenet_v2_164"])
def test_deep_ones_take_any_width_and_depth(name: str) -> None:
    for width, depth in ((0.05, 1.0), (0.33, 0.1), (1.2, 0.5)):
        build(name, width=width, depth=depth)
    with pytest.raises(ValueError, match=f"depth of {name} must be a number above 0; got 0"):
        build(name, depth=0)
