"""ChannelNet's counts by layer arithmetic, and the released code's trunk."""

import pytest
import torch
from torch import nn

from featherweight.blocks import ConvClassifier
from featherweight.export import load, probe
from featherweight.networks import counts, create, load_model, on_meta_device, save_model
from featherweight.networks.channelnet import RELEASED_V1


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def build(name: str, **options: object) -> nn.Module:
    with on_meta_device():
        return create(name, **options)


@pytest.mark.parametrize(
    ("name", "params", "multiply_adds"),
    [
        ("channelnet_v1", 3_703_432, 468_488_704),
        ("channelnet_v2", 2_652_872, 420_319_744),
        ("channelnet_v3", 1_629_097, 420_520_744),
    ],
)
def test_counts(name: str, params: int, multiply_adds: int) -> None:
    assert counts(name)[:2] == (params, multiply_adds)


def test_versions_differ_by_the_last_layers() -> None:
    v1, v2, v3 = (count(build(f"channelnet_v{i}")) for i in (1, 2, 3))
    assert v1 - v2 == 1024 * 1024 + 2 * 1024 - 64  # a 1x1 layer with its batch norm for 64 weights
    assert v2 - v3 == 1024 * 1000 + 1000 - 7 * 7 * 25


def test_released_trunk_has_the_count_of_its_port() -> None:
    model = build("channelnet_v1", table=RELEASED_V1)
    assert count(model) == 3_875_112
    x, channels = torch.empty(1, 3, 224, 224, device="meta"), []
    for block in (model.stem, *model.body):
        x = block(x)
        channels.append(x.shape[1])
    assert channels == [32, 96, 128, 256, 256, 512, 512, 512, 512, 512, 1024, 1024]


def test_released_trunk_keeps_its_input_in_front(tmp_path) -> None:
    model = create("channelnet_v1", width=0.25, table=RELEASED_V1, num_classes=5, small_input=True).eval()
    x = model.stem(torch.randn(1, 3, 32, 32))
    assert torch.equal(model.body[0](x)[:, : x.shape[1]], x)
    pixels = torch.randn(2, 3, 32, 32)
    loaded = load_model(save_model(model, tmp_path / "model.safetensors"))
    assert torch.equal(loaded(pixels), model(pixels))


def test_v3_has_at_most_as_many_classes_as_channels() -> None:
    assert isinstance(build("channelnet_v3", num_classes=1024).get_classifier(), ConvClassifier)
    with pytest.raises(ValueError, match="got 1000 classes and 512 channels"):
        build("channelnet_v3", width=0.5)


@pytest.mark.parametrize("side", [8, 16, 32])
@torch.no_grad()
def test_v3_runs_in_onnx_runtime_whatever_the_size_of_its_last_map(side: int, calibrated) -> None:
    model = create("channelnet_v3", width=0.25, num_classes=5, in_channels=1, small_input=True)
    calibrated(model, (1, side, side))
    pixels = torch.randn(1, 1, side, side)
    got = load(probe(model, (1, side, side)))(pixels.numpy())
    torch.testing.assert_close(torch.from_numpy(got), model(pixels), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_more_groups_are_smaller(groups: int) -> None:
    model = build("channelnet_v1", groups=groups, width=0.5, num_classes=5)
    assert model(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 5)
    if groups > 2:
        assert count(model) < count(build("channelnet_v1", width=0.5, num_classes=5))


@pytest.mark.parametrize(
    "row", [("DWS", 64, 1), ("GM", 64, 1), ("GCWM", 32, 2), ("GM", 32, 1, "cat"), ("DWSConv", 32, 1, "add")]
)
def test_rows_that_are_none_are_refused(row: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"not a row of a ChannelNet: Row\(module='\w+', .* behind 32 channels"):
        build("channelnet_v1", table=(row,))
