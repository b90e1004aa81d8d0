"""ChannelNet's parts against loops over the channels, the paper's closed forms, and what they stand in for."""

import pytest
import torch
from torch import nn

from featherweight.blocks import (
    ChannelWiseConv,
    ConvClassifier,
    ConvClassifierHead,
    DepthwiseSeparableChannelWise,
    GroupChannelWiseModule,
    GroupModule,
)
from featherweight.cost import analyze


def params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("channels", "out", "k", "groups"),
    [(12, 12, 8, 2), (12, 12, 5, 1), (12, 12, 64, 1), (12, 12, 3, 4), (12, 24, 4, 2), (12, 4, 5, 1), (12, 4, 2, 1)],
)
def test_conv_is_the_sum_over_neighbouring_channels(channels: int, out: int, k: int, groups: int) -> None:
    conv, x = ChannelWiseConv(channels, out, kernel_size=k, groups=groups), torch.randn(2, channels, 3, 5)
    stride = channels * groups // out
    first = -(max(0, k - stride) // 2)
    weight = conv.conv.weight.reshape(groups, k)
    expected = torch.zeros(2, out, 3, 5)
    for o in range(out):
        group, place = divmod(o, out // groups)
        for j in range(k):
            if 0 <= (channel := first + place * stride + j) < channels:
                expected[:, o] += weight[group, j] * x[:, channel]
    torch.testing.assert_close(conv(x), expected)
    assert params(conv) == groups * k
    assert analyze(conv, (channels, 3, 5)).multiply_adds == 3 * 5 * out * k


def test_grouped_separable_with_channel_wise_has_the_papers_closed_form() -> None:
    m, g, d_k, d_c, d_f = 32, 2, 3, 8, 14
    separable = GroupModule(m, groups=g).first
    module = nn.Sequential(ChannelWiseConv(m, m, kernel_size=d_c, groups=g), separable.depthwise, separable.pointwise)
    assert params(module) == d_k**2 * m + (m // g) * (m // g) * g + d_c * g
    multiply_adds = d_k**2 * m * d_f**2 + m * m // g * d_f**2 + d_c * (m // g) * g * d_f**2
    assert analyze(module, (m, d_f, d_f)).multiply_adds == multiply_adds


@pytest.mark.parametrize(("out", "stride"), [(24, 1), (24, 2), (12, 2)])
def test_separable_channel_wise_has_the_papers_closed_form(out: int, stride: int) -> None:
    block = DepthwiseSeparableChannelWise(24, out, stride=stride, kernel_size=5, channel_kernel_size=7)
    places = -(-9 // stride) * -(-6 // stride)
    assert params(block) == 25 * 24 + 7
    assert analyze(block, (24, 9, 6)).multiply_adds == 25 * 24 * places + 7 * out * places
    assert block(torch.zeros(1, 24, 9, 6)).shape == (1, out, -(-9 // stride), -(-6 // stride))


@pytest.mark.parametrize("groups", [2, 4])
def test_modules_cost_is_the_docstrings(groups: int) -> None:
    places, c = 6 * 5, 16
    work = places * 2 * (9 * c + c * c // groups)
    assert analyze(GroupModule(c, groups=groups), (c, 6, 5)).multiply_adds == work
    fused = GroupChannelWiseModule(c, groups=groups)
    assert analyze(fused, (c, 6, 5)).multiply_adds == work + places * 4 * groups * c
    assert params(fused.fuse) == 4 * groups**2


def reached(module: nn.Module, channel: int) -> list[int]:
    """Output channels that an input channel reaches."""
    x = torch.zeros(1, 8, 4, 4, requires_grad=True)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.3)  # small enough to keep below ReLU6's bend
    y = module.eval()(x + 0.01)
    grads = [torch.autograd.grad(y[0, o].sum(), x, retain_graph=True)[0][0, channel].abs().sum() for o in range(8)]
    return [o for o, grad in enumerate(grads) if grad]


def test_only_the_channel_wise_convolution_joins_the_groups() -> None:
    assert reached(GroupModule(8), 0) == [0, 1, 2, 3]
    assert reached(GroupChannelWiseModule(8), 0) == list(range(8))


@pytest.mark.parametrize("module", [GroupModule, GroupChannelWiseModule])
def test_residual_is_added_and_x_left_alone(module: type[GroupModule]) -> None:
    with_x, x = module(8).eval(), torch.randn(2, 8, 5, 5)
    without = module(8, residual=False).eval()
    without.load_state_dict(with_x.state_dict())
    before = x.clone()
    torch.testing.assert_close(with_x(x), without(x) + x)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("m", "n", "side"), [(16, 10, 3), (16, 16, 7), (16, 1, 2)])
def test_classifier_is_the_papers_3d_convolution(m: int, n: int, side: int) -> None:
    layer, x = ConvClassifier(m, n, side=side), torch.randn(2, m, side, side)
    kernel = layer.conv.weight.reshape(side, side, m - n + 1).permute(2, 0, 1)
    expected = nn.functional.conv3d(x[:, None], kernel[None, None]).flatten(1)
    torch.testing.assert_close(layer(x), expected / side)
    assert params(layer) == side * side * (m - n + 1)
    assert analyze(layer, (m, side, side)).multiply_adds == side * side * (m - n + 1) * n


def test_classifier_of_the_paper_is_seven_by_seven_by_25() -> None:
    assert params(ConvClassifier(1024, 1000)) == 7 * 7 * 25 == 1225


def test_classifier_with_equal_weights_at_all_places_is_pooling_and_a_channel_wise_layer() -> None:
    layer, x = ConvClassifier(16, 10), torch.randn(2, 16, 7, 7)
    along = torch.randn(7)
    with torch.no_grad():
        layer.conv.weight.copy_(along.expand(1, 49, 7) / 7)
    torch.testing.assert_close(layer(x), nn.functional.conv1d(x.mean((2, 3))[:, None], along[None, None])[:, 0])


def test_classifier_learns_as_fast_as_a_channel_wise_layer_on_the_average() -> None:
    """A step of gradient descent moves the logits of a flat map as far."""
    x = torch.rand(2, 16, 1, 1)
    layer, pooled = ConvClassifier(16, 10), nn.Conv1d(1, 1, 7, bias=False)
    moved = []
    for module, inputs in ((layer, x.expand(-1, -1, 7, 7)), (pooled, x.reshape(2, 1, 16))):
        before = module(inputs)
        before.sum().backward()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.sub_(0.1 * parameter.grad)
            moved.append((module(inputs) - before).flatten(1))
    torch.testing.assert_close(*moved)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 14)])
def test_classifier_takes_maps_of_other_sizes(size: tuple[int, int]) -> None:
    layer, plain = ConvClassifier(16, 10), torch.randn(2, 16, 1, 1)
    torch.testing.assert_close(layer(plain.expand(-1, -1, *size)), layer(plain.expand(-1, -1, 7, 7)))


def test_head_gives_the_average_where_it_has_no_classes() -> None:
    head, x = ConvClassifierHead(16, 10, dropout=0.5).eval(), torch.randn(2, 16, 4, 4)
    assert head(x).shape == (2, 10)
    torch.testing.assert_close(head(x, pre_logits=True), x.mean((2, 3)))
    head.reset(0)
    torch.testing.assert_close(head(x), x.mean((2, 3)))


def test_errors_say_what_came() -> None:
    with pytest.raises(ValueError, match="at most as many classes as its input has channels; got 17 classes and 16 ch"):
        ConvClassifier(16, 17)
    with pytest.raises(ValueError, match=r"from 16 to 16 channels in 3 groups .* 5\.33333 channels and a stride of 3"):
        ChannelWiseConv(16, 16, kernel_size=8, groups=3)
    with pytest.raises(ValueError, match=r"from 16 to 24 channels in 1 groups .* a stride of 0\.666667"):
        ChannelWiseConv(16, 24, kernel_size=8)
    with pytest.raises(ValueError, match=r"kernel_size must be odd.*got 4"):
        DepthwiseSeparableChannelWise(16, 16, kernel_size=4)
