"""Batch normalisation and average pooling by integer additions, beside those that multiply."""

import pytest
import torch
from torch import Tensor, nn

from featherweight.blocks import MitchellAvgPool2d, MitchellBatchNorm2d
from featherweight.blocks._mitchell_norm import _InverseRoot
from featherweight.cost import OpMix, analyze

PRODUCT = 8 / 9, 1.0  # a product by integer addition beside the true one
INVERSE = 1.0, 9 / 8
ROOT = 1.0, 1.5 / 2**0.5
# Of n that is a power of two: var is a product, the inverse root of it both of these, and weight and x are products.
INVERSE_ROOT = 1 / ROOT[1], INVERSE[1]
OF_BATCH = INVERSE_ROOT[0] * PRODUCT[0] ** 2, INVERSE_ROOT[1] * PRODUCT[0] ** -0.5
IN_EVALUATION = INVERSE_ROOT[0] * PRODUCT[0] ** 2, INVERSE_ROOT[1]


def pair(**options: float) -> tuple[MitchellBatchNorm2d, nn.BatchNorm2d]:
    ours, theirs = MitchellBatchNorm2d(6, **options), nn.BatchNorm2d(6, **options)
    nn.init.uniform_(theirs.weight, 0.5, 2)
    nn.init.normal_(theirs.bias)
    theirs.running_mean.normal_()
    theirs.running_var.uniform_(0.2, 3)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def ratios(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
    """Least and largest quotient; of numbers so small that rounding decides, none."""
    large = theirs.abs() > 1e-4
    quotients = (ours / theirs)[large]
    return quotients.min().item(), quotients.max().item()


def log2(x: Tensor) -> Tensor:
    """Give the paper's palog2: the exponent, and the fraction behind the point."""
    fraction, exponent = torch.frexp(x)
    return exponent - 1 + (2 * fraction - 1)


def exp2(x: Tensor) -> Tensor:
    """Give the paper's paexp2."""
    return 2 ** x.floor() * (1 + x - x.floor())


def test_the_inverse_root_is_the_papers():
    x = torch.logspace(-6, 6, 1001, dtype=torch.float64).float()
    root = _InverseRoot.apply(x, "approximate", 0.0)
    torch.testing.assert_close(root.double(), exp2(-log2(x.double()) / 2), rtol=2e-7, atol=0)
    low, high = ratios(root.double(), x.double().rsqrt())
    assert INVERSE_ROOT[0] < low < high < INVERSE_ROOT[1]
    powers = 4.0 ** torch.arange(-20, 20)
    assert torch.equal(_InverseRoot.apply(powers, "approximate", 0.0), powers.rsqrt())


def test_gradients_of_the_inverse_root():
    x = torch.tensor([0.3, 1.25, 1.75, 2.5, 3.5, 40.0, 1e-5], requires_grad=True)
    step = (x * 2**-8).detach()
    root, near = (_InverseRoot.apply(value, "exact", 0.0) for value in (x, x + step))
    (slope,) = torch.autograd.grad(root.sum(), x)
    torch.testing.assert_close(slope, (near - root) / step, rtol=1e-3, atol=0)
    assert torch.equal(torch.frexp(slope)[0], torch.full_like(slope, -0.5)), "slopes are powers of two"
    (slope,) = torch.autograd.grad(_InverseRoot.apply(x, "approximate", 0.0).sum(), x)
    low, high = ratios(slope, -0.5 * x.detach() ** -1.5)
    assert INVERSE_ROOT[0] ** 3 * PRODUCT[0] ** 2 < low < high < INVERSE_ROOT[1] ** 3


@pytest.mark.parametrize("scale", [1e-2, 1.0, 300.0])
def test_it_normalises_as_the_ordinary_one(scale):
    ours, theirs = pair()
    x = torch.randn(4, 6, 8, 8) * scale + 0.5 * scale
    y, expected = (norm(x) - norm.bias[:, None, None] for norm in (ours, theirs))
    low, high = ratios(y, expected)
    assert OF_BATCH[0] < low < high < OF_BATCH[1]


def test_it_is_exact_where_all_are_powers_of_two():
    x = torch.tensor([2.0, -2.0]).repeat(32).view(2, 2, 4, 4)
    norm = MitchellBatchNorm2d(2, eps=0.0)
    assert torch.equal(norm(x), x.sign())


def test_any_number_of_pixels_will_do():
    ours, theirs = pair()
    x = torch.randn(3, 6, 7, 5)
    y, expected = ours(x), theirs(x)
    assert nn.functional.cosine_similarity(y.flatten(), expected.flatten(), dim=0) > 0.99
    with pytest.raises(ValueError, match=r"more than one value for each channel in training; got \[1, 6, 1, 1\]"):
        ours(x[:1, :, :1, :1])


def test_in_evaluation_it_uses_the_running_statistics():
    ours, theirs = (norm.eval() for norm in pair())
    x = torch.randn(2, 6, 5, 5)
    low, high = ratios(ours(x) - ours.bias[:, None, None], theirs(x) - theirs.bias[:, None, None])
    assert IN_EVALUATION[0] < low < high < IN_EVALUATION[1]
    assert torch.equal(ours(x), torch.cat([ours(one) for one in x.split(1)]))
    assert all(torch.equal(ours.state_dict()[key], value) for key, value in theirs.state_dict().items())


@pytest.mark.parametrize("momentum", [0.1, 1.0, None])
def test_running_statistics_follow(momentum):
    ours, theirs = pair(momentum=momentum)
    for norm in (ours, theirs):
        norm.reset_running_stats()
    for _ in range(4):
        x = torch.randn(4, 6, 8, 8) * 3 + 2
        ours(x), theirs(x)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean, rtol=0.2, atol=0)
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=0.2, atol=0)
    assert ours.num_batches_tracked == 4


def test_the_state_dict_is_the_ordinary_ones():
    ours, theirs = MitchellBatchNorm2d(6).state_dict(), nn.BatchNorm2d(6).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], value) and ours[key].dtype == value.dtype for key, value in theirs.items())


@pytest.mark.parametrize(("backward", "least"), [("approximate", 0.98), ("exact", 0.9)])
def test_gradients_point_where_the_ordinary_ones_do(backward, least):
    ours, theirs = pair()
    ours.backward = backward
    x, grad = torch.randn(8, 6, 8, 8), torch.randn(8, 6, 8, 8)
    found = []
    for norm in (ours, theirs):
        picture = x.clone().requires_grad_()
        found.append(torch.autograd.grad(norm(picture), (picture, norm.weight, norm.bias), grad))
    for mine, other in zip(*found, strict=True):
        assert nn.functional.cosine_similarity(mine.flatten(), other.flatten(), dim=0) > least


def test_cost_is_the_docstrings():
    cost = analyze(nn.Sequential(MitchellBatchNorm2d(4), MitchellAvgPool2d(2)), (4, 8, 8))
    norm, pool = 4 * 64, 4 * 16
    for_each_channel = OpMix(integer_additions=3 * 4, additions=4, shifts=4)
    expected = OpMix(integer_additions=norm + pool, additions=2 * norm + 4 * pool) + for_each_channel
    assert (cost.multiply_adds, cost.operations) == (0, expected)


@pytest.mark.parametrize("layer", [MitchellBatchNorm2d(3), MitchellAvgPool2d(), MitchellAvgPool2d(2)])
def test_it_can_be_exported(layer):
    x = torch.randn(2, 3, 6, 6)
    program = torch.export.export(layer.eval(), (x,))
    assert torch.equal(program.module()(x), layer(x))


@pytest.mark.parametrize(("side", "stride"), [(2, None), (3, 1), (4, 2)])
def test_windows_are_averaged(side, stride):
    x = torch.rand(2, 3, 8, 8)
    low, high = ratios(MitchellAvgPool2d(side, stride)(x), nn.AvgPool2d(side, stride)(x))
    exact = side in (2, 4)
    assert (low, high) == pytest.approx((1, 1), abs=1e-6) if exact else 1 <= low < high <= INVERSE[1]


def test_the_whole_picture_is_averaged():
    x = torch.rand(2, 3, 4, 8)
    torch.testing.assert_close(MitchellAvgPool2d()(x), x.mean((2, 3), keepdim=True))


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (2, 4, 4, 4), (2, 3, 4), (3,)])
def test_wrong_dimensions_and_channels_of_a_norm(shape):
    with pytest.raises(ValueError, match=r"wanted x \[N, 3, H, W\]; got \["):
        MitchellBatchNorm2d(3)(torch.zeros(shape))
