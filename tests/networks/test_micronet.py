"""MicroNet held against counts of its released code."""

from typing import NamedTuple

import pytest
import torch

from featherweight.blocks import DynamicShiftMax, MicroBlockC, MicroDepthwise, MicroExpansion
from featherweight.cost import analyze
from featherweight.networks import create, network, on_meta_device


class Released(NamedTuple):
    """What the released code counts to, in millions; `weighed` adds what Dynamic Shift-Max multiplies."""

    params: float
    multiply_adds: float
    weighed: float
    classifier: float
    dynamic: float


RELEASED = {
    "micronet_m0": Released(1.020, 3.449, 4.05, 0.886, 0.110),
    "micronet_m1": Released(1.778, 5.314, 6.12, 1.513, 0.231),
    "micronet_m2": Released(2.394, 10.338, 12.74, 1.810, 0.518),
    "micronet_m3": Released(2.623, 18.236, 20.81, 1.909, 0.578),
}


@pytest.mark.parametrize(("name", "released"), RELEASED.items(), ids=RELEASED)
def test_counts_are_those_of_the_released_code(name: str, released: Released) -> None:
    with on_meta_device():
        model = create(name).eval()
    cost = analyze(model)
    assert round(cost.params / 1e6, 3) == released.params
    assert round(cost.multiply_adds / 1e6, 3) == released.multiply_adds

    weighed = 0

    def count(module: DynamicShiftMax, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal weighed
        weighed += 2 * module.fusions * output.numel()

    dynamic = [module for module in model.modules() if isinstance(module, DynamicShiftMax)]
    for module in dynamic:
        module.register_forward_hook(count)
    model(torch.empty(1, 3, 224, 224, device="meta"))
    assert round((cost.multiply_adds + weighed) / 1e6, 2) == released.weighed

    sizes = [sum(p.numel() for p in module.parameters()) for module in dynamic]
    assert round(sum(sizes) / 1e6, 3) == released.dynamic
    head = sum(layer.params for layer in cost.layers if layer.kind == "fully connected" and layer.name[:4] == "head")
    assert round(head / 1e6, 3) == pytest.approx(released.classifier, abs=0.003)


@torch.no_grad()
def test_shift_max_is_its_formula() -> None:
    """Each channel with the one that is a group and a place further on, both coefficients as the linear layers say."""
    layer, x = DynamicShiftMax(12, groups=4), torch.randn(2, 12, 5, 5)
    y = layer(x)
    scale = (layer.coefficients(x.mean((2, 3))) - 0.5) * 4
    a1, b1, a2, b2 = scale.unflatten(1, (4, 12)).unbind(1)
    for channel in range(12):
        group, place = divmod(channel, 3)
        other = (group + 1) % 4 * 3 + (place + 1) % 3
        sums = [
            (first[:, channel, None, None] + 1) * x[:, channel] + second[:, channel, None, None] * x[:, other]
            for first, second in ((a1, b1), (a2, b2))
        ]
        torch.testing.assert_close(y[:, channel], torch.maximum(*sums))


@torch.no_grad()
def test_depthwise_pair_is_a_kernel_of_rank_one() -> None:
    pair = MicroDepthwise(3, kernel_size=5).eval()
    kernel = pair.column.conv.weight @ pair.row.conv.weight  # [3, 1, 5, 1] x [3, 1, 1, 5]
    x = torch.randn(1, 3, 9, 9)
    scale = 1 + pair.column.norm.eps  # both norms are fresh: each divides by the root of it
    torch.testing.assert_close(pair(x) * scale, torch.nn.functional.conv2d(x, kernel, padding=2, groups=3))


@torch.no_grad()
def test_factorized_pointwise_joins_each_pair_once() -> None:
    """Squeeze to C/R and expand to C with the same sqrt(C/R) groups and a shuffle between: one path per pair."""
    block = MicroBlockC(64, 16, hidden_channels=64, groups=(4, 4, 4, 4), fusions=(0, 0, 0))
    expansion = MicroExpansion(16, 64, groups=(4, 4), fusions=0)
    squeeze, expand = block.squeeze.conv.weight.fill_(1), expansion.expand.conv.weight.fill_(1)
    x = torch.eye(64)[:, :, None, None]
    squeezed = block.squeeze_act(torch.nn.functional.conv2d(x, squeeze, groups=4))
    paths = torch.nn.functional.conv2d(squeezed, expand, groups=4)
    assert torch.equal(paths, torch.ones_like(paths))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="10 channels do not divide into 4 groups"):
        DynamicShiftMax(10, groups=4)
    with pytest.raises(ValueError, match="fusions must be 1 or 2; got 3"):
        DynamicShiftMax(8, groups=4, fusions=3)


@pytest.mark.parametrize(("s", "c"), [(2, 384), (1, 400)])
def test_the_last_row_only_expands(s: int, c: int) -> None:
    *rows, last = network("micronet_m0").default("table")
    with pytest.raises(ValueError, match="only expands: wanted stride 1 and 384 channels"):
        create("micronet_m0", table=(*rows, last._replace(s=s, c=c)))
