"""EffNet and its baselines against Table 1, which gives the numbers between layers."""

import pytest
import torch

from featherweight.networks import analyze, create, on_meta_device, rounds_to


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("effnet", {}),
        ("effnet_revised", {}),
        *(
            ("effnet_baseline", {"unit": unit})
            for unit in ("conv", "mobilenet", "shufflenet", "mobilenet_v2", "mob_imp")
        ),
    ],
)
def test_layers_give_as_many_numbers_as_in_table_1(name: str, options: dict[str, object]) -> None:
    with on_meta_device():
        model = create(name, **options).eval()
        x, floats = torch.empty(1, 3, 32, 32), []
        for layer in (model.stem, *model.body):
            x = layer(x)
            floats.append(x.numel())
    assert floats == [16_384, 8_192, 4_096]
    assert model.get_classifier().in_features == 4_096


def test_numbers_inside_the_blocks() -> None:
    with on_meta_device():
        block = create("effnet").stem.eval()
        x = block.squeeze(torch.empty(1, 3, 32, 32))
        assert x.numel() == 32_768
        x = block.pool(block.depthwise1x3(x))
        assert x.numel() == block.depthwise3x1(x).numel() == 16_384


@pytest.mark.parametrize(("classes", "params", "multiply_adds"), [(10, 151_146, "5.64M"), (43, 286_347, "5.78M")])
def test_counts_for_cifar_and_for_traffic_signs(classes: int, params: int, multiply_adds: str) -> None:
    cost = analyze("effnet", num_classes=classes)
    assert cost.params == params
    assert rounds_to(cost.multiply_adds, multiply_adds)


def test_unknown_unit() -> None:
    with pytest.raises(ValueError, match=r"unit must be one of conv, mobilenet, .* got 'resnet'"):
        create("effnet_baseline", unit="resnet")
