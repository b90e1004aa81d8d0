"""The brick: kernels and strides of two sides, and padding."""

import pytest
import torch

from featherweight.blocks import ConvNormAct
from featherweight.cost import analyze


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"kernel_size": (3, 1)}, (7, 10)),
        ({"kernel_size": (1, 5)}, (7, 10)),
        ({"kernel_size": (3, 5), "stride": (2, 1)}, (4, 10)),
        ({"kernel_size": (1, 2), "stride": (1, 2), "padding": 0}, (7, 5)),
        ({"kernel_size": 3, "padding": 0}, (5, 8)),
        ({"kernel_size": 3, "stride": 2}, (4, 5)),
    ],
)
def test_each_side_has_its_kernel_and_stride(options: dict[str, object], size: tuple[int, int]) -> None:
    layer = ConvNormAct(4, 6, **options)
    assert layer(torch.randn(2, 4, 7, 10)).shape == (2, 6, *size)
    height, width = layer.conv.kernel_size
    assert analyze(layer, (4, 7, 10)).multiply_adds == size[0] * size[1] * 4 * 6 * height * width


@pytest.mark.parametrize("kernel_size", [2, (3, 2), (2, 1)])
def test_an_even_kernel_needs_padding_given(kernel_size: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"kernel_size must be odd, so that stride 1 keeps the size; got .*2"):
        ConvNormAct(4, 6, kernel_size=kernel_size)
