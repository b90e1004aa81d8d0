"""The adder layer with a power of the differences: against its definition, finite differences and `adder2d`."""

import warnings

import pytest
import torch
from torch.nn.functional import conv2d, unfold

from featherweight.ops import adder2d, adder2d_p
from featherweight.ops.adder import reference

# x, weight, stride, padding, dilation, groups
SHAPES = [
    ((2, 3, 6, 5), (4, 3, 3, 3), 1, 1, 1, 1),
    ((1, 4, 7, 7), (6, 2, 3, 3), 2, 1, 1, 2),
    ((2, 4, 6, 6), (4, 1, 3, 3), 1, (1, 0), (1, 2), 4),
    ((3, 5, 4, 4), (2, 5, 1, 1), (2, 1), 0, 1, 1),
    ((1, 2, 9, 8), (4, 2, 5, 3), (1, 3), (2, 1), (1, 2), 1),
    ((0, 2, 5, 5), (3, 2, 3, 3), 1, 1, 1, 1),
]
every_shape = pytest.mark.parametrize(("x", "weight", "stride", "padding", "dilation", "groups"), SHAPES)
every_p = pytest.mark.parametrize("p", [1.0, 1.3, 2.0])


@pytest.fixture
def tensors(x, weight):
    return torch.randn(x, dtype=torch.float64), torch.randn(weight, dtype=torch.float64)


@pytest.fixture
def geometry(stride, padding, dilation, groups):
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def by_unfolding(x, weight, p, *, stride, padding, dilation, groups):
    """- sum |X - F|^p from PyTorch's own patches, all terms at once."""
    columns = unfold(x, weight.shape[2:], dilation, padding, stride).unflatten(1, (groups, 1, -1))
    terms = (columns - weight.flatten(1).unflatten(0, (groups, -1))[None, ..., None]).abs() ** p
    like = conv2d(x, weight, None, stride, padding, dilation, groups)
    return -terms.sum(3).flatten(1, 2).view_as(like)


@every_p
@every_shape
def test_every_output_is_the_sum_of_its_terms(tensors, geometry, p):
    x, weight = tensors
    y = adder2d_p(x, weight, p=p, **geometry)
    torch.testing.assert_close(y, by_unfolding(x, weight, p, **geometry))
    single = adder2d_p(x.float(), weight.float(), p=p, **geometry)
    torch.testing.assert_close(single, y.float(), rtol=1e-5, atol=1e-4)


@every_p
@every_shape
def test_sign_gradients_are_those_of_finite_differences(tensors, geometry, p):
    x, weight = (tensor.requires_grad_() for tensor in tensors)
    bias = torch.randn(len(weight), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *inputs: adder2d_p(*inputs, p=p, gradient="sign", **geometry), (x, weight, bias), fast_mode=True
    )


def gradients(function, x, weight):
    y = function(x, weight)
    return torch.autograd.grad(y, (x, weight), torch.arange(y.numel(), dtype=y.dtype).view_as(y) - 9)


@pytest.mark.parametrize("p", [1.2, 1.5, 2.0])
def test_the_papers_gradients_do_not_depend_on_p(p):
    x, weight = torch.randn(2, 4, 6, 6, requires_grad=True), torch.randn(6, 2, 3, 3, requires_grad=True)
    got = gradients(lambda *of: adder2d_p(*of, p=p, groups=2, padding=1), x, weight)
    expected = gradients(lambda *of: adder2d(*of, groups=2, padding=1), x, weight)
    assert all(torch.equal(*pair) for pair in zip(got, expected, strict=True))


@pytest.mark.parametrize("gradient", ["paper", "sign"])
def test_with_power_1_it_is_the_adder_layer_to_the_last_bit(gradient):
    x, weight, bias = (torch.randn(shape, requires_grad=True) for shape in ((2, 4, 9, 8), (6, 2, 3, 3), (6,)))
    settings = {"groups": 2, "dilation": 2, "gradient": gradient}
    y, expected = adder2d_p(x, weight, bias, p=1, **settings), adder2d(x, weight, bias, **settings)
    assert torch.equal(y, expected)
    grad = torch.randn_like(y)
    got, wanted = (torch.autograd.grad(of, (x, weight, bias), grad) for of in (y, expected))
    assert all(torch.equal(*pair) for pair in zip(got, wanted, strict=True))


def test_the_true_derivative_goes_over_into_the_sign():
    x, weight = torch.randn(1, 2, 5, 5, requires_grad=True), torch.randn(3, 2, 3, 3, requires_grad=True)
    near = gradients(lambda *of: adder2d_p(*of, p=1 + 1e-6, gradient="sign"), x, weight)
    at = gradients(lambda *of: adder2d(*of, gradient="sign"), x, weight)
    torch.testing.assert_close(near, at, rtol=1e-3, atol=1e-3)
    same = gradients(
        lambda *of: adder2d_p(*of, p=1.5, gradient="sign"), x.detach().zero_().requires_grad_(), weight * 0
    )
    assert all(torch.equal(of, torch.zeros_like(of)) for of in same)  # where x is the filter, 0, as for p = 2


def test_squares_are_never_above_zero():
    """X^2 - 2 X F + F^2 is rounded thrice; what is the filter itself must not come out above its distance 0."""
    weight = torch.randn(8, 16, 3, 3) * 1000
    y = adder2d_p(weight.clone(), weight, p=2)
    assert y.max() <= 0
    assert (y.flatten(1).diagonal().abs() < 1e-5 * weight.square().sum((1, 2, 3))).all()


def test_pieces_do_not_matter(monkeypatch):
    x, weight = torch.randn(2, 4, 6, 6, requires_grad=True), torch.randn(6, 2, 3, 3, requires_grad=True)

    def everything():
        return gradients(lambda *of: adder2d_p(*of, p=1.5, groups=2, gradient="sign"), x, weight)

    whole = everything()
    monkeypatch.setattr(reference, "PIECE", 1)
    torch.testing.assert_close(everything(), whole)


@every_p
def test_half_precision_and_autocast_compute_in_float32(p):
    x, weight = torch.randn(1, 64, 5, 5).bfloat16(), torch.randn(3, 64, 3, 3).bfloat16()
    wide = adder2d_p(x.float(), weight.float(), p=p)
    assert torch.equal(adder2d_p(x, weight, p=p), wide.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(adder2d_p(x, weight.float(), p=p), wide)


@pytest.mark.parametrize("gradient", ["paper", "sign"])
@pytest.mark.parametrize("p", [1.5, 2.0])
def test_pytorchs_own_checks_of_an_operator(gradient, p):
    x, weight, bias = (torch.randn(shape, requires_grad=True) for shape in ((2, 4, 7, 6), (6, 2, 3, 3), (6,)))
    settings = [2, 2], [1, 1], [1, 1], 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's compiler warns of what it does itself
        torch.library.opcheck(torch.ops.featherweight.adder2d_p.default, (x, weight, bias, *settings, gradient, p))
        for name in ("input", "weight"):
            operator = getattr(torch.ops.featherweight, f"adder2d_p_{name}_gradient").default
            torch.library.opcheck(operator, (torch.randn(2, 6, 4, 3), x.detach(), weight.detach(), *settings, p))


def test_traced_it_is_made_of_plain_operators():
    x, weight = torch.randn(2, 4, 7, 6), torch.randn(6, 2, 3, 3)

    def layer(x):
        return adder2d_p(x, weight, weight[:, 0, 0, 0], p=1.5, stride=2, padding=1, groups=2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit as a whole
        traced = torch.jit.trace(layer, x)
    assert "featherweight::" not in str(traced.graph)
    other = torch.randn(5, 4, 7, 6)
    torch.testing.assert_close(traced(other), layer(other))


@pytest.mark.parametrize("p", [0.99, 2.01, 0, -1, float("nan"), float("inf")])
def test_a_power_that_is_not_from_1_to_2_is_refused(p):
    with pytest.raises(ValueError, match=f"the power p must be from 1 to 2; got {p}"):
        adder2d_p(torch.zeros(1, 3, 5, 5), torch.zeros(2, 3, 3, 3), p=p)


@every_p
def test_other_errors_are_those_of_the_adder_layer(p):
    x, weight = torch.zeros(1, 3, 5, 5), torch.zeros(2, 3, 3, 3)
    for tensors, options, message in (
        ((x, weight), {"gradient": "l2"}, "unknown gradient 'l2'; known: sign, paper"),
        ((x, weight[:, :2]), {}, "x has 3 channels"),
        ((x, weight, torch.zeros(3)), {}, r"wanted a bias \[2\]"),
    ):
        with pytest.raises(ValueError, match=message):
            adder2d_p(*tensors, p=p, **options)
