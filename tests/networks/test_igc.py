"""The interleaved families against counts that were made apart from them, and their own options."""

import pytest

from featherweight.blocks import InterleavedGroupConv, InterleavedLowRankGroupConv, InterleavedSparseConv
from featherweight.networks import analyze, create, on_meta_device
from featherweight.networks.igcv2 import group_sizes


def plain_igcv1(layers: int, primary: int, secondary: int, classes: int = 10) -> int:
    """Parameters by the paper's closed form L * M * M * 9 + M * L * L, with batch norm."""
    width, total = primary * secondary, 0
    total += 27 * width + 2 * width
    for stage in range(3):
        m = secondary * 2**stage
        width = primary * m
        block = primary * m * m * 9 + m * primary * primary + 2 * width
        total += (layers - 2) // 3 * block
        total -= (primary * m * m * 9 // 2) if stage else 0  # the first takes half of the channels
    return total + width * classes + classes


@pytest.mark.parametrize(("primary", "secondary"), [(4, 8), (24, 2)])
@pytest.mark.parametrize("layers", [20, 38, 62])
def test_igcv1_for_cifar_has_the_closed_forms_parameters(layers: int, primary: int, secondary: int) -> None:
    cost = analyze(
        "igcv1_cifar", 32, layers=layers, primary_partitions=primary, secondary_partitions=secondary, residual=False
    )
    assert cost.params == plain_igcv1(layers, primary, secondary)


@pytest.mark.parametrize(("channels", "params", "millions"), [(16, 269_722, 40.6), (18, 341_020, 51.3)])
def test_regconv_of_20_layers(channels: int, params: int, millions: float) -> None:
    """Widths 16 is the ResNet-20 of CIFAR without its shortcuts: 0.27M in its paper."""
    cost = analyze("regconv_cifar", 32, layers=20, channels=channels, residual=False)
    assert cost.params == params
    assert cost.multiply_adds / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("name", ["igcv1_cifar", "regconv_cifar"])
def test_layers_make_three_equal_stages(name: str) -> None:
    with pytest.raises(ValueError, match="2 more than a multiple of 6; got 23"):
        create(name, layers=23)
    with pytest.raises(ValueError, match="2 more than a multiple of 3; got 22"):
        create(name, layers=22, residual=False)
    with on_meta_device():
        create(name, layers=23, residual=False)


def test_a_doubling_block_has_the_partitions_of_the_stage_before() -> None:
    with on_meta_device():
        model = create("igcv1_cifar", layers=14)
    found = [m.secondary.conv.groups for m in model.modules() if isinstance(m, InterleavedGroupConv)]
    assert found == [2, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8]


@pytest.mark.parametrize(
    ("form", "primary", "secondary"),
    [
        ("L4M32", (4, 4, 4, 4), (8, 16, 32, 64)),
        ("L16M16", (16, 16, 16, 16), (4, 8, 16, 32)),
        ("L100M2", (25, 50, 100, 200), (2, 2, 2, 2)),
    ],
)
def test_width_scales_what_grows(form: str, primary: tuple[int, ...], secondary: tuple[int, ...]) -> None:
    with on_meta_device():
        model = create("igcv1", form=form, width=0.25)
    blocks = [m for m in model.modules() if isinstance(m, InterleavedGroupConv)]
    assert tuple(block.primary.groups for block in blocks[::4]) == primary
    assert tuple(block.secondary.conv.groups for block in blocks[::4]) == secondary


def test_igcv1_and_igcv3_take_any_width() -> None:
    for name, options in (("igcv1", {"form": "L100M2"}), ("igcv1", {"form": "L4M32"}), ("igcv3", {"groups": (2, 4)})):
        with on_meta_device():
            models = [create(name, width=width, **options) for width in (0.1, 0.335, 0.7, 1.3)]
        params = [sum(parameter.numel() for parameter in model.parameters()) for model in models]
        assert params == sorted(set(params)), "a wider network has more parameters"


def test_unknown_forms_are_answered_with_the_known() -> None:
    with pytest.raises(ValueError, match="igcv1 has no form 'L2M2'; known: L4M32, L16M16, L100M2"):
        create("igcv1", form="L2M2")
    with pytest.raises(ValueError, match="igcv3 has no form 'd'; known: D, W"):
        create("igcv3", form="d")


@pytest.mark.parametrize(("channels", "layers"), [(8, 1), (64, 2), (128, 3), (256, 3), (512, 3), (1024, 4)])
def test_igcv2s_rule_reaches_every_channel_with_the_fewest_layers(channels: int, layers: int) -> None:
    assert group_sizes(channels) == (8,) * layers


def test_igcv2_for_cifar_by_hand() -> None:
    """3x3 to 416 channels; 6 blocks of 9 + 8 * layers weights for each channel and 2 of batch norm, in each stage."""
    stages = sum(6 * x * (9 + 8 * layers + 2) for x, layers in ((416, 3), (832, 4), (1664, 4)))
    assert analyze("igcv2_cifar", 32).params == (27 + 2) * 416 + stages + 1665 * 10


@pytest.mark.parametrize(
    ("options", "params", "multiply_adds"),
    [
        ({}, 3_491_688, 312_970_176),
        ({"width": 0.7}, 2_490_294, None),
        ({"width": 1.4}, 6_015_164, None),
        ({"groups": (2, 4)}, 3_063_304, 255_819_712),
        ({"form": "W"}, 5_724_968, 585_817_856),
    ],
)
def test_igcv3_has_the_parameters_of_other_libraries(options, params: int, multiply_adds: int | None) -> None:
    """The first three are printed by imgclsmob of its IGCV3-D; the others are of a separate build after the release."""
    cost = analyze("igcv3", 224, **options)
    assert cost.params == params
    assert multiply_adds is None or cost.multiply_adds == multiply_adds


def test_igcv3_shortcuts_only_inside_a_stage() -> None:
    with on_meta_device():
        deep, wide = create("igcv3"), create("igcv3", form="W")
    counts = [
        sum(block.residual for block in model.modules() if isinstance(block, InterleavedLowRankGroupConv))
        for model in (deep, wide)
    ]
    assert counts == [(4 + 6 + 8 + 6 + 6) - 5, (2 + 3 + 4 + 3 + 3) - 5]


def test_igcv3s_depth_leaves_blocks_out() -> None:
    with on_meta_device():
        blocks = [len(create("igcv3", depth=depth).body) - 1 for depth in (0.1, 0.5, 1.0)]
    assert blocks == [7, 1 + 2 + 3 + 4 + 3 + 3 + 1, 32]
    with pytest.raises(ValueError, match="depth of igcv3 must be a number above 0; got 0"):
        create("igcv3", depth=0)


def test_igcv2_narrows_in_steps_of_its_groups() -> None:
    for width in (0.05, 0.3, 0.9):
        with on_meta_device():
            model = create("igcv2_cifar", width=width)
        widths = {block.depthwise.out_channels for block in model.modules() if isinstance(block, InterleavedSparseConv)}
        assert all(channels % 8 == 0 for channels in widths) and len(widths) == 3


@pytest.mark.parametrize("width", [0.1, 0.3, 0.33, 0.56, 0.9, 1.4])
def test_igcv2_takes_any_width(width: float) -> None:
    with on_meta_device():
        model = create("igcv2", width=width)
    assert model.stem.conv.out_channels % 8 == 0
